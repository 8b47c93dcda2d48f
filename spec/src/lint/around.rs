//! The halves that Lint puts around those of the server.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use asgi::bytes::Bytes;
use asgi::{
    Closed, DisconnectReason, HttpResponseStart, ReceiveEvent, ReceiveHalf, Receiver, SendError,
    SendEvent, Sender, SharedHalves,
};

use super::call::LintedCall;

/// Returns halves that check what passes through them.
pub(crate) fn around(
    call: &Arc<LintedCall>,
    receive: Receiver,
    send: Sender,
) -> (Receiver, Sender) {
    let receive = receive.wrap(|receive| CheckedReceive {
        receive,
        call: Arc::clone(call),
    });
    // Only shared halves can take a complete response in one step (HTTP-085). The other half of
    // the pair is not used: two halves can be dropped one after the other.
    let (_, send) = asgi::halves(Arc::new(CheckedSend {
        send: Mutex::new(send),
        call: Arc::clone(call),
    }));
    (receive, send)
}

struct CheckedReceive {
    receive: Receiver,
    call: Arc<LintedCall>,
}

impl ReceiveHalf for CheckedReceive {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<ReceiveEvent> {
        let before = self.call.before_receive();
        let event = self.receive.poll_receive(cx);
        self.call.received(before, &event);
        event
    }
}

struct CheckedSend {
    send: Mutex<Sender>,
    call: Arc<LintedCall>,
}

impl CheckedSend {
    /// Only one thread at a time uses a sender, so this never waits.
    fn lock(&self) -> MutexGuard<'_, Sender> {
        self.send.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SharedHalves for CheckedSend {
    fn poll_receive(&self, _: &mut Context<'_>) -> Poll<ReceiveEvent> {
        unreachable!("the receiver of this pair is dropped at once")
    }

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let gone = self.call.gone();
        let ready = self.lock().poll_ready(cx);
        self.call.ready(gone, &ready);
        ready
    }

    fn start_send(&self, event: SendEvent) -> Result<(), SendError> {
        let sending = self.call.sending(&event);
        let result = self.lock().start_send(event);
        self.call.settle(sending, Some(&result));
        result
    }

    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        event: &mut Option<SendEvent>,
    ) -> Poll<Result<(), SendError>> {
        let Some(sending) = event.as_ref().map(|event| self.call.sending(event)) else {
            return self.lock().poll_send(cx, event);
        };
        let result = self.lock().poll_send(cx, event);
        self.call.settle(sending, ready(&result));
        result
    }

    fn poll_respond(
        &self,
        cx: &mut Context<'_>,
        response: &mut Option<(HttpResponseStart, Bytes)>,
    ) -> Poll<Result<(), SendError>> {
        let responding = response.as_ref();
        let responding =
            responding.and_then(|(start, body)| self.call.responding(start, body.len()));
        let result = self.lock().poll_respond(cx, response);
        // A half that takes no complete responses leaves it, and the caller sends two events.
        let is_left = response.is_some() && matches!(result, Poll::Ready(Ok(())));
        let answer = ready(&result).filter(|_| !is_left);
        self.call.responded(responding, answer);
        result
    }

    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<DisconnectReason> {
        let before = self.call.before_closed();
        let closed = self.lock().poll_closed(cx);
        self.call.closed(before, closed);
        closed
    }

    fn closed_handle(self: Arc<Self>) -> Closed {
        let mut closed = self.lock().closed_handle();
        let call = Arc::clone(&self.call);
        Closed::new(std::future::poll_fn(move |cx| {
            let before = call.before_closed();
            let reason = std::pin::Pin::new(&mut closed).poll(cx);
            call.closed(before, reason);
            reason
        }))
    }
}

fn ready<T>(poll: &Poll<T>) -> Option<&T> {
    match poll {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}
