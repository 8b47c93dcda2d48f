//! Polls an app only after its waker was called.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use asgi::{AppError, AppFuture};

/// The future of an app, with its own waker.
///
/// The test may poll at any time, but the app is polled only if its waker was called. So an app
/// that forgets its waker hangs in the test, as it does on a server.
pub(crate) struct AppTask {
    future: AppFuture<'static>,
    waker: Arc<AppWaker>,
}

impl AppTask {
    pub(crate) fn new(future: AppFuture<'static>) -> Self {
        let waker = Arc::new(AppWaker {
            woken: AtomicBool::new(true),
            test: WakerSlot::default(),
        });
        Self { future, waker }
    }

    /// Polls the app if it was woken. A later wake-up of the app also wakes the caller.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AppError>> {
        self.waker.test.register(cx);
        if !self.waker.woken.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let waker = Waker::from(Arc::clone(&self.waker));
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }
}

struct AppWaker {
    woken: AtomicBool,
    test: WakerSlot,
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

/// The waker of the task that polled last.
#[derive(Default)]
pub(crate) struct WakerSlot(Mutex<Option<Waker>>);

impl WakerSlot {
    pub(crate) fn register(&self, cx: &Context<'_>) {
        let mut slot = lock(&self.0);
        match &mut *slot {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *slot = Some(cx.waker().clone()),
        }
    }

    /// Wakes the task once. The lock is released before the waker runs.
    pub(crate) fn wake(&self) {
        let waker = lock(&self.0).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Locks a mutex and ignores poisoning, because a panic of an app leaves the data consistent.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
