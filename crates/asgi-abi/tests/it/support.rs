//! A server without sockets, and a way to put any app behind the boundary.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use asgi::{
    App, AppError, AppFuture, DisconnectReason, DynApp, HttpScope, ReceiveEvent, ReceiveHalf,
    Receiver, Scope, SendError, SendEvent, SendHalf, Sender,
};
use asgi_abi::{Library, LoadOptions};
use http::Method;

thread_local! {
    static CURRENT: RefCell<Option<DynApp>> = const { RefCell::new(None) };
}

/// The exported app: it becomes the one that the test on this thread has put in.
pub(crate) async fn current(scope: Scope, receive: Receiver, send: Sender) -> Result<(), AppError> {
    let app = CURRENT.with_borrow(Clone::clone).expect("the test's app");
    app.call(scope, receive, send).await
}

/// The exported app, started once for all tests that do not mind.
pub(crate) fn library() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    LIBRARY.get_or_init(own_library)
}

/// The exported app with a runtime and a state of its own.
pub(crate) fn own_library() -> Library {
    let options = LoadOptions::new().threads(1);
    // SAFETY: `export!` made the declaration.
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

/// A call that goes on.
pub(crate) struct Running(pub(crate) AppFuture<'static>);

impl Running {
    /// One poll, with a waker that does nothing.
    pub(crate) fn poll(&mut self) -> Poll<Result<(), AppError>> {
        self.0
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
    }

    /// Polls until the end, when woken and at no other time. The thread has no runtime.
    #[track_caller]
    pub(crate) fn end(self) -> Result<(), AppError> {
        block_on(self.0)
    }
}

/// `call`, to the end.
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
        assert!(!left.is_zero(), "nobody woke the future");
        std::thread::park_timeout(left);
    }
}

/// Waits for something that another thread does.
#[track_caller]
pub(crate) fn eventually(mut what: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !what() {
        assert!(Instant::now() < deadline, "it never came to that");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The server's side of one exchange: what it yields and what it was sent.
#[derive(Clone, Default)]
pub(crate) struct Exchange(Arc<Mutex<Inner>>);

#[derive(Default)]
pub(crate) struct Inner {
    pub(crate) events: VecDeque<ReceiveEvent>,
    pub(crate) sent: Vec<SendEvent>,
    /// What `poll_ready` says; pending while `full`.
    pub(crate) full: bool,
    pub(crate) ready_error: Option<SendError>,
    pub(crate) start_error: Option<SendError>,
    pub(crate) closed: Option<DisconnectReason>,
    pub(crate) receive_dropped: bool,
    pub(crate) send_dropped: bool,
    pub(crate) receive_waker: Option<Waker>,
    ready_waker: Option<Waker>,
    closed_waker: Option<Waker>,
}

impl Exchange {
    /// One that yields these.
    pub(crate) fn of<E: Into<ReceiveEvent>>(events: impl IntoIterator<Item = E>) -> Self {
        let exchange = Self::default();
        exchange.lock().events = events.into_iter().map(Into::into).collect();
        exchange
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    pub(crate) fn halves(&self) -> (Receiver, Sender) {
        (
            Receiver::new(ReceiveSide(self.clone())),
            Sender::new(SendSide(self.clone())),
        )
    }

    pub(crate) fn push(&self, event: impl Into<ReceiveEvent>) {
        let mut inner = self.lock();
        inner.events.push_back(event.into());
        wake(inner.receive_waker.take());
    }

    pub(crate) fn make_room(&self) {
        let mut inner = self.lock();
        inner.full = false;
        wake(inner.ready_waker.take());
    }

    pub(crate) fn close(&self, reason: DisconnectReason) {
        let mut inner = self.lock();
        inner.closed = Some(reason);
        wake(inner.closed_waker.take());
    }

    /// What was sent, in words: `Debug` shows every field.
    pub(crate) fn sent(&self) -> Vec<String> {
        let inner = self.lock();
        inner
            .sent
            .iter()
            .map(|event| format!("{event:?}"))
            .collect()
    }

    /// The bytes of all body events together.
    pub(crate) fn body(&self) -> Vec<u8> {
        let inner = self.lock();
        let bodies = inner.sent.iter().filter_map(|event| match event {
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
        let mut inner = self.0.lock();
        if let Some(event) = inner.events.pop_front() {
            return Poll::Ready(event);
        }
        inner.receive_waker = Some(cx.waker().clone());
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
        let mut inner = self.0.lock();
        if let Some(error) = inner.ready_error.clone() {
            return Poll::Ready(Err(error));
        }
        if inner.full {
            inner.ready_waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn start_send(&mut self, event: SendEvent) -> Result<(), SendError> {
        let mut inner = self.0.lock();
        if let Some(error) = inner.start_error.clone() {
            return Err(error);
        }
        inner.sent.push(event);
        Ok(())
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<DisconnectReason> {
        let mut inner = self.0.lock();
        if let Some(reason) = inner.closed {
            return Poll::Ready(reason);
        }
        inner.closed_waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for SendSide {
    fn drop(&mut self) {
        self.0.lock().send_dropped = true;
    }
}
