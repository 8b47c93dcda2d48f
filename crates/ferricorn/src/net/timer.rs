//! A connection's clock.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::time::Sleep;

/// One timer for all deadlines of a connection, reset as seldom as possible.
///
/// A deadline that moves on with every request costs nothing: the timer fires at the old one, and
/// then is set to what it has become.
pub(crate) struct Timer {
    sleep: Pin<Box<Sleep>>,
    at: Instant,
    /// Whether it was polled since it was set, and so wakes the task that did.
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

    /// Fires at `at`, if it would have later.
    pub(crate) fn hasten(&mut self, at: Instant) {
        if self.at > at {
            self.reset(at);
        }
    }

    pub(crate) fn reset(&mut self, at: Instant) {
        self.at = at;
        self.wakes = false;
        self.sleep.as_mut().reset(at.into());
    }

    /// Waits until it has fired. Always to be polled by the same task.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.wakes, true) && !self.sleep.is_elapsed() {
            return Poll::Pending;
        }
        self.sleep.as_mut().poll(cx)
    }
}
