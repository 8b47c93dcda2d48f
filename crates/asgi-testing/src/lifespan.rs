//! The life of an app: start-up, then beside the requests, then shutdown.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use asgi::{
    AppError, DisconnectReason, DynApp, LifespanScope, ReceiveEvent, ReceiveHalf, Receiver,
    SendError, SendEvent, SendHalf, Sender, State,
};
use asgi_rules::{AppEnd, LifespanOutcome, LifespanRules};

use crate::wake::{Running, WakerSlot, lock};

/// Why an app did not start, or did not end well.
#[derive(Debug)]
pub struct LifespanError {
    stage: Stage,
    message: String,
    app_error: Option<AppError>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Startup,
    Shutdown,
}

impl LifespanError {
    /// What the app said with `lifespan.startup.failed` or `lifespan.shutdown.failed`; empty if it
    /// just failed.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The error that the app returned, if it did.
    pub fn app_error(&self) -> Option<&AppError> {
        self.app_error.as_ref()
    }
}

impl fmt::Display for LifespanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.stage {
            Stage::Startup => f.write_str("the app did not start")?,
            Stage::Shutdown => f.write_str("the app did not clean up")?,
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

pub(crate) struct Lifespan {
    app: Mutex<Option<Running>>,
    shared: Arc<Shared>,
}

struct Shared {
    inner: Mutex<Inner>,
    on_receive: WakerSlot,
    on_closed: WakerSlot,
    /// The test that waits for an answer, which may come from another task of the app's.
    on_answer: WakerSlot,
}

struct Inner {
    rules: LifespanRules,
    /// What the app said, or its end meant, and the test has not taken.
    outcomes: VecDeque<LifespanOutcome>,
    app_error: Option<AppError>,
}

impl Lifespan {
    pub(crate) fn start(app: &DynApp) -> Arc<Self> {
        let shared = Arc::new(Shared {
            inner: Mutex::new(Inner {
                rules: LifespanRules::new(),
                outcomes: VecDeque::new(),
                app_error: None,
            }),
            on_receive: WakerSlot::default(),
            on_closed: WakerSlot::default(),
            on_answer: WakerSlot::default(),
        });
        let future = app.start(
            LifespanScope::new().into(),
            Receiver::new(Half(Arc::clone(&shared))),
            Sender::new(Half(Arc::clone(&shared))),
        );
        Arc::new(Self {
            app: Mutex::new(Some(Running::new(future))),
            shared,
        })
    }

    /// Waits until the app is ready; `None` if it does not want to know of lifespans.
    pub(crate) async fn startup(&self) -> Result<Option<State>, LifespanError> {
        match poll_fn(|cx| self.poll_outcome(cx)).await {
            LifespanOutcome::Serve(state) => Ok(Some(state)),
            LifespanOutcome::Refused(message) => Err(self.error(Stage::Startup, message)),
            LifespanOutcome::StartupFailed => Err(self.error(Stage::Startup, String::new())),
            _ => Ok(None),
        }
    }

    /// Waits until the app has cleaned up.
    pub(crate) async fn shutdown(&self) -> Result<(), LifespanError> {
        // What is left here is from an app that ended while it was to serve.
        let gone = lock(&self.shared.inner).outcomes.pop_front();
        let asked = lock(&self.shared.inner).rules.shutdown();
        if gone.is_some() || !asked {
            return self.ended_before();
        }
        self.shared.on_receive.wake();
        match poll_fn(|cx| self.poll_outcome(cx)).await {
            LifespanOutcome::ShutdownFailed(message) => Err(self.error(Stage::Shutdown, message)),
            _ => Ok(()),
        }
    }

    /// An app that has returned by itself had nothing to clean up.
    fn ended_before(&self) -> Result<(), LifespanError> {
        if lock(&self.shared.inner).app_error.is_some() {
            return Err(self.error(Stage::Shutdown, String::new()));
        }
        Ok(())
    }

    fn error(&self, stage: Stage, message: String) -> LifespanError {
        LifespanError {
            stage,
            message,
            app_error: lock(&self.shared.inner).app_error.take(),
        }
    }

    fn poll_outcome(&self, cx: &mut Context<'_>) -> Poll<LifespanOutcome> {
        self.shared.on_answer.register(cx);
        self.poll_locked(&mut lock(&self.app), cx);
        match lock(&self.shared.inner).outcomes.pop_front() {
            Some(outcome) => Poll::Ready(outcome),
            None => Poll::Pending,
        }
    }

    /// Lets the app go on while a request runs. Skipped if another request does that at this moment.
    pub(crate) fn poll_beside(&self, cx: &mut Context<'_>) {
        if let Ok(mut app) = self.app.try_lock() {
            self.poll_locked(&mut app, cx);
        }
    }

    fn poll_locked(&self, app: &mut Option<Running>, cx: &mut Context<'_>) {
        if let Some(running) = app
            && let Poll::Ready(result) = running.poll(cx)
        {
            *app = None;
            self.shared.ended(AppEnd::from(&result), result.err());
        }
    }
}

impl Drop for Lifespan {
    /// Whatever a half in another task does from now on is told that it is over.
    fn drop(&mut self) {
        if lock(&self.app).take().is_some() {
            self.shared.ended(AppEnd::Cancelled, None);
        }
    }
}

impl fmt::Debug for Lifespan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lifespan")
            .field("rules", &lock(&self.shared.inner).rules)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn ended(&self, end: AppEnd, error: Option<AppError>) {
        {
            let mut inner = lock(&self.inner);
            // Behind what it said before: it may be ready and end in one poll.
            let outcome = inner.rules.ended(end).outcome;
            inner.outcomes.extend(outcome);
            inner.app_error = error;
        }
        self.on_receive.wake();
        self.on_closed.wake();
        self.on_answer.wake();
    }
}

struct Half(Arc<Shared>);

impl ReceiveHalf for Half {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<ReceiveEvent> {
        self.0.on_receive.register(cx);
        match lock(&self.0.inner).rules.receive() {
            Some(event) => Poll::Ready(event),
            None => Poll::Pending,
        }
    }
}

impl SendHalf for Half {
    /// There is always room: each event is an answer, and each answer is taken.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Poll::Ready(lock(&self.0.inner).rules.ready())
    }

    fn start_send(&mut self, event: SendEvent) -> Result<(), SendError> {
        {
            let mut inner = lock(&self.0.inner);
            let outcome = inner.rules.send(event)?;
            inner.outcomes.push_back(outcome);
        }
        self.0.on_answer.wake();
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
}
