//! Lets callbacks from hyper reach their connection through a thread-local.
//!
//! The driver polls hyper, and hyper calls back: to read, to write, with a request, for a response.
//! All of that happens on one thread, within one poll. hyper passes no context to its callbacks. An
//! `Arc` with a lock, held by both sides, would cost more than a dozen atomic operations a request.
//! So the driver puts the connection into a slot of its thread while it polls hyper, and takes it
//! back when that poll returns.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Connection;

thread_local! {
    /// The connection whose hyper this thread polls. Empty while a callback uses it.
    static CURRENT: Cell<Option<Box<Connection>>> = const { Cell::new(None) };
}

/// A connection that callbacks can reach. It is only away while [`enter`](Self::enter) runs.
pub(super) struct CurrentConnection(Option<Box<Connection>>);

impl CurrentConnection {
    pub(super) fn new(connection: Connection) -> Self {
        Self(Some(Box::new(connection)))
    }

    /// Takes the connection out for good.
    pub(super) fn take(&mut self) -> Option<Box<Connection>> {
        self.0.take()
    }

    /// Makes this the thread's current connection while `f` runs.
    ///
    /// Within `f`, [`with_current`] reaches it.
    pub(super) fn enter<R>(&mut self, f: impl FnOnce() -> R) -> R {
        // An app may poll a server of its own within `f`, hence the outer connection.
        let outer = CURRENT.replace(self.0.take());
        let _entered = Entered { owner: self, outer };
        f()
    }
}

impl Deref for CurrentConnection {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        match &self.0 {
            Some(connection) => connection,
            None => unreachable!("{AWAY}"),
        }
    }
}

impl DerefMut for CurrentConnection {
    fn deref_mut(&mut self) -> &mut Connection {
        match &mut self.0 {
            Some(connection) => connection,
            None => unreachable!("{AWAY}"),
        }
    }
}

const AWAY: &str = "the driver does not use its connection while hyper is polled";

/// Gives the connection back to its owner, also after a panic.
struct Entered<'a> {
    owner: &'a mut CurrentConnection,
    outer: Option<Box<Connection>>,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.owner.0 = CURRENT.replace(self.outer.take());
    }
}

/// Calls `f` with this thread's current connection.
pub(super) fn with_current<R>(f: impl FnOnce(&mut Connection) -> R) -> R {
    let mut borrowed = Borrowed(CurrentConnection(CURRENT.take()));
    f(&mut borrowed.0)
}

/// Puts the connection back into the slot, also after a panic.
struct Borrowed(CurrentConnection);

impl Drop for Borrowed {
    fn drop(&mut self) {
        CURRENT.set(self.0.0.take());
    }
}

/// The I/O object that hyper reads and writes: the transport of the current connection.
#[derive(Debug)]
pub(super) struct HyperIo;

impl AsyncRead for HyperIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        with_current(|connection| connection.transport.poll_read(cx, buf))
    }
}

impl AsyncWrite for HyperIo {
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
        with_current(|connection| connection.transport.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Does nothing: the driver flushes once a turn, after hyper has done all it can.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        with_current(|connection| connection.transport.poll_shutdown(cx))
    }
}
