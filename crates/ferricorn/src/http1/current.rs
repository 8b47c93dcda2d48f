//! How what hyper calls reaches the connection that it is called for.
//!
//! hyper stands between a connection's driver and what it calls itself: to read, to write, with a
//! request, for a response. All of that happens while the driver polls it, on one thread; but hyper
//! passes nothing through, and whatever both sides held would need a lock and counted references,
//! a dozen and more locked operations a request. So the driver lays the connection down in a slot of
//! its thread for as long as it polls hyper, and has it back when that returns.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Connection;

thread_local! {
    /// The connection whose hyper this thread polls, unless somebody uses it right now.
    static LENT: Cell<Option<Box<Connection>>> = const { Cell::new(None) };
}

/// A connection that can be lent. It is only away while [`lend`](Self::lend) runs.
pub(super) struct Loan(Option<Box<Connection>>);

impl Loan {
    pub(super) fn new(connection: Connection) -> Self {
        Self(Some(Box::new(connection)))
    }

    /// The connection itself; nobody is to lend it any more.
    pub(super) fn take(&mut self) -> Option<Box<Connection>> {
        self.0.take()
    }

    /// Runs `f`, which reaches the connection by [`with`].
    pub(super) fn lend<R>(&mut self, f: impl FnOnce() -> R) -> R {
        // An app may poll a server of its own in here.
        let outer = LENT.replace(self.0.take());
        let _lent = Lent { owner: self, outer };
        f()
    }
}

impl Deref for Loan {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        match &self.0 {
            Some(connection) => connection,
            None => unreachable!("{AWAY}"),
        }
    }
}

impl DerefMut for Loan {
    fn deref_mut(&mut self) -> &mut Connection {
        match &mut self.0 {
            Some(connection) => connection,
            None => unreachable!("{AWAY}"),
        }
    }
}

const AWAY: &str = "a connection is used by nobody but those it was lent to";

/// Gives a connection back to its owner, whatever becomes of what it was lent for.
struct Lent<'a> {
    owner: &'a mut Loan,
    outer: Option<Box<Connection>>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.owner.0 = LENT.replace(self.outer.take());
    }
}

/// Uses the connection that was lent to this thread.
pub(super) fn with<R>(f: impl FnOnce(&mut Connection) -> R) -> R {
    let mut borrowed = Borrowed(Loan(LENT.take()));
    f(&mut borrowed.0)
}

/// Lays a connection back, whatever becomes of what it was borrowed for.
struct Borrowed(Loan);

impl Drop for Borrowed {
    fn drop(&mut self) {
        LENT.set(self.0.0.take());
    }
}

/// What hyper reads and writes: the transport of the connection that was lent.
#[derive(Debug)]
pub(super) struct LentIo;

impl AsyncRead for LentIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        with(|connection| connection.transport.poll_read(cx, buf))
    }
}

impl AsyncWrite for LentIo {
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
        with(|connection| connection.transport.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// The driver flushes once a turn, after hyper has done all that it can.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        with(|connection| connection.transport.poll_shutdown(cx))
    }
}
