//! Calls a tower service for one request, for as long as its client stays.

use std::error::Error;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Poll, ready};

use asgi::{AppError, DisconnectReason};
use http::{Request, Response};
use tower_service::Service;

use crate::TowerBody;

/// Calls `service`. Returns `None` if the client leaves first: then the future of the service is
/// dropped.
///
/// `closed` waits for the client's close. It is polled only if the service waits.
pub(crate) async fn call_while_connected<S, B>(
    mut service: S,
    request: Request<TowerBody>,
    closed: impl Future<Output = DisconnectReason>,
) -> Result<Option<Response<B>>, AppError>
where
    S: Service<Request<TowerBody>, Response = Response<B>>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let calling = async {
        let ready = poll_fn(|cx| service.poll_ready(cx)).await;
        ready.map_err(Into::into)?;
        let response = service.call(request).await;
        Ok(Some(response.map_err(Into::into)?))
    };
    let mut calling = pin!(calling);
    // Most handlers never wait, and then nothing needs to watch the client.
    let first = poll_fn(|cx| Poll::Ready(calling.as_mut().poll(cx))).await;
    if let Poll::Ready(response) = first {
        return response;
    }
    let mut closed = pin!(closed);
    let mut watches_client = true;
    poll_fn(|cx| {
        if let Poll::Ready(response) = calling.as_mut().poll(cx) {
            return Poll::Ready(response);
        }
        if watches_client {
            if ready!(closed.as_mut().poll(cx)).is_gone() {
                return Poll::Ready(Ok(None));
            }
            // The client has closed its side only, so it may still read. (HTTP-042)
            watches_client = false;
        }
        Poll::Pending
    })
    .await
}
