//! One call of the app, as the host polls it.

use std::cell::Cell;
use std::task::{Context, Poll, Waker};

use asgi::{AppError, AppFuture, Receiver, Scope, Sender};

use super::halves::{LibraryReceive, LibrarySend};
use super::hook::caught_in_call;
use super::log;
use super::moved::{Ended, Moved};
use super::outcome::Failure;
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
    failure: Option<Failure>,
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
        let polled = match &mut self.state {
            State::Here(future) => {
                let outer = HALF_WAITS.replace(false);
                let polled = caught_in_call(|| {
                    let _within = self.application.handle.enter();
                    log::within(self.exchange, || {
                        future.as_mut().poll(&mut Context::from_waker(waker))
                    })
                });
                let half_waits = HALF_WAITS.replace(outer);
                match polled {
                    Ok(Poll::Pending) => {
                        if half_waits || self.application.runs == Runs::Inline {
                            return abi::PENDING;
                        }
                        self.move_away();
                        self.poll_moved(waker)
                    }
                    Ok(Poll::Ready(result)) => Poll::Ready(Ok(result)),
                    Err(message) => Poll::Ready(Err(message)),
                }
            }
            State::Moved(_) => self.poll_moved(waker),
            State::Over => Poll::Ready(Err("a task was polled after its end".into())),
        };
        match polled {
            Poll::Pending => abi::PENDING,
            Poll::Ready(ended) => {
                self.cancel();
                self.ended(ended)
            }
        }
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
        self.failure = Some(failure);
        code
    }

    /// Drops the future, within the runtime as it was polled.
    pub(super) fn cancel(&mut self) {
        let state = std::mem::replace(&mut self.state, State::Over);
        if let State::Here(future) = state {
            // A panic's message went out by the hook; the task is over either way.
            let _ = caught(|| {
                let _within = self.application.handle.enter();
                log::within(self.exchange, || drop(future));
            });
        }
    }

    /// Lends how it ended; valid while the task lives and is not polled.
    pub(super) fn outcome(&self) -> abi::Outcome {
        self.failure
            .as_ref()
            .map_or(abi::Outcome::EMPTY, Failure::lend)
    }
}
