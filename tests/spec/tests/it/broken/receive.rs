//! Receivers that lose or change events.

use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker, ready};

use asgi::{
    DisconnectReason, HttpDisconnect, LifespanShutdown, LifespanShutdownComplete, LifespanStartup,
    Message, ReceiveEvent, ReceiveHalf, Receiver, WebSocketConnect, WebSocketReceive,
};

use super::exchange::Exchange;

pub(super) fn break_receive(exchange: &Exchange, receive: Receiver) -> Receiver {
    Receiver::new(BrokenReceive {
        exchange: exchange.clone(),
        receive,
        count: 0,
        waited: false,
        ended: false,
        first_waker: None,
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
    exchange: Exchange,
    receive: Receiver,
    count: u32,
    waited: bool,
    ended: bool,
    first_waker: Option<Waker>,
}

impl ReceiveHalf for BrokenReceive {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<ReceiveEvent> {
        let id = self.exchange.id;
        if self.ended && id == "CORE-008" {
            return Poll::Pending;
        }
        if id == "CORE-009" && self.count == 0 {
            // Until the first event, the exchange belongs to the task that polled it first.
            let first = self.first_waker.get_or_insert_with(|| cx.waker().clone());
            if !first.will_wake(cx.waker()) {
                return Poll::Pending;
            }
        }
        let Poll::Ready(event) = self.receive.poll_receive(cx) else {
            self.waited = true;
            let event = self.instead_of_waiting(cx);
            return event.map_or(Poll::Pending, |event| self.returns(event));
        };
        self.count += 1;
        let event = ready!(self.change(event, cx));
        self.returns(event)
    }
}

impl BrokenReceive {
    fn returns(&mut self, event: ReceiveEvent) -> Poll<ReceiveEvent> {
        self.ended = matches!(event, ReceiveEvent::HttpDisconnect(_));
        let mut seen = self.exchange.seen.lock().unwrap();
        seen.received.push(event.name());
        if let ReceiveEvent::HttpDisconnect(end) = &event {
            seen.closed |= end.reason == DisconnectReason::Closed;
        }
        drop(seen);
        Poll::Ready(event)
    }

    /// An event that the server has not sent.
    fn instead_of_waiting(&mut self, cx: &Context<'_>) -> Option<ReceiveEvent> {
        let connected = self.exchange.has_received("websocket.connect");
        let accepted = self.exchange.has_sent("websocket.accept");
        match self.exchange.id {
            "WS-004" if connected && self.count == 1 => {
                self.count = 2;
                Some(WebSocketConnect::new().into())
            }
            "WS-045" if connected && !accepted && self.count == 1 => {
                self.count = 2;
                Some(WebSocketReceive::new(Message::text("ghost")).into())
            }
            "LIFE-004" if self.exchange.has_received("lifespan.startup") && self.count == 1 => {
                self.count = 2;
                Some(LifespanStartup::new().into())
            }
            "LIFE-012" if self.exchange.has_sent("lifespan.startup.complete") => {
                let process = &self.exchange.process;
                *process.lifespan_waker.lock().unwrap() = Some(cx.waker().clone());
                let runs = process.requests.load(Ordering::SeqCst) > 0;
                let told = self.exchange.has_received("lifespan.shutdown");
                (runs && !told).then(|| LifespanShutdown::new().into())
            }
            _ => None,
        }
    }

    fn change(&mut self, mut event: ReceiveEvent, cx: &mut Context<'_>) -> Poll<ReceiveEvent> {
        match (self.exchange.id, &mut event) {
            // The event that the dropped wait was for is lost.
            ("CORE-007", ReceiveEvent::HttpRequest(_)) if self.waited && self.count == 1 => {
                return self.receive.poll_receive(cx);
            }
            ("HTTP-014", ReceiveEvent::HttpRequest(part))
                if self.count == 1 && part.body.is_empty() && !part.more_body =>
            {
                event = HttpDisconnect::new(DisconnectReason::Complete).into();
            }
            ("HTTP-015", ReceiveEvent::HttpRequest(part)) if self.exchange.is_chunked => {
                part.body = [b"5;".as_slice(), &part.body].concat().into();
            }
            ("HTTP-016", ReceiveEvent::HttpRequest(part)) => part.more_body = false,
            ("HTTP-017", ReceiveEvent::HttpRequest(part)) => part.trailers = None,
            ("HTTP-020" | "HTTP-041" | "HTTP-045", ReceiveEvent::HttpDisconnect(end)) => {
                end.reason = DisconnectReason::Lost;
            }
            ("HTTP-075", ReceiveEvent::HttpDisconnect(end)) => end.reason = DisconnectReason::Lost,
            ("HTTP-043", ReceiveEvent::HttpDisconnect(end)) => {
                end.reason = DisconnectReason::TimedOut;
            }
            ("WS-013", ReceiveEvent::WebSocketReceive(_)) if self.count == 2 => {
                return self.receive.poll_receive(cx);
            }
            ("WS-014", ReceiveEvent::WebSocketDisconnect(end)) if end.code == 4001 => {
                event = WebSocketReceive::new(Message::text("late")).into();
            }
            ("WS-015", ReceiveEvent::WebSocketReceive(receive)) => {
                let text = String::from_utf8_lossy(receive.message.as_bytes());
                receive.message = Message::text(text.into_owned());
            }
            ("WS-020" | "WS-021" | "WS-022" | "WS-031", ReceiveEvent::WebSocketDisconnect(end)) => {
                end.code = 1001;
            }
            ("LIFE-013", ReceiveEvent::LifespanShutdown(_)) => {
                self.exchange.send(LifespanShutdownComplete::new());
            }
            _ => {}
        }
        Poll::Ready(event)
    }
}
