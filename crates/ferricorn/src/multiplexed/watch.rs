//! The state that the task of a stream shares with the driver of its connection.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Instant;

use asgi::DisconnectReason;

use crate::config::Config;
use crate::deadlines::{self, BodyWait, Pace, RequestDeadlines, RequestDue, WriteWait};
use crate::exchange::store_waker;

/// Lets the driver of a connection watch a stream, and end it.
#[derive(Debug, Default)]
pub(crate) struct StreamWatch(Mutex<Watched>);

#[derive(Debug, Default)]
struct Watched {
    /// The app's data that waits for the client's window.
    writes: WriteWait,
    reading: Pace,
    /// The stream must reset itself. The app learns this reason.
    killed: Option<DisconnectReason>,
    deadlines: RequestDeadlines,
    /// The stream's task, while it waits.
    task: Option<Waker>,
}

impl StreamWatch {
    /// Whether the client's window has had no room for too long, or grows too slowly.
    pub(crate) fn is_write_due(&self, config: &Config, now: Instant) -> bool {
        let Watched {
            writes, reading, ..
        } = &mut *self.lock();
        deadlines::is_write_due(reading, config, *writes, now)
    }

    pub(super) fn set_writes(&self, writes: WriteWait) {
        self.lock().writes = writes;
    }

    /// What is due on the request, see [`RequestDeadlines::due`].
    pub(crate) fn due(
        &self,
        config: &Config,
        wait: Option<BodyWait>,
        came: u64,
        now: Instant,
    ) -> RequestDue {
        self.lock().deadlines.due(config, wait, came, now)
    }

    /// When the grace of the app ends if its client is gone now, or since before. `None`: never.
    pub(super) fn grace_ends(&self, config: &Config, now: Instant) -> Option<Instant> {
        self.lock().deadlines.grace_ends(config, now)
    }

    /// Makes the stream reset itself. The app learns the `reason`.
    pub(crate) fn kill(&self, reason: DisconnectReason) {
        self.lock().killed = Some(reason);
        self.wake();
    }

    /// Makes the stream look again.
    pub(crate) fn wake(&self) {
        let task = self.lock().task.take();
        if let Some(task) = task {
            task.wake();
        }
    }

    /// Whether the stream must reset itself, and why. Wakes the current task when that changes.
    pub(super) fn poll_killed(&self, cx: &Context<'_>) -> Option<DisconnectReason> {
        let mut watched = self.lock();
        store_waker(&mut watched.task, cx);
        watched.killed
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        // Every change is one assignment: a panic leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
