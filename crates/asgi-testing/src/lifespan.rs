//! The lifespan of an app: it starts up, runs while requests run, and shuts down.

use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use asgi::{AppError, DynApp, LifespanScope, State};
use asgi_rules::exchange::LifespanExchange;
use asgi_rules::{AppEnd, LifespanOutcome};

use crate::halves::recorded;
use crate::history::{Actor, History};
use crate::record::CallRecord;
use crate::report::{Checks, Waiter};
use crate::wake::{AppReturn, AppTask, lock};

/// The error of a startup or a shutdown.
///
/// `Debug` prints the app's error and the history too, because a test that calls `unwrap` prints it.
pub struct LifespanError {
    stage: LifespanStage,
    message: String,
    app_error: Option<AppError>,
    history: History,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LifespanStage {
    Startup,
    Shutdown,
}

impl LifespanError {
    /// Returns the text that the app sent with `lifespan.startup.failed` or
    /// `lifespan.shutdown.failed`. It is empty if the app failed without one.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the error that the app returned, if any.
    pub fn app_error(&self) -> Option<&AppError> {
        self.app_error.as_ref()
    }

    /// Returns what happened in the lifespan.
    pub fn history(&self) -> &History {
        &self.history
    }
}

impl fmt::Debug for LifespanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        if let Some(error) = &self.app_error {
            write!(f, ": {}", error.chain())?;
        }
        write!(f, "\n{}", self.history)
    }
}

impl fmt::Display for LifespanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.stage {
            LifespanStage::Startup => f.write_str("the app did not start")?,
            LifespanStage::Shutdown => f.write_str("the app did not clean up")?,
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        Ok(())
    }
}

impl Error for LifespanError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.app_error.as_ref().map(|error| error.as_error() as _)
    }
}

/// The running lifespan of an app.
pub(crate) struct LifespanTask {
    app: Mutex<Option<AppTask>>,
    exchange: LifespanExchange,
    app_error: Mutex<Option<AppError>>,
    record: CallRecord,
    checks: Checks,
}

impl LifespanTask {
    pub(crate) fn start(app: &DynApp, checks: Checks) -> Arc<Self> {
        let exchange = LifespanExchange::new();
        let record = CallRecord::new(String::from("the lifespan"), None);
        let (receive, send) = recorded(exchange.halves(), &record);
        let future = app.start(LifespanScope::new().into(), receive, send);
        Arc::new(Self {
            app: Mutex::new(Some(AppTask::new(future))),
            exchange,
            app_error: Mutex::new(None),
            record,
            checks,
        })
    }

    /// Waits until the app is ready. Returns `None` if the app does not support lifespans.
    pub(crate) async fn startup(
        &self,
        caller: &'static Location<'static>,
    ) -> Result<Option<State>, LifespanError> {
        match self.outcome("the startup", caller).await {
            LifespanOutcome::Serve(state) => Ok(Some(state)),
            LifespanOutcome::Refused(message) => Err(self.error(LifespanStage::Startup, message)),
            LifespanOutcome::StartupFailed => {
                Err(self.error(LifespanStage::Startup, String::new()))
            }
            _ => Ok(None),
        }
    }

    /// Waits until the app has cleaned up.
    pub(crate) async fn shutdown(
        &self,
        caller: &'static Location<'static>,
    ) -> Result<(), LifespanError> {
        // An outcome that is still here means that the app ended before the shutdown.
        let earlier_outcome = self.exchange.take_outcome();
        self.record.note(Actor::Client, "asks for the shutdown");
        if earlier_outcome.is_some() || !self.exchange.shutdown() {
            return self.result_of_early_end();
        }
        match self.outcome("the shutdown", caller).await {
            LifespanOutcome::ShutdownFailed(message) => {
                Err(self.error(LifespanStage::Shutdown, message))
            }
            _ => Ok(()),
        }
    }

    async fn outcome(&self, what: &str, caller: &'static Location<'static>) -> LifespanOutcome {
        self.waiter(caller)
            .wait(what, |cx| self.poll_outcome(caller, cx))
            .await
    }

    fn waiter(&self, caller: &'static Location<'static>) -> Waiter {
        Waiter {
            record: self.record.clone(),
            checks: self.checks,
            caller,
        }
    }

    /// Returns an error if the app failed before the shutdown. If it returned `Ok`, it had nothing
    /// to clean up.
    fn result_of_early_end(&self) -> Result<(), LifespanError> {
        if lock(&self.app_error).is_some() {
            return Err(self.error(LifespanStage::Shutdown, String::new()));
        }
        Ok(())
    }

    fn error(&self, stage: LifespanStage, message: String) -> LifespanError {
        LifespanError {
            stage,
            message,
            app_error: lock(&self.app_error).take(),
            history: self.record.history().clone(),
        }
    }

    fn poll_outcome(
        &self,
        caller: &'static Location<'static>,
        cx: &mut Context<'_>,
    ) -> Poll<LifespanOutcome> {
        self.poll_locked(&mut lock(&self.app), caller, cx);
        self.exchange.poll_outcome(cx)
    }

    /// Polls the app while a request runs, which the test at `caller` awaits. Does nothing if another
    /// request polls it at this moment.
    pub(crate) fn poll_in_background(
        &self,
        caller: &'static Location<'static>,
        cx: &mut Context<'_>,
    ) {
        if let Ok(mut app) = self.app.try_lock() {
            self.poll_locked(&mut app, caller, cx);
        }
    }

    fn poll_locked(
        &self,
        app: &mut Option<AppTask>,
        caller: &'static Location<'static>,
        cx: &mut Context<'_>,
    ) {
        let Some(task) = app else {
            return;
        };
        let waiter = self.waiter(caller);
        let Poll::Ready(end) = task.poll(&waiter, cx) else {
            return;
        };
        *app = None;
        match end {
            AppReturn::Returned(result) => {
                waiter.note_return(&result);
                let end = AppEnd::from(&result);
                *lock(&self.app_error) = result.err();
                self.exchange.ended(end);
            }
            AppReturn::Panicked(text) => {
                self.exchange.ended(AppEnd::Panicked);
                waiter.note_panic(&text);
            }
        }
    }
}

impl Drop for LifespanTask {
    /// Ends the app, so that `send` fails with `is_over` in other tasks.
    fn drop(&mut self) {
        if lock(&self.app).take().is_some() {
            self.exchange.ended(AppEnd::Cancelled);
        }
    }
}

impl fmt::Debug for LifespanTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LifespanTask")
            .field("exchange", &self.exchange)
            .finish_non_exhaustive()
    }
}
