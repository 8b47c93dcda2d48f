//! The body of a request, as h2 reads it.

use std::task::{Context, Poll, ready};

use asgi::{DisconnectReason, HttpRequest};
use bytes::Bytes;
use h2::RecvStream;

use crate::exchange::RequestBody;

/// The body for an exchange; `None` if the request has no content.
pub(super) fn request_body(body: RecvStream) -> Option<Box<dyn RequestBody>> {
    (!body.is_end_stream()).then(|| Box::new(body) as Box<dyn RequestBody>)
}

/// When a body is dropped before its end, h2 asks the client to stop: RFC 9113 §8.1, "a server MAY
/// request that the client abort transmission of a request without error by sending a RST_STREAM with
/// an error code of NO_ERROR after sending a complete response".
impl RequestBody for RecvStream {
    fn is_end_stream(&self) -> bool {
        Self::is_end_stream(self)
    }

    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Result<HttpRequest, DisconnectReason>> {
        let Some(data) = ready!(self.poll_data(cx)) else {
            let trailers = ready!(self.poll_trailers(cx));
            return Poll::Ready(match trailers {
                Ok(trailers) => {
                    let mut last = HttpRequest::last(Bytes::new());
                    last.trailers = trailers.map(Box::new);
                    Ok(last)
                }
                Err(error) => Err(disconnect_reason(&error)),
            });
        };
        Poll::Ready(match data {
            Ok(data) => {
                // Credit for the bytes that the app takes, and only for those: an upload that is not
                // read stops by itself. It can't fail: this much was received.
                let _ = self.flow_control().release_capacity(data.len());
                Ok(HttpRequest::new(data, !Self::is_end_stream(self)))
            }
            Err(error) => Err(disconnect_reason(&error)),
        })
    }

    /// Discards as much as the client's window allows: the client gets no new credit.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(data) = ready!(self.poll_data(cx)) {
            if data.is_err() {
                return Poll::Ready(());
            }
        }
        self.poll_trailers(cx).map(drop)
    }
}

/// The reason that an error of h2's means for the app.
pub(super) fn disconnect_reason(error: &h2::Error) -> DisconnectReason {
    match error.reason() {
        Some(reason) if error.is_reset() && error.is_remote() => {
            DisconnectReason::Reset(u32::from(reason).into())
        }
        Some(_) if !error.is_remote() => DisconnectReason::ProtocolError,
        _ => DisconnectReason::Lost,
    }
}
