//! The app's two halves of an exchange: `receive` and `send`.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use asgi::{
    Closed, DisconnectReason, HttpResponsePush, HttpResponseStart, ReceiveEvent, SendError,
    SendEvent, SharedHalves,
};
use asgi_rules::{ClosedSource, ClosedWaiter, WireEvent, closed_handle};
use bytes::Bytes;

use super::Exchange;
use super::response_queue::Interim;
use super::rules::Rules;
use super::session::SessionOutput;
use super::state::ExchangeState;
use super::wakers::store_waker;

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
        match state.rules.report_disconnect() {
            Some(reason) => Poll::Ready(reason),
            None => {
                store_waker(&mut state.wakers.closed, cx);
                Poll::Pending
            }
        }
    }

    fn closed_handle(self: Arc<Self>) -> Closed {
        closed_handle(self)
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

    fn poll_respond(
        &self,
        cx: &mut Context<'_>,
        response: &mut Option<(HttpResponseStart, Bytes)>,
    ) -> Poll<Result<(), SendError>> {
        let mut state = self.lock();
        ready!(state.poll_ready(cx))?;
        if let Rules::Http(rules) = &mut state.rules
            && let Some((start, body)) = response.take()
        {
            match rules.respond(start, body) {
                Ok(event) => state.queue(event),
                Err(error) => {
                    // The start may have been taken, and is held back then, as in `start_send`.
                    state.wake_driver();
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl ClosedSource for Exchange {
    fn poll_waiter(
        &self,
        waiter: &mut ClosedWaiter,
        cx: &mut Context<'_>,
    ) -> Poll<DisconnectReason> {
        let mut state = self.lock();
        match state.rules.report_disconnect() {
            Some(reason) => Poll::Ready(reason),
            None => {
                let replaced = state.wakers.closed_handles.register(waiter, cx);
                drop((state, replaced));
                Poll::Pending
            }
        }
    }

    fn remove_waiter(&self, waiter: &mut ClosedWaiter) {
        let removed = self.lock().wakers.closed_handles.remove(waiter);
        drop(removed); // The lock is released.
    }
}

impl ExchangeState {
    fn start_send(&mut self, event: SendEvent) -> Result<(), SendError> {
        let Rules::Http(rules) = &mut self.rules else {
            return self.start_send_in_session(event);
        };
        match rules.send(event) {
            Err(error) => return Err(error),
            Ok(WireEvent::Nothing) => self.response.swallowed = !rules.is_held(),
            Ok(WireEvent::Push(push)) => self.queue_push(push)?,
            Ok(event) => {
                self.response.swallowed = false;
                self.queue(event);
            }
        }
        // A start that another task sends is held back until the driver has polled the app. The app
        // then has more to send, or it waits.
        if matches!(&self.rules, Rules::Http(rules) if rules.is_held()) {
            self.wake_driver();
        }
        Ok(())
    }

    /// Queues a push, if the connection can make it now.
    fn queue_push(&mut self, push: HttpResponsePush) -> Result<(), SendError> {
        let pushes = self.pushes.as_mut();
        let pushes = pushes.ok_or_else(|| SendError::refused("pushes are not offered"))?;
        let admission = pushes.admit(&push)?;
        self.response.interim = Some(Box::new(Interim::Push(push, admission)));
        self.wake_driver();
        Ok(())
    }

    fn start_send_in_session(&mut self, event: SendEvent) -> Result<(), SendError> {
        let Rules::Session(session) = &mut self.rules else {
            return Ok(());
        };
        match session.send(event)? {
            SessionOutput::Open(head) => self.response.open(head),
            SessionOutput::Response(event) => self.queue(event),
            SessionOutput::Held => {}
        }
        self.wake_driver();
        if self.rules.is_complete() {
            self.wakers.wake_app();
        }
        Ok(())
    }
}
