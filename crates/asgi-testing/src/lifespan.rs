//! The lifespan of an app: it starts up, runs while requests run, and shuts down.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use asgi::{
    AppError, Closed, DisconnectReason, DynApp, LifespanScope, ReceiveEvent, ReceiveHalf, Receiver,
    SendError, SendEvent, SendHalf, Sender, State,
};
use asgi_rules::{AppEnd, ClosedSource, ClosedWaiter, LifespanOutcome, LifespanRules};

use crate::wake::{AppTask, ClosedSlot, WakerSlot, lock};

/// The error of a start-up or a shutdown.
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
    shared: Arc<SharedLifespan>,
}

struct SharedLifespan {
    inner: Mutex<LifespanInner>,
    on_receive: WakerSlot,
    on_closed: ClosedSlot,
    /// Wakes the test that waits for the app. Another task of the app may send the event.
    on_outcome: WakerSlot,
}

struct LifespanInner {
    rules: LifespanRules,
    /// The outcomes that the test has not taken.
    outcomes: VecDeque<LifespanOutcome>,
    app_error: Option<AppError>,
}

impl LifespanTask {
    pub(crate) fn start(app: &DynApp) -> Arc<Self> {
        let shared = Arc::new(SharedLifespan {
            inner: Mutex::new(LifespanInner {
                rules: LifespanRules::new(),
                outcomes: VecDeque::new(),
                app_error: None,
            }),
            on_receive: WakerSlot::default(),
            on_closed: ClosedSlot::default(),
            on_outcome: WakerSlot::default(),
        });
        let future = app.start(
            LifespanScope::new().into(),
            Receiver::new(LifespanHalf(Arc::clone(&shared))),
            Sender::new(LifespanHalf(Arc::clone(&shared))),
        );
        Arc::new(Self {
            app: Mutex::new(Some(AppTask::new(future))),
            shared,
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
        let earlier_outcome = lock(&self.shared.inner).outcomes.pop_front();
        let asked = lock(&self.shared.inner).rules.shutdown();
        if earlier_outcome.is_some() || !asked {
            return self.result_of_early_end();
        }
        self.shared.on_receive.wake();
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
        if lock(&self.shared.inner).app_error.is_some() {
            return Err(self.error(LifespanStage::Shutdown, String::new()));
        }
        Ok(())
    }

    fn error(&self, stage: LifespanStage, message: String) -> LifespanError {
        LifespanError {
            stage,
            message,
            app_error: lock(&self.shared.inner).app_error.take(),
        }
    }

    fn poll_outcome(&self, cx: &mut Context<'_>) -> Poll<LifespanOutcome> {
        self.shared.on_outcome.register(cx);
        self.poll_locked(&mut lock(&self.app), cx);
        match lock(&self.shared.inner).outcomes.pop_front() {
            Some(outcome) => Poll::Ready(outcome),
            None => Poll::Pending,
        }
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
            self.shared.app_ended(AppEnd::from(&result), result.err());
        }
    }
}

impl Drop for LifespanTask {
    /// Ends the app, so that `send` fails with `is_over` in other tasks.
    fn drop(&mut self) {
        if lock(&self.app).take().is_some() {
            self.shared.app_ended(AppEnd::Cancelled, None);
        }
    }
}

impl fmt::Debug for LifespanTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LifespanTask")
            .field("rules", &lock(&self.shared.inner).rules)
            .finish_non_exhaustive()
    }
}

impl SharedLifespan {
    fn app_ended(&self, end: AppEnd, error: Option<AppError>) {
        {
            let mut inner = lock(&self.inner);
            // Add to the end of the queue: the app may become ready and return in one poll.
            let outcome = inner.rules.ended(end).outcome;
            inner.outcomes.extend(outcome);
            inner.app_error = error;
        }
        self.on_receive.wake();
        self.on_closed.wake();
        self.on_outcome.wake();
    }
}

struct LifespanHalf(Arc<SharedLifespan>);

impl ReceiveHalf for LifespanHalf {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<ReceiveEvent> {
        self.0.on_receive.register(cx);
        match lock(&self.0.inner).rules.receive() {
            Some(event) => Poll::Ready(event),
            None => Poll::Pending,
        }
    }
}

impl SendHalf for LifespanHalf {
    /// There is always room, because a lifespan has only a few events.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Poll::Ready(lock(&self.0.inner).rules.ready())
    }

    fn start_send(&mut self, event: SendEvent) -> Result<(), SendError> {
        {
            let mut inner = lock(&self.0.inner);
            let outcome = inner.rules.send(event)?;
            inner.outcomes.push_back(outcome);
        }
        self.0.on_outcome.wake();
        self.0.on_closed.wake();
        Ok(())
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<DisconnectReason> {
        self.0.on_closed.register(cx);
        match lock(&self.0.inner).rules.closed() {
            Some(reason) => Poll::Ready(reason),
            None => Poll::Pending,
        }
    }

    fn closed_handle(&self) -> Closed {
        asgi_rules::closed_handle(Arc::clone(&self.0))
    }
}

impl ClosedSource for SharedLifespan {
    fn poll_waiter(
        &self,
        waiter: &mut ClosedWaiter,
        cx: &mut Context<'_>,
    ) -> Poll<DisconnectReason> {
        self.on_closed.register_handle(waiter, cx);
        match lock(&self.inner).rules.closed() {
            Some(reason) => Poll::Ready(reason),
            None => Poll::Pending,
        }
    }

    fn remove_waiter(&self, waiter: &mut ClosedWaiter) {
        self.on_closed.remove_handle(waiter);
    }
}
