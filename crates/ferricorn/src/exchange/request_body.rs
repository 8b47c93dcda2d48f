//! The body of a request, as an exchange reads it.

use std::task::{Context, Poll, ready};

use asgi::{DisconnectReason, HttpRequest};

/// Reads the body of one request from its connection or stream.
///
/// Each version of HTTP implements it for its own kind of body. A request without content has no
/// such object, so it needs no allocation.
pub(crate) trait RequestBody: Send {
    /// Whether the end of the body was read.
    fn is_end_stream(&self) -> bool;

    /// Waits for the next part.
    ///
    /// # Errors
    ///
    /// The rest of the body will not come. The error is the reason.
    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Result<HttpRequest, DisconnectReason>>;

    /// Whether it ended because it is larger than the operator allows.
    fn is_over_limit(&self) -> bool {
        false
    }

    /// Reads the rest of the body and throws it away. Ready at its end, or when no more comes.
    ///
    /// Protocols with flow control must not give the client credit for these bytes.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Ok(part) = ready!(self.poll_part(cx)) {
            if !part.more_body {
                break;
            }
        }
        Poll::Ready(())
    }
}
