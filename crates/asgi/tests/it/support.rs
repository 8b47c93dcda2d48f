//! A server that keeps its events in memory, and futures that are ready at once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use asgi::{
    Closed, DisconnectReason, ReceiveEvent, ReceiveHalf, Receiver, SendError, SendEvent, SendHalf,
    Sender,
};

/// Prints what happened in the first version of the interface, and what happens now.
pub(crate) fn change(before: &str, after: impl std::fmt::Debug) {
    let _ = std::io::Write::write_fmt(
        &mut std::io::stdout(),
        format_args!("before: {before}\nafter:  {after:?}\n"),
    );
}

/// Polls a future once. Returns `None` if it waits.
pub(crate) fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Returns the output of a future that must be ready at once.
#[track_caller]
pub(crate) fn now<F: Future>(future: F) -> F::Output {
    poll_once(future).expect("the future waits")
}

/// Yields events, then waits.
struct Events(VecDeque<ReceiveEvent>);

impl ReceiveHalf for Events {
    fn poll_receive(&mut self, _: &mut Context<'_>) -> Poll<ReceiveEvent> {
        self.0.pop_front().map_or(Poll::Pending, Poll::Ready)
    }
}

pub(crate) fn receiver<E: Into<ReceiveEvent>>(events: impl IntoIterator<Item = E>) -> Receiver {
    Receiver::new(Events(events.into_iter().map(Into::into).collect()))
}

/// What a server took from a sender.
#[derive(Clone, Default)]
pub(crate) struct Taken {
    pub(crate) taken: Arc<Mutex<Vec<&'static str>>>,
    /// The server refuses these as misuse.
    pub(crate) misuse: &'static [&'static str],
}

impl Taken {
    pub(crate) fn sender(&self) -> Sender {
        Sender::new(self.clone())
    }

    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.taken.lock().unwrap().clone()
    }
}

impl SendHalf for Taken {
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Poll::Ready(Ok(()))
    }

    fn start_send(&mut self, event: SendEvent) -> Result<(), SendError> {
        if self.misuse.contains(&event.name()) {
            return Err(SendError::misuse(event.name(), "something else"));
        }
        self.taken.lock().unwrap().push(event.name());
        Ok(())
    }

    fn poll_closed(&mut self, _: &mut Context<'_>) -> Poll<DisconnectReason> {
        Poll::Pending
    }

    fn closed_handle(&self) -> Closed {
        Closed::new(std::future::ready(DisconnectReason::Lost))
    }
}
