//! The state that the task of a stream shares with the driver of its connection.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Instant;

use asgi::DisconnectReason;

use crate::config::Config;
use crate::deadlines::{BodyWait, RequestDeadlines, RequestDue};
use crate::exchange::store_waker;

/// Lets the driver of a connection watch a stream, and end it.
#[derive(Debug, Default)]
pub(crate) struct StreamWatch(Mutex<Watched>);

#[derive(Debug, Default)]
struct Watched {
    /// When the client's window first had no room for the app's data; `None` while it has some.
    stuck_since: Option<Instant>,
    /// The stream must reset itself. The app learns this reason.
    killed: Option<DisconnectReason>,
    deadlines: RequestDeadlines,
    /// The stream's task, while it waits.
    task: Option<Waker>,
}

impl StreamWatch {
    /// When the client's window first had no room for the app's data; `None` while it has some.
    pub(crate) fn stuck_since(&self) -> Option<Instant> {
        self.lock().stuck_since
    }

    pub(super) fn set_stuck_since(&self, since: Option<Instant>) {
        self.lock().stuck_since = since;
    }

    /// What is due on the request, see [`RequestDeadlines::due`].
    pub(crate) fn due(&self, config: &Config, wait: Option<BodyWait>, now: Instant) -> RequestDue {
        self.lock().deadlines.due(config, wait, now)
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
