//! The socket of one HTTP/1 connection: hyper reads and writes it, the driver asks about it.
//!
//! It does three things that hyper does not. It collects small writes, which leave together once a
//! turn ([`Transport::flush`]). It shows the bytes of requests to [`RequestFraming`]. And it notices
//! that the peer went away even while nothing reads ([`Transport::poll_peer`]).

use std::io::{self, IoSlice};
use std::pin::pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, ReadBuf};

use super::MOST_TAKEN;
use super::request_framing::{FramingError, LineLimits, Position, RequestFraming, SeenHeaders};
use crate::deadlines::WriteWait;
use crate::lifecycle::Phase;
use crate::net::{self, BufferedSocket, Peer, Socket};
use crate::server::Server;

/// The socket of a connection, and the state of both directions.
#[derive(Debug)]
pub(crate) struct Transport {
    socket: BufferedSocket,
    request_framing: RequestFraming,
    /// What was read after a fault in a head. If a WebSocket opens before that head has its turn,
    /// these bytes were never a head.
    withheld: Bytes,
    /// When bytes of a request's body were last read, and how many on this connection.
    body_read: Option<Instant>,
    body_bytes: u64,
    /// How many bytes of a response's body hyper took since it last wrote all it has.
    taken: usize,
    /// The body of a response waits until hyper has written.
    body_waits: bool,
}

/// The state of both directions at the end of a turn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TransportStatus {
    /// Where in a request the next byte belongs.
    pub(crate) position: Position,
    pub(crate) writes: WriteWait,
}

impl Transport {
    pub(crate) fn new(socket: Socket, limits: LineLimits) -> Self {
        Self {
            socket: BufferedSocket::new(socket),
            request_framing: RequestFraming::new(limits),
            withheld: Bytes::new(),
            body_read: None,
            body_bytes: 0,
            taken: 0,
            body_waits: false,
        }
    }

    /// Returns the rare headers that the framing saw, or why the request with this number is
    /// refused.
    ///
    /// # Errors
    ///
    /// The request must be refused, whatever hyper made of it.
    pub(crate) fn check(&self, request: u64) -> Result<SeenHeaders, FramingError> {
        self.request_framing.check_request(request)
    }

    /// The number of the request whose head is refused, and why. hyper never gets this head.
    #[inline]
    pub(crate) fn refused_head(&self) -> Option<(u64, FramingError)> {
        self.request_framing.refused_head()
    }

    /// The request line of the refused head as far as it is known.
    pub(crate) fn refused_line(&self) -> &[u8] {
        self.request_framing.request_line()
    }

    /// Takes the bytes that hyper did not get.
    pub(crate) fn take_withheld(&mut self) -> Bytes {
        std::mem::take(&mut self.withheld)
    }

    /// When bytes of a request's body were last read.
    pub(crate) fn body_read(&self) -> Option<Instant> {
        self.body_read
    }

    /// How many bytes of bodies were read, with their framing.
    pub(crate) fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// When the socket first refused bytes that wait to be written; `None` while it accepts them.
    pub(crate) fn stuck_since(&self) -> Option<Instant> {
        self.socket.stuck_since()
    }

    /// Adds bytes after those that hyper wrote. Only right between two responses.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.socket.push(bytes);
    }

    /// Whether hyper may take more of a response's body now. If not, the body waits for another turn.
    pub(crate) fn takes_body(&mut self) -> bool {
        self.body_waits = self.taken >= MOST_TAKEN || self.stuck_since().is_some();
        !self.body_waits
    }

    /// Counts bytes of a response's body that hyper took.
    pub(crate) fn took_body(&mut self, bytes: usize) {
        self.taken += bytes;
    }

    /// Whether a body waited, and hyper can take more of it now. Right at the end of a turn: if the socket is
    /// not stuck then, hyper has written all it has.
    pub(crate) fn can_take_body(&mut self) -> bool {
        if self.stuck_since().is_some() {
            return false;
        }
        self.taken = 0;
        std::mem::take(&mut self.body_waits)
    }

    /// Sends what the socket takes of the collected writes. Returns the state after that.
    ///
    /// # Errors
    ///
    /// The socket is broken.
    pub(crate) fn flush(&mut self, cx: &mut Context<'_>) -> io::Result<TransportStatus> {
        if let Poll::Ready(result) = self.poll_drain(cx) {
            result?;
        }
        Ok(TransportStatus {
            position: self.request_framing.position(),
            writes: self.socket.write_wait(),
        })
    }

    /// Where in a request the next byte belongs.
    pub(crate) fn position(&self) -> Position {
        self.request_framing.position()
    }

    /// Looks whether the peer is still there, see [`BufferedSocket::poll_peer`].
    pub(crate) fn poll_peer(&mut self, cx: &mut Context<'_>) -> Peer {
        self.socket.poll_peer(cx)
    }

    /// Sends the collected writes, then closes our side.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_shutdown(cx)
    }

    /// Makes the close a reset, so that the peer can tell that something is missing.
    pub(crate) fn reset_on_close(&mut self) {
        self.socket.reset_on_close();
    }

    /// Closes the connection so that the last bytes reach the client.
    pub(crate) async fn close(&mut self, server: &Server) {
        let write_timeout = server.config().write_timeout;
        net::close(&mut self.socket, write_timeout, server.until(Phase::Cut)).await;
    }

    /// Sends all collected writes.
    pub(crate) fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_drain(cx)
    }

    /// Returns how many of these bytes hyper may see: those before a fault.
    fn note_read(&mut self, bytes: &mut [u8]) -> usize {
        if bytes.is_empty() {
            return 0;
        }
        let in_body = self.request_framing.position() == Position::Body;
        let sound = self.request_framing.read(bytes);
        while let Some(place) = self.request_framing.take_newer_minor() {
            bytes[place] = b'1';
        }
        if in_body || self.request_framing.position() == Position::Body {
            self.body_read = Some(Instant::now());
            self.body_bytes += bytes.len() as u64;
        }
        match sound {
            Ok(()) => bytes.len(),
            Err(sound) => {
                if self.refused_head().is_some() {
                    self.withheld = Bytes::copy_from_slice(&bytes[sound..]);
                }
                sound
            }
        }
    }

    /// Nothing after a fault in a body can be trusted.
    fn check_body(&self) -> io::Result<()> {
        match self.request_framing.body_fault() {
            None => Ok(()),
            Some(fault) => Err(io::Error::new(io::ErrorKind::InvalidData, fault.as_str())),
        }
    }
}

/// For a WebSocket, after hyper and the framing are done with the connection.
impl Transport {
    /// Reads as much as there is room for, after the bytes that the buffer has.
    pub(crate) fn poll_read_on(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        pin!(self.socket.read_buf(buffer)).poll(cx)
    }

    /// Writes directly to the socket. The caller collects small writes itself.
    pub(crate) fn poll_write_past(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.socket.poll_write_past(cx, bufs)
    }
}

/// For hyper.
impl Transport {
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if self.request_framing.has_fault() {
            self.check_body()?;
            // A head: the driver answers in this same turn, or when the responses before are out.
            return Poll::Pending;
        }
        ready!(self.socket.poll_read(cx, buf))?;
        let sound = self.note_read(&mut buf.filled_mut()[before..]);
        buf.set_filled(before + sound);
        if sound == 0 && self.request_framing.has_fault() {
            // hyper would take no bytes for the end of the stream: report the fault now, not with
            // the next read.
            self.check_body()?;
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    pub(crate) fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.socket.poll_write(cx, bufs)
    }
}
