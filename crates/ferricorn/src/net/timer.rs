//! The timer of a connection.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::task::coop::unconstrained;
use tokio::time::Sleep;

/// One timer for all deadlines of a connection. It is reset as seldom as possible.
///
/// A deadline that moves with every request costs nothing: the timer fires at the old one, and is
/// then set to the new one.
pub(crate) struct Timer {
    sleep: Pin<Box<Sleep>>,
    at: Instant,
    /// Whether it was polled since it was last set, and so will wake that task.
    wakes: bool,
}

impl Timer {
    pub(crate) fn new(at: Instant) -> Self {
        Self {
            sleep: Box::pin(tokio::time::sleep_until(at.into())),
            at,
            wakes: false,
        }
    }

    /// Fires at `at`, unless it fires earlier anyway.
    pub(crate) fn fire_by(&mut self, at: Instant) {
        if self.at > at {
            self.reset(at);
        }
    }

    pub(crate) fn reset(&mut self, at: Instant) {
        self.at = at;
        self.wakes = false;
        self.sleep.as_mut().reset(at.into());
    }

    /// Waits until it fires. Only one task may poll it.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.wakes, true) && !self.sleep.is_elapsed() {
            return Poll::Pending;
        }
        // Without tokio's budget: a poll that found none left would not have left its waker.
        pin!(unconstrained(self.sleep.as_mut())).poll(cx)
    }
}
