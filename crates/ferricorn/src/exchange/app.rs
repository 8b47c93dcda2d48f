//! Runs the app of an exchange: polls it, catches its panics, times its polls, and reports its end.

use std::cell::Cell;
use std::sync::{Arc, MutexGuard};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use asgi::{AppError, AppFuture, Scope};
use asgi_rules::{AppEnd, Fault};
use http::StatusCode;
use tracing::{debug, error, info};

use super::Exchange;
use super::state::ExchangeState;
use super::wakers::store_waker;
use crate::access_log::Cause;
use crate::panic::{self, Panic};

thread_local! {
    /// The exchange whose app this thread polls; 0 if none.
    static CURRENT: Cell<u64> = const { Cell::new(0) };
    /// The app that this thread polls runs on another thread.
    static WORKS_ELSEWHERE: Cell<bool> = const { Cell::new(false) };
}

/// The number of the exchange whose app this thread polls now, as it stands in the log.
///
/// For code that writes into the log on behalf of an app without knowing its exchange, such as the
/// loader of an app that has a log of its own.
pub fn current_exchange() -> Option<u64> {
    match CURRENT.get() {
        0 => None,
        id => Some(id),
    }
}

/// Says that the app whose exchange this thread polls is not waiting: it runs on another thread now.
///
/// For code that polls an app on the server's behalf, such as the loader of an app with a runtime of
/// its own. Until it wakes the exchange again, the server holds back the head of a response, as it does
/// during a poll. Outside of a poll, this does nothing.
pub fn app_is_working() {
    WORKS_ELSEWHERE.set(CURRENT.get() != 0);
}

/// The app of an exchange.
pub(super) enum AppSlot {
    /// The first poll calls the app with this scope.
    New(Scope),
    Running(AppFuture<'static>),
    /// It has ended, or was dropped.
    Ended,
}

/// The outcome of a poll: the app's result once it has one, and whether the app panicked.
type Polled = (Option<Result<(), AppError>>, Result<(), Panic>);

impl Exchange {
    /// Allows one more poll of the app, because a new turn of the driver begins.
    pub(crate) fn begin_turn(&self) {
        self.lock().app.begin_turn();
    }

    /// Polls the app, unless nothing has happened that could get it further.
    ///
    /// Returns whether there is something to send that was not there before.
    pub(crate) fn poll_app(self: &Arc<Self>, cx: &mut Context<'_>) -> bool {
        let slot = self.lock_app();
        let state = self.lock();
        let had_output = state.response.has_output();
        let state = self.run(slot, state, cx);
        !had_output && state.is_some_and(|state| state.response.has_output())
    }

    /// Whether the app has ended.
    pub(crate) fn is_app_done(&self) -> bool {
        matches!(*self.lock_app(), AppSlot::Ended)
    }

    /// Drops the app before it is done.
    pub(crate) fn cancel(&self, why: &str) {
        let mut slot = self.lock_app();
        if matches!(*slot, AppSlot::Ended) {
            return;
        }
        debug!(parent: &self.span, exchange = self.info.id, "app cancelled: {why}");
        self.drop_app(&mut slot);
        drop(slot);
        drop(self.app_ended(AppEnd::Cancelled, Cause::None));
    }

    /// Polls the app, unless it has ended or nothing has happened that could get it further.
    pub(super) fn run<'a>(
        self: &'a Arc<Self>,
        slot: MutexGuard<'_, AppSlot>,
        mut state: MutexGuard<'a, ExchangeState>,
        cx: &mut Context<'_>,
    ) -> Option<MutexGuard<'a, ExchangeState>> {
        if matches!(*slot, AppSlot::Ended) || !std::mem::take(&mut state.app.runnable) {
            return None;
        }
        state.app.polling = true;
        // An app that still waits says so again. It may have given up on a `receive`.
        if state.wakers.receives_in(cx) {
            state.request.wants_body = false;
        }
        drop(state);
        Some(self.run_now(slot, cx))
    }

    /// Polls the app.
    pub(super) fn run_now<'a>(
        self: &'a Arc<Self>,
        mut slot: MutexGuard<'_, AppSlot>,
        cx: &mut Context<'_>,
    ) -> MutexGuard<'a, ExchangeState> {
        let first = matches!(*slot, AppSlot::New(_));
        // The first poll comes at once, and reading the clock is not free.
        let began = if first { self.began } else { Instant::now() };
        let polled = self.poll_slot(&mut slot, cx);
        let limit = self.server.config().slow_poll;
        let took = began.elapsed();
        if took > limit && !limit.is_zero() {
            self.log_slow_poll(took, limit);
        }
        let (end, cause) = match polled {
            (None, Ok(())) => return self.app_waits(first, cx),
            (None, Err(panic)) => {
                self.drop_app(&mut slot);
                (AppEnd::Panicked, Cause::Panic(panic))
            }
            (Some(result), caught) => {
                if let Err(panic) = caught {
                    self.log_panic_in_drop(panic);
                }
                let end = AppEnd::from(&result);
                (end, result.err().map_or(Cause::None, Cause::Error))
            }
        };
        drop(slot);
        self.app_ended(end, cause)
    }

    /// Polls the app, and drops it at its end. All of that is the app's code and may panic.
    fn poll_slot(self: &Arc<Self>, slot: &mut AppSlot, cx: &mut Context<'_>) -> Polled {
        let mut result = None;
        let caught = self.catch_panic(|| {
            if let AppSlot::New(_) = slot
                && let AppSlot::New(scope) = std::mem::replace(slot, AppSlot::Ended)
            {
                let (receive, send) = asgi::halves(Arc::clone(self));
                let app = self.server.app();
                *slot = AppSlot::Running(app.start(scope, receive, send));
            }
            WORKS_ELSEWHERE.set(false);
            if let AppSlot::Running(app) = slot
                && let Poll::Ready(ended) = app.as_mut().poll(cx)
            {
                result = Some(ended);
                drop(std::mem::replace(slot, AppSlot::Ended));
            }
        });
        (result, caught)
    }

    /// The app waits for something.
    fn app_waits(&self, first: bool, cx: &Context<'_>) -> MutexGuard<'_, ExchangeState> {
        let mut state = self.lock();
        // The first poll did not take this.
        state.app.runnable &= !first;
        // From here on, a half that is used in another task has to wake the driver.
        store_waker(&mut state.wakers.driver, cx);
        state.request.app_waits();
        // If the app waits until a hint or a push is taken, that goes out before the head, and the app
        // is polled again after it. (HTTP-054)
        if !WORKS_ELSEWHERE.replace(false) && state.response.interim.is_none() {
            let event = state.rules.waiting();
            state.queue(event);
        }
        state.app.polling = false;
        state
    }

    /// The app has ended.
    fn app_ended(&self, end: AppEnd, cause: Cause) -> MutexGuard<'_, ExchangeState> {
        let mut state = self.lock();
        let fault = state.ended(end, &self.info.method);
        if std::mem::take(&mut state.app.counted) {
            self.server.give_back();
        }
        if fault.is_none() && matches!(cause, Cause::None) {
            return state;
        }
        if fault == Some(Fault::Unsupported) {
            let status = state.rules.unsupported_status();
            self.log_unsupported(status);
            return state;
        }
        drop(state);
        // An error's text and its destructor are the app's code too.
        let log = || {
            self.info.log_app_end(fault, &cause);
            drop(cause);
        };
        if panic::catch(log).is_err() {
            let id = self.info.id;
            error!(exchange = id, "the app's error panicked when it was logged");
        }
        self.lock()
    }

    /// Logs that the app does not know this kind of scope. Clients can cause this, so the operator learns
    /// of it once.
    fn log_unsupported(&self, status: StatusCode) {
        let hints = self.server.hints();
        match status {
            StatusCode::FORBIDDEN => hints.no_websockets.give(|| {
                info!("the app does not serve WebSockets: each handshake gets {status}");
            }),
            _ => hints.no_http.give(|| {
                info!("the app does not serve HTTP requests: each one gets {status}");
            }),
        }
        debug!(
            exchange = self.info.id,
            "refused with {status}: the app does not know this kind of scope"
        );
    }

    /// Logs, once, that a poll of the app took longer than it may.
    fn log_slow_poll(&self, took: Duration, limit: Duration) {
        let logged = std::mem::replace(&mut self.lock().app.slow_poll_logged, true);
        if !logged {
            self.info.log_slow_poll(took, limit);
        }
    }

    /// Drops the app's future. Like a poll, this may panic.
    fn drop_app(&self, slot: &mut AppSlot) {
        let app = std::mem::replace(slot, AppSlot::Ended);
        if let Err(panic) = self.catch_panic(|| drop(app)) {
            self.log_panic_in_drop(panic);
        }
    }

    fn log_panic_in_drop(&self, panic: Panic) {
        let cause = Cause::Panic(panic);
        error!(
            exchange = self.info.id,
            "the app panicked while it was dropped: {cause}"
        );
    }

    /// Runs code of the app inside the app's span. The error is a panic of that code.
    fn catch_panic<R>(&self, f: impl FnOnce() -> R) -> Result<R, Panic> {
        let outer = CURRENT.replace(self.info.id);
        let result = self.span.in_scope(|| panic::catch(f));
        CURRENT.set(outer);
        result
    }
}
