//! The halves of one SharedWebSocket, and what lies between them and the test.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use asgi::{
    DisconnectReason, Message, ReceiveEvent, ReceiveHalf, SendError, SendEvent, SendHalf,
    WebSocketClose, WebSocketConnect, WebSocketReceive, WebSocketScope,
};
use asgi_rules::{AppEnd, WebSocketEnding, WebSocketRules, WebSocketVerdict, WebSocketWireEvent};

use crate::wake::{WakerSlot, lock};

/// What the test and both halves share.
pub(crate) struct SharedWebSocket {
    inner: Mutex<Inner>,
    on_receive: WakerSlot,
    on_ready: WakerSlot,
    on_closed: WakerSlot,
    on_wire: WakerSlot,
}

struct Inner {
    rules: WebSocketRules,
    /// The client's messages that the app has not taken.
    messages: VecDeque<Message>,
    /// What the test has not taken: one event.
    wire: VecDeque<WebSocketWireEvent>,
    /// The app was told that there is room for one event.
    reserved: bool,
    accepted: bool,
    ended: bool,
}

impl SharedWebSocket {
    pub(crate) fn new(scope: &WebSocketScope) -> Arc<Self> {
        let rules = WebSocketRules::new(scope.subprotocols.clone(), scope.extensions.clone());
        Arc::new(Self {
            inner: Mutex::new(Inner {
                rules,
                messages: VecDeque::new(),
                wire: VecDeque::new(),
                reserved: false,
                accepted: false,
                ended: false,
            }),
            on_receive: WakerSlot::default(),
            on_ready: WakerSlot::default(),
            on_closed: WakerSlot::default(),
            on_wire: WakerSlot::default(),
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

    /// The client's close frame.
    pub(crate) fn close(&self, code: u16, reason: &str) {
        lock(&self.inner).rules.closed(code, reason);
        self.wake_halves();
    }

    /// The connection breaks.
    pub(crate) fn lose(&self) {
        lock(&self.inner).rules.disconnected(DisconnectReason::Lost);
        self.wake_halves();
    }

    /// The app has returned, or was dropped.
    pub(crate) fn ended(&self, end: AppEnd) -> WebSocketVerdict {
        let verdict = {
            let mut inner = lock(&self.inner);
            inner.ended = true;
            let verdict = inner.rules.ended(end);
            if let WebSocketEnding::Close(code) = verdict.ending {
                let close = WebSocketWireEvent::Close(WebSocketClose::new(code));
                inner.wire.push_back(close);
            }
            verdict
        };
        self.wake_halves();
        verdict
    }

    /// The app's poll was pending: the head of a denial that is held back goes out.
    pub(crate) fn app_waits(&self) {
        let mut inner = lock(&self.inner);
        let head = inner.rules.waiting();
        inner.put(head);
    }

    /// What comes next on the wire; taking it makes room for the app's next event.
    pub(crate) fn poll_wire(&self, cx: &Context<'_>) -> Poll<WebSocketWireEvent> {
        self.on_wire.register(cx);
        let event = lock(&self.inner).wire.pop_front();
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

impl Inner {
    fn put(&mut self, event: WebSocketWireEvent) {
        self.accepted |= matches!(event, WebSocketWireEvent::Accept(_));
        if !matches!(event, WebSocketWireEvent::Nothing) {
            self.wire.push_back(event);
        }
    }

    fn receive(&mut self) -> Option<ReceiveEvent> {
        if self.rules.connect() {
            return Some(WebSocketConnect::new().into());
        }
        // Messages before the close frame are for the app; those after its own close are not.
        if self.accepted
            && !self.ended
            && !self.rules.is_complete()
            && let Some(message) = self.messages.pop_front()
        {
            return Some(WebSocketReceive::new(message).into());
        }
        self.rules.disconnect().map(Into::into)
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
        inner.rules.ready()?;
        inner.reserved |= inner.wire.is_empty();
        if inner.reserved {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    fn start_send(&mut self, event: SendEvent) -> Result<(), SendError> {
        let complete = {
            let mut inner = lock(&self.0.inner);
            inner.rules.ready()?;
            if !inner.reserved {
                let got = format!("{} without waiting for room", event.name());
                return Err(SendError::misuse(got, "a poll_ready that was ready"));
            }
            let wire = inner.rules.send(event)?;
            inner.reserved = false;
            inner.put(wire);
            inner.rules.is_complete()
        };
        // Also for a head that is held back: the app may wait already, this may be another task.
        self.0.on_wire.wake();
        // After an accept the client's messages are for the app.
        self.0.on_receive.wake();
        if complete {
            self.0.on_closed.wake();
        }
        Ok(())
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<DisconnectReason> {
        self.0.on_closed.register(cx);
        match lock(&self.0.inner).rules.disconnect_reason() {
            Some(reason) => Poll::Ready(reason),
            None => Poll::Pending,
        }
    }
}
