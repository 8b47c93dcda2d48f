//! The body of a request, as a tower service gets it.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use asgi_util::{IncompleteBody, ReceiverBody};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// The body of a request that [`app`](crate::app()) passes to its service.
///
/// It yields the data as it comes, and then the trailers. If the client leaves before the end, it
/// yields an [`IncompleteBody`]. The size hint is exact if the request has a `content-length` or no
/// body.
#[derive(Default)]
pub struct TowerBody(Option<ReceiverBody>);

impl TowerBody {
    /// Creates an empty body, for a request that a test or a middleware makes.
    pub const fn empty() -> Self {
        Self(None)
    }
}

impl From<ReceiverBody> for TowerBody {
    fn from(body: ReceiverBody) -> Self {
        Self(Some(body))
    }
}

impl Body for TowerBody {
    type Data = Bytes;
    type Error = IncompleteBody;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, IncompleteBody>>> {
        match &mut self.0 {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Some(body) => body.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

impl fmt::Debug for TowerBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TowerBody").finish_non_exhaustive()
    }
}
