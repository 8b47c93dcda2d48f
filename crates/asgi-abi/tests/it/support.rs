//! A server without sockets, and functions that call any app through the boundary.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use asgi::{
    App, AppError, AppFuture, Closed, DisconnectReason, DynApp, HttpScope, ReceiveEvent,
    ReceiveHalf, Receiver, Scope, SendError, SendEvent, SendHalf, Sender,
};
use asgi_abi::{Library, LoadOptions};
use asgi_rules::{ClosedSource, ClosedWaiter, ClosedWakers};
use http::Method;

thread_local! {
    static CURRENT: RefCell<Option<DynApp>> = const { RefCell::new(None) };
}

/// The exported app: it calls the app that the test on this thread has set.
pub(crate) async fn current(scope: Scope, receive: Receiver, send: Sender) -> Result<(), AppError> {
    let app = CURRENT.with_borrow(Clone::clone).expect("the test's app");
    app.call(scope, receive, send).await
}

/// The exported app, started once and shared by tests.
pub(crate) fn library() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    LIBRARY.get_or_init(own_library)
}

/// The exported app, with its own runtime and state.
pub(crate) fn own_library() -> Library {
    let options = LoadOptions::new().threads(1);
    // SAFETY: `export!` has made the declaration.
    unsafe { Library::from_static(&crate::ASGI_APP, &options) }.unwrap()
}

/// Calls `app` through the boundary, on this thread.
pub(crate) fn call(app: impl App, scope: impl Into<Scope>, exchange: &Exchange) -> Running {
    call_in(library(), app, scope, exchange)
}

pub(crate) fn call_in(
    library: &Library,
    app: impl App,
    scope: impl Into<Scope>,
    exchange: &Exchange,
) -> Running {
    CURRENT.set(Some(DynApp::new(app)));
    start(library, scope, exchange)
}

/// Calls the app of any library.
pub(crate) fn start(library: &Library, scope: impl Into<Scope>, exchange: &Exchange) -> Running {
    let (receive, send) = exchange.halves();
    Running(DynApp::new(library.app()).start(scope.into(), receive, send))
}

/// Calls `app` through the boundary with any halves.
pub(crate) fn call_with(
    app: impl App,
    scope: impl Into<Scope>,
    receive: Receiver,
    send: Sender,
) -> AppFuture<'static> {
    CURRENT.set(Some(DynApp::new(app)));
    DynApp::new(library().app()).start(scope.into(), receive, send)
}

/// A running call.
pub(crate) struct Running(pub(crate) AppFuture<'static>);

impl Running {
    /// Polls once, with a waker that does nothing.
    pub(crate) fn poll(&mut self) -> Poll<Result<(), AppError>> {
        self.poll_with(Waker::noop())
    }

    pub(crate) fn poll_with(&mut self, waker: &Waker) -> Poll<Result<(), AppError>> {
        self.0.as_mut().poll(&mut Context::from_waker(waker))
    }

    /// Polls until the end, but only after a wake-up. The thread has no runtime.
    #[track_caller]
    pub(crate) fn end(self) -> Result<(), AppError> {
        block_on(self.0)
    }
}

/// Calls `app` and waits for the end.
#[track_caller]
pub(crate) fn run(
    app: impl App,
    scope: impl Into<Scope>,
    exchange: &Exchange,
) -> Result<(), AppError> {
    call(app, scope, exchange).end()
}

pub(crate) fn get(target: &str) -> HttpScope {
    HttpScope::new(Method::GET, target.parse().unwrap())
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

const PATIENCE: Duration = Duration::from_secs(60);

#[track_caller]
pub(crate) fn block_on<T>(mut future: Pin<Box<dyn Future<Output = T> + Send>>) -> T {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "no wake-up came in time");
        std::thread::park_timeout(left);
    }
}

/// Waits until a condition is true, because of another thread.
#[track_caller]
pub(crate) fn eventually(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(
            Instant::now() < deadline,
            "the condition did not become true in time"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The server's side of one exchange: the events for the app, and the events that it sent.
#[derive(Clone, Default)]
pub(crate) struct Exchange(Arc<Mutex<ExchangeState>>);

#[derive(Default)]
pub(crate) struct ExchangeState {
    pub(crate) events: VecDeque<ReceiveEvent>,
    pub(crate) sent: Vec<SendEvent>,
    /// While it is set, `poll_ready` is pending.
    pub(crate) full: bool,
    pub(crate) ready_error: Option<SendError>,
    pub(crate) start_error: Option<SendError>,
    pub(crate) closed: Option<DisconnectReason>,
    pub(crate) receive_dropped: bool,
    pub(crate) send_dropped: bool,
    pub(crate) receive_waker: Option<Waker>,
    ready_waker: Option<Waker>,
    closed_waker: Option<Waker>,
    closed_handles: ClosedWakers,
}

impl Exchange {
    /// An exchange whose app receives these events.
    pub(crate) fn of<E: Into<ReceiveEvent>>(events: impl IntoIterator<Item = E>) -> Self {
        let exchange = Self::default();
        exchange.lock().events = events.into_iter().map(Into::into).collect();
        exchange
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, ExchangeState> {
        self.0.lock().unwrap()
    }

    pub(crate) fn halves(&self) -> (Receiver, Sender) {
        (
            Receiver::new(ReceiveSide(self.clone())),
            Sender::new(SendSide(self.clone())),
        )
    }

    pub(crate) fn push(&self, event: impl Into<ReceiveEvent>) {
        let mut state = self.lock();
        state.events.push_back(event.into());
        wake(state.receive_waker.take());
    }

    pub(crate) fn make_room(&self) {
        let mut state = self.lock();
        state.full = false;
        wake(state.ready_waker.take());
    }

    pub(crate) fn close(&self, reason: DisconnectReason) {
        let mut state = self.lock();
        state.closed = Some(reason);
        wake(state.closed_waker.take());
        let handles = state.closed_handles.take();
        drop(state);
        handles.into_iter().for_each(Waker::wake);
    }

    /// The sent events as text: `Debug` shows every field.
    pub(crate) fn sent(&self) -> Vec<String> {
        let state = self.lock();
        state
            .sent
            .iter()
            .map(|event| format!("{event:?}"))
            .collect()
    }

    /// The bytes of all sent body events.
    pub(crate) fn body(&self) -> Vec<u8> {
        let state = self.lock();
        let bodies = state.sent.iter().filter_map(|event| match event {
            SendEvent::HttpResponseBody(body) => Some(&body.body[..]),
            _ => None,
        });
        bodies.collect::<Vec<_>>().concat()
    }

    pub(crate) fn status(&self) -> Option<u16> {
        self.lock().sent.iter().find_map(|event| match event {
            SendEvent::HttpResponseStart(start) => Some(start.status.as_u16()),
            _ => None,
        })
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

struct ReceiveSide(Exchange);

impl ReceiveHalf for ReceiveSide {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<ReceiveEvent> {
        let mut state = self.0.lock();
        if let Some(event) = state.events.pop_front() {
            return Poll::Ready(event);
        }
        state.receive_waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for ReceiveSide {
    fn drop(&mut self) {
        self.0.lock().receive_dropped = true;
    }
}

struct SendSide(Exchange);

impl SendHalf for SendSide {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let mut state = self.0.lock();
        if let Some(error) = state.ready_error.clone() {
            return Poll::Ready(Err(error));
        }
        if state.full {
            state.ready_waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn start_send(&mut self, event: SendEvent) -> Result<(), SendError> {
        let mut state = self.0.lock();
        if let Some(error) = state.start_error.clone() {
            return Err(error);
        }
        state.sent.push(event);
        Ok(())
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<DisconnectReason> {
        let mut state = self.0.lock();
        if let Some(reason) = state.closed {
            return Poll::Ready(reason);
        }
        state.closed_waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn closed_handle(&self) -> Closed {
        asgi_rules::closed_handle(Arc::new(self.0.clone()))
    }
}

impl ClosedSource for Exchange {
    fn poll_waiter(
        &self,
        waiter: &mut ClosedWaiter,
        cx: &mut Context<'_>,
    ) -> Poll<DisconnectReason> {
        let mut state = self.lock();
        if let Some(reason) = state.closed {
            return Poll::Ready(reason);
        }
        let replaced = state.closed_handles.register(waiter, cx);
        drop((state, replaced));
        Poll::Pending
    }

    fn remove_waiter(&self, waiter: &mut ClosedWaiter) {
        let removed = self.lock().closed_handles.remove(waiter);
        drop(removed);
    }
}

impl Drop for SendSide {
    fn drop(&mut self) {
        self.0.lock().send_dropped = true;
    }
}
