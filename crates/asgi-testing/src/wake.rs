//! Polls an app only after its waker was called, and catches its panics.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use asgi::{AppError, AppFuture};

use crate::report::Waiter;

/// The future of an app, with its own waker.
///
/// The test may poll at any time, but the app is polled only if its waker was called. So an app
/// that forgets its waker hangs in the test, as it does on a server.
pub(crate) struct AppTask {
    future: Option<AppFuture<'static>>,
    waker: Arc<AppWaker>,
}

/// How the future of an app has ended.
pub(crate) enum AppReturn {
    Returned(Result<(), AppError>),
    /// The text of the panic.
    Panicked(String),
}

impl AppTask {
    pub(crate) fn new(future: AppFuture<'static>) -> Self {
        let waker = Arc::new(AppWaker {
            woken: AtomicBool::new(true),
            test: WakerSet::default(),
        });
        let future = Some(future);
        Self { future, waker }
    }

    /// Polls the app if it was woken. A later wake-up of the app also wakes the caller.
    ///
    /// Stays `Pending` after the app has ended.
    pub(crate) fn poll(&mut self, waiter: &Waiter, cx: &mut Context<'_>) -> Poll<AppReturn> {
        self.waker.test.register(cx);
        let Some(future) = &mut self.future else {
            return Poll::Pending;
        };
        if !self.waker.woken.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let waker = Waker::from(Arc::clone(&self.waker));
        let mut app_cx = Context::from_waker(&waker);
        let poll = AssertUnwindSafe(|| future.as_mut().poll(&mut app_cx));
        let polled = waiter.watch_poll(|| catch_unwind(poll));
        if let Ok(Poll::Pending) = polled {
            return Poll::Pending;
        }
        let future = self.future.take();
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(future)));
        Poll::Ready(match (polled, dropped) {
            (Ok(Poll::Ready(result)), Ok(())) => AppReturn::Returned(result),
            (Err(panic), _) | (_, Err(panic)) => AppReturn::Panicked(panic_text(&*panic)),
            (Ok(Poll::Pending), Ok(())) => return Poll::Pending,
        })
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        return String::from(*text);
    }
    match panic.downcast_ref::<String>() {
        Some(text) => text.clone(),
        None => String::from("with a value that is no text"),
    }
}

struct AppWaker {
    woken: AtomicBool,
    test: WakerSet,
}

impl Wake for AppWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.test.wake();
    }
}

/// The wakers of the tasks that wait, such as the two halves of a WebSocket.
#[derive(Default)]
pub(crate) struct WakerSet(Mutex<Vec<Waker>>);

impl WakerSet {
    pub(crate) fn register(&self, cx: &Context<'_>) {
        let mut wakers = lock(&self.0);
        if !wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            wakers.push(cx.waker().clone());
        }
    }

    /// Wakes each task once. The lock is released before the wakers run.
    pub(crate) fn wake(&self) {
        let wakers = std::mem::take(&mut *lock(&self.0));
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// Locks a mutex and ignores poisoning, because a panic of an app leaves the data consistent.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
