//! When an app that runs in a test is polled: when it asked for it, and only then.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use asgi::{AppError, AppFuture};

/// An app's future with a waker of its own.
///
/// The test polls again and again for its own reasons. An app that was not woken is not polled then,
/// so that one which forgets its waker hangs in the test as it would on a server.
pub(crate) struct Running {
    future: AppFuture<'static>,
    wake: Arc<AppWake>,
}

impl Running {
    pub(crate) fn new(future: AppFuture<'static>) -> Self {
        let wake = Arc::new(AppWake {
            woken: AtomicBool::new(true),
            driver: WakerSlot::default(),
        });
        Self { future, wake }
    }

    /// Polls the app if it was woken; whoever polls here is woken with it.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AppError>> {
        self.wake.driver.register(cx);
        if !self.wake.woken.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let waker = Waker::from(Arc::clone(&self.wake));
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }
}

struct AppWake {
    woken: AtomicBool,
    driver: WakerSlot,
}

impl Wake for AppWake {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.driver.wake();
    }
}

/// The waker of the last caller of one poll.
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

    /// Wakes and forgets. The lock is free again before foreign code runs.
    pub(crate) fn wake(&self) {
        let waker = lock(&self.0).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Locks; a panic of an app's, which unwinds to the test, has left nothing half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
