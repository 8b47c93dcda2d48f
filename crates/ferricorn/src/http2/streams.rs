//! The streams of a connection whose apps still run, for its driver to look after.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use asgi::DisconnectReason;
use http::StatusCode;
use tokio::sync::Notify;

use super::stream::StreamDriver;
use crate::Config;
use crate::exchange::Exchange;
use crate::multiplexed::StreamWatch;

/// The streams whose apps run in tasks of their own.
#[derive(Debug, Default)]
pub(super) struct Streams {
    streams: Mutex<HashMap<u64, Entry>>,
    fewer: Notify,
    /// h2 is done with the connection.
    over: AtomicBool,
}

#[derive(Debug)]
struct Entry {
    exchange: Arc<Exchange>,
    watch: Arc<StreamWatch>,
    /// Since when the client counts as gone, because it was too slow.
    left_at: Option<Instant>,
}

impl Streams {
    /// Gives a stream a task of its own.
    pub(super) fn spawn(self: &Arc<Self>, exchange: Arc<Exchange>, stream: StreamDriver) {
        let id = exchange.info().id;
        let entry = Entry {
            exchange,
            watch: Arc::clone(stream.watch()),
            left_at: None,
        };
        self.lock().insert(id, entry);
        let listed = Listed {
            running: Arc::clone(self),
            id,
        };
        tokio::spawn(async move {
            let _listed = listed;
            stream.await;
        });
    }

    /// Whether no app runs.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Looks whether a client has let a stream wait for too long.
    pub(super) fn check(&self, config: &Config, now: Instant) {
        let past = |since: Instant, limit: Duration| now.duration_since(since) >= limit;
        for entry in self.lock().values_mut() {
            if let Some(since) = entry.watch.stuck_since()
                && past(since, config.write_timeout)
            {
                entry.watch.kill(DisconnectReason::TimedOut);
            }
            let exchange = &entry.exchange;
            if entry.left_at.is_none()
                && let Some(since) = exchange.wants_body_since()
                && past(since, config.body_timeout)
            {
                exchange.peer_failed(DisconnectReason::TimedOut, StatusCode::REQUEST_TIMEOUT);
                entry.left_at = Some(now);
            }
            if let (Some(left_at), Some(grace)) = (entry.left_at, config.disconnect_grace)
                && past(left_at, grace)
            {
                exchange.cancel("its client is too slow and its grace is over");
            }
        }
    }

    /// Tells the streams that h2 is done with the connection: those that are there, and those that come.
    ///
    /// h2 tells it to what it knows then. A promise that another task makes at the same time it still
    /// takes, and nobody would ever hear of it again.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
        for entry in self.lock().values() {
            entry.watch.wake();
        }
    }

    /// Whether h2 is done with the connection.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Ends every app, because the server stops.
    pub(super) fn cut(&self) {
        self.end();
        // Ending an app runs its destructors: not under the lock.
        let entries: Vec<Entry> = self.lock().drain().map(|(_, entry)| entry).collect();
        for Entry {
            exchange, watch, ..
        } in entries
        {
            exchange.disconnected(DisconnectReason::Shutdown);
            exchange.cancel("the server stops");
            exchange.log_access();
            watch.kill(DisconnectReason::Shutdown);
        }
    }

    /// Waits until no stream needs the connection any more.
    pub(super) async fn until_none(&self) {
        loop {
            let fewer = self.fewer.notified();
            if self.is_empty() {
                return;
            }
            fewer.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Entry>> {
        // No change of the map is left half done by a panic.
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a stream off the list, whatever becomes of its task.
struct Listed {
    running: Arc<Streams>,
    id: u64,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.running.lock().remove(&self.id);
        self.running.fewer.notify_one();
    }
}
