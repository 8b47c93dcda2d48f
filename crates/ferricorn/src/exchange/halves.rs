//! The app's two halves of an exchange.

use std::task::{Context, Poll, ready};

use asgi::{DisconnectReason, HttpResponsePush, ReceiveEvent, SendError, SendEvent, SharedHalves};
use asgi_rules::WireEvent;

use super::Exchange;
use super::state::{Interim, Rules, State, store};

impl SharedHalves for Exchange {
    fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<ReceiveEvent> {
        self.lock().poll_receive(cx)
    }

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.lock().poll_ready(cx)
    }

    fn start_send(&self, event: SendEvent) -> Result<(), SendError> {
        self.lock().start_send(event)
    }

    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<DisconnectReason> {
        let mut state = self.lock();
        match state.rules.disconnect_reason() {
            Some(reason) => Poll::Ready(reason),
            None => {
                store(&mut state.closed_waker, cx);
                Poll::Pending
            }
        }
    }

    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        event: &mut Option<SendEvent>,
    ) -> Poll<Result<(), SendError>> {
        let mut state = self.lock();
        ready!(state.poll_ready(cx))?;
        Poll::Ready(event.take().map_or(Ok(()), |event| state.start_send(event)))
    }
}

impl State {
    /// Lays a push ready, if the connection can make it now.
    fn promise(&mut self, push: HttpResponsePush) -> Result<(), SendError> {
        let pushes = self.pushes.as_mut();
        let pushes = pushes.ok_or_else(|| SendError::refused("pushes are not offered"))?;
        let admission = pushes.admit(&push)?;
        self.response.interim = Some(Interim::Push(push, admission));
        self.wake_driver();
        Ok(())
    }

    fn start_send(&mut self, event: SendEvent) -> Result<(), SendError> {
        let Rules::Http(rules) = &mut self.rules else {
            return self.start_send_on_socket(event);
        };
        match rules.send(event) {
            Err(error) => return Err(error),
            Ok(WireEvent::Nothing) => self.swallowed = !rules.is_held(),
            Ok(WireEvent::Push(push)) => self.promise(push)?,
            Ok(event) => {
                self.swallowed = false;
                self.apply(event);
            }
        }
        // A start that another task sends is held back until the driver has polled the app, which
        // then either has more to say or waits.
        if matches!(&self.rules, Rules::Http(rules) if rules.is_held()) {
            self.wake_driver();
        }
        Ok(())
    }
}
