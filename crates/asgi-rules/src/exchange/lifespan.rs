//! One lifespan.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use asgi::{
    DisconnectReason, DynApp, LifespanScope, ReceiveEvent, Receiver, SendError, SendEvent, Sender,
    State,
};

use super::shared::{ExchangeProtocol, SharedExchange, Stage};
use super::{AppOutcome, RunningApp};
use crate::{AppEnd, Fault, LifespanFailure, LifespanOutcome, LifespanRules};

/// The server's handle of the lifespan of an app.
///
/// The server starts the app with a lifespan scope and polls it for as long as it serves. It waits
/// for the first outcome before it serves. When it stops, it calls [`shutdown`](Self::shutdown) and
/// waits for another outcome.
///
/// A clone is cheap and refers to the same lifespan.
#[derive(Clone)]
pub struct LifespanExchange(Arc<SharedExchange<LifespanProtocol>>);

struct LifespanProtocol(LifespanRules);

impl Default for LifespanExchange {
    fn default() -> Self {
        Self::new()
    }
}

impl LifespanExchange {
    /// Creates the lifespan of an app that is about to start.
    pub fn new() -> Self {
        Self(Arc::new(SharedExchange::new(LifespanProtocol(
            LifespanRules::new(),
        ))))
    }

    /// Calls an app for its lifespan. The server polls the app that this returns, for as long as it
    /// serves. (LIFE-002)
    pub fn start(app: &DynApp) -> (Self, RunningApp) {
        let lifespan = Self::new();
        let (receive, send) = lifespan.halves();
        let running = app.start(LifespanScope::new().into(), receive, send);
        (lifespan, RunningApp::new(running))
    }

    /// Runs the app that [`start`](Self::start) has returned to its end, and records that.
    ///
    /// Returns the app's fault, if any, and how it ended.
    pub async fn run(self, app: RunningApp) -> (Option<Fault>, AppOutcome) {
        let outcome = app.await;
        (self.ended(&outcome), outcome)
    }

    /// Waits until the app has started, and returns the state for each scope.
    ///
    /// # Errors
    ///
    /// Returns why the server must not serve, for its operator. (LIFE-006, LIFE-010)
    pub async fn started(&self) -> Result<State, LifespanFailure> {
        poll_fn(|cx| self.poll_outcome(cx)).await.started()
    }

    /// Asks the app to clean up, and waits until it has. Call this after the last request.
    ///
    /// # Errors
    ///
    /// Returns why the app could not clean up. The server then ends as failed. (LIFE-014, LIFE-016)
    pub async fn stop(&self) -> Result<(), LifespanFailure> {
        match self.shutdown() {
            true => poll_fn(|cx| self.poll_outcome(cx)).await.stopped(),
            // The app has ended while the server served. (LIFE-011)
            false => Ok(()),
        }
    }

    /// Makes the receiver and the sender for the app. Call it once.
    pub fn halves(&self) -> (Receiver, Sender) {
        asgi::halves(Arc::clone(&self.0))
    }

    /// Polls for the next outcome: what an event of the app, or its end, means for the server.
    pub fn poll_outcome(&self, cx: &mut Context<'_>) -> Poll<LifespanOutcome> {
        self.0.poll_output(cx)
    }

    /// Takes the next outcome, if there is one.
    pub fn take_outcome(&self) -> Option<LifespanOutcome> {
        self.0.with(|state| state.take_output())
    }

    /// Asks the app to clean up, after the server has served its last request. (LIFE-012)
    ///
    /// Returns whether an outcome follows. None follows if the app has ended or has not started.
    pub fn shutdown(&self) -> bool {
        self.0.with(|state| {
            let asked = state.protocol.0.shutdown();
            state.input_came();
            asked
        })
    }

    /// Records that the app has ended: a reference to its result, or an [`AppEnd`].
    ///
    /// Returns the app's fault, if any. If the end has a meaning for the server, that is one more
    /// outcome.
    pub fn ended(&self, end: impl Into<AppEnd>) -> Option<Fault> {
        let end = end.into();
        self.0.with(|state| {
            let verdict = state.protocol.0.ended(end);
            if let Some(outcome) = verdict.outcome {
                state.push_output(outcome);
            }
            state.wake_app();
            verdict.fault
        })
    }
}

impl fmt::Debug for LifespanExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.with(|state| {
            f.debug_struct("LifespanExchange")
                .field("rules", &state.protocol.0)
                .finish_non_exhaustive()
        })
    }
}

impl ExchangeProtocol for LifespanProtocol {
    type Output = LifespanOutcome;

    fn ready(&mut self) -> Result<(), SendError> {
        self.0.ready()
    }

    fn send(&mut self, event: SendEvent) -> Result<Option<LifespanOutcome>, SendError> {
        self.0.send(event).map(Some)
    }

    fn waiting(&mut self) -> Option<LifespanOutcome> {
        None
    }

    fn receive(&mut self) -> Option<ReceiveEvent> {
        self.0.receive()
    }

    fn closed(&mut self) -> Option<DisconnectReason> {
        self.0.closed()
    }

    /// The only input is the shutdown, and the server does not wait until the app wants it.
    fn takes_input(&self) -> bool {
        false
    }

    fn stage(&self) -> Stage {
        match self.0.closed() {
            None => Stage::Start,
            Some(_) => Stage::Complete,
        }
    }

    /// There is always room, because a lifespan has only a few events.
    fn size(_: &LifespanOutcome) -> usize {
        0
    }
}
