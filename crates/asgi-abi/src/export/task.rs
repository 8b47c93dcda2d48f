//! One call of the app, as the host polls it.

use std::task::{Context, Poll, Waker};

use asgi::{AppError, AppFuture, Receiver, Scope, Sender};

use super::halves::{LibraryReceive, LibrarySend};
use super::hook::caught_in_call;
use super::log;
use super::outcome::Failure;
use super::runtime::Application;
use crate::abi;
use crate::panic::caught;

/// The future of one call, and how it ended if that was not well.
pub(super) struct Task {
    application: &'static Application,
    /// Its number in the server's log.
    exchange: u64,
    /// Gone once it has ended.
    future: Option<AppFuture<'static>>,
    failure: Option<Failure>,
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
            future: Some(future),
            failure: None,
        }
    }

    /// PENDING, READY, FAILED or PANICKED.
    pub(super) fn poll(&mut self, waker: &Waker) -> u32 {
        let Some(future) = &mut self.future else {
            self.failure = Some(Failure::panicked("a task was polled after its end".into()));
            return abi::PANICKED;
        };
        let polled = caught_in_call(|| {
            let _within = self.application.handle.enter();
            log::within(self.exchange, || {
                future.as_mut().poll(&mut Context::from_waker(waker))
            })
        });
        match polled {
            Ok(Poll::Pending) => abi::PENDING,
            Ok(Poll::Ready(Ok(()))) => {
                self.cancel();
                abi::READY
            }
            Ok(Poll::Ready(Err(error))) => {
                self.cancel();
                // Its text is made by code of the app's.
                match caught_in_call(|| Failure::error(&error)) {
                    Ok(failure) => {
                        self.failure = Some(failure);
                        abi::FAILED
                    }
                    Err(message) => self.panicked(message),
                }
            }
            Err(message) => {
                self.cancel();
                self.panicked(message)
            }
        }
    }

    fn panicked(&mut self, message: String) -> u32 {
        self.failure = Some(Failure::panicked(message));
        abi::PANICKED
    }

    /// Drops the future, within the runtime as it was polled.
    pub(super) fn cancel(&mut self) {
        if let Some(future) = self.future.take() {
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
