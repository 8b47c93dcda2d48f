//! The I/O of a WebSocket, over any version of HTTP.

use std::task::{Context, Poll};
use std::time::Instant;

use asgi::DisconnectReason;
use bytes::BytesMut;

use super::encoder::Encoder;

/// Reads from and writes to the client of an open socket.
///
/// Each version of HTTP implements it: for a whole connection, or for one stream.
pub(crate) trait Io {
    /// Reads once, appends to `buffer`, and returns the number of bytes. 0 is the end of the client's
    /// side.
    ///
    /// # Errors
    ///
    /// Nothing more can be read.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<Result<usize, DisconnectReason>>;

    /// Writes until nothing waits any more, and adds the bytes that left to `written`.
    ///
    /// # Errors
    ///
    /// Nothing more can be written.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        outgoing: &mut Encoder,
        written: &mut usize,
    ) -> Poll<Result<(), DisconnectReason>>;

    /// When the client first took nothing of what waits to be written; `None` while it takes some.
    fn stuck_since(&self) -> Option<Instant>;

    /// Whether the client is gone, as far as that can be told without reading.
    fn is_lost(&mut self, cx: &mut Context<'_>) -> bool;
}
