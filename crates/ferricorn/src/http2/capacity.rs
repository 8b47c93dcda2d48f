//! Sends data on a stream of h2's, no faster than the client's windows allow.

use std::task::{Context, Poll};
use std::time::Instant;

use asgi::DisconnectReason;
use bytes::Bytes;
use h2::{Reason, SendStream};
use http::HeaderMap;

use super::body::disconnect_reason;

/// The sending side of a stream after its head.
///
/// It gives h2 no more than the client has room for: data that waits in h2 is out of reach of any
/// deadline.
#[derive(Debug)]
pub(super) struct CapacityWriter {
    send: SendStream<Bytes>,
    stuck_since: Option<Instant>,
}

impl CapacityWriter {
    pub(super) fn new(send: SendStream<Bytes>) -> Self {
        Self {
            send,
            stuck_since: None,
        }
    }

    /// When the client's window first had no room for waiting data; `None` while it has some.
    pub(super) fn stuck_since(&self) -> Option<Instant> {
        self.stuck_since
    }

    /// Waits for room for some of the `wanted` bytes, and returns how many fit. `None` if the stream is
    /// over.
    pub(super) fn poll_room(
        &mut self,
        cx: &mut Context<'_>,
        wanted: usize,
    ) -> Poll<Option<Result<usize, h2::Error>>> {
        loop {
            // Reserved only while data waits: idle capacity is missing elsewhere on the connection.
            self.send.reserve_capacity(wanted);
            let room = match self.send.capacity() {
                0 => match self.send.poll_capacity(cx) {
                    Poll::Pending => {
                        self.stuck_since.get_or_insert_with(Instant::now);
                        return Poll::Pending;
                    }
                    Poll::Ready(Some(Ok(room))) => room,
                    Poll::Ready(over) => return Poll::Ready(over),
                },
                room => room,
            };
            if room > 0 {
                self.stuck_since = None;
                return Poll::Ready(Some(Ok(room.min(wanted))));
            }
        }
    }

    /// Sends data for which [`poll_room`](Self::poll_room) found room, or only the end.
    ///
    /// # Errors
    ///
    /// The stream is over.
    pub(super) fn send_data(&mut self, data: Bytes, ends: bool) -> Result<(), h2::Error> {
        self.send.send_data(data, ends)
    }

    /// Ends the stream with trailers.
    ///
    /// # Errors
    ///
    /// The stream is over.
    pub(super) fn send_trailers(&mut self, trailers: HeaderMap) -> Result<(), h2::Error> {
        self.send.send_trailers(trailers)
    }

    /// Ends the stream. Room that is reserved goes back to the connection.
    pub(super) fn end(&mut self) {
        self.send.reserve_capacity(0);
        // If it fails, the client has ended the stream before.
        let _ = self.send.send_data(Bytes::new(), true);
    }

    pub(super) fn reset(&mut self, reason: Reason) {
        self.send.send_reset(reason);
    }

    /// Waits until the client resets the stream, or the connection is gone.
    pub(super) fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<DisconnectReason> {
        self.send.poll_reset(cx).map(reset_reason)
    }
}

/// The reason that the outcome of one of h2's `poll_reset` means for the app.
pub(super) fn reset_reason(reset: Result<Reason, h2::Error>) -> DisconnectReason {
    match reset {
        Ok(reason) => DisconnectReason::Reset(u32::from(reason).into()),
        Err(error) => disconnect_reason(&error),
    }
}
