//! The app's halves, which write down what passes through them.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use asgi::{
    Closed, DisconnectReason, ReceiveEvent, ReceiveHalf, Receiver, SendError, SendEvent, SendHalf,
    Sender,
};

use crate::describe;
use crate::history::Actor;
use crate::record::CallRecord;

/// Wraps the halves of an exchange, so that everything that the app does with them is recorded.
pub(crate) fn recorded(
    (receive, send): (Receiver, Sender),
    record: &CallRecord,
) -> (Receiver, Sender) {
    record.with(|state| {
        state.receivers += 1;
        state.senders += 1;
    });
    let receive = RecordedReceive {
        receive,
        record: record.clone(),
    };
    let send = RecordedSend {
        send,
        record: record.clone(),
    };
    (Receiver::new(receive), Sender::new(send))
}

struct RecordedReceive {
    receive: Receiver,
    record: CallRecord,
}

impl ReceiveHalf for RecordedReceive {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<ReceiveEvent> {
        let polled = self.receive.poll_receive(cx);
        match &polled {
            Poll::Pending => self.record.change(|state| state.receive_waits = true),
            Poll::Ready(event) => {
                self.record.with(|state| state.receive_waits = false);
                let text = describe::received(event);
                self.record.note(Actor::App, format!("receives {text}"));
            }
        }
        polled
    }
}

impl Drop for RecordedReceive {
    fn drop(&mut self) {
        self.record.change(|state| {
            state.receivers -= 1;
            state.receive_waits = false;
        });
    }
}

struct RecordedSend {
    send: Sender,
    record: CallRecord,
}

impl RecordedSend {
    /// Writes down an event that was not taken.
    fn failed(&self, event: &SentEvent, error: &SendError) {
        if error.is_misuse() && event.may_be_flush {
            // `Sender::flush` sends an empty part, and takes this error for "nothing to flush".
            self.record.note(Actor::App, "flushes, without effect");
            return;
        }
        let (name, text) = (event.name, &event.text);
        self.record.with(|state| {
            if let Some((got, expected)) = error.as_misuse() {
                let broken = format!("it sent {got}, expected {expected}");
                state.misuse.push(broken);
            } else if error.is_over() && !state.client_left {
                let late = format!("a task of it sent {name} after the app had returned");
                state.misuse.push(late);
            }
        });
        let cause = match (error.as_misuse(), error.disconnect_reason()) {
            (Some((_, expected)), _) => format!("expected {expected}"),
            (None, Some(reason)) => format!("{error}: {reason}"),
            (None, None) => error.to_string(),
        };
        self.record
            .note(Actor::App, format!("tries to send {text} (error: {cause})"));
    }
}

/// An event that the app sends, for the history.
struct SentEvent {
    name: &'static str,
    text: String,
    /// It is an empty part of a body, such as `Sender::flush` sends.
    may_be_flush: bool,
}

impl SentEvent {
    fn new(event: &SendEvent) -> Self {
        Self {
            name: event.name(),
            text: describe::sent(event),
            may_be_flush: matches!(event, SendEvent::HttpResponseBody(body)
                if body.more_body && body.body.is_empty()),
        }
    }
}

impl SendHalf for RecordedSend {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let polled = self.send.poll_ready(cx);
        match polled.is_pending() {
            true => self.record.change(|state| state.room_waits = true),
            false => self.record.with(|state| state.room_waits = false),
        }
        polled
    }

    fn start_send(&mut self, event: SendEvent) -> Result<(), SendError> {
        let sent = SentEvent::new(&event);
        let result = self.send.start_send(event);
        match &result {
            Ok(()) => self.record.note(Actor::App, format!("sends {}", sent.text)),
            Err(error) => self.failed(&sent, error),
        }
        result
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<DisconnectReason> {
        let polled = self.send.poll_closed(cx);
        match polled {
            Poll::Pending => self.record.with(|state| state.closed_waits = true),
            Poll::Ready(reason) => {
                self.record.with(|state| state.closed_waits = false);
                self.record
                    .note(Actor::App, format!("learns that {reason}"));
            }
        }
        polled
    }

    fn closed_handle(&self) -> Closed {
        self.record.with(|state| state.closed_handles += 1);
        Closed::new(RecordedClosed {
            closed: self.send.closed_handle(),
            record: self.record.clone(),
        })
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        event: &mut Option<SendEvent>,
    ) -> Poll<Result<(), SendError>> {
        if let Err(error) = ready!(self.poll_ready(cx)) {
            if let Some(event) = event {
                self.failed(&SentEvent::new(event), &error);
            }
            return Poll::Ready(Err(error));
        }
        Poll::Ready(event.take().map_or(Ok(()), |event| self.start_send(event)))
    }
}

impl Drop for RecordedSend {
    fn drop(&mut self) {
        self.record.change(|state| {
            state.senders -= 1;
            state.room_waits = false;
        });
    }
}

/// A handle of the app that waits for the close.
struct RecordedClosed {
    closed: Closed,
    record: CallRecord,
}

impl Future for RecordedClosed {
    type Output = DisconnectReason;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<DisconnectReason> {
        let polled = Pin::new(&mut self.closed).poll(cx);
        if let Poll::Ready(reason) = polled {
            self.record
                .note(Actor::App, format!("learns that {reason}"));
        }
        polled
    }
}

impl Drop for RecordedClosed {
    fn drop(&mut self) {
        self.record.change(|state| state.closed_handles -= 1);
    }
}
