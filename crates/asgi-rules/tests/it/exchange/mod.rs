//! The exchanges: wakers, room, order, and the client's side.

mod http;
mod lifespan;
mod random;
mod websocket;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use asgi::{ReceiveEvent, Receiver, SendError, SendEvent, Sender};

/// A task that counts how often it is woken.
#[derive(Default)]
pub(crate) struct Task(AtomicUsize);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Task {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Polls as this task.
    pub(crate) fn poll<T>(self: &Arc<Self>, poll: impl FnOnce(&mut Context<'_>) -> T) -> T {
        let waker = Waker::from(Arc::clone(self));
        poll(&mut Context::from_waker(&waker))
    }

    /// Returns how often the task was woken since the last call.
    pub(crate) fn take_wakes(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

/// Polls once, as a task that no one looks at.
fn once<T>(poll: impl FnOnce(&mut Context<'_>) -> T) -> T {
    poll(&mut Context::from_waker(Waker::noop()))
}

/// Returns what `receive` returns now, as one line.
fn receive(receiver: &mut Receiver) -> String {
    show_received(once(|cx| receiver.poll_receive(cx)))
}

fn show_received(event: Poll<ReceiveEvent>) -> String {
    match event {
        Poll::Pending => "waits".to_owned(),
        Poll::Ready(ReceiveEvent::HttpRequest(part)) => {
            let more = if part.more_body { " more" } else { " last" };
            String::from_utf8_lossy(&part.body).into_owned() + more
        }
        Poll::Ready(ReceiveEvent::HttpDisconnect(disconnect)) => format!("{:?}", disconnect.reason),
        Poll::Ready(ReceiveEvent::WebSocketReceive(event)) => format!("{:?}", event.message),
        Poll::Ready(ReceiveEvent::WebSocketDisconnect(event)) => {
            format!("{} {:?}", event.code, event.reason)
        }
        Poll::Ready(other) => format!("{other:?}"),
    }
}

/// Sends an event as an app does that finds room.
fn send(sender: &mut Sender, event: impl Into<SendEvent>) -> Result<(), SendError> {
    match once(|cx| sender.poll_send(cx, &mut Some(event.into()))) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("there is no room"),
    }
}
