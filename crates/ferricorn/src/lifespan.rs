//! Starts the app before the server accepts connections, and shuts it down after the last exchange.
//!
//! The server calls the app once with a lifespan scope, in a task of its own. [`LifespanRules`] decides
//! which events the app may send and when; this module waits for them, with time limits.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use asgi::{
    Closed, DisconnectReason, DynApp, LifespanScope, ReceiveEvent, ReceiveHalf, Receiver,
    SendError, SendEvent, SendHalf, Sender, State,
};
use asgi_rules::{
    AppEnd, ClosedSource, ClosedWaiter, ClosedWakers, Fault, LifespanOutcome, LifespanRules,
    closed_handle,
};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tracing::{debug, error, warn};

use crate::access_log::Cause;
use crate::error::{ServeError, ServeErrorKind};
use crate::panic;

/// The lifespan exchange of an app, also of an app that does not support it.
#[derive(Debug)]
pub(crate) struct Lifespan {
    channel: Arc<LifespanChannel>,
    task: JoinHandle<()>,
}

/// The state that the server shares with the task of the app.
struct LifespanChannel {
    progress: Mutex<LifespanProgress>,
    /// Notified when there is a new outcome.
    new_outcome: Notify,
}

struct LifespanProgress {
    rules: LifespanRules,
    /// Outcomes that the server has not read yet. An app may become ready and end in one poll.
    outcomes: VecDeque<LifespanOutcome>,
    /// Why the app failed, if the server waits for it. The server then reports it as its own error.
    failure: Option<FailureReason>,
    receive_waker: Option<Waker>,
    closed_waker: Option<Waker>,
    closed_handles: ClosedWakers,
}

impl Lifespan {
    /// Calls the app. [`started`](Self::started) waits until it is ready.
    pub(crate) fn start(app: &DynApp) -> Self {
        let channel = Arc::new(LifespanChannel {
            progress: Mutex::new(LifespanProgress {
                rules: LifespanRules::new(),
                outcomes: VecDeque::new(),
                failure: None,
                receive_waker: None,
                closed_waker: None,
                closed_handles: ClosedWakers::default(),
            }),
            new_outcome: Notify::new(),
        });
        let task = tokio::spawn(run(app.clone(), Arc::clone(&channel)));
        Self { channel, task }
    }

    /// Waits until the app is ready, and returns the state that each scope gets a clone of.
    ///
    /// # Errors
    ///
    /// The app refused to start, failed, or took longer than `limit`.
    pub(crate) async fn started(&self, limit: Option<Duration>) -> Result<State, ServeError> {
        let outcome = within(limit, self.channel.next_outcome()).await;
        match outcome {
            Ok(LifespanOutcome::Serve(state)) => Ok(state),
            Ok(LifespanOutcome::Unsupported) => {
                debug!("the app does not support the lifespan, the server continues without it");
                Ok(State::new())
            }
            Ok(LifespanOutcome::Refused(message)) => {
                Err(ServeError::new(ServeErrorKind::StartupRefused(message)))
            }
            Ok(_) => Err(ServeError::new(ServeErrorKind::StartupFailed(
                self.channel.take_failure(),
            ))),
            Err(limit) => Err(ServeError::new(ServeErrorKind::StartupTimedOut(limit))),
        }
    }

    /// Sends the app the shutdown event and waits until it has cleaned up.
    ///
    /// # Errors
    ///
    /// The shutdown failed, or took longer than `limit`.
    pub(crate) async fn shut_down(self, limit: Option<Duration>) -> Result<(), ServeError> {
        if !self.channel.request_shutdown() {
            return Ok(());
        }
        let result = match within(limit, self.channel.next_outcome()).await {
            Ok(LifespanOutcome::ShutdownFailed(message)) => {
                Err(ServeError::new(match self.channel.lock().failure.take() {
                    Some(failure) => ServeErrorKind::ShutdownFailed(failure),
                    None => ServeErrorKind::ShutdownRefused(message),
                }))
            }
            Ok(_) => Ok(()),
            Err(limit) => Err(ServeError::new(ServeErrorKind::ShutdownTimedOut(limit))),
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
async fn run(app: DynApp, channel: Arc<LifespanChannel>) {
    let receive = Receiver::new(LifespanReceive(Arc::clone(&channel)));
    let send = Sender::new(LifespanSend(Arc::clone(&channel)));
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
    channel.ended(end, cause);
}

impl LifespanChannel {
    async fn next_outcome(&self) -> LifespanOutcome {
        loop {
            let notified = self.new_outcome.notified();
            if let Some(outcome) = self.lock().outcomes.pop_front() {
                return outcome;
            }
            notified.await;
        }
    }

    fn take_failure(&self) -> FailureReason {
        let failure = self.lock().failure.take();
        failure.unwrap_or_else(|| "it gave no reason".into())
    }

    /// Sends the shutdown event. Returns whether the app still runs and will get it.
    fn request_shutdown(&self) -> bool {
        let mut progress = self.lock();
        progress.outcomes.clear();
        let requested = progress.rules.shutdown();
        if let Some(waker) = progress.receive_waker.take() {
            waker.wake();
        }
        requested
    }

    fn ended(&self, end: AppEnd, cause: Cause) {
        let mut progress = self.lock();
        let verdict = progress.rules.ended(end);
        let awaited = matches!(
            verdict.outcome,
            Some(LifespanOutcome::StartupFailed | LifespanOutcome::ShutdownFailed(_))
        );
        match verdict.fault {
            Some(fault) if awaited => progress.failure = Some(cause.into_failure(fault)),
            Some(Fault::Panicked) => error!("the app panicked in its lifespan: {cause}"),
            Some(_) => error!("the app failed in its lifespan: {cause}"),
            None if matches!(verdict.outcome, Some(LifespanOutcome::Gone)) => {
                warn!("the app's lifespan ended early, the app will get no shutdown event");
            }
            None => {}
        }
        progress.outcomes.extend(verdict.outcome);
        let wakers = [progress.receive_waker.take(), progress.closed_waker.take()];
        let handles = progress.closed_handles.take();
        for waker in wakers.into_iter().flatten().chain(handles) {
            waker.wake();
        }
        drop(progress);
        self.new_outcome.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, LifespanProgress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for LifespanChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LifespanChannel").finish_non_exhaustive()
    }
}

struct LifespanReceive(Arc<LifespanChannel>);

impl ReceiveHalf for LifespanReceive {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<ReceiveEvent> {
        let mut progress = self.0.lock();
        match progress.rules.receive() {
            Some(event) => Poll::Ready(event),
            None => {
                progress.receive_waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

struct LifespanSend(Arc<LifespanChannel>);

impl SendHalf for LifespanSend {
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Poll::Ready(self.0.lock().rules.ready())
    }

    fn start_send(&mut self, event: SendEvent) -> Result<(), SendError> {
        let mut progress = self.0.lock();
        let outcome = progress.rules.send(event)?;
        progress.outcomes.push_back(outcome);
        drop(progress);
        self.0.new_outcome.notify_one();
        Ok(())
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<DisconnectReason> {
        let mut progress = self.0.lock();
        match progress.rules.closed() {
            Some(reason) => Poll::Ready(reason),
            None => {
                progress.closed_waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn closed_handle(&self) -> Closed {
        closed_handle(Arc::clone(&self.0))
    }
}

impl ClosedSource for LifespanChannel {
    fn poll_waiter(
        &self,
        waiter: &mut ClosedWaiter,
        cx: &mut Context<'_>,
    ) -> Poll<DisconnectReason> {
        let mut progress = self.lock();
        match progress.rules.closed() {
            Some(reason) => Poll::Ready(reason),
            None => {
                let replaced = progress.closed_handles.register(waiter, cx);
                drop((progress, replaced));
                Poll::Pending
            }
        }
    }

    fn remove_waiter(&self, waiter: &mut ClosedWaiter) {
        let removed = self.lock().closed_handles.remove(waiter);
        drop(removed); // The lock is released.
    }
}

type FailureReason = Box<dyn Error + Send + Sync>;

impl Cause {
    fn into_failure(self, fault: Fault) -> FailureReason {
        match self {
            Self::Error(error) => error.into_error(),
            cause if fault == Fault::Panicked => format!("it panicked: {cause}").into(),
            cause => cause.to_string().into(),
        }
    }
}

/// Waits for `future`, at most for `limit`. The error is the limit.
async fn within<F: Future>(limit: Option<Duration>, future: F) -> Result<F::Output, Duration> {
    match limit {
        Some(limit) => tokio::time::timeout(limit, future).await.map_err(|_| limit),
        None => Ok(future.await),
    }
}
