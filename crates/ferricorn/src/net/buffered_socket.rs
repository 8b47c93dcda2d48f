//! A socket whose small writes leave together.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, ReadBuf};

use super::socket::{Peer, Socket};
use super::write_buffer::WriteBuffer;
use crate::deadlines::WriteWait;

/// How much one read discards, and how many reads one poll does.
const TRASH: usize = 8 * 1024;
const DISCARDS: usize = 16;

/// A socket, the bytes that wait to be written to it, and the state of both directions.
///
/// Both versions of HTTP read and write through one.
#[derive(Debug)]
pub(crate) struct BufferedSocket {
    socket: Socket,
    write_buffer: WriteBuffer,
    /// The peer has closed its side, and everything before that was read.
    read_end: bool,
    /// The caller has a write that the socket did not take. No buffer of ours has it.
    write_waits: bool,
}

impl BufferedSocket {
    pub(crate) fn new(socket: Socket) -> Self {
        Self {
            socket,
            write_buffer: WriteBuffer::default(),
            read_end: false,
            write_waits: false,
        }
    }

    /// When the peer stopped taking bytes that wait to be written; `None` while it takes them.
    pub(crate) fn stuck_since(&self) -> Option<Instant> {
        self.write_buffer.stuck_since()
    }

    /// The bytes that wait to be written, for the deadlines.
    pub(crate) fn write_wait(&self) -> WriteWait {
        WriteWait {
            since: self.write_buffer.stuck_since(),
            taken: self.write_buffer.written(),
        }
    }

    /// Whether the end of the peer's side was read.
    pub(crate) fn is_read_end(&self) -> bool {
        self.read_end
    }

    /// Adds bytes after those that wait to be written.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.write_buffer.push(bytes);
    }

    /// Reads once. No bytes mean the end of the peer's side.
    #[inline]
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(self.socket.poll_read(cx, buf))?;
        self.read_end |= buf.filled().len() == before;
        Poll::Ready(Ok(()))
    }

    /// Writes small parts into the buffer, and others to the socket after everything in the buffer.
    #[inline]
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.write_buffer.take(bufs) {
            Some(taken) => {
                self.write_waits = false;
                Poll::Ready(Ok(taken))
            }
            None => self.poll_write_past(cx, bufs),
        }
    }

    /// Writes to the socket, after everything in the buffer.
    pub(crate) fn poll_write_past(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write_waits = true;
        ready!(self.poll_drain(cx))?;
        let written = self
            .write_buffer
            .poll_write_past(&mut self.socket, cx, bufs);
        self.write_waits = written.is_pending();
        written
    }

    /// Sends everything in the buffer.
    #[inline]
    pub(crate) fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.write_buffer.poll_send(&mut self.socket, cx))?;
        let Socket::Tls(stream) = &mut self.socket else {
            return Poll::Ready(Ok(()));
        };
        // The session takes more than the socket does.
        let flushed = tokio::io::AsyncWrite::poll_flush(Pin::new(stream), cx);
        // An empty session is no progress for a write that still waits.
        if flushed.is_pending() || !self.write_waits {
            self.write_buffer.note(&flushed);
        }
        flushed
    }

    /// Sends everything in the buffer, then closes our side.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(self.socket.as_write()).poll_shutdown(cx)
    }

    /// Reads and discards. `true` once the peer has closed its side, or the connection is broken.
    pub(crate) fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut trash = [0; TRASH];
        for _ in 0..DISCARDS {
            let mut trash = ReadBuf::new(&mut trash);
            let read = ready!(self.poll_read(cx, &mut trash));
            if read.is_err() || self.read_end {
                self.read_end = true;
                return Poll::Ready(true);
            }
        }
        Poll::Ready(false)
    }

    /// Looks whether the peer is still there, without reading anything.
    ///
    /// Wakes `cx` when the socket becomes readable. While bytes lie unread nothing wakes it: ask
    /// again now and then.
    pub(crate) fn poll_peer(&mut self, cx: &mut Context<'_>) -> Peer {
        let peer = match self.socket.poll_read_ready(cx) {
            Poll::Pending => Peer::There,
            Poll::Ready(_) => self.socket.peer(),
        };
        match (peer, &mut self.socket) {
            // The bytes that came may be the client's `close_notify`.
            (Peer::There, Socket::Tls(stream)) => match stream.poll_closed(cx) {
                Ok(false) => Peer::There,
                Ok(true) => Peer::Closed,
                Err(_) => Peer::Lost,
            },
            (peer, _) => peer,
        }
    }

    /// Makes the close a reset, so that the peer can tell that something is missing.
    pub(crate) fn reset_on_close(&mut self) {
        self.write_buffer.clear();
        // Fails only on a broken socket, whose close is a reset anyway.
        let _ = match &self.socket {
            Socket::Tcp(stream) => stream.set_zero_linger(),
            Socket::Tls(stream) => stream.socket().set_zero_linger(),
            Socket::Unix(_) => Ok(()),
        };
    }
}

impl AsyncRead for BufferedSocket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Self::poll_read(self.get_mut(), cx, buf)
    }
}
