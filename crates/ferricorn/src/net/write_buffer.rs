//! Collects small writes until the driver sends them in one.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Buf, BytesMut};

use super::socket::Socket;

/// The buffer takes writes up to this size in all; larger ones go to the socket directly. Sixteen
/// pipelined responses of a kilobyte fit. A DATA frame of the usual largest size does not. A
/// connection never holds much more than this.
pub(crate) const CAPACITY: usize = 16 * 1024;

/// The bytes that wait to be written, and whether the peer takes any.
#[derive(Debug, Default)]
pub(crate) struct WriteBuffer {
    bytes: BytesMut,
    /// When the socket first refused bytes that wait to be written; `None` while it accepts them.
    stuck_since: Option<Instant>,
    /// How many bytes the socket has taken.
    written: u64,
}

impl WriteBuffer {
    /// When the socket first refused bytes that wait to be written; `None` while it accepts them.
    pub(crate) fn stuck_since(&self) -> Option<Instant> {
        self.stuck_since
    }

    /// How many bytes the socket has taken.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Adds bytes at the end, however many there are.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Discards all bytes.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Takes a whole write if there is room for it. Returns its length.
    pub(crate) fn take(&mut self, bufs: &[IoSlice<'_>]) -> Option<usize> {
        let total: usize = bufs.iter().map(|buf| buf.len()).sum();
        if self.bytes.len() + total > CAPACITY {
            return None;
        }
        for buf in bufs {
            self.push(buf);
        }
        Some(total)
    }

    /// Writes to the socket directly. The buffer must have been [sent](Self::poll_send) before.
    pub(crate) fn poll_write_past(
        &mut self,
        socket: &mut Socket,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(socket.as_write()).poll_write_vectored(cx, bufs);
        self.note(&written);
        if let Poll::Ready(Ok(written)) = written {
            self.written += written as u64;
        }
        written
    }

    /// Writes all bytes to the socket.
    pub(crate) fn poll_send(
        &mut self,
        socket: &mut Socket,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.bytes.is_empty() {
            let written = Pin::new(socket.as_write()).poll_write(cx, &self.bytes);
            self.note(&written);
            let written = ready!(written)?;
            self.written += written as u64;
            match written {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                // Unlike `advance`, this makes the whole capacity usable again.
                written if written == self.bytes.len() => self.bytes.clear(),
                written => self.bytes.advance(written),
            }
        }
        // The buffer is mostly filled again, but it must not keep the size of a burst.
        if self.bytes.capacity() > CAPACITY {
            self.bytes = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }

    /// Notes whether the socket took something.
    pub(crate) fn note<T>(&mut self, result: &Poll<T>) {
        if result.is_pending() {
            self.stuck_since.get_or_insert_with(Instant::now);
        } else {
            self.stuck_since = None;
        }
    }
}
