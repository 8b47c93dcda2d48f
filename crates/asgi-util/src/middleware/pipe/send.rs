//! The inner app's side of a pipe.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use asgi::{Closed, DisconnectReason, SendError, SendEvent, SendHalf};

use super::shared::{PipeShared, lock};
use super::wakers::PipeWaiter;

/// The inner app's side of a pipe.
pub(super) struct PipeSend(pub(super) Arc<PipeShared>);

impl SendHalf for PipeSend {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.0.poll_ready(cx)
    }

    fn start_send(&mut self, event: SendEvent) -> Result<(), SendError> {
        let shared = &self.0;
        {
            let slot = lock(&shared.slot);
            if slot.app_has_ended() {
                return Err(SendError::over());
            }
            if !slot.room_promised {
                let got = format!("{} without room for it", event.name());
                return Err(SendError::misuse(got, "start_send only after poll_ready"));
            }
        }
        shared.offer(event);
        // If the loop waits, its answer comes too late for this event: the next one gets it.
        let answer = lock(&shared.slot).take_answer();
        answer.unwrap_or(Ok(()))
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<DisconnectReason> {
        let shared = &self.0;
        shared.wakers.register(PipeWaiter::Closed, cx.waker());
        if lock(&shared.slot).app_has_ended() {
            return Poll::Ready(DisconnectReason::Complete);
        }
        lock(&shared.outer).poll_closed(&mut shared.context())
    }

    fn closed_handle(&self) -> Closed {
        lock(&self.0.outer).closed_handle()
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        event: &mut Option<SendEvent>,
    ) -> Poll<Result<(), SendError>> {
        if event.is_some() {
            ready!(self.0.poll_ready(cx))?;
            if let Some(event) = event.take() {
                self.0.offer(event);
            }
        }
        self.0.poll_answer(cx)
    }
}

impl Drop for PipeSend {
    fn drop(&mut self) {
        lock(&self.0.slot).sender_dropped = true;
        self.0.wakers.wake_one(PipeWaiter::Next);
        self.0.wakers.wake_one(PipeWaiter::Drive);
    }
}
