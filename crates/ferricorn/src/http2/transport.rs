//! The socket of one HTTP/2 connection, shared by h2 and the driver.
//!
//! h2 reads and writes through [`H2Io`]. Everything it reads has passed [`FrameCheck`] before. The
//! driver's [`Transport`] keeps the socket when h2 is done, so that the close can linger.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::body_reads::BodyRead;
use super::fault::ConnectionFault;
use super::frame_check::{FrameCheck, FrameLimits, FrameRefusal};
use crate::deadlines::WriteWait;
use crate::net::{BufferedSocket, HasSocket, Socket};

/// The driver's side of the socket.
#[derive(Clone)]
pub(super) struct Transport(Arc<Mutex<TransportState>>);

struct TransportState {
    socket: BufferedSocket,
    /// Small writes are collected until the driver [drains](Transport::poll_drain) them.
    collects: bool,
    frame_check: FrameCheck,
    /// What the client did wrong. Nothing after it is read.
    fault: Option<ConnectionFault>,
    /// Nothing is read until h2 has written.
    held: bool,
    /// Something was read since the driver last asked.
    heard: bool,
    /// Streams that give h2 nothing more until the socket takes what waits.
    held_up: Vec<Waker>,
}

/// After this many frames in one turn, other connections get theirs. A frame costs h2 and the app it
/// wakes about a microsecond, however little is in it.
const FRAMES_IN_TURN: u32 = 256;

impl Transport {
    /// Splits a socket into the driver's side and the side of h2.
    pub(super) fn new(socket: Socket, limits: FrameLimits) -> (Self, H2Io) {
        let transport = Self(Arc::new(Mutex::new(TransportState {
            socket: BufferedSocket::new(socket),
            collects: false,
            frame_check: FrameCheck::new(limits, Instant::now()),
            fault: None,
            held: false,
            heard: false,
            held_up: Vec::new(),
        })));
        (transport.clone(), H2Io(transport))
    }

    /// Whether the client takes pushes now.
    pub(super) fn allows_push(&self) -> bool {
        self.lock().frame_check.allows_push()
    }

    /// Stops reading, or lets it go on. After that, the caller must poll h2.
    pub(super) fn hold(&self, held: bool) {
        self.lock().held = held;
    }

    /// What the client did wrong, if that ends the connection.
    pub(super) fn fault(&self) -> Option<ConnectionFault> {
        self.lock().fault
    }

    /// Whether something was read since the last call.
    pub(super) fn take_heard(&self) -> bool {
        std::mem::take(&mut self.lock().heard)
    }

    /// Whether a header block is incomplete. Until it is complete, nothing else can come.
    pub(super) fn is_in_header_block(&self) -> bool {
        self.lock().frame_check.is_in_field_block()
    }

    /// Takes the streams whose unfinished bodies got bytes since the last call.
    pub(super) fn take_body_reads(&self) -> HashMap<u32, BodyRead> {
        self.lock().frame_check.take_body_reads()
    }

    /// The bytes that wait to be written, for the deadlines.
    pub(super) fn write_wait(&self) -> WriteWait {
        self.lock().socket.write_wait()
    }

    /// When the socket first refused bytes that wait to be written; `None` while it accepts them.
    pub(super) fn stuck_since(&self) -> Option<Instant> {
        self.lock().socket.stuck_since()
    }

    /// From now on small writes are collected until the driver drains them. h2 flushes each time that
    /// it is asked for the next request; a burst of requests would be as many system calls.
    pub(super) fn collect_writes(&self) {
        self.lock().collects = true;
    }

    /// Writes a GOAWAY, for a connection on which h2 has not come far enough to send one.
    pub(super) fn write_goaway(&self, fault: ConnectionFault) {
        let mut state = self.lock();
        // Eight bytes of type 7 on stream 0, and the last stream is 0. (RFC 9113 §6.8)
        state.socket.push(&[0, 0, 8, 7, 0, 0, 0, 0, 0]);
        state.socket.push(&[0; 4]);
        state.socket.push(&(fault.code as u32).to_be_bytes());
    }

    /// Sends all collected writes, at the end of a turn.
    pub(super) fn poll_drain(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.lock();
        state.frame_check.begin_turn();
        let drained = state.socket.poll_drain(cx);
        if state.socket.stuck_since().is_none() {
            // A waker may take this lock.
            let held_up = std::mem::take(&mut state.held_up);
            drop(state);
            held_up.into_iter().for_each(Waker::wake);
        }
        drained
    }

    /// Waits until the socket takes the bytes that wait to be written.
    pub(super) fn poll_unstuck(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.socket.stuck_since().is_none() {
            return Poll::Ready(());
        }
        let waker = cx.waker();
        if !state.held_up.iter().any(|other| other.will_wake(waker)) {
            state.held_up.push(waker.clone());
        }
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, TransportState> {
        // A panic leaves nothing half done in here that matters to the next caller.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HasSocket for Transport {
    fn with_socket<R>(&mut self, f: impl FnOnce(&mut BufferedSocket) -> R) -> R {
        f(&mut self.lock().socket)
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
        let mut state = self.0.lock();
        // After a fault the driver makes h2 send GOAWAY in this same turn, so nothing has to be woken.
        if state.fault.is_some() || state.held {
            return Poll::Pending;
        }
        if state.frame_check.frames_in_turn() >= FRAMES_IN_TURN {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        ready!(state.socket.poll_read(cx, buf))?;
        state.heard = true;
        let read = &buf.filled()[before..];
        let Err(FrameRefusal {
            before: sound,
            fault,
        }) = state.frame_check.check_received(read, Instant::now())
        else {
            return Poll::Ready(Ok(()));
        };
        state.fault = Some(fault);
        buf.set_filled(before + sound);
        match sound {
            // h2 would take no bytes for the end of the stream.
            0 => Poll::Pending,
            _ => Poll::Ready(Ok(())),
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
        let mut state = self.0.lock();
        let written = match state.collects {
            true => state.socket.poll_write(cx, bufs),
            false => state.socket.poll_write_past(cx, bufs),
        };
        let written = ready!(written)?;
        state.check_written(bufs, written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        // Every kind of socket takes several buffers at once.
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.lock();
        if state.collects {
            // The driver drains once a turn.
            return Poll::Ready(Ok(()));
        }
        state.socket.poll_drain(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().socket.poll_shutdown(cx)
    }
}

impl TransportState {
    /// Shows the frame check the bytes that h2 wrote.
    fn check_written(&mut self, bufs: &[IoSlice<'_>], mut written: usize) {
        let now = Instant::now();
        for buf in bufs {
            let part = &buf[..written.min(buf.len())];
            written -= part.len();
            if let Err(fault) = self.frame_check.check_sent(part, now) {
                self.fault.get_or_insert(fault);
            }
        }
    }
}
