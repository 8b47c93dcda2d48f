//! The wakers of one exchange.

use std::task::{Context, Waker};

/// The tasks that wait for something. An app's task and a server's task may be the same.
#[derive(Debug, Default)]
pub(super) struct ExchangeWakers {
    /// The task of the app that polled `receive` last. (CORE-009)
    pub(super) receive: Option<Waker>,
    /// The task of the app that polled for room last.
    pub(super) ready: Option<Waker>,
    /// The task of the app that polled its sender for the close last.
    pub(super) closed: Option<Waker>,
    /// The server's task that polled for output last.
    pub(super) output: Option<Waker>,
    /// The server's task that polled last whether the app wants input.
    pub(super) wants_input: Option<Waker>,
}

impl ExchangeWakers {
    /// Calls all of these wakers.
    pub(super) fn wake(self) {
        let app = [self.receive, self.ready, self.closed];
        let server = [self.output, self.wants_input];
        for waker in app.into_iter().chain(server).flatten() {
            waker.wake();
        }
    }
}

/// Stores the waker of `cx`. Returns the waker that it replaces.
pub(super) fn register(slot: &mut Option<Waker>, cx: &Context<'_>) -> Option<Waker> {
    match slot {
        Some(waker) if waker.will_wake(cx.waker()) => None,
        slot => slot.replace(cx.waker().clone()),
    }
}
