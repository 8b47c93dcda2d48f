//! The life of the app: started before anybody is let in, ended after everybody has left.
//!
//! The app is called once, in a task of its own, with a lifespan scope. What it may say when is
//! [`asgi_rules::LifespanRules`]'s to know; here is the waiting, with its limits.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use asgi::{
    DisconnectReason, DynApp, LifespanScope, ReceiveEvent, ReceiveHalf, Receiver, SendError,
    SendEvent, SendHalf, Sender, State,
};
use asgi_rules::{AppEnd, Fault, LifespanOutcome, LifespanRules};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tracing::{debug, error, warn};

use crate::error::{Kind, ServeError};
use crate::exchange::Cause;
use crate::panic;

/// An app that has been started; or one that does not want to know of the server's life.
#[derive(Debug)]
pub(crate) struct Lifespan {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    inner: Mutex<Inner>,
    /// Told when there is an outcome to look at.
    outcome: Notify,
}

struct Inner {
    rules: LifespanRules,
    /// What nobody has looked at yet: an app may say that it is ready and end in one poll.
    outcomes: VecDeque<LifespanOutcome>,
    /// Why the app failed where somebody waits for it, who then says so.
    why: Option<Why>,
    receive_waker: Option<Waker>,
    closed_waker: Option<Waker>,
}

impl Lifespan {
    /// Calls the app. Nothing is known of it before [`started`](Self::started).
    pub(crate) fn start(app: &DynApp) -> Self {
        let shared = Arc::new(Shared {
            inner: Mutex::new(Inner {
                rules: LifespanRules::new(),
                outcomes: VecDeque::new(),
                why: None,
                receive_waker: None,
                closed_waker: None,
            }),
            outcome: Notify::new(),
        });
        let task = tokio::spawn(run(app.clone(), Arc::clone(&shared)));
        Self { shared, task }
    }

    /// Waits until the app is ready to serve; what each scope gets a clone of.
    ///
    /// # Errors
    ///
    /// The app refused, failed, or took longer than `limit`.
    pub(crate) async fn started(&self, limit: Option<Duration>) -> Result<State, ServeError> {
        let outcome = within(limit, self.shared.next_outcome()).await;
        match outcome {
            Ok(LifespanOutcome::Serve(state)) => Ok(state),
            Ok(LifespanOutcome::Unsupported) => {
                debug!("the app does not serve the lifespan: served without");
                Ok(State::new())
            }
            Ok(LifespanOutcome::Refused(message)) => {
                Err(ServeError::new(Kind::StartupRefused(message)))
            }
            Ok(_) => Err(ServeError::new(Kind::StartupFailed(self.shared.why()))),
            Err(limit) => Err(ServeError::new(Kind::StartupTimedOut(limit))),
        }
    }

    /// Tells the app that everybody has left, and waits until it has cleaned up.
    ///
    /// # Errors
    ///
    /// The app could not, or took longer than `limit`.
    pub(crate) async fn shut_down(self, limit: Option<Duration>) -> Result<(), ServeError> {
        if !self.shared.ask_to_shut_down() {
            return Ok(());
        }
        let result = match within(limit, self.shared.next_outcome()).await {
            Ok(LifespanOutcome::ShutdownFailed(message)) => {
                Err(ServeError::new(match self.shared.lock().why.take() {
                    Some(why) => Kind::ShutdownFailed(why),
                    None => Kind::ShutdownRefused(message),
                }))
            }
            Ok(_) => Ok(()),
            Err(limit) => Err(ServeError::new(Kind::ShutdownTimedOut(limit))),
        };
        self.task.abort();
        result
    }
}

impl Drop for Lifespan {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Runs the app to its end.
async fn run(app: DynApp, shared: Arc<Shared>) {
    let receive = Receiver::new(Receive(Arc::clone(&shared)));
    let send = Sender::new(Send(Arc::clone(&shared)));
    let mut running = app.start(LifespanScope::new().into(), receive, send);
    let (end, cause) =
        std::future::poll_fn(|cx| match panic::catch(|| running.as_mut().poll(cx)) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(result)) => Poll::Ready((
                AppEnd::from(&result),
                result.err().map_or(Cause::None, Cause::Error),
            )),
            Err(panic) => Poll::Ready((AppEnd::Panicked, Cause::Panic(panic))),
        })
        .await;
    shared.ended(end, cause);
}

impl Shared {
    async fn next_outcome(&self) -> LifespanOutcome {
        loop {
            let told = self.outcome.notified();
            if let Some(outcome) = self.lock().outcomes.pop_front() {
                return outcome;
            }
            told.await;
        }
    }

    fn why(&self) -> Why {
        let why = self.lock().why.take();
        why.unwrap_or_else(|| "it gave no reason".into())
    }

    /// Whether the app is there to be asked.
    fn ask_to_shut_down(&self) -> bool {
        let mut inner = self.lock();
        inner.outcomes.clear();
        let asked = inner.rules.shutdown();
        if let Some(waker) = inner.receive_waker.take() {
            waker.wake();
        }
        asked
    }

    fn ended(&self, end: AppEnd, cause: Cause) {
        let mut inner = self.lock();
        let verdict = inner.rules.ended(end);
        let awaited = matches!(
            verdict.outcome,
            Some(LifespanOutcome::StartupFailed | LifespanOutcome::ShutdownFailed(_))
        );
        match verdict.fault {
            Some(fault) if awaited => inner.why = Some(cause.into_why(fault)),
            Some(Fault::Panicked) => error!("the app panicked in its lifespan: {cause}"),
            Some(_) => error!("the app failed in its lifespan: {cause}"),
            None if matches!(verdict.outcome, Some(LifespanOutcome::Gone)) => {
                warn!("the app ended its lifespan early: it will not be told of the shutdown");
            }
            None => {}
        }
        inner.outcomes.extend(verdict.outcome);
        let wakers = [inner.receive_waker.take(), inner.closed_waker.take()];
        for waker in wakers.into_iter().flatten() {
            waker.wake();
        }
        drop(inner);
        self.outcome.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

struct Receive(Arc<Shared>);

impl ReceiveHalf for Receive {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<ReceiveEvent> {
        let mut inner = self.0.lock();
        match inner.rules.receive() {
            Some(event) => Poll::Ready(event),
            None => {
                inner.receive_waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

struct Send(Arc<Shared>);

impl SendHalf for Send {
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Poll::Ready(self.0.lock().rules.ready())
    }

    fn start_send(&mut self, event: SendEvent) -> Result<(), SendError> {
        let mut inner = self.0.lock();
        let outcome = inner.rules.send(event)?;
        inner.outcomes.push_back(outcome);
        drop(inner);
        self.0.outcome.notify_one();
        Ok(())
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<DisconnectReason> {
        let mut inner = self.0.lock();
        match inner.rules.closed() {
            Some(reason) => Poll::Ready(reason),
            None => {
                inner.closed_waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

type Why = Box<dyn Error + std::marker::Send + Sync>;

impl Cause {
    fn into_why(self, fault: Fault) -> Why {
        match self {
            Self::Error(error) => error.into_error(),
            cause if fault == Fault::Panicked => format!("it panicked: {cause}").into(),
            cause => cause.to_string().into(),
        }
    }
}

/// Waits for `future`, at most for `limit`; the error is the limit.
async fn within<F: Future>(limit: Option<Duration>, future: F) -> Result<F::Output, Duration> {
    match limit {
        Some(limit) => tokio::time::timeout(limit, future).await.map_err(|_| limit),
        None => Ok(future.await),
    }
}
