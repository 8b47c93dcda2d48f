//! The socket of one HTTP/2 connection, shared by h2 and by the driver.
//!
//! h2 reads and writes through [`WireIo`]; what it reads has passed the [`Guard`] before. The socket
//! stays with the driver's [`Wire`] when h2 is done, so that the close can linger.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::fault::Fault;
use super::guard::{Guard, Limits, Refused};
use crate::transport::Socket;

/// Anything that HTTP/2 can be spoken over.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// The driver's side of the socket.
#[derive(Clone)]
pub(super) struct Wire(Arc<Mutex<Shared>>);

struct Shared {
    stream: Box<dyn Stream>,
    guard: Guard,
    /// What the client did wrong; nothing behind it is read.
    fault: Option<Fault>,
    /// Whether nothing is read until h2 has written.
    held: bool,
    /// Whether anything came since this was last asked.
    heard: bool,
    /// The client has closed its side.
    read_end: bool,
    /// Since when the socket has taken nothing although there was something.
    stuck_since: Option<Instant>,
}

impl Wire {
    /// Splits a socket into what the driver keeps and what h2 gets.
    pub(super) fn new(socket: Socket, limits: Limits) -> (Self, WireIo) {
        let stream: Box<dyn Stream> = match socket {
            Socket::Tcp(stream) => Box::new(stream),
            Socket::Unix(stream) => Box::new(stream),
            Socket::Tls(stream) => Box::new(stream),
        };
        let wire = Self(Arc::new(Mutex::new(Shared {
            stream,
            guard: Guard::new(limits, Instant::now()),
            fault: None,
            held: false,
            heard: false,
            read_end: false,
            stuck_since: None,
        })));
        (wire.clone(), WireIo(wire))
    }

    /// Whether the client takes pushes now.
    pub(super) fn allows_push(&self) -> bool {
        self.lock().guard.allows_push()
    }

    /// Whether reading waits. Who lets it go on polls h2 again.
    pub(super) fn hold(&self, held: bool) {
        self.lock().held = held;
    }

    /// What the client did wrong, if that ends the connection.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.lock().fault
    }

    /// Whether anything came since this was last asked.
    pub(super) fn take_heard(&self) -> bool {
        std::mem::take(&mut self.lock().heard)
    }

    /// Since when the client has taken nothing of what waits to be written.
    pub(super) fn stuck_since(&self) -> Option<Instant> {
        self.lock().stuck_since
    }

    /// Whether the client's end of the stream was read.
    pub(super) fn is_read_end(&self) -> bool {
        self.lock().read_end
    }

    /// Sends the end of our side.
    pub(super) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.lock().stream).poll_shutdown(cx)
    }

    /// Reads and throws away. `true` once the client has closed its side.
    pub(super) fn poll_discard(&self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut trash = [0; 8 * 1024];
        let mut shared = self.lock();
        for _ in 0..16 {
            let mut trash = ReadBuf::new(&mut trash);
            let read = ready!(Pin::new(&mut shared.stream).poll_read(cx, &mut trash));
            if read.is_err() || trash.filled().is_empty() {
                shared.read_end = true;
                return Poll::Ready(true);
            }
        }
        Poll::Ready(false)
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // Nothing in here is left half done by a panic that matters to the next caller.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}

/// The side that h2 reads and writes.
#[derive(Debug)]
pub(super) struct WireIo(Wire);

impl AsyncRead for WireIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut shared = self.0.lock();
        if shared.fault.is_some() {
            // The driver makes h2 say goodbye; it wakes nobody, because it does so in this turn.
            return Poll::Pending;
        }
        if shared.held {
            return Poll::Pending;
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut shared.stream).poll_read(cx, buf))?;
        let read = &buf.filled()[before..];
        shared.heard = true;
        shared.read_end = read.is_empty();
        match shared.guard.read(read, Instant::now()) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(Refused {
                before: sound,
                fault,
            }) => {
                shared.fault = Some(fault);
                buf.set_filled(before + sound);
                match sound {
                    // Nothing would mean the end of the stream.
                    0 => Poll::Pending,
                    _ => Poll::Ready(Ok(())),
                }
            }
        }
    }
}

impl AsyncWrite for WireIo {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut shared = self.0.lock();
        let written = Pin::new(&mut shared.stream).poll_write(cx, buf);
        shared.note_written(&written, &[IoSlice::new(buf)]);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut shared = self.0.lock();
        let written = Pin::new(&mut shared.stream).poll_write_vectored(cx, bufs);
        shared.note_written(&written, bufs);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.0.lock().stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut shared = self.0.lock();
        let flushed = Pin::new(&mut shared.stream).poll_flush(cx);
        if flushed.is_pending() {
            shared.stuck();
        } else {
            shared.stuck_since = None;
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_shutdown(cx)
    }
}

impl Shared {
    /// Shows the guard what has left, and notes whether the socket takes anything.
    fn note_written(&mut self, written: &Poll<io::Result<usize>>, bufs: &[IoSlice<'_>]) {
        let mut left = match written {
            Poll::Ready(Ok(written)) => *written,
            Poll::Ready(Err(_)) => 0,
            Poll::Pending => return self.stuck(),
        };
        self.stuck_since = None;
        let now = Instant::now();
        for buf in bufs {
            let part = &buf[..left.min(buf.len())];
            left -= part.len();
            if let Err(fault) = self.guard.wrote(part, now) {
                self.fault.get_or_insert(fault);
            }
        }
    }

    fn stuck(&mut self) {
        self.stuck_since.get_or_insert_with(Instant::now);
    }
}
