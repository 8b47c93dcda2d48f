//! The trait through which a response uses its stream.

use std::task::{Context, Poll};
use std::time::Instant;

use asgi::{DisconnectReason, HttpResponsePush};
use asgi_rules::ResponseHead;
use bytes::Bytes;
use http::{HeaderMap, Response};

use crate::exchange::{Admission, RequestBody};
use crate::websocket;

/// Sends one response on a stream.
///
/// If the client is gone, the methods that send return the reason for the app. The driver sends
/// nothing after that.
pub(crate) trait ResponseStream {
    /// The stream of a response that has opened a WebSocket.
    type WebSocket: WebSocketStream;

    /// Sends the head. The stream ends with it if `ends`.
    ///
    /// # Errors
    ///
    /// The stream is over.
    fn send_head(&mut self, head: ResponseHead, ends: bool) -> Result<(), DisconnectReason>;

    /// Sends an interim response: 100 (Continue) or 103 (Early Hints). Only called before the head.
    fn send_interim(&mut self, response: Response<()>);

    /// Promises a request, and has the app answer it on a stream of its own. Called before the head or
    /// between the parts of the body.
    fn push(&mut self, push: HttpResponsePush, admission: Admission);

    /// Sends `data` as far as the client has room, and takes off what was sent. Ready when all of it
    /// was. The stream ends with the last byte if `ends`.
    ///
    /// # Errors
    ///
    /// The stream is over.
    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        data: &mut Bytes,
        ends: bool,
    ) -> Poll<Result<(), DisconnectReason>>;

    /// When the client first had no room for waiting data; `None` while it has some.
    fn stuck_since(&self) -> Option<Instant>;

    /// Ends the stream after its body, with trailers if there are some.
    ///
    /// # Errors
    ///
    /// The stream is over.
    fn end(&mut self, trailers: Option<HeaderMap>) -> Result<(), DisconnectReason>;

    /// Ends the stream in the middle, so that the client can tell.
    fn reset(&mut self, cause: ResetCause);

    /// Waits until the client resets the stream, or the connection is gone.
    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<DisconnectReason>;

    /// Turns the stream into that of a WebSocket, after its head. `body` is the client's side; `None` if
    /// the client has ended it. Returns `None` if the head was not sent.
    fn open_websocket(&mut self, body: Option<Box<dyn RequestBody>>) -> Option<Self::WebSocket>;
}

/// The stream of an open WebSocket.
pub(crate) trait WebSocketStream: websocket::Io {
    /// Ends the stream in the middle, so that the client can tell.
    fn reset(&mut self, cause: ResetCause);

    /// Waits until the client resets the stream, or the connection is gone.
    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<DisconnectReason>;

    /// Ends the server's side of the stream. Returns the client's side, if that is still open.
    fn end(self) -> Option<Box<dyn RequestBody>>;
}

/// Why the server resets a stream. Each protocol has numbers of its own for these: 32 bits in HTTP/2,
/// 62 bits in HTTP/3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResetCause {
    /// The response is no longer needed, or took too long.
    Cancelled,
    /// The app broke its response off, or sent none.
    AppFailed,
}
