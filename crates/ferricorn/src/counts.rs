//! How many connections, exchanges and detached apps a server has.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// A server's numbers at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Open connections.
    pub connections: usize,
    /// Running apps, the detached ones included.
    pub exchanges: usize,
    /// Apps that run on although their connection is done with them: the client left, or the
    /// response is complete.
    pub detached: usize,
}

/// Counts what a server has.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    connections: AtomicUsize,
    exchanges: AtomicUsize,
    detached: AtomicUsize,
    /// Notified when a connection or a detached app ends.
    fewer: Notify,
}

#[derive(Debug, Clone, Copy)]
enum CountKind {
    Connection,
    Detached,
}

impl Counts {
    pub(crate) fn statistics(&self) -> Statistics {
        Statistics {
            connections: self.connections.load(Ordering::Relaxed),
            exchanges: self.exchanges.load(Ordering::Relaxed),
            detached: self.detached.load(Ordering::Relaxed),
        }
    }

    /// Whether no connection is open and no detached app runs.
    pub(crate) fn is_idle(&self) -> bool {
        let now = self.statistics();
        now.connections == 0 && now.detached == 0
    }

    /// Waits until no connection is open and no detached app runs.
    pub(crate) async fn until_idle(&self) {
        loop {
            let fewer = self.fewer.notified();
            if self.is_idle() {
                return;
            }
            fewer.await;
        }
    }

    pub(crate) fn count_connection(self: &Arc<Self>) -> Counted {
        self.count(CountKind::Connection)
    }

    pub(crate) fn count_detached(self: &Arc<Self>) -> Counted {
        self.count(CountKind::Detached)
    }

    /// Counts one more exchange. Returns how many there were before.
    pub(crate) fn begin_exchange(&self) -> usize {
        self.exchanges.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn end_exchange(&self) {
        self.exchanges.fetch_sub(1, Ordering::Release);
    }

    fn count(self: &Arc<Self>, kind: CountKind) -> Counted {
        self.counter(kind).fetch_add(1, Ordering::Relaxed);
        Counted {
            counts: Arc::clone(self),
            kind,
        }
    }

    fn counter(&self, kind: CountKind) -> &AtomicUsize {
        match kind {
            CountKind::Connection => &self.connections,
            CountKind::Detached => &self.detached,
        }
    }
}

/// A connection or a detached app that counts until this is dropped.
#[derive(Debug)]
pub(crate) struct Counted {
    counts: Arc<Counts>,
    kind: CountKind,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.counts
            .counter(self.kind)
            .fetch_sub(1, Ordering::Release);
        self.counts.fewer.notify_waiters();
    }
}
