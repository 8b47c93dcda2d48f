//! Small writes that leave together: what is written to a socket until its driver sends it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Buf, BytesMut};

use crate::net::Socket;

/// Writes up to this size in all are gathered; larger ones go to the socket as they are. Sixteen
/// pipelined responses of a kilobyte fit, a frame of DATA of the usual largest size does not, and a
/// connection never holds much more than this.
const GATHER: usize = 16 * 1024;

/// What was written and has not left yet, and whether the peer takes anything.
#[derive(Debug, Default)]
pub(crate) struct WriteBuffer {
    bytes: BytesMut,
    /// Since when the socket has taken nothing although there was something.
    stuck_since: Option<Instant>,
}

impl WriteBuffer {
    /// Since when the peer has taken nothing of what waits to be written.
    pub(crate) fn stuck_since(&self) -> Option<Instant> {
        self.stuck_since
    }

    /// Adds bytes behind what was written, however many there are.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Throws away what has not left.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Takes a write as a whole, if there is room for it: how much that was.
    pub(crate) fn take(&mut self, bufs: &[IoSlice<'_>]) -> Option<usize> {
        let total: usize = bufs.iter().map(|buf| buf.len()).sum();
        if self.bytes.len() + total > GATHER {
            return None;
        }
        for buf in bufs {
            self.push(buf);
        }
        Some(total)
    }

    /// Writes past what is gathered, which has to be [sent](Self::poll_send) before.
    pub(crate) fn poll_write_past(
        &mut self,
        socket: &mut Socket,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(socket.as_write()).poll_write_vectored(cx, bufs);
        self.note(&written);
        written
    }

    /// Gives the socket what was gathered.
    pub(crate) fn poll_send(
        &mut self,
        socket: &mut Socket,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.bytes.is_empty() {
            let written = Pin::new(socket.as_write()).poll_write(cx, &self.bytes);
            self.note(&written);
            match ready!(written)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                // Unlike `advance` this gives the room back without another look for it.
                written if written == self.bytes.len() => self.bytes.clear(),
                written => self.bytes.advance(written),
            }
        }
        // What was gathered once is mostly gathered again, but a burst should not stay.
        if self.bytes.capacity() > GATHER {
            self.bytes = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }

    /// Keeps in mind since when the socket has taken nothing.
    pub(crate) fn note<T>(&mut self, result: &Poll<T>) {
        if result.is_pending() {
            self.stuck_since.get_or_insert_with(Instant::now);
        } else {
            self.stuck_since = None;
        }
    }
}
