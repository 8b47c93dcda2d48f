//! Senders that take too much, hold events back or give other errors.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use asgi::http::StatusCode;
use asgi::{
    Closed, DisconnectReason, HttpResponseBody, HttpResponseStart, LifespanShutdownComplete,
    LifespanStartupComplete, SendError, SendEvent, SendHalf, Sender, WebSocketAccept,
};

/// Breaks a sender. The first value gives the sender back once the app has ended.
pub(super) fn break_send(id: &'static str, send: Sender) -> (SharedSend, Sender) {
    let shared = SharedSend(Arc::new(Mutex::new(Some(send))));
    let broken = BrokenSend {
        id,
        shared: shared.clone(),
        held: Vec::new(),
        closed: false,
    };
    (shared, Sender::new(broken))
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

/// The server's sender, which the layer uses after a failed app.
#[derive(Clone)]
pub(super) struct SharedSend(Arc<Mutex<Option<Sender>>>);

impl SharedSend {
    /// The sender, if the app has failed. An app that returns may have kept its own.
    pub(super) fn after(&self, failed: bool) -> Option<Sender> {
        self.0.lock().unwrap().take_if(|_| failed)
    }

    fn with<T>(&self, call: impl FnOnce(&mut Sender) -> T) -> Option<T> {
        self.0.lock().unwrap().as_mut().map(call)
    }
}

struct BrokenSend {
    id: &'static str,
    shared: SharedSend,
    held: Vec<SendEvent>,
    closed: bool,
}

impl SendHalf for BrokenSend {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let ready = self.shared.with(|send| send.poll_ready(cx));
        let ready = ready.unwrap_or_else(|| Poll::Ready(Err(SendError::over())));
        match (self.id, &ready) {
            ("CORE-011", Poll::Pending) => Poll::Ready(Ok(())),
            ("CORE-015", Poll::Ready(Err(error))) if error.is_disconnected() => {
                Poll::Ready(Err(SendError::over()))
            }
            ("CORE-016", Poll::Ready(Err(error))) if error.is_disconnected() => Poll::Pending,
            ("CORE-027", Poll::Ready(Err(error))) if error.is_disconnected() => {
                Poll::Ready(Err(SendError::misuse("an event", "another")))
            }
            _ => ready,
        }
    }

    fn start_send(&mut self, mut event: SendEvent) -> Result<(), SendError> {
        match (self.id, &mut event) {
            // More than the server has room for is dropped.
            ("CORE-011", SendEvent::HttpResponseBody(part)) if part.body.len() > 1000 => {
                return Ok(());
            }
            ("CORE-010", SendEvent::HttpResponseBody(part)) if part.body == "7." => {
                self.held.push(event);
                return Ok(());
            }
            ("CORE-010", _) if !self.held.is_empty() => {
                self.pass(event)?;
                return self.release();
            }
            ("HTTP-024", SendEvent::HttpResponseStart(_)) => {
                self.held.push(event);
                return Ok(());
            }
            ("HTTP-024", _) => {
                self.release()?;
            }
            ("HTTP-025", SendEvent::HttpResponseBody(part)) if part.more_body => {
                self.held.push(event);
                return Ok(());
            }
            ("HTTP-025", SendEvent::HttpResponseBody(_)) => self.release()?,
            ("HTTP-022", SendEvent::HttpResponseStart(start)) if start.status.as_u16() < 200 => {
                start.status = StatusCode::OK;
            }
            ("HTTP-062", SendEvent::HttpResponseStart(start)) if start.status.as_u16() > 599 => {
                start.status = StatusCode::INTERNAL_SERVER_ERROR;
            }
            ("HTTP-032", SendEvent::HttpResponseStart(start)) => {
                start.headers.remove("connection");
            }
            ("HTTP-072", SendEvent::HttpResponseStart(start)) => {
                start.headers.remove("date");
            }
            ("WS-006", SendEvent::WebSocketAccept(accept)) => accept.headers.clear(),
            ("WS-007", SendEvent::WebSocketClose(_)) => {
                event = WebSocketAccept::new().into();
            }
            ("WS-009", SendEvent::WebSocketAccept(accept)) => accept.subprotocol = None,
            ("WS-018", SendEvent::WebSocketClose(close)) if close.code == 1005 => {
                close.code = 1000;
            }
            ("WS-019", SendEvent::WebSocketClose(close)) => close.reason.truncate(123),
            ("LIFE-006", SendEvent::LifespanStartupFailed(_)) => {
                event = LifespanStartupComplete::new().into();
            }
            ("LIFE-014", SendEvent::LifespanShutdownFailed(_)) => {
                event = LifespanShutdownComplete::new().into();
            }
            _ => {}
        }
        let flushes = self.id == "HTTP-023" && matches!(event, SendEvent::HttpResponseStart(_));
        let result = self.pass(event);
        if flushes && result.is_ok() {
            return self.pass(HttpResponseBody::more("").into());
        }
        match (self.id, result) {
            ("CORE-012", Err(error)) if error.is_misuse() => {
                // Misuse starts a response, so the app can't.
                let _ = self.pass(HttpResponseStart::new(StatusCode::BAD_GATEWAY).into());
                Err(error)
            }
            ("CORE-013", Err(error)) if error.is_misuse() => Err(SendError::misuse("that", "this")),
            ("CORE-014", Err(error)) if error.is_misuse() => Ok(()),
            ("CORE-025", Err(error)) if error.is_refused() => {
                Err(SendError::misuse("that", "this"))
            }
            (_, result) => result,
        }
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<DisconnectReason> {
        if self.id == "CORE-017" {
            return Poll::Pending;
        }
        let closed = self.shared.with(|send| send.poll_closed(cx));
        let closed = closed.unwrap_or(Poll::Ready(DisconnectReason::Complete));
        match closed {
            Poll::Ready(_) if self.id == "HTTP-046" && self.closed => {
                Poll::Ready(DisconnectReason::Lost)
            }
            _ => {
                self.closed |= closed.is_ready();
                closed
            }
        }
    }

    fn closed_handle(&self) -> Closed {
        let handle = self.shared.with(|send| send.closed_handle());
        match handle {
            Some(handle) if self.id != "CORE-030" => handle,
            _ => Closed::new(std::future::pending()),
        }
    }
}

impl BrokenSend {
    fn pass(&self, event: SendEvent) -> Result<(), SendError> {
        let result = self.shared.with(|send| send.start_send(event));
        result.unwrap_or_else(|| Err(SendError::over()))
    }

    fn release(&mut self) -> Result<(), SendError> {
        let held = std::mem::take(&mut self.held);
        held.into_iter().try_for_each(|event| self.pass(event))
    }
}
