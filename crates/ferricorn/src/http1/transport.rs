//! The socket of one connection: what hyper reads and writes, and what its driver asks.
//!
//! Between hyper and the socket stand three things that hyper does not do: small writes are gathered
//! and leave together once a turn ([`Transport::flush`]), the bytes of requests pass the [`RequestFraming`],
//! and that the peer went away is noticed even while nobody reads ([`Transport::poll_peer`]).

use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWrite, ReadBuf};

use super::request_framing::{FramingError, Position, RequestFraming, SeenHeaders};
use crate::connection::LINGER;
use crate::net::{Peer, Socket, WriteBuffer};
use crate::server::{Phase, Server};

/// The socket of a connection and what is known of both directions.
#[derive(Debug)]
pub(crate) struct Transport {
    socket: Socket,
    gathered: WriteBuffer,
    guard: RequestFraming,
    /// The peer has closed its side and everything before that was read.
    read_end: bool,
    /// When a part of a request's body was last read.
    body_read: Option<Instant>,
}

/// How both directions stand at the end of a turn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TransportStatus {
    /// Where the next byte that will be read belongs.
    pub(crate) position: Position,
    /// Since when the peer has taken nothing of what waits to be written.
    pub(crate) stuck_since: Option<Instant>,
}

impl Transport {
    pub(crate) fn new(socket: Socket, max_head_size: usize) -> Self {
        Self {
            socket,
            gathered: WriteBuffer::default(),
            guard: RequestFraming::new(max_head_size),
            read_end: false,
            body_read: None,
        }
    }

    /// What the guard knows of the request of this number.
    ///
    /// # Errors
    ///
    /// It must be refused, whatever hyper made of it.
    pub(crate) fn check(&self, request: u64) -> Result<SeenHeaders, FramingError> {
        self.guard.check_request(request)
    }

    /// When a part of a request's body was last read.
    pub(crate) fn body_read(&self) -> Option<Instant> {
        self.body_read
    }

    /// Since when the peer has taken nothing of what waits to be written.
    pub(crate) fn stuck_since(&self) -> Option<Instant> {
        self.gathered.stuck_since()
    }

    /// Whether the peer's end of the stream was read.
    pub(crate) fn is_read_end(&self) -> bool {
        self.read_end
    }

    /// Adds bytes behind what hyper has written. Only right between two responses.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.gathered.push(bytes);
    }

    /// Sends what was gathered, as far as the socket takes it, and says how things stand then.
    ///
    /// # Errors
    ///
    /// The socket takes nothing any more, and never will.
    pub(crate) fn flush(&mut self, cx: &mut Context<'_>) -> io::Result<TransportStatus> {
        if let Poll::Ready(result) = self.poll_drain(cx) {
            result?;
        }
        Ok(TransportStatus {
            position: self.guard.position(),
            stuck_since: self.stuck_since(),
        })
    }

    /// Where the next byte that will be read belongs.
    pub(crate) fn position(&self) -> Position {
        self.guard.position()
    }

    /// Looks whether the peer is still there, without reading anything.
    ///
    /// Unless the socket is readable this also makes `cx` be woken when that changes. While bytes
    /// lie unread there is nothing to wake anybody, so ask again now and then.
    pub(crate) fn poll_peer(&mut self, cx: &mut Context<'_>) -> Peer {
        let peer = match self.socket.poll_read_ready(cx) {
            Poll::Pending => Peer::There,
            Poll::Ready(_) => self.socket.peer(),
        };
        match (peer, &mut self.socket) {
            // What has come may be the client's word that it has closed.
            (Peer::There, Socket::Tls(stream)) => match stream.poll_closed(cx) {
                Ok(false) => Peer::There,
                Ok(true) => Peer::Closed,
                Err(_) => Peer::Lost,
            },
            (peer, _) => peer,
        }
    }

    /// Reads and throws away. `true` once the peer has closed its side.
    pub(crate) fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut trash = [0; 8 * 1024];
        for _ in 0..16 {
            if ready!(self.socket.poll_read_ready(cx)).is_err() {
                return Poll::Ready(true);
            }
            match self.socket.try_read(&mut trash) {
                Ok(0) => {
                    self.read_end = true;
                    return Poll::Ready(true);
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Poll::Ready(true),
            }
        }
        Poll::Ready(false)
    }

    /// Sends what was gathered and then the end of our side.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(self.socket.as_write()).poll_shutdown(cx)
    }

    /// Makes the close that follows a reset: the peer can tell that something is missing.
    pub(crate) fn reset_on_close(&mut self) {
        self.gathered.clear();
        // It fails only on a socket that is broken already, which is what is wanted.
        let _ = match &self.socket {
            Socket::Tcp(stream) => stream.set_zero_linger(),
            Socket::Tls(stream) => stream.socket().set_zero_linger(),
            Socket::Unix(_) => Ok(()),
        };
    }

    /// Closes our side behind what is still to be sent, and for a moment throws away what still comes.
    pub(crate) async fn close(&mut self, server: &Server) {
        let write_timeout = server.config().write_timeout;
        let close = async {
            let shut = std::future::poll_fn(|cx| self.poll_shutdown(cx));
            let shut = tokio::time::timeout(write_timeout, shut).await;
            if matches!(shut, Ok(Ok(()))) && !self.is_read_end() {
                let gone = async {
                    while !std::future::poll_fn(|cx| self.poll_discard(cx)).await {
                        tokio::task::yield_now().await;
                    }
                };
                // Whether the client closes in time or not, the socket is closed now.
                let _ = tokio::time::timeout(LINGER, gone).await;
            }
        };
        tokio::select! {
            () = close => {}
            _ = server.until(Phase::Cut) => {}
        }
    }

    /// Sends what was gathered, whole.
    pub(crate) fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.gathered.poll_send(&mut self.socket, cx))?;
        match &mut self.socket {
            // The session takes more than the socket does.
            Socket::Tls(stream) => {
                let flushed = Pin::new(stream).poll_flush(cx);
                self.gathered.note(&flushed);
                flushed
            }
            _ => Poll::Ready(Ok(())),
        }
    }

    /// How many of the bytes that were read hyper may see: those before a fault in a body.
    fn note_read(&mut self, bytes: &[u8]) -> usize {
        if bytes.is_empty() {
            self.read_end = true;
            return 0;
        }
        let in_body = self.guard.position() == Position::Body;
        let sound = self.guard.read(bytes);
        if in_body || self.guard.position() == Position::Body {
            self.body_read = Some(Instant::now());
        }
        match sound {
            Ok(()) => bytes.len(),
            Err(sound) => sound,
        }
    }

    /// Nothing behind a fault in a body is to be trusted.
    fn check_body(&self) -> io::Result<()> {
        match self.guard.body_fault() {
            None => Ok(()),
            Some(fault) => Err(io::Error::new(io::ErrorKind::InvalidData, fault.as_str())),
        }
    }
}

/// What a WebSocket calls, when hyper and its guard are done with the connection.
impl Transport {
    /// Reads behind what is in the buffer, as much as there is room for.
    pub(crate) fn poll_read_on(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        let read = ready!(pin!(self.socket.read_buf(buffer)).poll(cx))?;
        self.read_end |= read == 0;
        Poll::Ready(Ok(read))
    }

    /// Writes without gathering: who calls this has done that.
    pub(crate) fn poll_write_past(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_drain(cx))?;
        self.gathered.poll_write_past(&mut self.socket, cx, bufs)
    }
}

/// What hyper calls.
impl Transport {
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        self.check_body()?;
        ready!(self.socket.poll_read(cx, buf))?;
        let sound = self.note_read(&buf.filled()[before..]);
        buf.set_filled(before + sound);
        if sound == 0 {
            // Nothing would be the end of the stream: then the fault is told now, else next time.
            self.check_body()?;
        }
        Poll::Ready(Ok(()))
    }

    pub(crate) fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.gathered.take(bufs) {
            Some(taken) => Poll::Ready(Ok(taken)),
            None => self.poll_write_past(cx, bufs),
        }
    }
}
