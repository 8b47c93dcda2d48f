//! Poem and Salvo want request bodies that are `Sync`, as those of hyper are.

use std::io;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use asgi_tower::TowerBody;
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use hyper::body::{Body, Frame, SizeHint};

/// Makes a body `Sync`. Its mutex never waits: a body is read through a unique reference.
pub(crate) fn sync(body: TowerBody) -> BoxBody<Bytes, io::Error> {
    BoxBody::new(SyncBody(Mutex::new(body)))
}

struct SyncBody(Mutex<TowerBody>);

impl Body for SyncBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let body = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        Pin::new(body).poll_frame(cx).map_err(io::Error::other)
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().is_ok_and(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0
            .lock()
            .map_or_else(|_| SizeHint::default(), |body| body.size_hint())
    }
}
