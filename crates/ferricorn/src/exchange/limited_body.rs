//! A request's body that may not be larger than the operator allows.

use std::task::{Context, Poll, ready};

use asgi::{DisconnectReason, HttpRequest};

use super::RequestBody;

/// Ends a body before the part that makes it too large. The app never sees that part.
pub(super) struct LimitedBody {
    body: Box<dyn RequestBody>,
    /// How many bytes may still come.
    left: u64,
    is_over: bool,
}

impl LimitedBody {
    pub(super) fn new(body: Box<dyn RequestBody>, most: u64) -> Self {
        Self {
            body,
            left: most,
            is_over: false,
        }
    }
}

impl RequestBody for LimitedBody {
    fn is_end_stream(&self) -> bool {
        !self.is_over && self.body.is_end_stream()
    }

    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Result<HttpRequest, DisconnectReason>> {
        let part = ready!(self.body.poll_part(cx))?;
        match self.left.checked_sub(part.body.len() as u64) {
            Some(left) if !self.is_over => {
                self.left = left;
                Poll::Ready(Ok(part))
            }
            _ => {
                self.is_over = true;
                Poll::Ready(Err(DisconnectReason::ProtocolError))
            }
        }
    }

    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.body.poll_discard(cx)
    }

    fn is_over_limit(&self) -> bool {
        self.is_over
    }
}
