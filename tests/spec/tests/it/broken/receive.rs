//! Receivers that lose or change events.

use std::task::{Context, Poll, ready};

use asgi::{
    DisconnectReason, HttpDisconnect, LifespanStartup, Message, ReceiveEvent, ReceiveHalf,
    Receiver, WebSocketConnect, WebSocketReceive,
};

pub(super) fn break_receive(id: &'static str, receive: Receiver) -> Receiver {
    Receiver::new(BrokenReceive {
        id,
        receive,
        count: 0,
        waited: false,
        ended: false,
    })
}

/// A receiver without events.
pub(super) fn never() -> Receiver {
    struct Never;
    impl ReceiveHalf for Never {
        fn poll_receive(&mut self, _: &mut Context<'_>) -> Poll<ReceiveEvent> {
            Poll::Pending
        }
    }
    Receiver::new(Never)
}

struct BrokenReceive {
    id: &'static str,
    receive: Receiver,
    count: u32,
    waited: bool,
    ended: bool,
}

impl ReceiveHalf for BrokenReceive {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<ReceiveEvent> {
        if self.ended && self.id == "CORE-008" {
            return Poll::Pending;
        }
        let Poll::Ready(mut event) = self.receive.poll_receive(cx) else {
            self.waited = true;
            if self.id == "WS-004" && self.count == 1 {
                self.count = 2;
                return Poll::Ready(WebSocketConnect::new().into());
            }
            if self.id == "LIFE-004" && self.count == 1 {
                self.count = 2;
                return Poll::Ready(LifespanStartup::new().into());
            }
            return Poll::Pending;
        };
        self.count += 1;
        match (self.id, &mut event) {
            // The event that the dropped wait was for is lost.
            ("CORE-007", ReceiveEvent::HttpRequest(_)) if self.waited && self.count == 1 => {
                event = ready!(self.receive.poll_receive(cx));
            }
            ("HTTP-014", ReceiveEvent::HttpRequest(_)) if self.count == 1 => {
                event = HttpDisconnect::new(DisconnectReason::Complete).into();
            }
            ("HTTP-015", ReceiveEvent::HttpRequest(part)) => {
                part.body = [b"5;".as_slice(), &part.body].concat().into();
            }
            ("HTTP-016", ReceiveEvent::HttpRequest(part)) => part.more_body = false,
            ("HTTP-017", ReceiveEvent::HttpRequest(part)) => part.trailers = None,
            ("HTTP-020" | "HTTP-041" | "HTTP-045", ReceiveEvent::HttpDisconnect(end)) => {
                end.reason = DisconnectReason::Lost;
            }
            ("HTTP-043", ReceiveEvent::HttpDisconnect(end)) => {
                end.reason = DisconnectReason::TimedOut;
            }
            ("WS-013", ReceiveEvent::WebSocketReceive(_)) if self.count == 2 => {
                event = ready!(self.receive.poll_receive(cx));
            }
            ("WS-014", ReceiveEvent::WebSocketDisconnect(end)) if end.code == 4001 => {
                event = WebSocketReceive::new(Message::text("late")).into();
            }
            ("WS-015", ReceiveEvent::WebSocketReceive(receive)) => {
                receive.message = Message::binary(receive.message.as_bytes().to_vec());
            }
            ("WS-020" | "WS-021" | "WS-022" | "WS-031", ReceiveEvent::WebSocketDisconnect(end)) => {
                end.code = 1001;
            }
            _ => {}
        }
        self.ended = matches!(event, ReceiveEvent::HttpDisconnect(_));
        Poll::Ready(event)
    }
}
