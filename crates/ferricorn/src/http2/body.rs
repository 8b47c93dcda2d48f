//! The body of a request, as h2 reads it.

use std::task::{Context, Poll, ready};

use asgi::{DisconnectReason, HttpRequest};
use bytes::{Bytes, BytesMut};
use h2::RecvStream;

use super::request::has_white_space_around;
use crate::exchange::RequestBody;

/// A shorter frame is gathered with those after it, up to so many bytes in one part.
const SMALL_FRAME: usize = 256;
const GATHERED: usize = 4 * 1024;

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
                Ok(Some(trailers)) if trailers.values().any(has_white_space_around) => {
                    Err(DisconnectReason::ProtocolError)
                }
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
                let data = gather(self, data, cx);
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

/// Adds the frames that are there to a small one, so that a client with tiny frames costs its app no more
/// polls than another. What is not data stays in h2.
fn gather(body: &mut RecvStream, first: Bytes, cx: &mut Context<'_>) -> Bytes {
    if first.len() >= SMALL_FRAME || RecvStream::is_end_stream(body) {
        return first;
    }
    let Poll::Ready(Some(Ok(second))) = body.poll_data(cx) else {
        return first;
    };
    let mut gathered = BytesMut::with_capacity(GATHERED.max(first.len() + second.len()));
    gathered.extend_from_slice(&first);
    gathered.extend_from_slice(&second);
    while gathered.len() < GATHERED
        && let Poll::Ready(Some(Ok(next))) = body.poll_data(cx)
    {
        gathered.extend_from_slice(&next);
    }
    gathered.freeze()
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
