//! One call of the app, as the host polls it.

use std::cell::Cell;
use std::task::{Context, Poll, Waker};

use asgi::{AppError, AppFuture, Receiver, Scope, Sender};

use super::halves::{LibraryReceive, LibrarySend};
use super::log;
use super::outcome::Failure;
use super::own_runtime::{Ended, Moved};
use super::panic_hook::caught_in_call;
use super::runtime::{Application, Runs};
use crate::abi;
use crate::panic::caught;

thread_local! {
    /// Whether a half was pending in the poll that this thread is in.
    static HALF_WAITS: Cell<bool> = const { Cell::new(false) };
}

/// A half is pending: the call waits for the host, perhaps for something else too.
pub(super) fn half_waits() {
    HALF_WAITS.set(true);
}

/// One call, and how it ended if that was not well.
///
/// ```text
///   Here ──────▶ Over
///    │            ▲
///    └──▶ Moved ──┘
/// ```
pub(super) struct Task {
    application: &'static Application,
    /// Its number in the server's log.
    exchange: u64,
    state: State,
    /// Boxed, since a task is to be small and seldom fails.
    failure: Option<Box<Failure>>,
}

enum State {
    /// The host's thread polls it.
    Here(AppFuture<'static>),
    /// It has shown that it waits for something of its own.
    Moved(Moved),
    Over,
}

impl Task {
    /// A scope that could not be rebuilt makes a task that fails.
    pub(super) fn new(
        application: &'static Application,
        exchange: u64,
        scope: Result<Scope, AppError>,
        receive: LibraryReceive,
        send: LibrarySend,
    ) -> Self {
        let future = match scope {
            Ok(scope) => {
                let (receive, send) = (Receiver::new(receive), Sender::new(send));
                application.app.start(scope, receive, send)
            }
            Err(error) => Box::pin(std::future::ready(Err(error))),
        };
        Self {
            application,
            exchange,
            state: State::Here(future),
            failure: None,
        }
    }

    /// PENDING, READY, FAILED or PANICKED.
    pub(super) fn poll(&mut self, waker: &Waker) -> u32 {
        if matches!(self.state, State::Here(_)) && self.application.runs == Runs::OnItsOwn {
            self.move_away();
        }
        let polled = match &self.state {
            State::Here(_) => {
                let outer = HALF_WAITS.replace(false);
                let polled = self.poll_here(waker);
                let half_waits = HALF_WAITS.replace(outer);
                if polled.is_pending() {
                    if half_waits || self.application.runs == Runs::Inline {
                        return abi::PENDING;
                    }
                    self.move_away();
                    self.poll_moved(waker)
                } else {
                    polled
                }
            }
            State::Moved(_) => self.poll_moved(waker),
            State::Over => Poll::Ready(Err("a task was polled after its end".into())),
        };
        match polled {
            Poll::Pending => abi::PENDING,
            Poll::Ready(ended) => {
                self.state = State::Over;
                self.ended(ended)
            }
        }
    }

    /// Drops the future, too, once it is ready: the runtime is entered only once then.
    fn poll_here(&mut self, waker: &Waker) -> Poll<Ended> {
        let polled = caught(|| {
            within(self.application, self.exchange, || {
                let State::Here(future) = &mut self.state else {
                    return Poll::Pending;
                };
                let cx = &mut Context::from_waker(waker);
                let polled = match caught_in_call(|| future.as_mut().poll(cx)) {
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

    fn poll_moved(&self, waker: &Waker) -> Poll<Ended> {
        match &self.state {
            State::Moved(moved) => moved.poll(waker),
            // Its runtime is gone: the host goes on to poll it.
            _ => Poll::Pending,
        }
    }

    /// Lets the library's runtime go on, if that still runs.
    fn move_away(&mut self) {
        if !self.application.is_running() {
            return;
        }
        if let State::Here(future) = std::mem::replace(&mut self.state, State::Over) {
            let moved = Moved::start(&self.application.handle, self.exchange, future);
            self.state = State::Moved(moved);
        }
    }

    fn ended(&mut self, ended: Ended) -> u32 {
        // The text of an error is made by code of the app's.
        let failure = match ended {
            Ok(Ok(())) => return abi::READY,
            Ok(Err(error)) => caught_in_call(|| Failure::error(&error)),
            Err(message) => Err(message),
        };
        let (code, failure) = match failure {
            Ok(failure) => (abi::FAILED, failure),
            Err(message) => (abi::PANICKED, Failure::panicked(message)),
        };
        self.failure = Some(Box::new(failure));
        code
    }

    /// Drops the future, within the runtime as it was polled.
    pub(super) fn cancel(&mut self) {
        if let State::Here(_) = self.state {
            let (application, exchange) = (self.application, self.exchange);
            // As in `drop_future`.
            let _ = caught(|| within(application, exchange, || drop_future(&mut self.state)));
        }
        self.state = State::Over;
    }

    /// Lends how it ended; valid while the task lives and is not polled.
    pub(super) fn outcome(&self) -> abi::Outcome {
        self.failure
            .as_deref()
            .map_or(abi::Outcome::EMPTY, Failure::lend)
    }
}

/// Runs `f` in the app's runtime and for its exchange.
fn within<R>(application: &Application, exchange: u64, f: impl FnOnce() -> R) -> R {
    let _within = application.handle.enter();
    log::within(exchange, f)
}

fn drop_future(state: &mut State) {
    let state = std::mem::replace(state, State::Over);
    // A panic's message went out by the hook; the task is over either way.
    let _ = caught(|| drop(state));
}
