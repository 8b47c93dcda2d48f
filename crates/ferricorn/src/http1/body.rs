//! The body of a request, as hyper reads it.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use asgi::{DisconnectReason, HttpRequest};
use bytes::Bytes;
use http_body::Body;
use hyper::body::Incoming;

use crate::exchange::RequestBody;

/// The body for an exchange; `None` if the request has no content.
pub(super) fn request_body(body: Incoming) -> Option<Box<dyn RequestBody>> {
    (!Body::is_end_stream(&body)).then(|| Box::new(body) as Box<dyn RequestBody>)
}

impl RequestBody for Incoming {
    fn is_end_stream(&self) -> bool {
        Body::is_end_stream(self)
    }

    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Result<HttpRequest, DisconnectReason>> {
        let frame = ready!(Pin::new(&mut *self).poll_frame(cx));
        Poll::Ready(match frame {
            // The end is checked now: after the last part hyper need not report one.
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => Ok(HttpRequest::new(data, !Body::is_end_stream(self))),
                Err(frame) => {
                    let mut last = HttpRequest::last(Bytes::new());
                    last.trailers = frame.into_trailers().ok().map(Box::new);
                    Ok(last)
                }
            },
            None => Ok(HttpRequest::last(Bytes::new())),
            Some(Err(error)) => Err(disconnect_reason(&error)),
        })
    }
}

/// The reason that an error of hyper's means for the app.
fn disconnect_reason(error: &hyper::Error) -> DisconnectReason {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return match error.kind() {
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                    DisconnectReason::ProtocolError
                }
                _ => DisconnectReason::Lost,
            };
        }
        cause = error.source();
    }
    DisconnectReason::Lost
}
