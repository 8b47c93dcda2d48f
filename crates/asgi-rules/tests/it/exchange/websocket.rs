use std::task::Poll;

use asgi::{
    DisconnectReason, Extensions, Message, Receiver, Sender, WebSocketAccept, WebSocketClose,
    WebSocketSend,
};
use asgi_rules::exchange::WebSocketExchange;
use asgi_rules::{AppEnd, WebSocketEnding, WebSocketRules, WebSocketWireEvent};

use super::{Task, once, receive, send};

const CONNECT: &str = "WebSocketConnect(WebSocketConnect)";

fn exchange() -> (WebSocketExchange, Receiver, Sender) {
    let exchange = WebSocketExchange::new(WebSocketRules::new(Vec::new(), Extensions::new()));
    let (receive, send) = exchange.halves();
    (exchange, receive, send)
}

fn open() -> (WebSocketExchange, Receiver, Sender) {
    let (exchange, mut receiver, mut sender) = exchange();
    assert_eq!(receive(&mut receiver), CONNECT);
    send(&mut sender, WebSocketAccept::new()).unwrap();
    let accept = exchange.take_output();
    assert!(matches!(accept, Some(WebSocketWireEvent::Accept(_))));
    (exchange, receiver, sender)
}

/// WS-004, WS-013, WS-045
#[test]
fn messages_before_the_accept_are_received_after_it() {
    let (exchange, mut receiver, mut sender) = exchange();
    exchange.push_message(Message::text("early"));
    assert_eq!(receive(&mut receiver), CONNECT);
    let app = Task::new();
    assert!(app.poll(|cx| receiver.poll_receive(cx)).is_pending());
    assert!(!exchange.wants_message());
    send(&mut sender, WebSocketAccept::new()).unwrap();
    assert_eq!(app.take_wakes(), 1);
    assert!(receive(&mut receiver).contains("early"));
    assert!(!exchange.wants_message());
    assert_eq!(receive(&mut receiver), "waits");
    assert!(exchange.wants_message());
}

/// WS-020
#[test]
fn messages_before_the_clients_close_are_received_and_none_after_it() {
    let (exchange, mut receiver, mut sender) = open();
    exchange.push_message(Message::text("a"));
    exchange.closed(1001, "bye");
    exchange.push_message(Message::text("b"));
    assert!(receive(&mut receiver).contains('a'));
    for _ in 0..2 {
        assert_eq!(receive(&mut receiver), r#"1001 "bye""#);
    }
    let closed = once(|cx| sender.poll_closed(cx));
    assert_eq!(closed, Poll::Ready(DisconnectReason::Closed));
    assert_eq!(
        exchange.ended(AppEnd::Returned).ending,
        WebSocketEnding::Gone
    );
}

/// WS-014, WS-022
#[test]
fn after_its_own_close_the_app_receives_no_message() {
    let (exchange, mut receiver, mut sender) = open();
    exchange.push_message(Message::text("a"));
    send(&mut sender, WebSocketClose::new(1000)).unwrap();
    exchange.push_message(Message::text("b"));
    assert_eq!(receive(&mut receiver), r#"1000 """#);
    assert!(!exchange.wants_message());
}

/// CORE-011, CORE-016
#[test]
fn a_send_waits_for_room_until_the_client_is_gone() {
    let (exchange, _receive, mut sender) = open();
    send(&mut sender, WebSocketSend::text("a")).unwrap();
    let app = Task::new();
    assert!(app.poll(|cx| sender.poll_ready(cx)).is_pending());
    exchange.disconnected(DisconnectReason::Lost);
    assert_eq!(app.take_wakes(), 1);
    let Poll::Ready(Err(error)) = app.poll(|cx| sender.poll_ready(cx)) else {
        panic!("there is room, or the send still waits");
    };
    assert!(error.is_disconnected());
}

/// WS-023: the verdict, and not an output, tells the server to close.
#[test]
fn an_app_that_returns_leaves_its_messages_and_a_verdict() {
    let (exchange, _receive, mut sender) = open();
    send(&mut sender, WebSocketSend::text("a")).unwrap();
    let verdict = exchange.ended(AppEnd::Returned);
    assert_eq!(verdict.ending, WebSocketEnding::Close(1000));
    let message = exchange.take_output();
    assert!(matches!(message, Some(WebSocketWireEvent::Message(_))));
    assert!(exchange.take_output().is_none());
    assert!(
        send(&mut sender, WebSocketSend::text("b"))
            .unwrap_err()
            .is_over()
    );
}

/// WS-031
#[test]
fn a_close_by_the_server_reaches_the_app() {
    let (exchange, mut receiver, _sender) = open();
    let mut frame = WebSocketClose::new(1001);
    frame.reason = "the server stops".into();
    assert!(exchange.close(DisconnectReason::Shutdown, &frame));
    assert_eq!(receive(&mut receiver), r#"1001 "the server stops""#);
    assert!(!exchange.close(DisconnectReason::Shutdown, &frame));
}
