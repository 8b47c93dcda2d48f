//! Tasks that wait, and whether they are woken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// A task that remembers whether it was woken.
#[derive(Debug, Default)]
struct WatchedTask(AtomicBool);

impl Wake for WatchedTask {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

/// One kind of wait, and the task that polled last.
#[derive(Debug, Default)]
pub(crate) struct TaskWait {
    task: Arc<WatchedTask>,
    waits: bool,
}

/// The result of a poll, and whether it is right that the task polled only now.
pub(crate) enum PollOutcome<T> {
    Pending,
    Ready(T),
    /// It is ready, but the task that waited was not woken.
    NotWoken(T),
}

impl TaskWait {
    /// Polls, in a task of its own if `fresh` says so. The last task is then forgotten.
    pub(crate) fn poll<T>(
        &mut self,
        fresh: bool,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> PollOutcome<T> {
        let woken = self.task.0.swap(false, Ordering::AcqRel);
        if fresh {
            self.task = Arc::default();
        }
        let waker = Waker::from(Arc::clone(&self.task));
        let result = poll(&mut Context::from_waker(&waker));
        let waited = std::mem::replace(&mut self.waits, result.is_pending());
        match result {
            Poll::Pending => PollOutcome::Pending,
            Poll::Ready(value) if waited && !woken => PollOutcome::NotWoken(value),
            Poll::Ready(value) => PollOutcome::Ready(value),
        }
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.waits
    }
}
