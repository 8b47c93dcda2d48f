//! The receiver and sender halves of one WebSocket, and the state that they share with the test.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use asgi::{
    Closed, DisconnectReason, Message, ReceiveEvent, ReceiveHalf, SendError, SendEvent, SendHalf,
    WebSocketClose, WebSocketConnect, WebSocketReceive, WebSocketScope,
};
use asgi_rules::{
    AppEnd, ClosedSource, ClosedWaiter, WebSocketEnding, WebSocketRules, WebSocketVerdict,
    WebSocketWireEvent,
};

use crate::wake::{ClosedSlot, WakerSlot, lock};

/// The state that the test and both halves share.
pub(crate) struct SharedWebSocket {
    inner: Mutex<WebSocketInner>,
    on_receive: WakerSlot,
    on_ready: WakerSlot,
    on_closed: ClosedSlot,
    on_event: WakerSlot,
}

struct WebSocketInner {
    rules: WebSocketRules,
    /// The messages of the client that the app has not received.
    messages: VecDeque<Message>,
    /// The event that the test has not taken. There is at most one, and a close at the end.
    events: VecDeque<WebSocketWireEvent>,
    /// `poll_ready` has promised room for one event.
    room_promised: bool,
    accepted: bool,
    app_ended: bool,
}

impl SharedWebSocket {
    pub(crate) fn new(scope: &WebSocketScope) -> Arc<Self> {
        let rules = WebSocketRules::new(scope.subprotocols.clone(), scope.extensions.clone());
        Arc::new(Self {
            inner: Mutex::new(WebSocketInner {
                rules,
                messages: VecDeque::new(),
                events: VecDeque::new(),
                room_promised: false,
                accepted: false,
                app_ended: false,
            }),
            on_receive: WakerSlot::default(),
            on_ready: WakerSlot::default(),
            on_closed: ClosedSlot::default(),
            on_event: WakerSlot::default(),
        })
    }

    pub(crate) fn halves(self: &Arc<Self>) -> (WebSocketReceiveHalf, WebSocketSendHalf) {
        (
            WebSocketReceiveHalf(Arc::clone(self)),
            WebSocketSendHalf(Arc::clone(self)),
        )
    }

    pub(crate) fn send_message(&self, message: Message) {
        lock(&self.inner).messages.push_back(message);
        self.on_receive.wake();
    }

    /// Records the client's close frame.
    pub(crate) fn close(&self, code: u16, reason: &str) {
        lock(&self.inner).rules.closed(code, reason);
        self.wake_halves();
    }

    /// Records that the connection is broken.
    pub(crate) fn lose(&self) {
        lock(&self.inner).rules.disconnected(DisconnectReason::Lost);
        self.wake_halves();
    }

    /// Records that the app has returned or was dropped.
    pub(crate) fn app_ended(&self, end: AppEnd) -> WebSocketVerdict {
        let verdict = {
            let mut inner = lock(&self.inner);
            inner.app_ended = true;
            let verdict = inner.rules.ended(end);
            if let WebSocketEnding::Close(code) = verdict.ending {
                let close = WebSocketWireEvent::Close(WebSocketClose::new(code));
                inner.events.push_back(close);
            }
            verdict
        };
        self.wake_halves();
        verdict
    }

    /// Sends the head of a denial that is held back, because the poll of the app returned
    /// `Pending`.
    pub(crate) fn app_is_waiting(&self) {
        let mut inner = lock(&self.inner);
        let head = inner.rules.waiting();
        inner.queue(head);
    }

    /// Polls for the next event of the app. Taking it makes room for another one.
    pub(crate) fn poll_wire(&self, cx: &Context<'_>) -> Poll<WebSocketWireEvent> {
        self.on_event.register(cx);
        let event = lock(&self.inner).events.pop_front();
        match event {
            Some(event) => {
                self.on_ready.wake();
                Poll::Ready(event)
            }
            None => Poll::Pending,
        }
    }

    fn wake_halves(&self) {
        self.on_receive.wake();
        self.on_ready.wake();
        self.on_closed.wake();
    }
}

impl WebSocketInner {
    fn queue(&mut self, event: WebSocketWireEvent) {
        self.accepted |= matches!(event, WebSocketWireEvent::Accept(_));
        if !matches!(event, WebSocketWireEvent::Nothing) {
            self.events.push_back(event);
        }
    }

    fn receive(&mut self) -> Option<ReceiveEvent> {
        if self.rules.connect() {
            return Some(WebSocketConnect::new().into());
        }
        // The app still gets messages that came before the client's close frame, but none after its
        // own close.
        if self.accepted
            && !self.app_ended
            && !self.rules.is_complete()
            && let Some(message) = self.messages.pop_front()
        {
            return Some(WebSocketReceive::new(message).into());
        }
        self.rules.report_disconnect().map(Into::into)
    }
}

pub(crate) struct WebSocketReceiveHalf(Arc<SharedWebSocket>);

impl ReceiveHalf for WebSocketReceiveHalf {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<ReceiveEvent> {
        self.0.on_receive.register(cx);
        match lock(&self.0.inner).receive() {
            Some(event) => Poll::Ready(event),
            None => Poll::Pending,
        }
    }
}

pub(crate) struct WebSocketSendHalf(Arc<SharedWebSocket>);

impl SendHalf for WebSocketSendHalf {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.0.on_ready.register(cx);
        let mut inner = lock(&self.0.inner);
        inner.rules.report_ready()?;
        inner.room_promised |= inner.events.is_empty();
        if inner.room_promised {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    fn start_send(&mut self, event: SendEvent) -> Result<(), SendError> {
        let complete = {
            let mut inner = lock(&self.0.inner);
            inner.rules.report_ready()?;
            if !inner.room_promised {
                let got = format!("{} without room for it", event.name());
                return Err(SendError::misuse(got, "start_send only after poll_ready"));
            }
            let event = inner.rules.send(event)?;
            inner.room_promised = false;
            inner.queue(event);
            inner.rules.is_complete()
        };
        // Wake the test even if the head is held back: the app may already wait, because this may
        // be another task.
        self.0.on_event.wake();
        // After an accept, the app can receive the client's messages.
        self.0.on_receive.wake();
        if complete {
            self.0.on_closed.wake();
        }
        Ok(())
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<DisconnectReason> {
        self.0.on_closed.register(cx);
        match lock(&self.0.inner).rules.report_closed() {
            Some(reason) => Poll::Ready(reason),
            None => Poll::Pending,
        }
    }

    fn closed_handle(&self) -> Closed {
        asgi_rules::closed_handle(Arc::clone(&self.0))
    }
}

impl ClosedSource for SharedWebSocket {
    fn poll_waiter(
        &self,
        waiter: &mut ClosedWaiter,
        cx: &mut Context<'_>,
    ) -> Poll<DisconnectReason> {
        self.on_closed.register_handle(waiter, cx);
        match lock(&self.inner).rules.report_closed() {
            Some(reason) => Poll::Ready(reason),
            None => Poll::Pending,
        }
    }

    fn remove_waiter(&self, waiter: &mut ClosedWaiter) {
        self.on_closed.remove_handle(waiter);
    }
}
