//! A call that waits for its own I/O, as a task on the library's runtime.
//!
//! On a thread of the server, each step of such a call would need a wake-up across two runtimes:
//! the app's reactor wakes the server's thread, which polls once and waits again. As a task next to
//! the reactor, the call wakes the server only when it sends, receives or ends.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll, Waker};

use asgi::{AppError, AppFuture};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::log;
use super::panic_hook::catch_in_call;
use crate::panic::catch;

/// The result of a call. The outer error is the message of a panic.
pub(super) type CallResult = Result<Result<(), AppError>, String>;

/// A call that runs on the library's runtime. Dropping it cancels the call.
pub(super) struct SpawnedCall {
    state: Arc<SpawnedState>,
    task: AbortHandle,
}

/// Shared by the call's [`SpawnedCall`] and its [`SpawnedFuture`].
struct SpawnedState {
    exchange: u64,
    handle: Handle,
    /// Locked during a poll; `None` after the call has ended.
    future: Mutex<Option<AppFuture<'static>>>,
    is_cancelled: AtomicBool,
    completion: Mutex<Completion>,
}

/// The result of a spawned call, and the waker of the server's task that waits for it.
struct Completion {
    result: Option<CallResult>,
    waker: Option<Waker>,
    activity: Activity,
    /// The call has sent the start of a response since the server's task last saw it waiting, so the
    /// server may hold back the head.
    sent_start: bool,
}

thread_local! {
    /// The poll that this thread runs has sent the start of a response.
    static SENT_START: Cell<bool> = const { Cell::new(false) };
}

/// Records whether the poll that this thread runs has sent the start of a response, and not yet its
/// body. Returns the old value.
pub(super) fn set_sent_start(sent: bool) -> bool {
    SENT_START.replace(sent)
}

/// Whether the runtime polls the call, as far as the server's task is concerned.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Activity {
    /// The call waits.
    Waiting,
    /// The runtime polls the call, or will at once.
    Working,
    /// The same, and the server's task wants to know when it waits.
    Watched,
}

/// The state of a call that the server's task asks about.
pub(super) enum SpawnedPoll {
    Ended(CallResult),
    Waiting,
    /// The runtime polls the call now. It wakes the server's task afterwards.
    Working,
}

impl SpawnedCall {
    /// Continues `future` on the runtime of `handle`. `sent_start` says whether it has sent the start of
    /// a response.
    pub(super) fn start(
        handle: &Handle,
        exchange: u64,
        future: AppFuture<'static>,
        sent_start: bool,
    ) -> Self {
        let state = Arc::new(SpawnedState {
            exchange,
            handle: handle.clone(),
            future: Mutex::new(Some(future)),
            is_cancelled: AtomicBool::new(false),
            completion: Mutex::new(Completion {
                result: None,
                waker: None,
                activity: Activity::Working,
                sent_start,
            }),
        });
        let task = handle
            .spawn(SpawnedFuture(Arc::clone(&state)))
            .abort_handle();
        Self { state, task }
    }

    /// Waits for the end of the call.
    pub(super) fn poll(&self, waker: &Waker) -> SpawnedPoll {
        let mut completion = self.state.completion();
        if let Some(result) = completion.result.take() {
            return SpawnedPoll::Ended(result);
        }
        match &mut completion.waker {
            Some(old) => old.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        if completion.activity == Activity::Waiting {
            completion.sent_start = false;
            return SpawnedPoll::Waiting;
        }
        completion.activity = Activity::Watched;
        SpawnedPoll::Working
    }
}

impl Drop for SpawnedCall {
    fn drop(&mut self) {
        self.state.is_cancelled.store(true, Ordering::SeqCst);
        self.state.completion().waker = None;
        match self.state.future.try_lock() {
            Ok(mut slot) => self.state.drop_future(&mut slot),
            Err(TryLockError::Poisoned(slot)) => self.state.drop_future(&mut slot.into_inner()),
            // The runtime polls it now and drops it after that, because `is_cancelled` is set.
            Err(TryLockError::WouldBlock) => {}
        }
        self.task.abort();
    }
}

impl SpawnedState {
    fn completion(&self) -> MutexGuard<'_, Completion> {
        // Only wakers of the host run while it is locked, and they do not panic.
        self.completion
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        // If the future panics, it is dropped below, under the same lock.
        let mut slot = self.future.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(future) = slot.as_mut() else {
            return Poll::Ready(());
        };
        self.works();
        let polled =
            catch_in_call(|| log::with_exchange(self.exchange, || future.as_mut().poll(cx)));
        let result = match polled {
            Ok(Poll::Pending) if self.is_cancelled.load(Ordering::SeqCst) => None,
            Ok(Poll::Pending) => {
                self.waits();
                return Poll::Pending;
            }
            Ok(Poll::Ready(result)) => Some(Ok(result)),
            Err(message) => Some(Err(message)),
        };
        self.drop_future(&mut slot);
        drop(slot);
        if let Some(result) = result {
            self.complete(result);
        }
        Poll::Ready(())
    }

    /// A poll begins.
    fn works(&self) {
        set_sent_start(false);
        let mut completion = self.completion();
        if completion.activity == Activity::Waiting {
            completion.activity = Activity::Working;
        }
    }

    /// A poll is over, and the call waits. If the server's task has asked meanwhile and may hold back a
    /// head, this wakes it.
    fn waits(&self) {
        let waker = {
            let mut completion = self.completion();
            let before = std::mem::replace(&mut completion.activity, Activity::Waiting);
            completion.sent_start |= SENT_START.get();
            let wake = before == Activity::Watched && completion.sent_start;
            completion.waker.take_if(|_| wake)
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn complete(&self, result: CallResult) {
        let waker = {
            let mut completion = self.completion();
            completion.result = Some(result);
            completion.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn drop_future(&self, slot: &mut Option<AppFuture<'static>>) {
        if let Some(future) = slot.take() {
            // The panic hook has logged a panic. The call ends in both cases.
            let _ = catch(|| {
                let _runtime = self.handle.enter();
                log::with_exchange(self.exchange, || drop(future));
            });
        }
    }
}

/// The future that the runtime polls.
struct SpawnedFuture(Arc<SpawnedState>);

impl Future for SpawnedFuture {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll(cx)
    }
}

impl Drop for SpawnedFuture {
    /// Ends the call if the runtime shuts down before the call ends. Otherwise the host would wait
    /// forever.
    fn drop(&mut self) {
        let mut slot = self.0.future.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.is_some() {
            self.0.drop_future(&mut slot);
            drop(slot);
            self.0
                .complete(Ok(Err("the app's runtime was shut down".into())));
        }
    }
}
