//! The wakers of everything that waits in a pipe.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

/// Something that waits in a pipe.
#[derive(Clone, Copy)]
pub(super) enum PipeWaiter {
    /// The task that drives the inner app and the loop.
    Drive,
    /// `poll_ready` and `poll_send` of the inner app.
    Ready,
    /// `poll_closed` of the inner app.
    Closed,
    /// The loop, in `next`. It has a waker of its own only inside a combinator that polls its
    /// futures with wakers of their own. The same holds for the two below.
    Next,
    /// The loop, in `send`.
    PumpSend,
    /// The loop, in `closed`.
    PumpClosed,
}

/// One waker for each [`PipeWaiter`].
///
/// As a waker, it wakes all of them. The server wakes only the task that polled last, and with this
/// waker it wakes every task that waits.
#[derive(Default)]
pub(super) struct PipeWakers(Mutex<[Option<Waker>; 6]>);

impl PipeWakers {
    pub(super) fn register(&self, waiter: PipeWaiter, waker: &Waker) {
        let mut wakers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut wakers[waiter as usize] {
            Some(registered) => registered.clone_from(waker),
            empty => *empty = Some(waker.clone()),
        }
    }

    /// Wakes one waiter, and returns whether it was there. The lock is released before the waker
    /// runs.
    pub(super) fn wake_one(&self, waiter: PipeWaiter) -> bool {
        let waker = {
            let mut wakers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            wakers[waiter as usize].take()
        };
        waker.map(Waker::wake).is_some()
    }

    pub(super) fn wake_all(&self) {
        let wakers = {
            let mut wakers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            mem::take(&mut *wakers)
        };
        for waker in wakers.into_iter().flatten() {
            waker.wake();
        }
    }
}

impl Wake for PipeWakers {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_all();
    }
}
