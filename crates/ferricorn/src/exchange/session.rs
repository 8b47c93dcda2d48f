//! Exchanges that are more than a request and its response: what an exchange needs of a WebSocket.
//!
//! An exchange asks for a session's rules through [`SessionRules`]; the session's own driver reaches
//! it through a [`SessionGuard`]. Both go through the one lock of the exchange's state.

use std::any::Any;
use std::sync::MutexGuard;
use std::task::Context;

use asgi::{DisconnectReason, ReceiveEvent, SendError, SendEvent};
use asgi_rules::{AppEnd, ResponseHead, Verdict, WireEvent};

use super::Exchange;
use super::app_status::AppStatus;
use super::rules::Rules;
use super::sent_response::SentResponse;
use super::state::ExchangeState;
use super::wakers::{Wakers, wake_other};

/// The rules of a session, from its handshake on, and the messages that wait in it.
pub(crate) trait SessionRules: Any + Send {
    /// The next event for the app, if there is one.
    fn receive(&mut self) -> Option<SessionReceived>;

    /// Tells the app whether it may send at all.
    ///
    /// # Errors
    ///
    /// The app has ended, or nothing can reach the client any more.
    fn report_ready(&mut self) -> Result<(), SendError>;

    /// Whether there is room for another event of the app.
    fn has_room(&self) -> bool;

    /// Takes an event that the app sends.
    ///
    /// # Errors
    ///
    /// The event breaks the rules.
    fn send(&mut self, event: SendEvent) -> Result<SessionOutput, SendError>;

    /// The app waits. Returns the part of a held-back response that goes out because of that.
    fn waiting(&mut self) -> WireEvent;

    /// Whether nothing more can follow.
    fn is_complete(&self) -> bool;

    /// The client is gone.
    fn disconnected(&mut self, reason: DisconnectReason);

    /// Tells the app how the session ended, if it has.
    fn report_disconnect(&mut self) -> Option<DisconnectReason>;

    /// The app has ended.
    fn ended(&mut self, end: AppEnd) -> Verdict;
}

/// An event that a session has for its app.
pub(crate) struct SessionReceived {
    pub(crate) event: ReceiveEvent,
    /// Whether the session's driver may read on.
    pub(crate) wakes_driver: bool,
}

/// The effect of an event that the app sends in a session.
pub(crate) enum SessionOutput {
    /// The app accepts the handshake. This head opens the session.
    Open(ResponseHead),
    /// The app denies the handshake. This is a part of its response.
    Response(WireEvent),
    /// The session holds it until its driver writes it, or it has no effect.
    Held,
}

impl Exchange {
    /// Locks the session, for its driver. The app's halves wait for as long.
    pub(crate) fn lock_session(&self) -> SessionGuard<'_> {
        SessionGuard(self.lock())
    }
}

/// The locked session of an exchange.
pub(crate) struct SessionGuard<'a>(MutexGuard<'a, ExchangeState>);

impl SessionGuard<'_> {
    /// The session, and the rest of the exchange as far as its driver needs that. The type is checked
    /// here, once for each lock.
    pub(crate) fn parts<S: SessionRules>(&mut self) -> (&mut S, SessionExchange<'_>) {
        let ExchangeState {
            rules,
            wakers,
            access,
            app,
            ..
        } = &mut *self.0;
        let session = match rules {
            Rules::Session(session) => {
                let session: &mut dyn Any = &mut **session;
                session.downcast_mut()
            }
            Rules::Http(_) => None,
        };
        let Some(session) = session else {
            unreachable!("the driver of a session belongs to an exchange of this kind");
        };
        let exchange = SessionExchange {
            wakers,
            access,
            app,
        };
        (session, exchange)
    }
}

/// The rest of a session's exchange.
pub(crate) struct SessionExchange<'a> {
    wakers: &'a mut Wakers,
    access: &'a mut SentResponse,
    app: &'a mut AppStatus,
}

impl SessionExchange<'_> {
    /// Wakes the task that waits for an event, unless it is this one: it polls the app next.
    pub(crate) fn wake_receiver(&mut self, cx: &Context<'_>) {
        wake_other(&mut self.wakers.receive, cx);
    }

    /// Wakes the task that waits for room. Returns whether there is one.
    pub(crate) fn wake_sender(&mut self, cx: &Context<'_>) -> bool {
        let Some(waker) = self.wakers.ready.take() else {
            return false;
        };
        // A task that waits here is polled next.
        if !waker.will_wake(cx.waker()) {
            waker.wake();
        }
        true
    }

    /// Counts bytes that were sent to the client.
    pub(crate) fn count_sent(&mut self, count: u64) {
        self.access.sent += count;
    }

    /// Makes the app look again: its session has come to an end.
    pub(crate) fn wake_app(&mut self) {
        self.app.runnable = true;
        self.wakers.wake_app();
    }
}
