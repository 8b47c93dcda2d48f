//! The receiver and sender halves of one HTTP exchange, and the state that they share with the
//! test.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use asgi::{
    Closed, DisconnectReason, HttpDisconnect, HttpRequest, HttpScope, ReceiveEvent, ReceiveHalf,
    SendError, SendEvent, SendHalf, State,
};
use asgi_rules::{AppEnd, ClosedSource, ClosedWaiter, HttpRules, Verdict, WireEvent};

use crate::wake::{ClosedSlot, WakerSlot, lock};

/// The state that the test and both halves share.
///
/// The wakers have their own locks, so that no waker is called while the rules are locked.
pub(crate) struct SharedHttp {
    inner: Mutex<HttpInner>,
    on_receive: WakerSlot,
    on_ready: WakerSlot,
    on_closed: ClosedSlot,
    on_event: WakerSlot,
}

struct HttpInner {
    rules: HttpRules,
    /// The parts of the request body that the app has not received.
    request: VecDeque<HttpRequest>,
    /// The events that the test has not taken. There is one, or two if a held head follows a hint.
    events: VecDeque<WireEvent>,
    debug: Option<State>,
    /// `poll_ready` has promised room for one event.
    room_promised: bool,
    disconnect_reason: Option<DisconnectReason>,
    app_ended: bool,
}

impl SharedHttp {
    pub(crate) fn new(scope: &HttpScope) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new(HttpInner {
                rules: HttpRules::new(&scope.method, scope.extensions.clone()),
                request: VecDeque::new(),
                events: VecDeque::new(),
                debug: None,
                room_promised: false,
                disconnect_reason: None,
                app_ended: false,
            }),
            on_receive: WakerSlot::default(),
            on_ready: WakerSlot::default(),
            on_closed: ClosedSlot::default(),
            on_event: WakerSlot::default(),
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
            if matches!(
                inner.disconnect_reason,
                None | Some(DisconnectReason::Closed)
            ) {
                inner.disconnect_reason = Some(reason);
            }
        }
        self.wake_halves();
    }

    /// Records that the app has returned or was dropped.
    pub(crate) fn app_ended(&self, end: AppEnd) -> Verdict {
        let verdict = {
            let mut inner = lock(&self.inner);
            inner.app_ended = true;
            inner.rules.ended(end)
        };
        self.wake_halves();
        verdict
    }

    /// Sends a head that is held back, because the poll of the app returned `Pending`.
    pub(crate) fn app_is_waiting(&self) {
        let mut inner = lock(&self.inner);
        let head = inner.rules.waiting();
        inner.queue(head);
    }

    /// Polls for the next event of the app. Taking it makes room for another one.
    pub(crate) fn poll_wire(&self, cx: &Context<'_>) -> Poll<WireEvent> {
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

    pub(crate) fn take_debug(&self) -> Option<State> {
        lock(&self.inner).debug.take()
    }

    fn wake_halves(&self) {
        self.on_receive.wake();
        self.on_ready.wake();
        self.on_closed.wake();
    }
}

impl HttpInner {
    fn queue(&mut self, event: WireEvent) {
        match event {
            WireEvent::Nothing => {}
            WireEvent::Debug(info) => self.debug = Some(info),
            event => self.events.push_back(event),
        }
    }

    fn receive(&mut self) -> Option<ReceiveEvent> {
        let exchange_over = self.rules.is_complete() || self.app_ended;
        // A client that has closed its side may have sent the whole request before that.
        let can_read = matches!(
            self.disconnect_reason,
            None | Some(DisconnectReason::Closed)
        );
        if !exchange_over
            && can_read
            && let Some(part) = self.request.pop_front()
        {
            return Some(part.into());
        }
        let reason = self.rules.report_disconnect()?;
        Some(HttpDisconnect::new(reason).into())
    }
}

pub(crate) struct HttpReceive(Arc<SharedHttp>);

impl ReceiveHalf for HttpReceive {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<ReceiveEvent> {
        self.0.on_receive.register(cx);
        match lock(&self.0.inner).receive() {
            Some(event) => Poll::Ready(event),
            None => Poll::Pending,
        }
    }
}

pub(crate) struct HttpSend(Arc<SharedHttp>);

impl SendHalf for HttpSend {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.0.on_ready.register(cx);
        let mut inner = lock(&self.0.inner);
        inner.rules.report_ready()?;
        if inner.events.is_empty() {
            inner.room_promised = true;
        }
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
        if complete {
            self.0.wake_halves();
        }
        Ok(())
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<DisconnectReason> {
        self.0.on_closed.register(cx);
        match lock(&self.0.inner).rules.report_disconnect() {
            Some(reason) => Poll::Ready(reason),
            None => Poll::Pending,
        }
    }

    fn closed_handle(&self) -> Closed {
        asgi_rules::closed_handle(Arc::clone(&self.0))
    }
}

impl ClosedSource for SharedHttp {
    fn poll_waiter(
        &self,
        waiter: &mut ClosedWaiter,
        cx: &mut Context<'_>,
    ) -> Poll<DisconnectReason> {
        self.on_closed.register_handle(waiter, cx);
        match lock(&self.inner).rules.report_disconnect() {
            Some(reason) => Poll::Ready(reason),
            None => Poll::Pending,
        }
    }

    fn remove_waiter(&self, waiter: &mut ClosedWaiter) {
        self.on_closed.remove_handle(waiter);
    }
}
