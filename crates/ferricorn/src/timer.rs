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
}

impl Timer {
    pub(crate) fn new(at: Instant) -> Self {
        Self {
            sleep: Box::pin(tokio::time::sleep_until(at.into())),
            at,
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
        self.sleep.as_mut().reset(at.into());
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.sleep.as_mut().poll(cx)
    }
}
