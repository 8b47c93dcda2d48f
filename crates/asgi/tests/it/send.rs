//! `Sender`: flush, headers, what was taken, and waiting for the close.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use asgi::{
    Closed, DisconnectReason, HttpResponseBody, HttpResponseStart, Message, ReceiveEvent,
    SendError, SendEvent, SharedHalves, Text, WebSocketAccept, WebSocketHttpResponseStart, halves,
};
use bytes::Bytes;
use http::StatusCode;

use crate::support::{Taken, change, now};

#[test]
fn a_flush_before_the_start_does_nothing() {
    let server = Taken {
        misuse: &["http.response.body"],
        ..Taken::default()
    };
    let result = now(server.sender().flush());
    change("misuse", &result);
    assert_eq!(result, Ok(()));
    assert!(server.names().is_empty());
}

#[test]
fn a_flush_returns_the_misuse_of_a_middleware_that_fills_the_empty_part() {
    let server = Taken::default();
    let start = HttpResponseStart::ok().header("b c", "an invalid name");
    let mut send = server.sender().map(move |_| start.clone().into());
    let error = now(send.flush()).unwrap_err();
    assert!(error.is_misuse(), "{error}");
}

#[test]
fn a_flush_after_the_start_sends_an_empty_part() {
    let server = Taken::default();
    now(server.sender().flush()).unwrap();
    assert_eq!(server.names(), ["http.response.body"]);
}

#[test]
fn an_observer_sees_what_was_taken() {
    let server = Taken {
        misuse: &["http.response.start"],
        ..Taken::default()
    };
    let log = || Arc::new(Mutex::new(Vec::new()));
    let (mapped, observed) = (log(), log());
    let in_map = Arc::clone(&mapped);
    let in_observer = Arc::clone(&observed);
    let mut send = server
        .sender()
        .observe(SendEvent::name, move |name| {
            in_observer.lock().unwrap().push(name)
        })
        .map(move |event| {
            in_map.lock().unwrap().push(event.name());
            event
        });
    now(send.send(HttpResponseStart::ok())).unwrap_err();
    now(send.send(HttpResponseBody::last("a"))).unwrap();
    change("a map counts refused events", &observed);
    assert_eq!(
        *mapped.lock().unwrap(),
        ["http.response.start", "http.response.body"]
    );
    assert_eq!(*observed.lock().unwrap(), ["http.response.body"]);
}

#[test]
fn an_invalid_header_is_told_by_send() {
    let invalid: [(SendEvent, &str); 4] = [
        (
            HttpResponseStart::ok().header("x y", "a").into(),
            "http.response.start with an invalid header name",
        ),
        (
            HttpResponseStart::ok()
                .header("x-a", "a\nb")
                .header("b c", "d")
                .into(),
            "http.response.start with an invalid value for the header x-a",
        ),
        (
            WebSocketAccept::new().header("x-a", "\0").into(),
            "websocket.accept with an invalid value for the header x-a",
        ),
        (
            WebSocketHttpResponseStart::new(StatusCode::NOT_FOUND)
                .header("", "a")
                .into(),
            "websocket.http.response.start with an invalid header name",
        ),
    ];
    for (event, got) in invalid {
        let server = Taken::default();
        let error = now(server.sender().send(event.clone())).unwrap_err();
        assert_eq!(error.as_misuse().unwrap().0, got);
        assert!(server.sender().start_send(event).is_err());
        assert!(server.names().is_empty());
    }
    let start = HttpResponseStart::ok()
        .header("x-count", 3)
        .header("X-Name", String::from("a"));
    assert_eq!(
        (&start.headers["x-count"], &start.headers["x-name"]),
        (&3.into(), &"a".parse().unwrap())
    );
    let server = Taken::default();
    now(server.sender().send(start)).unwrap();
    assert_eq!(server.names(), ["http.response.start"]);
}

#[test]
fn a_handle_waits_for_the_close_while_the_sender_sends() {
    let server = Taken::default();
    let mut send = server.sender().map(|event| event).observe(|_| (), |()| ());
    let (first, second) = (send.closed_handle(), send.closed_handle());
    now(send.send(HttpResponseStart::ok())).unwrap();
    fn is_static<T: Send + 'static>(value: T) -> T {
        value
    }
    let reason = now(is_static(first));
    change(
        "`closed` borrows the sender, so the task that waits can't send",
        reason,
    );
    assert_eq!(
        (reason, now(second)),
        (DisconnectReason::Lost, DisconnectReason::Lost)
    );
}

struct Minimal(Mutex<Vec<&'static str>>);

impl SharedHalves for Minimal {
    fn poll_receive(&self, _: &mut Context<'_>) -> Poll<ReceiveEvent> {
        Poll::Pending
    }

    fn poll_ready(&self, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Poll::Ready(Ok(()))
    }

    fn start_send(&self, event: SendEvent) -> Result<(), SendError> {
        self.0.lock().unwrap().push(event.name());
        Ok(())
    }

    fn poll_closed(&self, _: &mut Context<'_>) -> Poll<DisconnectReason> {
        Poll::Ready(DisconnectReason::Complete)
    }

    fn closed_handle(self: Arc<Self>) -> Closed {
        Closed::new(std::future::poll_fn(move |cx| self.poll_closed(cx)))
    }
}

#[test]
fn shared_halves_need_no_poll_send() {
    let shared = Arc::new(Minimal(Mutex::default()));
    let (_, mut send) = halves(Arc::clone(&shared));
    now(send.send(HttpResponseStart::ok())).unwrap();
    assert_eq!(*shared.0.lock().unwrap(), ["http.response.start"]);
    assert_eq!(now(send.closed_handle()), DisconnectReason::Complete);
}

#[test]
fn messages_and_texts_convert() {
    assert_eq!(Message::from("a"), Message::text("a"));
    assert_eq!(Message::from(String::from("a")), Message::text("a"));
    assert_eq!(Message::from(vec![1]), Message::binary(vec![1]));
    assert_eq!(
        Message::from(Bytes::from_static(b"a")),
        Message::binary("a")
    );
    assert_eq!(Message::text("a").as_text(), Some("a"));
    assert_eq!(Message::binary("a").as_text(), None);
    assert_eq!(Message::text("a").into_bytes(), "a");
    let text = Text::from("a");
    assert_eq!(text, "a");
    assert_eq!(Bytes::from(text.clone()), "a");
    assert_eq!(text.to_string(), "a");
    assert_eq!(SendEvent::from(Message::text("a")).name(), "websocket.send");
}
