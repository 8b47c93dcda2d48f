//! One lifespan.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use asgi::{DisconnectReason, ReceiveEvent, Receiver, SendError, SendEvent, Sender};

use super::shared::{ExchangeProtocol, SharedExchange, Stage};
use crate::{AppEnd, Fault, LifespanOutcome, LifespanRules};

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
