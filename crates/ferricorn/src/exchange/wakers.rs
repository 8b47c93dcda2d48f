//! The tasks that wait for something of an exchange.

use std::task::{Context, Waker};

use asgi_rules::ClosedWakers;

/// The tasks that wait: those of the app's halves, and the driver's.
#[derive(Debug, Default)]
pub(super) struct Wakers {
    /// Waits for an event.
    pub(super) receive: Option<Waker>,
    /// Waits for room for an event.
    pub(super) ready: Option<Waker>,
    /// Waits for the client to leave.
    pub(super) closed: Option<Waker>,
    /// Other tasks that wait for that, through handles.
    pub(super) closed_handles: ClosedWakers,
    /// Drives the connection or the stream.
    pub(super) driver: Option<Waker>,
}

impl Wakers {
    /// Wakes every task in which a half of the app's waits.
    #[inline]
    pub(super) fn wake_app(&mut self) {
        let waits = self.receive.is_some() || self.ready.is_some() || self.closed.is_some();
        if waits || !self.closed_handles.is_empty() {
            self.wake_waiting();
        }
    }

    fn wake_waiting(&mut self) {
        for waker in [&mut self.receive, &mut self.ready, &mut self.closed] {
            if let Some(waker) = waker.take() {
                waker.wake();
            }
        }
        self.closed_handles.take().into_iter().for_each(Waker::wake);
    }

    pub(super) fn wake_driver(&mut self) {
        if let Some(driver) = self.driver.take() {
            driver.wake();
        }
    }

    /// Whether the last `receive` was polled by this task.
    pub(super) fn receives_in(&self, cx: &Context<'_>) -> bool {
        let waker = self.receive.as_ref();
        waker.is_some_and(|waker| waker.will_wake(cx.waker()))
    }
}

/// Wakes the task in `slot`, unless it is the current one: that polls the app next anyway.
pub(super) fn wake_other(slot: &mut Option<Waker>, cx: &Context<'_>) {
    if let Some(waker) = slot.take_if(|waker| !waker.will_wake(cx.waker())) {
        waker.wake();
    }
}

/// Stores the waker of the current task. Only the last one is kept.
pub(crate) fn store_waker(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *slot = Some(cx.waker().clone()),
    }
}
