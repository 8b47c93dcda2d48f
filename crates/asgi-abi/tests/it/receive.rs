//! The events that an app receives cross the boundary, and its half waits as the server's does.

use asgi::{
    AppError, DisconnectReason, HttpDisconnect, HttpRequest, LifespanShutdown, LifespanStartup,
    Message, ReceiveEvent, Receiver, Scope, Sender, WebSocketConnect, WebSocketDisconnect,
    WebSocketReceive,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use crate::support::{Exchange, call, get, run};

/// Passes an event through the boundary and returns the result.
#[track_caller]
fn crossed(event: impl Into<ReceiveEvent>) -> ReceiveEvent {
    let (give, take) = std::sync::mpsc::channel();
    let app = move |_: Scope, mut receive: Receiver, _: Sender| {
        let give = give.clone();
        async move { Ok::<(), AppError>(give.send(receive.receive().await)?) }
    };
    run(app, get("/"), &Exchange::of([event])).unwrap();
    take.recv().unwrap()
}

#[track_caller]
fn assert_crosses(make: impl Fn() -> ReceiveEvent) {
    assert_eq!(format!("{:?}", crossed(make())), format!("{:?}", make()));
}

fn with_trailers() -> ReceiveEvent {
    let mut trailers = HeaderMap::new();
    trailers.append("x-sum", HeaderValue::from_static("1"));
    trailers.append("x-sum", HeaderValue::from_static("2"));
    trailers.append("etag", HeaderValue::from_static("\"abc\""));
    let mut event = HttpRequest::last("end");
    event.trailers = Some(Box::new(trailers));
    event.into()
}

/// ABI-031
#[test]
fn every_field_of_a_request_event_crosses() {
    assert_crosses(|| HttpRequest::more("part").into());
    assert_crosses(|| HttpRequest::last("end").into());
    assert_crosses(|| HttpRequest::last("").into());
    assert_crosses(with_trailers);
    assert_crosses(|| {
        let mut event = HttpRequest::last("");
        event.trailers = Some(Box::default());
        event.into()
    });
}

#[test]
fn every_reason_of_a_disconnect_crosses() {
    for reason in [
        DisconnectReason::Complete,
        DisconnectReason::Closed,
        DisconnectReason::Lost,
        DisconnectReason::Reset(8),
        DisconnectReason::TimedOut,
        DisconnectReason::ProtocolError,
        DisconnectReason::Shutdown,
    ] {
        assert_crosses(|| HttpDisconnect::new(reason).into());
    }
}

#[test]
fn every_event_of_a_websocket_crosses() {
    assert_crosses(|| WebSocketConnect::new().into());
    assert_crosses(|| WebSocketReceive::new(Message::text("grüß dich")).into());
    assert_crosses(|| WebSocketReceive::new(Message::text("")).into());
    assert_crosses(|| WebSocketReceive::new(Message::binary(&b"\xff\x00"[..])).into());
    assert_crosses(|| WebSocketReceive::new(Message::binary("")).into());
    assert_crosses(|| WebSocketDisconnect::new(1005, "").into());
    assert_crosses(|| WebSocketDisconnect::new(4999, "bye").into());
}

#[test]
fn both_events_of_a_lifespan_cross() {
    assert_crosses(|| LifespanStartup::new().into());
    assert_crosses(|| LifespanShutdown::new().into());
}

/// ABI-010
#[test]
fn a_body_is_not_copied() {
    let body = Bytes::from(vec![7; 100_000]);
    let address = body.as_ptr();
    let ReceiveEvent::HttpRequest(request) = crossed(HttpRequest::last(body)) else {
        panic!("another event");
    };
    assert_eq!(request.body.as_ptr(), address);
    assert_eq!(request.body, vec![7; 100_000]);
}

// The library does not free a body of the host: it calls the body's `drop`. (A short body would be
// copied.)
/// ABI-009
#[test]
fn a_body_lives_as_long_as_its_last_slice() {
    struct Owner(std::sync::mpsc::Sender<()>);
    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            &[7; 1000]
        }
    }
    impl Drop for Owner {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
        }
    }
    let (give, take) = std::sync::mpsc::channel();
    let body = Bytes::from_owner(Owner(give));
    let ReceiveEvent::HttpRequest(request) = crossed(HttpRequest::last(body)) else {
        panic!("another event");
    };
    let slice = request.body.slice(1..3);
    drop(request);
    assert!(take.try_recv().is_err(), "the slice still uses the body");
    assert_eq!(slice, [7, 7][..]);
    drop(slice);
    take.try_recv().expect("the owner was dropped");
}

#[test]
fn a_complete_body_crosses() {
    async fn app(_: Scope, mut receive: Receiver, _: Sender) -> Result<(), AppError> {
        assert_eq!(receive.body(100).await?, "onetwothree");
        Ok(())
    }
    let parts = [
        HttpRequest::more("one"),
        HttpRequest::more("two"),
        HttpRequest::last("three"),
    ];
    run(app, get("/"), &Exchange::of(parts)).unwrap();
}

/// ABI-019
#[test]
fn receive_waits_until_the_server_wakes_it() {
    async fn app(_: Scope, mut receive: Receiver, _: Sender) -> Result<(), AppError> {
        assert_eq!(receive.body(100).await?, "late");
        Ok(())
    }
    let exchange = Exchange::default();
    let mut running = call(app, get("/"), &exchange);
    assert!(running.poll().is_pending());
    let thread = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(20));
        exchange.push(HttpRequest::last("late"));
    });
    running.end().unwrap();
    thread.join().unwrap();
}

// Tokio's own budget has no effect in a future that the host's threads poll.
#[test]
fn an_app_that_always_finds_an_event_yields_sometimes() {
    async fn app(_: Scope, mut receive: Receiver, _: Sender) -> Result<(), AppError> {
        for _ in 0..1000 {
            receive.receive().await;
        }
        Ok(())
    }
    let exchange = Exchange::of((0..1000).map(|_| HttpRequest::more("x")));
    let mut running = call(app, get("/"), &exchange);
    let polls = 1 + (0..100).take_while(|_| running.poll().is_pending()).count();
    assert_eq!(polls, 8);

    // It also wakes its waker each time.
    let exchange = Exchange::of((0..1000).map(|_| HttpRequest::more("x")));
    run(app, get("/"), &exchange).unwrap();
}
