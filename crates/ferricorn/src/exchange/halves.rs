//! The app's two halves of an exchange.

use std::sync::Arc;
use std::task::{Context, Poll};

use asgi::{DisconnectReason, ReceiveEvent, ReceiveHalf, SendError, SendEvent, SendHalf};
use asgi_exchange::WireEvent;

use super::Exchange;
use super::state::store;

/// The app's way to receive.
pub(super) struct Receive(pub(super) Arc<Exchange>);

impl ReceiveHalf for Receive {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<ReceiveEvent> {
        self.0.lock().poll_receive(cx)
    }
}

/// The app's way to send.
pub(super) struct Send(pub(super) Arc<Exchange>);

impl SendHalf for Send {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.0.lock().poll_ready(cx)
    }

    fn start_send(&mut self, event: SendEvent) -> Result<(), SendError> {
        let mut state = self.0.lock();
        let event = state.rules.send(event)?;
        state.swallowed = matches!(event, WireEvent::Nothing) && !state.rules.is_held();
        // A start that another task sends is held back until the driver has polled the app, which
        // then either has more to say or waits.
        if state.rules.is_held() {
            state.wake_driver();
        }
        state.apply(event);
        Ok(())
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<DisconnectReason> {
        let mut state = self.0.lock();
        match state.rules.disconnect() {
            Some(reason) => Poll::Ready(reason),
            None => {
                store(&mut state.closed_waker, cx);
                Poll::Pending
            }
        }
    }
}
