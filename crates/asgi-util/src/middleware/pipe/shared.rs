//! The state of a pipe, and the steps that lead an event from the inner app to the answer.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use asgi::{AppError, AppFuture, SendError, SendEvent, Sender};

use super::slot::{PipeAnswer, PipeFailure, PipeSlot};
use super::wakers::{PipeWaiter, PipeWakers};

/// What the inner app's sender, the loop and [`Pipe::drive`] share.
///
/// Lock order: `pump`, then `outer` or `slot`. `outer` and `slot` are never locked together.
pub(super) struct PipeShared {
    pub(super) wakers: Arc<PipeWakers>,
    /// Wakes all of `wakers`. It does not refer to this value, because the server keeps it.
    pub(super) waker: Waker,
    /// The server's sender. It is always polled with `waker`, because it wakes only the task that
    /// polled last.
    pub(super) outer: Mutex<Sender>,
    pub(super) slot: Mutex<PipeSlot>,
    pub(super) pump: Mutex<PipePump>,
}

#[derive(Default)]
pub(super) struct PipePump {
    /// `None` once it has ended or was dropped.
    pub(super) future: Option<AppFuture<'static>>,
    pub(super) error: Option<AppError>,
}

impl PipeShared {
    /// Returns the context in which the server's sender and the loop are polled.
    pub(super) fn context(&self) -> Context<'_> {
        Context::from_waker(&self.waker)
    }

    /// Registers a waiter of the loop, unless `waker` is the one that the loop is polled with.
    pub(super) fn register(&self, waiter: PipeWaiter, waker: &Waker) {
        if !waker.will_wake(&self.waker) {
            self.wakers.register(waiter, waker);
        }
    }

    pub(super) fn poll_app(
        &self,
        cx: &mut Context<'_>,
        mut app: Pin<&mut impl Future<Output = Result<(), AppError>>>,
    ) -> Poll<Result<(), AppError>> {
        self.wakers.register(PipeWaiter::Drive, cx.waker());
        loop {
            let result = app.as_mut().poll(cx);
            lock(&self.slot).sender_woken = false;
            if result.is_pending() {
                self.poll_pump();
            }
            // If both have failed, the loop was first: the app saw its end.
            if let Some(error) = lock(&self.pump).error.take() {
                return Poll::Ready(Err(error));
            }
            // If the loop has woken the app, the app can continue. It must do so before this returns
            // `Pending`, or the server sends a head that it holds back.
            if result.is_ready() || !lock(&self.slot).sender_woken {
                return result;
            }
        }
    }

    /// Polls the loop, unless it has ended.
    pub(super) fn poll_pump(&self) {
        let (ended, failure) = {
            let mut pump = lock(&self.pump);
            let Some(future) = &mut pump.future else {
                return;
            };
            let Poll::Ready(result) = future.as_mut().poll(&mut self.context()) else {
                return;
            };
            pump.error = result.err();
            let failure = match &pump.error {
                None => PipeFailure::PumpEnded,
                Some(error) => {
                    let error = error.as_error().downcast_ref::<SendError>();
                    PipeFailure::PumpFailed(error.cloned().unwrap_or_else(SendError::over))
                }
            };
            (pump.future.take(), failure)
        };
        drop(ended);
        {
            let mut slot = lock(&self.slot);
            slot.failure.get_or_insert(failure);
            slot.sender_woken = true;
        }
        self.wakers.wake_all();
    }

    pub(super) fn wake_sender(&self) {
        if self.wakers.wake_one(PipeWaiter::Ready) {
            lock(&self.slot).sender_woken = true;
        }
    }

    pub(super) fn end_app(&self) {
        lock(&self.slot)
            .failure
            .get_or_insert(PipeFailure::AppEnded);
        self.wakers.wake_one(PipeWaiter::Ready);
        self.wakers.wake_one(PipeWaiter::Closed);
    }

    pub(super) fn answer(&self, number: u64, answer: PipeAnswer) {
        {
            let mut slot = lock(&self.slot);
            if slot.number == number {
                if !slot.unanswered {
                    return;
                }
                slot.unanswered = false;
                slot.answer = Some(answer);
            } else if let Some(error) = answer.into_error() {
                slot.late_error.get_or_insert(error);
            }
        }
        self.wake_sender();
    }

    /// Polls whether the loop waits for an event and the server has room for it.
    pub(super) fn poll_ready(&self, cx: &Context<'_>) -> Poll<Result<(), SendError>> {
        // Mostly the first try succeeds, and then no waker is needed.
        if let Poll::Ready(result) = self.try_ready() {
            return Poll::Ready(result);
        }
        self.wakers.register(PipeWaiter::Ready, cx.waker());
        self.try_ready()
    }

    pub(super) fn try_ready(&self) -> Poll<Result<(), SendError>> {
        if !lock(&self.slot).wanted {
            self.poll_pump();
        }
        if lock(&self.slot).app_has_ended() {
            return Poll::Ready(Err(SendError::over()));
        }
        let room = lock(&self.outer).poll_ready(&mut self.context())?;
        {
            let mut slot = lock(&self.slot);
            if let Some(failure) = &slot.failure {
                return Poll::Ready(Err(failure.error()));
            }
            if let Some(error) = slot.take_late_error() {
                return Poll::Ready(Err(error));
            }
            slot.room_promised |= slot.wanted && slot.event.is_none() && room.is_ready();
            if slot.room_promised {
                return Poll::Ready(Ok(()));
            }
            if room.is_pending() {
                return Poll::Pending;
            }
        }
        // The loop is busy, and the server has room. The wait must still end once the client is
        // gone.
        let _ = lock(&self.outer).poll_closed(&mut self.context());
        Poll::Pending
    }

    /// Gives an event to the loop and lets it run.
    pub(super) fn offer(&self, event: SendEvent) {
        lock(&self.slot).offer(event);
        self.wakers.wake_one(PipeWaiter::Next);
        self.poll_pump();
    }

    /// Polls for the answer to the event that was offered.
    pub(super) fn poll_answer(&self, cx: &Context<'_>) -> Poll<Result<(), SendError>> {
        if let Some(answer) = lock(&self.slot).take_answer() {
            return Poll::Ready(answer);
        }
        self.wakers.register(PipeWaiter::Ready, cx.waker());
        self.poll_pump();
        if let Some(answer) = lock(&self.slot).take_answer() {
            return Poll::Ready(answer);
        }
        let mut outer = lock(&self.outer);
        // The error says that the client is gone. The loop may still wait for something else.
        let _ = outer.poll_ready(&mut self.context())?;
        let _ = outer.poll_closed(&mut self.context());
        Poll::Pending
    }
}

/// Locks a mutex and ignores poisoning: a loop that has panicked panics again when it is polled.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
