//! `Receiver::body` and `Receiver::with_body`.

use std::task::{Context, Poll};

use asgi::{
    DisconnectReason, HttpDisconnect, HttpRequest, LifespanStartup, ReceiveEvent, ReceiveHalf,
    Receiver, WebSocketConnect,
};

use crate::support::{change, now, poll_once, receiver};

/// HTTP-078
#[test]
fn a_body_that_was_read_is_an_error_and_not_a_wait() {
    let mut receive = receiver([HttpRequest::more("a"), HttpRequest::last("b")]);
    assert_eq!(now(receive.body(10)).unwrap(), "ab");
    let second = now(receive.body(10)).unwrap_err();
    change("waits until the client leaves", &second);
    assert!(second.is_already_read());
    assert_eq!(second.to_string(), "the request body has already been read");

    // A middleware that passes the receiver on through `map` does not hide it.
    let mut mapped = receive.map(|event| event);
    assert!(now(mapped.body(10)).unwrap_err().is_already_read());
}

#[test]
fn a_last_part_that_was_received_counts_as_read() {
    let mut receive = receiver([HttpRequest::last("a")]);
    now(receive.receive());
    assert!(now(receive.body(10)).unwrap_err().is_already_read());
}

#[test]
fn a_body_that_was_read_can_be_given_once_more() {
    let disconnect = HttpDisconnect::new(DisconnectReason::Complete);
    let mut outer = receiver([
        ReceiveEvent::from(HttpRequest::more("a")),
        HttpRequest::last("b").into(),
        disconnect.into(),
    ]);
    let body = now(outer.body(10)).unwrap();
    let mut inner = outer.with_body(body);
    assert_eq!(now(inner.body(10)).unwrap(), "ab");
    assert!(now(inner.body(10)).unwrap_err().is_already_read());
    // Then the half inside goes on.
    assert!(matches!(
        now(inner.receive()),
        ReceiveEvent::HttpDisconnect(event) if event == disconnect
    ));
}

/// HTTP-078
#[test]
fn a_half_around_a_receiver_keeps_what_was_read() {
    struct Around(Receiver);
    impl ReceiveHalf for Around {
        fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<ReceiveEvent> {
            self.0.poll_receive(cx)
        }
    }

    let mut receive = receiver([HttpRequest::last("a"), HttpRequest::last("b")]);
    now(receive.receive());
    let mut receive = receive.wrap(Around);
    assert!(now(receive.body(10)).unwrap_err().is_already_read());
    assert_eq!(now(receive.receive()).name(), "http.request");
}

/// HTTP-080
#[test]
fn the_body_of_a_websocket_is_an_error_that_eats_nothing() {
    let mut receive = receiver([WebSocketConnect::new()]);
    let error = now(receive.body(10)).unwrap_err();
    change("`Ok(b\"\")`, and `connect` is lost", &error);
    assert!(error.is_not_http());
    assert!(now(receive.body(10)).unwrap_err().is_not_http());
    let mut receive = receive.with_body("not for a websocket");
    assert_eq!(now(receive.receive()).name(), "websocket.connect");
    assert!(poll_once(receive.receive()).is_none());
    // Nor does it wait for the next message.
    assert!(now(receive.body(10)).unwrap_err().is_not_http());

    let mut receive = receiver([LifespanStartup::new()]);
    assert!(now(receive.body(10)).unwrap_err().is_not_http());
    assert_eq!(now(receive.receive()).name(), "lifespan.startup");
}

#[test]
fn the_error_of_a_body_says_the_limit_and_the_reason() {
    let mut receive = receiver([HttpRequest::last("abc")]);
    let error = now(receive.body(2)).unwrap_err();
    assert!(error.is_too_large());
    assert_eq!((error.limit(), error.disconnect_reason()), (Some(2), None));

    let mut receive = receiver([HttpDisconnect::new(DisconnectReason::Lost)]);
    let error = now(receive.body(2)).unwrap_err();
    assert!(error.is_disconnected());
    assert_eq!(error.limit(), None);
    assert_eq!(error.disconnect_reason(), Some(DisconnectReason::Lost));
}
