//! The streams of a connection whose apps still run. The driver looks after them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use asgi::DisconnectReason;
use http::StatusCode;
use tokio::sync::Notify;

use super::body_reads::BodyRead;
use super::stream::StreamDriver;
use crate::config::Config;
use crate::deadlines::BodyWait;
use crate::exchange::Exchange;
use crate::multiplexed::StreamWatch;

/// The streams whose apps run in tasks of their own.
#[derive(Debug, Default)]
pub(super) struct Streams {
    entries: Mutex<HashMap<u64, StreamEntry>>,
    /// Notified when a stream ends.
    fewer: Notify,
    /// h2 is done with the connection.
    ended: AtomicBool,
}

#[derive(Debug)]
struct StreamEntry {
    exchange: Arc<Exchange>,
    watch: Arc<StreamWatch>,
    /// h2's number of the stream. `None` for a push, which has no body.
    stream_id: Option<u32>,
    /// When bytes of the request's body last came, complete frame or not, and how many so far.
    body_read: Option<Instant>,
    body_bytes: u64,
}

impl Streams {
    /// Gives a stream a task of its own.
    pub(super) fn spawn(
        self: &Arc<Self>,
        exchange: Arc<Exchange>,
        stream: StreamDriver,
        stream_id: Option<u32>,
    ) {
        let id = exchange.info().id;
        let entry = StreamEntry {
            exchange,
            watch: Arc::clone(stream.watch()),
            stream_id,
            body_read: None,
            body_bytes: 0,
        };
        self.lock().insert(id, entry);
        let listed = Listed {
            streams: Arc::clone(self),
            id,
        };
        tokio::spawn(async move {
            let _listed = listed;
            stream.await;
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Looks whether a client has kept a stream waiting for too long. `body_reads` has the streams
    /// whose bodies got bytes since the last call.
    pub(super) fn check(&self, config: &Config, body_reads: &HashMap<u32, BodyRead>, now: Instant) {
        for entry in self.lock().values_mut() {
            if entry.watch.is_write_due(config, now) {
                entry.watch.kill(DisconnectReason::TimedOut);
            }
            if let Some(read) = entry.stream_id.and_then(|id| body_reads.get(&id)) {
                entry.body_read = Some(read.at);
                entry.body_bytes += read.bytes;
            }
            let exchange = &entry.exchange;
            exchange.check_time(now);
            let wait = exchange.wants_body_since().map(|since| BodyWait {
                since,
                last_byte: entry.body_read,
            });
            let due = entry.watch.due(config, wait, entry.body_bytes, now);
            if due.body {
                exchange.peer_failed(DisconnectReason::TimedOut, StatusCode::REQUEST_TIMEOUT);
            }
            if due.grace {
                exchange.cancel("its client left and its grace is over");
            }
        }
    }

    /// Reports to all streams that h2 is done with the connection: to those that exist, and to those
    /// that come.
    ///
    /// h2 reports it only to the streams that it knows. It still accepts a promise that another task
    /// makes at the same moment, and never reports anything about that one.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        for entry in self.lock().values() {
            entry.watch.wake();
        }
    }

    /// Whether h2 is done with the connection.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// Ends every app, because the server stops.
    pub(super) fn cut(&self) {
        self.end();
        // Ending an app runs its destructors, so the lock must be free.
        let entries: Vec<StreamEntry> = self.lock().drain().map(|(_, entry)| entry).collect();
        for StreamEntry {
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

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, StreamEntry>> {
        // A panic leaves no change of the map half done.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a stream off the list when its task ends in any way.
struct Listed {
    streams: Arc<Streams>,
    id: u64,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.streams.lock().remove(&self.id);
        self.streams.fewer.notify_one();
    }
}
