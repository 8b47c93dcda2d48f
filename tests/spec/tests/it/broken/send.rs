//! Senders that take too much, hold events back or give other errors.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use asgi::bytes::Bytes;
use asgi::http::StatusCode;
use asgi::{
    Closed, DisconnectReason, HttpResponseBody, HttpResponseStart, ReceiveEvent, Receiver,
    SendError, SendEvent, SendHalf, Sender, SharedHalves,
};

use super::change::change;
use super::exchange::Exchange;

pub(super) fn break_send(exchange: &Exchange) -> Sender {
    Sender::new(BrokenSend {
        exchange: exchange.clone(),
        held: Vec::new(),
        reported: false,
        waited: false,
        yielded: false,
        is_unbounded: false,
    })
}

/// A sender that takes everything.
pub(super) fn nowhere() -> Sender {
    struct Nowhere;
    impl SendHalf for Nowhere {
        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
            Poll::Ready(Ok(()))
        }
        fn start_send(&mut self, _: SendEvent) -> Result<(), SendError> {
            Ok(())
        }
        fn poll_closed(&mut self, _: &mut Context<'_>) -> Poll<DisconnectReason> {
            Poll::Pending
        }
        fn closed_handle(&self) -> Closed {
            Closed::new(std::future::pending())
        }
    }
    Sender::new(Nowhere)
}

struct BrokenSend {
    exchange: Exchange,
    held: Vec<SendEvent>,
    reported: bool,
    /// Whether this event has waited for room.
    waited: bool,
    /// Whether the sender has let others run before it takes an event.
    yielded: bool,
    is_unbounded: bool,
}

impl SendHalf for BrokenSend {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let ready = self.exchange.with(|send| send.poll_ready(cx));
        let ready = ready.unwrap_or_else(|| Poll::Ready(Err(SendError::over())));
        self.waited |= ready.is_pending();
        if self.exchange.id == "CORE-011" && ready.is_pending() && !self.is_unbounded {
            // One such exchange is enough: it keeps the processor busy.
            let process = &self.exchange.process;
            self.is_unbounded = !process.has_unbounded.swap(true, Ordering::SeqCst);
        }
        match (self.exchange.id, &ready) {
            ("CORE-011", Poll::Pending) if self.is_unbounded && self.yielded => {
                self.yielded = false;
                Poll::Ready(Ok(()))
            }
            // Other tasks must run too.
            ("CORE-011", Poll::Pending) if self.is_unbounded => {
                self.yielded = true;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            ("CORE-004", Poll::Ready(Err(error))) if error.is_over() => Poll::Ready(Ok(())),
            ("CORE-015", Poll::Ready(Err(error))) if error.is_disconnected() => {
                Poll::Ready(Err(SendError::over()))
            }
            ("CORE-016", Poll::Ready(Err(error))) if error.is_disconnected() && self.waited => {
                Poll::Pending
            }
            ("CORE-027", Poll::Ready(Err(error))) if error.is_disconnected() => {
                Poll::Ready(Err(SendError::misuse("an event", "another")))
            }
            ("HTTP-076", Poll::Ready(Err(error))) if error.is_disconnected() => {
                Poll::Ready(Err(SendError::disconnected(DisconnectReason::Lost)))
            }
            ("HTTP-083", Poll::Ready(Err(error)))
                if error.is_disconnected() && self.exchange.is_closed() =>
            {
                Poll::Ready(Err(SendError::disconnected(DisconnectReason::Closed)))
            }
            _ => ready,
        }
    }

    fn start_send(&mut self, mut event: SendEvent) -> Result<(), SendError> {
        let id = self.exchange.id;
        self.waited = false;
        match (id, &event) {
            // More than the server has room for is dropped.
            ("CORE-011", SendEvent::HttpResponseBody(part))
                if self.is_unbounded && part.body.len() > 1000 =>
            {
                return Ok(());
            }
            ("CORE-010", SendEvent::HttpResponseBody(part)) if part.body == "7." => {
                self.held.push(event);
                return Ok(());
            }
            ("CORE-010", _) if !self.held.is_empty() => {
                self.exchange.pass(event)?;
                return self.release();
            }
            ("HTTP-024", SendEvent::HttpResponseStart(_))
            | ("HTTP-054", SendEvent::HttpResponseEarlyHint(_)) => {
                self.held.push(event);
                return Ok(());
            }
            // The second part waits for the third one.
            ("HTTP-025", SendEvent::HttpResponseBody(part))
                if part.more_body && self.exchange.has_sent("http.response.body") =>
            {
                self.release()?;
                self.held.push(event);
                return Ok(());
            }
            ("HTTP-053", SendEvent::HttpResponseTrailers(_)) if self.exchange.is_head => {
                return Err(SendError::misuse("trailers", "no trailers"));
            }
            ("HTTP-024" | "HTTP-054", _) => self.release()?,
            _ => {}
        }
        if id == "HTTP-025"
            && let SendEvent::HttpResponseBody(last) = &mut event
            && let Some(SendEvent::HttpResponseBody(held)) = self.held.pop()
        {
            last.body = [held.body, last.body.clone()].concat().into();
        }
        if !change(&self.exchange, &mut event) {
            return Ok(());
        }
        self.flush_before(&event);
        let kind = Kind::of(&event);
        let started = self.exchange.has_sent("http.response.start");
        let result = self.exchange.pass(event);
        if id == "HTTP-023" && kind == Kind::Start && result.is_ok() {
            return self.exchange.pass(HttpResponseBody::more("").into());
        }
        self.answer(kind, started, result)
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<DisconnectReason> {
        let id = self.exchange.id;
        let closed = self.exchange.with(|send| send.poll_closed(cx));
        let reason = ready!(closed.unwrap_or(Poll::Ready(DisconnectReason::Complete)));
        if id == "CORE-017" && reason == DisconnectReason::Complete {
            return Poll::Pending;
        }
        if id == "HTTP-046" && self.reported {
            return Poll::Ready(DisconnectReason::Lost);
        }
        self.reported = true;
        let mut seen = self.exchange.seen.lock().unwrap();
        seen.closed |= reason != DisconnectReason::Complete;
        Poll::Ready(reason)
    }

    fn closed_handle(&self) -> Closed {
        let handle = self.exchange.with(|send| send.closed_handle());
        match handle {
            Some(handle) if self.exchange.id != "CORE-030" => handle,
            _ => Closed::new(std::future::pending()),
        }
    }
}

/// The events that errors are changed for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Start,
    StartWithTrailers,
    StartWithLength,
    Body,
    Trailers,
    Hint,
    Push,
    Accept,
    Deny,
    Other,
}

impl Kind {
    fn of(event: &SendEvent) -> Self {
        match event {
            SendEvent::HttpResponseStart(start) if start.trailers => Self::StartWithTrailers,
            SendEvent::HttpResponseStart(start)
                if start.headers.contains_key("content-length") && start.status.as_u16() >= 200 =>
            {
                Self::StartWithLength
            }
            SendEvent::HttpResponseStart(_) => Self::Start,
            SendEvent::HttpResponseBody(_) => Self::Body,
            SendEvent::HttpResponseTrailers(_) => Self::Trailers,
            SendEvent::HttpResponseEarlyHint(_) => Self::Hint,
            SendEvent::HttpResponsePush(_) => Self::Push,
            SendEvent::WebSocketAccept(_) => Self::Accept,
            SendEvent::WebSocketHttpResponseStart(_) => Self::Deny,
            _ => Self::Other,
        }
    }
}

impl BrokenSend {
    fn release(&mut self) -> Result<(), SendError> {
        let held = std::mem::take(&mut self.held);
        held.into_iter()
            .try_for_each(|event| self.exchange.pass(event))
    }

    /// Sends a head that the server holds back, before an event that must not do so.
    fn flush_before(&self, event: &SendEvent) {
        let is_hint = matches!(event, SendEvent::HttpResponseEarlyHint(_));
        let started = self.exchange.has_sent("http.response.start");
        if self.exchange.id == "HTTP-082" && is_hint && started {
            self.exchange.send(HttpResponseBody::more(""));
        }
    }

    /// What the app gets in place of the server's result.
    fn answer(
        &self,
        kind: Kind,
        started: bool,
        result: Result<(), SendError>,
    ) -> Result<(), SendError> {
        let Err(error) = result else {
            return Ok(());
        };
        let id = self.exchange.id;
        if error.is_misuse() {
            let is_taken = match id {
                "CORE-014" => self.exchange.seen.lock().unwrap().complete,
                "DENY-002" | "WS-010" => kind == Kind::Accept,
                "DENY-003" | "WS-008" => kind == Kind::Deny,
                "HTTP-021" => kind == Kind::Start && started,
                "HTTP-029" => kind == Kind::StartWithLength,
                "HTTP-030" | "HTTP-031" => kind == Kind::Body && started,
                "TRAIL-004" => kind == Kind::Trailers,
                _ => false,
            };
            match id {
                _ if is_taken => return Ok(()),
                // Misuse starts a response, so the app can't.
                "CORE-012" => self
                    .exchange
                    .send(HttpResponseStart::new(StatusCode::BAD_GATEWAY)),
                "CORE-013" => return Err(SendError::misuse("that", "this")),
                "TRAIL-003" if kind == Kind::StartWithTrailers => {
                    return Err(SendError::refused("no trailers"));
                }
                _ => {}
            }
        }
        if error.is_refused() {
            match id {
                "CORE-025" if kind != Kind::Push => {
                    return Err(SendError::misuse("that", "this"));
                }
                "HTTP-055" | "HTTP-082" if kind == Kind::Hint => return Ok(()),
                "HTTP-059" if kind == Kind::Push => {
                    return Err(SendError::misuse("a push", "no push"));
                }
                _ => {}
            }
        }
        if error.is_over() && id == "CORE-004" {
            return Ok(());
        }
        Err(error)
    }
}

/// Halves whose `respond` does something else than two events.
pub(super) struct OneStep {
    pub(super) receive: Mutex<Receiver>,
    pub(super) send: Mutex<Sender>,
}

impl SharedHalves for OneStep {
    fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<ReceiveEvent> {
        self.receive.lock().unwrap().poll_receive(cx)
    }

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.send.lock().unwrap().poll_ready(cx)
    }

    fn start_send(&self, event: SendEvent) -> Result<(), SendError> {
        self.send.lock().unwrap().start_send(event)
    }

    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<DisconnectReason> {
        self.send.lock().unwrap().poll_closed(cx)
    }

    fn closed_handle(self: Arc<Self>) -> Closed {
        self.send.lock().unwrap().closed_handle()
    }

    fn poll_respond(
        &self,
        cx: &mut Context<'_>,
        response: &mut Option<(HttpResponseStart, Bytes)>,
    ) -> Poll<Result<(), SendError>> {
        let mut send = self.send.lock().unwrap();
        ready!(send.poll_ready(cx))?;
        let Some((start, body)) = response.take() else {
            return Poll::Ready(Ok(()));
        };
        // No length.
        send.start_send(start.into())?;
        send.start_send(HttpResponseBody::more(body).into())?;
        Poll::Ready(send.start_send(HttpResponseBody::last("").into()))
    }
}
