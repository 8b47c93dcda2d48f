//! The lifespan of an app: it starts up, runs while requests run, and shuts down.

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use asgi::{AppError, DynApp, LifespanScope, State};
use asgi_rules::exchange::LifespanExchange;
use asgi_rules::{AppEnd, LifespanOutcome};

use crate::wake::{AppTask, lock};

/// The error of a startup or a shutdown.
#[derive(Debug)]
pub struct LifespanError {
    stage: LifespanStage,
    message: String,
    app_error: Option<AppError>,
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
}

impl LifespanTask {
    pub(crate) fn start(app: &DynApp) -> Arc<Self> {
        let exchange = LifespanExchange::new();
        let (receive, send) = exchange.halves();
        let future = app.start(LifespanScope::new().into(), receive, send);
        Arc::new(Self {
            app: Mutex::new(Some(AppTask::new(future))),
            exchange,
            app_error: Mutex::new(None),
        })
    }

    /// Waits until the app is ready. Returns `None` if the app does not support lifespans.
    pub(crate) async fn startup(&self) -> Result<Option<State>, LifespanError> {
        match poll_fn(|cx| self.poll_outcome(cx)).await {
            LifespanOutcome::Serve(state) => Ok(Some(state)),
            LifespanOutcome::Refused(message) => Err(self.error(LifespanStage::Startup, message)),
            LifespanOutcome::StartupFailed => {
                Err(self.error(LifespanStage::Startup, String::new()))
            }
            _ => Ok(None),
        }
    }

    /// Waits until the app has cleaned up.
    pub(crate) async fn shutdown(&self) -> Result<(), LifespanError> {
        // An outcome that is still here means that the app ended before the shutdown.
        let earlier_outcome = self.exchange.take_outcome();
        if earlier_outcome.is_some() || !self.exchange.shutdown() {
            return self.result_of_early_end();
        }
        match poll_fn(|cx| self.poll_outcome(cx)).await {
            LifespanOutcome::ShutdownFailed(message) => {
                Err(self.error(LifespanStage::Shutdown, message))
            }
            _ => Ok(()),
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
        }
    }

    fn poll_outcome(&self, cx: &mut Context<'_>) -> Poll<LifespanOutcome> {
        self.poll_locked(&mut lock(&self.app), cx);
        self.exchange.poll_outcome(cx)
    }

    /// Polls the app while a request runs. Does nothing if another request polls it at this moment.
    pub(crate) fn poll_in_background(&self, cx: &mut Context<'_>) {
        if let Ok(mut app) = self.app.try_lock() {
            self.poll_locked(&mut app, cx);
        }
    }

    fn poll_locked(&self, app: &mut Option<AppTask>, cx: &mut Context<'_>) {
        if let Some(task) = app
            && let Poll::Ready(result) = task.poll(cx)
        {
            *app = None;
            let end = AppEnd::from(&result);
            *lock(&self.app_error) = result.err();
            self.exchange.ended(end);
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
