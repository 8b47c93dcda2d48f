//! One call of the app, which the host polls.

use std::cell::Cell;
use std::task::{Context, Poll, Waker};

use asgi::{AppError, AppFuture, Scope};

use super::halves::{LibraryReceive, LibrarySend};
use super::log;
use super::outcome::Failure;
use super::own_runtime::{CallResult, SpawnedCall, SpawnedPoll, set_sent_start};
use super::panic_hook::catch_in_call;
use super::runtime::{Application, PollMode};
use super::shared_halves;
use crate::abi;
use crate::panic::catch;

thread_local! {
    /// Whether a half was pending during the poll that this thread runs.
    static HALF_IS_PENDING: Cell<bool> = const { Cell::new(false) };
}

/// Records that a half is pending: the call waits for the host, and perhaps for something else too.
pub(super) fn set_half_pending() {
    HALF_IS_PENDING.set(true);
}

/// One call, and how it failed if it did.
///
/// ```text
///   Inline ─────────▶ Ended
///      │                ▲
///      └──▶ Spawned ────┘
/// ```
pub(super) struct LibraryTask {
    application: &'static Application,
    /// Its number in the server's log.
    exchange: u64,
    state: TaskState,
    /// Boxed, because the task must be small and failures are rare.
    failure: Option<Box<Failure>>,
}

enum TaskState {
    /// The host's threads poll the call.
    Inline(AppFuture<'static>),
    /// The library's runtime polls the call: it waits for its own I/O, or the app asked for it.
    Spawned(SpawnedCall),
    Ended,
}

impl LibraryTask {
    /// If `scope` is an error, the task fails with it.
    pub(super) fn new(
        application: &'static Application,
        exchange: u64,
        scope: Result<Scope, AppError>,
        receive: LibraryReceive,
        send: LibrarySend,
    ) -> Self {
        let future = match scope {
            Ok(scope) => {
                let (receive, send) = shared_halves::halves(receive, send);
                application.app.start(scope, receive, send)
            }
            Err(error) => Box::pin(std::future::ready(Err(error))),
        };
        Self {
            application,
            exchange,
            state: TaskState::Inline(future),
            failure: None,
        }
    }

    /// Returns PENDING, WORKING, READY, FAILED or PANICKED.
    pub(super) fn poll(&mut self, waker: &Waker) -> u32 {
        let mode = self.application.poll_mode;
        if matches!(self.state, TaskState::Inline(_)) && mode == PollMode::OwnRuntime {
            self.spawn(false);
        }
        let polled = match &self.state {
            TaskState::Inline(_) => {
                let outer = (HALF_IS_PENDING.replace(false), set_sent_start(false));
                let polled = self.poll_inline(waker);
                let half_is_pending = HALF_IS_PENDING.replace(outer.0);
                let sent_start = set_sent_start(outer.1);
                if polled.is_pending() {
                    if half_is_pending || mode == PollMode::Inline {
                        return abi::PENDING;
                    }
                    self.spawn(sent_start);
                    return self.poll_spawned(waker);
                }
                polled
            }
            TaskState::Spawned(_) => return self.poll_spawned(waker),
            TaskState::Ended => Poll::Ready(Err("the task was polled after its end".into())),
        };
        match polled {
            Poll::Pending => abi::PENDING,
            Poll::Ready(result) => self.finish(result),
        }
    }

    /// Polls the future on this thread. If it is ready, this also drops it, so that the runtime is
    /// entered only once.
    fn poll_inline(&mut self, waker: &Waker) -> Poll<CallResult> {
        let polled = catch(|| {
            enter(self.application, self.exchange, || {
                let TaskState::Inline(future) = &mut self.state else {
                    return Poll::Pending;
                };
                let cx = &mut Context::from_waker(waker);
                let polled = match catch_in_call(|| future.as_mut().poll(cx)) {
                    Ok(polled) => polled.map(Ok),
                    Err(message) => Poll::Ready(Err(message)),
                };
                if polled.is_ready() {
                    drop_future(&mut self.state);
                }
                polled
            })
        });
        polled.unwrap_or_else(|message| Poll::Ready(Err(message)))
    }

    fn poll_spawned(&mut self, waker: &Waker) -> u32 {
        let TaskState::Spawned(call) = &self.state else {
            // The runtime has stopped, so the host's threads still poll the call.
            return abi::PENDING;
        };
        match call.poll(waker) {
            SpawnedPoll::Waiting => abi::PENDING,
            SpawnedPoll::Working => abi::WORKING,
            SpawnedPoll::Ended(result) => self.finish(result),
        }
    }

    /// Moves the call to the library's runtime, if that still runs.
    fn spawn(&mut self, sent_start: bool) {
        if !self.application.is_running() {
            return;
        }
        if let TaskState::Inline(future) = std::mem::replace(&mut self.state, TaskState::Ended) {
            let handle = &self.application.handle;
            let call = SpawnedCall::start(handle, self.exchange, future, sent_start);
            self.state = TaskState::Spawned(call);
        }
    }

    fn finish(&mut self, result: CallResult) -> u32 {
        self.state = TaskState::Ended;
        // Code of the app makes the text of an error, and may panic.
        let failure = match result {
            Ok(Ok(())) => return abi::READY,
            Ok(Err(error)) => catch_in_call(|| Failure::error(&error)),
            Err(message) => Err(message),
        };
        let (code, failure) = match failure {
            Ok(failure) => (abi::FAILED, failure),
            Err(message) => (abi::PANICKED, Failure::panicked(message)),
        };
        self.failure = Some(Box::new(failure));
        code
    }

    /// Drops the future in the app's runtime, in which it was also polled.
    pub(super) fn cancel(&mut self) {
        if let TaskState::Inline(_) = self.state {
            let (application, exchange) = (self.application, self.exchange);
            // The result is ignored for the same reason as in `drop_future`.
            let _ = catch(|| enter(application, exchange, || drop_future(&mut self.state)));
        }
        self.state = TaskState::Ended;
    }

    /// Why the task failed. It borrows from the task: it is valid until the task is dropped.
    pub(super) fn outcome(&self) -> abi::Outcome {
        self.failure
            .as_deref()
            .map_or(abi::Outcome::EMPTY, Failure::to_abi)
    }
}

/// Runs `f` in the app's runtime, and with the call's exchange for the log.
fn enter<R>(application: &Application, exchange: u64, f: impl FnOnce() -> R) -> R {
    let _runtime = application.handle.enter();
    log::with_exchange(exchange, f)
}

fn drop_future(state: &mut TaskState) {
    let state = std::mem::replace(state, TaskState::Ended);
    // The panic hook has logged a panic. The task ends in both cases.
    let _ = catch(|| drop(state));
}
