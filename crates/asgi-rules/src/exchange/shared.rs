//! The state that the app's two halves share with the server, for every protocol.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use asgi::{Closed, DisconnectReason, ReceiveEvent, SendError, SendEvent, SharedHalves};

use super::wakers::{ExchangeWakers, register};
use crate::{ClosedSource, ClosedWaiter, ClosedWakers, closed_handle};

/// One protocol: its rules, and the client's input that the app has not received.
pub(super) trait ExchangeProtocol: Send {
    /// What the server does for an event of the app.
    type Output: Send;

    /// Checks whether the app may send.
    fn ready(&mut self) -> Result<(), SendError>;

    /// Takes an event of the app.
    fn send(&mut self, event: SendEvent) -> Result<Option<Self::Output>, SendError>;

    /// Returns the head that is held back, if any, because the app waits.
    fn waiting(&mut self) -> Option<Self::Output>;

    /// Returns the event that the app receives now, or `None` if it must wait.
    fn receive(&mut self) -> Option<ReceiveEvent>;

    /// Returns the result of the app's `closed`, if there is one.
    fn closed(&mut self) -> Option<DisconnectReason>;

    /// Returns whether input of the client can still reach the app.
    fn takes_input(&self) -> bool;

    /// Returns how far the exchange is. An app that waits is woken whenever this changes.
    fn stage(&self) -> Stage;

    /// Returns how much room an output takes.
    fn size(output: &Self::Output) -> usize;
}

/// The steps of an exchange that can end a wait of the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Start,
    /// The app has accepted the WebSocket, so it can receive messages.
    Accepted,
    Complete,
}

/// The shared state of one exchange.
///
/// No waker is called while the state is locked: a waker may run code of the app.
pub(super) struct SharedExchange<P: ExchangeProtocol>(Mutex<SharedState<P>>);

pub(super) struct SharedState<P: ExchangeProtocol> {
    pub(super) protocol: P,
    /// The outputs that the server has not taken.
    outputs: VecDeque<P::Output>,
    /// The size of `outputs`.
    queued: usize,
    /// The size at which the app waits for room.
    room: usize,
    /// `poll_ready` has promised room for one event.
    room_promised: bool,
    /// The app has polled `receive` since the last input, and there was nothing.
    wants_input: bool,
    wakers: ExchangeWakers,
    /// The handles of the app that wait for the close.
    closed_handles: ClosedWakers,
    after_unlock: AfterUnlock,
}

/// The wakers to call and to drop once the state is not locked any more.
#[derive(Default)]
struct AfterUnlock {
    wake: ExchangeWakers,
    wake_handles: Vec<Waker>,
    drop: Option<Waker>,
}

impl<P: ExchangeProtocol> SharedExchange<P> {
    pub(super) fn new(protocol: P) -> Self {
        Self(Mutex::new(SharedState {
            protocol,
            outputs: VecDeque::new(),
            queued: 0,
            room: 1,
            room_promised: false,
            wants_input: false,
            wakers: ExchangeWakers::default(),
            closed_handles: ClosedWakers::default(),
            after_unlock: AfterUnlock::default(),
        }))
    }

    /// Reads or changes the state. Then calls the wakers that `access` has chosen.
    pub(super) fn with<T>(&self, access: impl FnOnce(&mut SharedState<P>) -> T) -> T {
        let (result, after) = {
            let mut state = self.lock();
            let result = access(&mut state);
            (result, mem::take(&mut state.after_unlock))
        };
        after.wake.wake();
        after.wake_handles.into_iter().for_each(Waker::wake);
        drop(after.drop);
        result
    }

    pub(super) fn set_room(&self, room: usize) {
        self.with(|state| state.room = room.max(1));
    }

    /// Polls for the next output.
    pub(super) fn poll_output(&self, cx: &Context<'_>) -> Poll<P::Output> {
        self.with(|state| match state.take_output() {
            Some(output) => Poll::Ready(output),
            None => {
                state.after_unlock.drop = register(&mut state.wakers.output, cx);
                Poll::Pending
            }
        })
    }

    /// Polls whether the app waits for input.
    pub(super) fn poll_wants_input(&self, cx: &Context<'_>) -> Poll<()> {
        self.with(|state| {
            if state.wants_input() {
                return Poll::Ready(());
            }
            state.after_unlock.drop = register(&mut state.wakers.wants_input, cx);
            Poll::Pending
        })
    }

    /// Queues the head that is held back, if any.
    pub(super) fn app_is_waiting(&self) {
        self.with(|state| {
            if let Some(head) = state.protocol.waiting() {
                state.push_output(head);
            }
        });
    }

    /// Locks the state. A panic of an app leaves it consistent, so poisoning means nothing.
    fn lock(&self) -> MutexGuard<'_, SharedState<P>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: ExchangeProtocol> SharedState<P> {
    pub(super) fn push_output(&mut self, output: P::Output) {
        self.queued += P::size(&output);
        self.outputs.push_back(output);
        self.after_unlock.wake.output = self.wakers.output.take();
    }

    pub(super) fn take_output(&mut self) -> Option<P::Output> {
        let output = self.outputs.pop_front()?;
        self.queued -= P::size(&output);
        if self.queued < self.room {
            self.after_unlock.wake.ready = self.wakers.ready.take();
        }
        Some(output)
    }

    pub(super) fn wants_input(&self) -> bool {
        self.wants_input && self.protocol.takes_input()
    }

    /// Wakes the app, because there is input for it.
    pub(super) fn input_came(&mut self) {
        self.wants_input = false;
        self.after_unlock.wake.receive = self.wakers.receive.take();
    }

    /// Wakes each task of the app that waits, because the exchange has changed.
    pub(super) fn wake_app(&mut self) {
        self.after_unlock.wake.receive = self.wakers.receive.take();
        self.after_unlock.wake.ready = self.wakers.ready.take();
        self.after_unlock.wake.closed = self.wakers.closed.take();
        self.after_unlock.wake_handles = self.closed_handles.take();
    }
}

impl<P: ExchangeProtocol + 'static> SharedHalves for SharedExchange<P> {
    fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<ReceiveEvent> {
        self.with(|state| match state.protocol.receive() {
            Some(event) => {
                state.wants_input = false;
                Poll::Ready(event)
            }
            None => {
                state.after_unlock.drop = register(&mut state.wakers.receive, cx);
                state.wants_input = true;
                state.after_unlock.wake.wants_input = state.wakers.wants_input.take();
                Poll::Pending
            }
        })
    }

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.with(|state| {
            state.protocol.ready()?;
            state.room_promised |= state.queued < state.room;
            if state.room_promised {
                return Poll::Ready(Ok(()));
            }
            state.after_unlock.drop = register(&mut state.wakers.ready, cx);
            Poll::Pending
        })
    }

    fn start_send(&self, event: SendEvent) -> Result<(), SendError> {
        self.with(|state| {
            state.protocol.ready()?;
            if !state.room_promised {
                let got = format!("{} without room for it", event.name());
                return Err(SendError::misuse(got, "start_send only after poll_ready"));
            }
            let stage = state.protocol.stage();
            if let Some(output) = state.protocol.send(event)? {
                state.push_output(output);
            }
            state.room_promised = false;
            if state.protocol.stage() != stage {
                state.wake_app();
            }
            // A head that is held back wakes the server, too: if another task of the app sends it,
            // the app may already wait, and only the server can find that out.
            if let Some(server) = state.wakers.output.take() {
                state.after_unlock.wake.output = Some(server);
            }
            Ok(())
        })
    }

    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<DisconnectReason> {
        self.with(|state| match state.protocol.closed() {
            Some(reason) => Poll::Ready(reason),
            None => {
                state.after_unlock.drop = register(&mut state.wakers.closed, cx);
                Poll::Pending
            }
        })
    }

    fn closed_handle(self: Arc<Self>) -> Closed {
        closed_handle(self)
    }
}

impl<P: ExchangeProtocol + 'static> ClosedSource for SharedExchange<P> {
    fn poll_waiter(
        &self,
        waiter: &mut ClosedWaiter,
        cx: &mut Context<'_>,
    ) -> Poll<DisconnectReason> {
        self.with(|state| match state.protocol.closed() {
            Some(reason) => Poll::Ready(reason),
            None => {
                state.after_unlock.drop = state.closed_handles.register(waiter, cx);
                Poll::Pending
            }
        })
    }

    fn remove_waiter(&self, waiter: &mut ClosedWaiter) {
        self.with(|state| state.after_unlock.drop = state.closed_handles.remove(waiter));
    }
}
