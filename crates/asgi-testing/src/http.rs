//! The halves of one HTTP exchange, and what lies between them and the test.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use asgi::{
    DisconnectReason, HttpDisconnect, HttpRequest, HttpScope, ReceiveEvent, ReceiveHalf, SendError,
    SendEvent, SendHalf, State,
};
use asgi_rules::{AppEnd, HttpRules, Verdict, WireEvent};

use crate::wake::{WakerSlot, lock};

/// What the test and both halves share. The wakers have locks of their own, so that none is called
/// while the rules are locked.
pub(crate) struct Http {
    inner: Mutex<Inner>,
    on_receive: WakerSlot,
    on_ready: WakerSlot,
    on_closed: WakerSlot,
    on_wire: WakerSlot,
}

struct Inner {
    rules: HttpRules,
    /// Parts of the request's body that the app has not taken.
    request: VecDeque<HttpRequest>,
    /// What the test has not taken: one event, or two if a held head went out behind a hint.
    wire: VecDeque<WireEvent>,
    debug: Option<State>,
    /// The app was told that there is room for one event.
    reserved: bool,
    gone: Option<DisconnectReason>,
    ended: bool,
}

impl Http {
    pub(crate) fn new(scope: &HttpScope) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new(Inner {
                rules: HttpRules::new(&scope.method, scope.extensions.clone()),
                request: VecDeque::new(),
                wire: VecDeque::new(),
                debug: None,
                reserved: false,
                gone: None,
                ended: false,
            }),
            on_receive: WakerSlot::default(),
            on_ready: WakerSlot::default(),
            on_closed: WakerSlot::default(),
            on_wire: WakerSlot::default(),
        })
    }

    pub(crate) fn halves(self: &Arc<Self>) -> (HttpReceive, HttpSend) {
        (HttpReceive(Arc::clone(self)), HttpSend(Arc::clone(self)))
    }

    pub(crate) fn send_request(&self, part: HttpRequest) {
        lock(&self.inner).request.push_back(part);
        self.on_receive.wake();
    }

    pub(crate) fn disconnect(&self, reason: DisconnectReason) {
        {
            let mut inner = lock(&self.inner);
            inner.rules.disconnected(reason);
            if matches!(inner.gone, None | Some(DisconnectReason::Closed)) {
                inner.gone = Some(reason);
            }
        }
        self.wake_halves();
    }

    /// The app has returned, or was dropped.
    pub(crate) fn ended(&self, end: AppEnd) -> Verdict {
        let verdict = {
            let mut inner = lock(&self.inner);
            inner.ended = true;
            inner.rules.ended(end)
        };
        self.wake_halves();
        verdict
    }

    /// The app's poll was pending: a head that is held back goes out.
    pub(crate) fn app_waits(&self) {
        let mut inner = lock(&self.inner);
        let head = inner.rules.waiting();
        inner.put(head);
    }

    /// What comes next on the wire; taking it makes room for the app's next event.
    pub(crate) fn poll_wire(&self, cx: &Context<'_>) -> Poll<WireEvent> {
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

    pub(crate) fn take_debug(&self) -> Option<State> {
        lock(&self.inner).debug.take()
    }

    fn wake_halves(&self) {
        self.on_receive.wake();
        self.on_ready.wake();
        self.on_closed.wake();
    }
}

impl Inner {
    fn put(&mut self, event: WireEvent) {
        match event {
            WireEvent::Nothing => {}
            WireEvent::Debug(info) => self.debug = Some(info),
            event => self.wire.push_back(event),
        }
    }

    fn receive(&mut self) -> Option<ReceiveEvent> {
        let over = self.rules.is_complete() || self.ended;
        // Whoever closed its side may have sent all of its request before that.
        let may_read = matches!(self.gone, None | Some(DisconnectReason::Closed));
        if !over
            && may_read
            && let Some(part) = self.request.pop_front()
        {
            return Some(part.into());
        }
        let reason = self.rules.disconnect()?;
        Some(HttpDisconnect::new(reason).into())
    }
}

pub(crate) struct HttpReceive(Arc<Http>);

impl ReceiveHalf for HttpReceive {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<ReceiveEvent> {
        self.0.on_receive.register(cx);
        match lock(&self.0.inner).receive() {
            Some(event) => Poll::Ready(event),
            None => Poll::Pending,
        }
    }
}

pub(crate) struct HttpSend(Arc<Http>);

impl SendHalf for HttpSend {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.0.on_ready.register(cx);
        let mut inner = lock(&self.0.inner);
        inner.rules.ready()?;
        if inner.wire.is_empty() {
            inner.reserved = true;
        }
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
        if complete {
            self.0.wake_halves();
        }
        Ok(())
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<DisconnectReason> {
        self.0.on_closed.register(cx);
        match lock(&self.0.inner).rules.disconnect() {
            Some(reason) => Poll::Ready(reason),
            None => Poll::Pending,
        }
    }
}
