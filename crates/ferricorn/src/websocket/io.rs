//! What a socket is read from and written to: a whole connection, or a stream of HTTP/2.

use std::task::{Context, Poll, ready};
use std::time::Instant;

use asgi::DisconnectReason;
use bytes::{Bytes, BytesMut};
use h2::{Reason, RecvStream, SendStream};

use super::encoder::Encoder;
use crate::exchange::h2_reason_of;
use crate::http1::Transport;
use crate::net::Peer;

/// What a socket is read from and written to.
pub(crate) trait Io {
    /// Reads on, behind what is in the buffer: how much that was. Nothing is the end of the client's
    /// side.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<Result<usize, DisconnectReason>>;

    /// Writes until nothing waits any more, and adds what left to `written`.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        outgoing: &mut Encoder,
        written: &mut usize,
    ) -> Poll<Result<(), DisconnectReason>>;

    /// Since when the client has taken nothing of what waits to be written.
    fn stuck_since(&self) -> Option<Instant>;

    /// Whether the client is gone, as far as that can be told without reading.
    fn is_lost(&mut self, cx: &mut Context<'_>) -> bool;
}

/// The connection of HTTP/1.1 behind its 101.
#[derive(Debug)]
pub(crate) struct OverHttp1(pub(crate) Transport);

impl Io for OverHttp1 {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<Result<usize, DisconnectReason>> {
        let read = self.0.poll_read_on(cx, buffer);
        read.map_err(|_| DisconnectReason::Lost)
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        outgoing: &mut Encoder,
        written: &mut usize,
    ) -> Poll<Result<(), DisconnectReason>> {
        while !outgoing.is_empty() {
            match ready!(self.0.poll_write_past(cx, &outgoing.slices())) {
                Ok(0) | Err(_) => return Poll::Ready(Err(DisconnectReason::Lost)),
                Ok(count) => {
                    outgoing.written(count);
                    *written += count;
                }
            }
        }
        // What is encrypted may still be here.
        self.0.poll_drain(cx).map_err(|_| DisconnectReason::Lost)
    }

    fn stuck_since(&self) -> Option<Instant> {
        self.0.stuck_since()
    }

    fn is_lost(&mut self, cx: &mut Context<'_>) -> bool {
        self.0.poll_peer(cx) == Peer::Lost
    }
}

/// The stream of an extended CONNECT behind its 200.
#[derive(Debug)]
pub(crate) struct OverHttp2 {
    send: SendStream<Bytes>,
    /// `None` if the client ended its side with its request.
    body: Option<RecvStream>,
    stuck_since: Option<Instant>,
}

/// What h2 is given at once: what waits there is out of reach of any deadline.
const PIECE: usize = 64 * 1024;

impl OverHttp2 {
    pub(crate) fn new(send: SendStream<Bytes>, body: Option<RecvStream>) -> Self {
        Self {
            send,
            body,
            stuck_since: None,
        }
    }

    pub(crate) fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reason, h2::Error>> {
        self.send.poll_reset(cx)
    }

    pub(crate) fn reset(&mut self, reason: Reason) {
        self.send.send_reset(reason);
    }

    /// ConnectionInfo our side; what is left of the client's. RFC 8441 §5: "Orderly TCP-level closures are
    /// represented as END_STREAM flags".
    pub(crate) fn end(mut self) -> Option<RecvStream> {
        self.send.reserve_capacity(0);
        // If it fails, the client has ended it before.
        let _ = self.send.send_data(Bytes::new(), true);
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
            match ready!(body.poll_data(cx)) {
                None => return Poll::Ready(Ok(0)),
                Some(Err(error)) => return Poll::Ready(Err(h2_reason_of(&error))),
                // An empty frame is not the end.
                Some(Ok(data)) if data.is_empty() => {}
                Some(Ok(data)) => {
                    // It can't fail: this much was received.
                    let _ = body.flow_control().release_capacity(data.len());
                    buffer.extend_from_slice(&data);
                    return Poll::Ready(Ok(data.len()));
                }
            }
        }
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        outgoing: &mut Encoder,
        written: &mut usize,
    ) -> Poll<Result<(), DisconnectReason>> {
        while !outgoing.is_empty() {
            let wanted = outgoing.next_len().min(PIECE);
            // Reserved only while there is something: capacity that lies idle is missing elsewhere on
            // the connection.
            self.send.reserve_capacity(wanted);
            let room = match self.send.capacity() {
                0 => match self.send.poll_capacity(cx) {
                    Poll::Pending => {
                        self.stuck_since.get_or_insert_with(Instant::now);
                        return Poll::Pending;
                    }
                    Poll::Ready(Some(Ok(room))) => room,
                    Poll::Ready(Some(Err(error))) => {
                        return Poll::Ready(Err(h2_reason_of(&error)));
                    }
                    Poll::Ready(None) => return Poll::Ready(Err(DisconnectReason::Lost)),
                },
                room => room,
            };
            if room == 0 {
                continue;
            }
            self.stuck_since = None;
            let piece = outgoing.take(room.min(wanted));
            *written += piece.len();
            if let Err(error) = self.send.send_data(piece, false) {
                return Poll::Ready(Err(h2_reason_of(&error)));
            }
        }
        Poll::Ready(Ok(()))
    }

    fn stuck_since(&self) -> Option<Instant> {
        self.stuck_since
    }

    /// The stream's task looks for a reset itself.
    fn is_lost(&mut self, _: &mut Context<'_>) -> bool {
        false
    }
}
