//! A stream of HTTP/2 that has become a WebSocket (RFC 8441).

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use asgi::DisconnectReason;
use bytes::BytesMut;

use super::Shared;
use super::body::disconnect_reason;
use super::capacity::CapacityWriter;
use super::stream::h2_reason;
use crate::exchange::RequestBody;
use crate::multiplexed::{ResetCause, WebSocketStream};
use crate::websocket::{Encoder, Io};

/// h2 gets this many bytes at once. Data that waits in h2 is out of reach of any deadline.
const PIECE: usize = 64 * 1024;

/// The stream of an extended CONNECT after its 200.
pub(super) struct OverHttp2 {
    shared: Arc<Shared>,
    writer: CapacityWriter,
    /// `None` if the client ended its side with its request.
    body: Option<Box<dyn RequestBody>>,
}

impl OverHttp2 {
    pub(super) fn new(
        shared: &Arc<Shared>,
        writer: CapacityWriter,
        body: Option<Box<dyn RequestBody>>,
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            writer,
            body,
        }
    }
}

impl WebSocketStream for OverHttp2 {
    fn reset(&mut self, cause: ResetCause) {
        self.writer.reset(h2_reason(cause));
    }

    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<DisconnectReason> {
        self.shared.or_connection_lost(self.writer.poll_reset(cx))
    }

    /// RFC 8441 §5: "Orderly TCP-level closures are represented as END_STREAM flags".
    fn end(mut self) -> Option<Box<dyn RequestBody>> {
        self.writer.end();
        self.body.filter(|body| !body.is_end_stream())
    }
}

impl Io for OverHttp2 {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<Result<usize, DisconnectReason>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(Ok(0));
        };
        loop {
            let part = ready!(body.poll_part(cx))?;
            // An empty frame is not the end.
            if part.body.is_empty() && part.more_body {
                continue;
            }
            buffer.extend_from_slice(&part.body);
            return Poll::Ready(Ok(part.body.len()));
        }
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        outgoing: &mut Encoder,
        written: &mut usize,
    ) -> Poll<Result<(), DisconnectReason>> {
        if !outgoing.is_empty() {
            // Small messages that wait here leave together; in h2 each piece would be a frame.
            ready!(self.shared.transport.poll_unstuck(cx));
        }
        while !outgoing.is_empty() {
            let wanted = outgoing.next_len().min(PIECE);
            let room = match ready!(self.writer.poll_room(cx, wanted)) {
                Some(room) => room.map_err(|error| disconnect_reason(&error))?,
                None => return Poll::Ready(Err(DisconnectReason::Lost)),
            };
            let piece = outgoing.take(room);
            *written += piece.len();
            if let Err(error) = self.writer.send_data(piece, false) {
                return Poll::Ready(Err(disconnect_reason(&error)));
            }
        }
        Poll::Ready(Ok(()))
    }

    fn stuck_since(&self) -> Option<Instant> {
        self.writer.stuck_since()
    }

    /// The stream's driver looks for a reset itself.
    fn is_lost(&mut self, _: &mut Context<'_>) -> bool {
        false
    }
}
