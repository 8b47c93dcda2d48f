//! A call that waits for its own I/O, on the library's runtime.
//!
//! Such a call would be woken across two runtimes for each of its steps: the app's reactor wakes
//! the server's thread, which polls once more and waits again. As a task beside the reactor it
//! wakes the server only when it sends, receives or ends.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll, Waker};

use asgi::{AppError, AppFuture};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::log;
use super::panic_hook::caught_in_call;
use crate::panic::caught;

/// How a call ended; the error is the message of its panic.
pub(super) type Ended = Result<Result<(), AppError>, String>;

/// The task's side of a call that was moved. Dropping it cancels the call.
pub(super) struct Moved {
    shared: Arc<Shared>,
    task: AbortHandle,
}

struct Shared {
    exchange: u64,
    handle: Handle,
    /// Locked while it is polled; gone once it has ended.
    future: Mutex<Option<AppFuture<'static>>>,
    is_cancelled: AtomicBool,
    end: Mutex<End>,
}

#[derive(Default)]
struct End {
    ended: Option<Ended>,
    waker: Option<Waker>,
}

impl Moved {
    /// Goes on with `future` on the runtime of `handle`.
    pub(super) fn start(handle: &Handle, exchange: u64, future: AppFuture<'static>) -> Self {
        let shared = Arc::new(Shared {
            exchange,
            handle: handle.clone(),
            future: Mutex::new(Some(future)),
            is_cancelled: AtomicBool::new(false),
            end: Mutex::default(),
        });
        let task = handle.spawn(Run(Arc::clone(&shared))).abort_handle();
        Self { shared, task }
    }

    /// Waits for the call's end.
    pub(super) fn poll(&self, waker: &Waker) -> Poll<Ended> {
        let mut end = self.shared.end();
        if let Some(ended) = end.ended.take() {
            return Poll::Ready(ended);
        }
        match &mut end.waker {
            Some(kept) => kept.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        Poll::Pending
    }
}

impl Drop for Moved {
    fn drop(&mut self) {
        self.shared.is_cancelled.store(true, Ordering::SeqCst);
        self.shared.end().waker = None;
        match self.shared.future.try_lock() {
            Ok(mut slot) => self.shared.drop_future(&mut slot),
            Err(TryLockError::Poisoned(slot)) => self.shared.drop_future(&mut slot.into_inner()),
            // It is being polled: whoever does that drops it afterwards.
            Err(TryLockError::WouldBlock) => {}
        }
        self.task.abort();
    }
}

impl Shared {
    fn end(&self) -> MutexGuard<'_, End> {
        // Nothing but the host's wakers runs while it is locked, and those do not panic.
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        // What has panicked is dropped below, under the same lock.
        let mut slot = self.future.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(future) = slot.as_mut() else {
            return Poll::Ready(());
        };
        let polled = caught_in_call(|| log::within(self.exchange, || future.as_mut().poll(cx)));
        let ended = match polled {
            Ok(Poll::Pending) if self.is_cancelled.load(Ordering::SeqCst) => None,
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(result)) => Some(Ok(result)),
            Err(message) => Some(Err(message)),
        };
        self.drop_future(&mut slot);
        drop(slot);
        if let Some(ended) = ended {
            self.tell(ended);
        }
        Poll::Ready(())
    }

    fn tell(&self, ended: Ended) {
        let waker = {
            let mut end = self.end();
            end.ended = Some(ended);
            end.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn drop_future(&self, slot: &mut Option<AppFuture<'static>>) {
        if let Some(future) = slot.take() {
            // A panic's message went out by the hook; the call is over either way.
            let _ = caught(|| {
                let _within = self.handle.enter();
                log::within(self.exchange, || drop(future));
            });
        }
    }
}

/// The runtime's side.
struct Run(Arc<Shared>);

impl Future for Run {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll(cx)
    }
}

impl Drop for Run {
    /// The runtime may be shut down while the call goes on: the host must not wait for ever.
    fn drop(&mut self) {
        let mut slot = self.0.future.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.is_some() {
            self.0.drop_future(&mut slot);
            drop(slot);
            self.0
                .tell(Ok(Err("the app's runtime was shut down".into())));
        }
    }
}
