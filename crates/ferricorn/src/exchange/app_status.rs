//! Whether the app of an exchange should be polled, is polled, or has ended.

use std::task::Context;

/// How many parts of a request the app receives in one turn, and how many parts of its response the
/// driver takes, before other tasks of the thread get theirs. Tokio's own budget is also 128. A peer
/// that sends a byte at a time to an app that sends each of them back would occupy the thread.
const PARTS_IN_TURN: u8 = 128;

/// Whether the app should be polled, is polled, or has ended.
#[derive(Debug)]
pub(super) struct AppStatus {
    /// Whether another poll could get the app further: something has happened since the last one.
    pub(super) runnable: bool,
    /// The app is being polled, or was not polled yet: the driver looks afterwards, without being woken.
    pub(super) polling: bool,
    /// The app has ended, or was dropped.
    pub(super) ended: bool,
    /// The app counts among those that run.
    pub(super) counted: bool,
    /// The log says that a poll took too long.
    pub(super) slow_poll_logged: bool,
    /// The parts of the request and of the response in this turn.
    pub(super) received: PartBudget,
    pub(super) taken: PartBudget,
}

/// Counts the parts that moved in one turn of a driver.
#[derive(Debug, Default)]
pub(super) struct PartBudget(u8);

impl PartBudget {
    pub(super) fn count(&mut self) {
        self.0 += 1;
    }

    pub(super) fn reset(&mut self) {
        self.0 = 0;
    }

    /// Whether the next part has to wait for another turn. If so, that turn comes at once.
    pub(super) fn must_yield(&mut self, cx: &Context<'_>) -> bool {
        let must_yield = self.0 >= PARTS_IN_TURN;
        if must_yield {
            cx.waker().wake_by_ref();
        }
        must_yield
    }
}

impl AppStatus {
    pub(super) fn new() -> Self {
        Self {
            runnable: true,
            polling: true,
            ended: false,
            counted: true,
            slow_poll_logged: false,
            received: PartBudget::default(),
            taken: PartBudget::default(),
        }
    }

    /// A new turn of the driver begins: the app may be polled again.
    pub(super) fn begin_turn(&mut self) {
        self.runnable = true;
        self.received.reset();
        self.taken.reset();
    }
}
