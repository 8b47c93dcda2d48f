//! A `Receiver` as a `Stream`, and a `Sender` as a `Sink`.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use asgi::{ReceiveEvent, Receiver, SendError, SendEvent, Sender};
use futures_core::Stream;
use futures_sink::Sink;

/// A [`Receiver`] as a [`Stream`] of events.
///
/// The stream yields the last event of its protocol, a disconnect or the shutdown, once, and then
/// ends.
#[derive(Debug)]
pub struct EventStream {
    receive: Receiver,
    ended: bool,
}

impl EventStream {
    /// Creates a stream of the events of `receive`.
    pub fn new(receive: Receiver) -> Self {
        Self {
            receive,
            ended: false,
        }
    }

    /// Returns the receiver.
    pub fn into_inner(self) -> Receiver {
        self.receive
    }
}

impl Stream for EventStream {
    type Item = ReceiveEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ReceiveEvent>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let event = ready!(self.receive.poll_receive(cx));
        self.ended = matches!(
            event,
            ReceiveEvent::HttpDisconnect(_)
                | ReceiveEvent::WebSocketDisconnect(_)
                | ReceiveEvent::LifespanShutdown(_)
        );
        Poll::Ready(Some(event))
    }
}

/// A [`Sender`] as a [`Sink`] for events.
///
/// To flush or close the sink does nothing: the server takes each event whole, and the exchange
/// ends with its last event.
#[derive(Debug)]
pub struct EventSink(Sender);

impl EventSink {
    /// Creates a sink that sends its items with `send`.
    pub fn new(send: Sender) -> Self {
        Self(send)
    }

    /// Returns the sender.
    pub fn into_inner(self) -> Sender {
        self.0
    }
}

impl Sink<SendEvent> for EventSink {
    type Error = SendError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.0.poll_ready(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, event: SendEvent) -> Result<(), SendError> {
        self.0.start_send(event)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Poll::Ready(Ok(()))
    }
}
