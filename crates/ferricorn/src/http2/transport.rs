//! The socket of one HTTP/2 connection, shared by h2 and by the driver.
//!
//! h2 reads and writes through [`H2Io`]; what it reads has passed the [`FrameCheck`] before. The socket
//! stays with the driver's [`Transport`] when h2 is done, so that the close can linger.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::fault::ConnectionFault;
use super::frame_check::{FrameCheck, FrameLimits, FrameRefusal};
use crate::net::Socket;
use crate::net::WriteBuffer;

/// The driver's side of the socket.
#[derive(Clone)]
pub(super) struct Transport(Arc<Mutex<Shared>>);

struct Shared {
    socket: Socket,
    gathered: WriteBuffer,
    /// Whether there is a driver that [drains](Transport::poll_drain).
    gathers: bool,
    guard: FrameCheck,
    /// What the client did wrong; nothing behind it is read.
    fault: Option<ConnectionFault>,
    /// Whether nothing is read until h2 has written.
    held: bool,
    /// Whether anything came since this was last asked.
    heard: bool,
    /// Since when a field block has been coming.
    field_block_since: Option<Instant>,
    /// The client has closed its side.
    read_end: bool,
    /// h2 has a write that the socket did not take; it is in nobody's buffer but h2's.
    h2_waits: bool,
}

impl Transport {
    /// Splits a socket into what the driver keeps and what h2 gets.
    pub(super) fn new(socket: Socket, limits: FrameLimits) -> (Self, H2Io) {
        let wire = Self(Arc::new(Mutex::new(Shared {
            socket,
            gathered: WriteBuffer::default(),
            gathers: false,
            guard: FrameCheck::new(limits, Instant::now()),
            fault: None,
            held: false,
            heard: false,
            field_block_since: None,
            read_end: false,
            h2_waits: false,
        })));
        (wire.clone(), H2Io(wire))
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
    pub(super) fn fault(&self) -> Option<ConnectionFault> {
        self.lock().fault
    }

    /// Whether anything came since this was last asked.
    pub(super) fn take_heard(&self) -> bool {
        std::mem::take(&mut self.lock().heard)
    }

    /// Since when a field block has been coming, during which nothing else can.
    pub(super) fn field_block_since(&self) -> Option<Instant> {
        self.lock().field_block_since
    }

    /// Since when the client has taken nothing of what waits to be written.
    pub(super) fn stuck_since(&self) -> Option<Instant> {
        self.lock().gathered.stuck_since()
    }

    /// Whether the client's end of the stream was read.
    pub(super) fn is_read_end(&self) -> bool {
        self.lock().read_end
    }

    /// From now on small writes are gathered until the driver drains: h2 flushes each time that it
    /// is asked for the next request, and a burst of them would be as many system calls.
    pub(super) fn gather(&self) {
        self.lock().gathers = true;
    }

    /// Adds a GOAWAY behind what was written, where h2 has not come far enough to send one.
    pub(super) fn say_goodbye(&self, fault: ConnectionFault) {
        let mut shared = self.lock();
        // Eight bytes of type 7 on stream 0, and the last stream is 0. (RFC 9113 §6.8)
        shared.gathered.push(&[0, 0, 8, 7, 0, 0, 0, 0, 0]);
        shared.gathered.push(&[0; 4]);
        shared.gathered.push(&(fault.code as u32).to_be_bytes());
    }

    /// Sends what was gathered.
    pub(super) fn poll_drain(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.lock().poll_drain(cx)
    }

    /// Sends what was gathered and then the end of our side.
    pub(super) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut shared = self.lock();
        ready!(shared.poll_drain(cx))?;
        Pin::new(shared.socket.as_write()).poll_shutdown(cx)
    }

    /// Reads and throws away. `true` once the client has closed its side.
    pub(super) fn poll_discard(&self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut trash = [0; 8 * 1024];
        let mut shared = self.lock();
        for _ in 0..16 {
            let mut trash = ReadBuf::new(&mut trash);
            let read = ready!(shared.socket.poll_read(cx, &mut trash));
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

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").finish_non_exhaustive()
    }
}

/// The side that h2 reads and writes.
#[derive(Debug)]
pub(super) struct H2Io(Transport);

impl AsyncRead for H2Io {
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
        ready!(shared.socket.poll_read(cx, buf))?;
        let read = &buf.filled()[before..];
        shared.heard = true;
        shared.read_end = read.is_empty();
        let now = Instant::now();
        let guarded = shared.guard.check_received(read, now);
        if !shared.guard.is_in_field_block() {
            shared.field_block_since = None;
        } else if shared.field_block_since.is_none() {
            shared.field_block_since = Some(now);
        }
        match guarded {
            Ok(()) => Poll::Ready(Ok(())),
            Err(FrameRefusal {
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

impl AsyncWrite for H2Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut shared = self.0.lock();
        let gathered = match shared.gathers {
            true => shared.gathered.take(bufs),
            false => None,
        };
        let written = match gathered {
            Some(written) => written,
            None => {
                shared.h2_waits = true;
                ready!(shared.poll_drain(cx))?;
                let Shared {
                    gathered, socket, ..
                } = &mut *shared;
                ready!(gathered.poll_write_past(socket, cx, bufs))?
            }
        };
        shared.h2_waits = false;
        shared.show_guard(bufs, written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        // Those of all kinds of sockets take several buffers at once.
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut shared = self.0.lock();
        if shared.gathers {
            // The driver drains once a turn.
            return Poll::Ready(Ok(()));
        }
        shared.poll_drain(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_shutdown(cx)
    }
}

impl Shared {
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.gathered.poll_send(&mut self.socket, cx))?;
        let flushed = Pin::new(self.socket.as_write()).poll_flush(cx);
        // A bare socket has flushed whenever it is asked: that is no progress of what h2 still has.
        if flushed.is_pending() || !self.h2_waits {
            self.gathered.note(&flushed);
        }
        flushed
    }

    /// Shows the guard what h2 has written.
    fn show_guard(&mut self, bufs: &[IoSlice<'_>], mut written: usize) {
        let now = Instant::now();
        for buf in bufs {
            let part = &buf[..written.min(buf.len())];
            written -= part.len();
            if let Err(fault) = self.guard.check_sent(part, now) {
                self.fault.get_or_insert(fault);
            }
        }
    }
}
