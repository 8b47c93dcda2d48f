//! Our own extractor for WebSockets.

use std::future::poll_fn;

use asgi::{Extensions, Message as AsgiMessage};
use asgi_testing::Client;
use asgi_tower::axum::{WebSocket, WebSocketUpgrade};
use axum::Router;
use axum::extract::Request;
use axum::extract::ws::{CloseFrame, Message};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderValue, StatusCode, Version};
use test_support::within;
use tokio::sync::{mpsc, oneshot};

/// A client for a router with one WebSocket at `/`.
fn client<F, Fut>(handler: F) -> Client
where
    F: Fn(WebSocket) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let upgrade = any(async move |upgrade: WebSocketUpgrade| {
        let upgrade = upgrade.protocols(["v2", "v1"]).max_message_size(6 << 20);
        upgrade.on_upgrade(handler)
    });
    Client::new(asgi_tower::app(Router::new().route("/", upgrade)))
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if socket.send(message).await.is_err() {
            return;
        }
    }
}

/// A handler that reports everything that it receives.
fn reporting() -> (Client, mpsc::UnboundedReceiver<String>) {
    let (reports, received) = mpsc::unbounded_channel();
    let client = client(move |mut socket: WebSocket| {
        let reports = reports.clone();
        async move {
            while let Some(message) = socket.recv().await {
                let text = match message {
                    Ok(message) => format!("{message:?}"),
                    Err(error) => format!("error: {error}"),
                };
                reports.send(text).unwrap();
            }
            reports.send("end".to_owned()).unwrap();
        }
    });
    (client, received)
}

#[tokio::test]
async fn messages_pass_unchanged_also_large_and_empty_ones() {
    let mut socket = client(echo).websocket("/").connect().await.unwrap();
    for message in [
        AsgiMessage::text("héllo"),
        AsgiMessage::binary(vec![9; 5 << 20]),
        AsgiMessage::binary(""),
        AsgiMessage::text(""),
    ] {
        socket.send(message.clone()).await;
        assert!(socket.receive().await.unwrap() == message);
    }
    socket.close(1000, "").await.unwrap();
}

#[tokio::test]
async fn the_handler_chooses_its_favourite_of_the_offered_subprotocols() {
    for (offered, chosen) in [
        (&["v1", "v2"][..], Some("v2")),
        (&["v1", "v3"], Some("v1")),
        (&["v3"], None),
        (&[], None),
    ] {
        let handshake = client(async |socket: WebSocket| {
            let text = format!("{:?}", socket.protocol());
            let mut socket = socket;
            socket.send(text.into()).await.unwrap();
        });
        let handshake = handshake
            .websocket("/")
            .subprotocols(offered.iter().copied());
        let mut socket = handshake.connect().await.unwrap();
        assert_eq!(socket.subprotocol(), chosen);
        let expected = format!("{:?}", chosen.map(HeaderValue::from_static));
        assert_eq!(socket.receive().await.unwrap(), AsgiMessage::text(expected));
    }
}

#[tokio::test]
async fn a_handshake_over_http_2_works_too() {
    let handshake = client(echo).websocket("/");
    let handshake = handshake.scope(|scope| scope.version = Version::HTTP_2);
    let mut socket = handshake.connect().await.unwrap();
    socket.send_text("hi").await;
    assert_eq!(socket.receive().await.unwrap(), AsgiMessage::text("hi"));
}

#[tokio::test]
async fn the_handler_receives_the_close_frame_of_its_client_and_then_the_end() {
    for (code, reason, expected) in [
        (
            4002,
            "enough",
            r#"Close(Some(CloseFrame { code: 4002, reason: Utf8Bytes(Utf8Bytes(b"enough")) }))"#,
        ),
        (1005, "", "Close(None)"),
    ] {
        let (client, mut received) = reporting();
        let socket = client.websocket("/").connect().await.unwrap();
        socket.close(code, reason).await.unwrap();
        assert_eq!(received.recv().await.unwrap(), expected);
        assert_eq!(received.recv().await.unwrap(), "end");
    }
}

#[tokio::test]
async fn a_client_that_is_lost_is_an_error_and_then_the_end() {
    let (client, mut received) = reporting();
    let socket = client.websocket("/").connect().await.unwrap();
    socket.lose().await.unwrap();
    assert_eq!(received.recv().await.unwrap(), "error: the client is gone");
    assert_eq!(received.recv().await.unwrap(), "end");
}

#[tokio::test]
async fn the_client_receives_the_close_frame_of_the_handler() {
    for (close, expected) in [
        (Some((4001, "enough")), (4001, "enough")),
        (None, (1000, "")),
    ] {
        let client = client(move |mut socket: WebSocket| async move {
            let frame = close.map(|(code, reason)| CloseFrame {
                code,
                reason: reason.into(),
            });
            socket.send(Message::Close(frame)).await.unwrap();
            // As in axum: nothing can follow.
            socket.send("more".into()).await.unwrap_err();
        });
        let mut socket = client.websocket("/").connect().await.unwrap();
        let closed = socket.receive().await.unwrap_err();
        assert_eq!((closed.code, &*closed.reason), expected);
    }
}

#[tokio::test]
async fn a_socket_that_is_dropped_is_closed_with_1000() {
    let client = client(async |socket: WebSocket| drop(socket));
    let mut socket = client.websocket("/").connect().await.unwrap();
    assert_eq!(socket.receive().await.unwrap_err().code, 1000);
}

#[tokio::test]
async fn a_socket_stays_open_while_another_task_holds_it() {
    let client = client(async |socket: WebSocket| {
        tokio::spawn(echo(socket));
    });
    let mut socket = client.websocket("/").connect().await.unwrap();
    socket.send_text("hi").await;
    assert_eq!(socket.receive().await.unwrap(), AsgiMessage::text("hi"));
    socket.close(1000, "").await.unwrap();
}

#[tokio::test]
async fn a_reserved_close_code_is_an_error_for_the_handler() {
    let client = client(async |mut socket: WebSocket| {
        let frame = CloseFrame {
            code: 1005,
            reason: "".into(),
        };
        socket.send(Message::Close(Some(frame))).await.unwrap_err();
        socket.send("still open".into()).await.unwrap();
    });
    let mut socket = client.websocket("/").connect().await.unwrap();
    let message = socket.receive().await.unwrap();
    assert_eq!(message, AsgiMessage::text("still open"));
}

#[tokio::test]
async fn a_ping_of_the_handler_is_answered_also_while_its_other_half_waits() {
    let client = client(async |socket: WebSocket| {
        let (mut send, mut receive) = socket.split();
        let (waiting, waits) = oneshot::channel();
        let mut waiting = Some(waiting);
        let pong = tokio::spawn(poll_fn(move |cx| {
            let polled = receive.poll_next_unpin(cx);
            if polled.is_pending()
                && let Some(waiting) = waiting.take()
            {
                waiting.send(()).unwrap();
            }
            polled
        }));
        waits.await.unwrap();
        let ping = Message::Ping(Bytes::from_static(b"now"));
        send.send(ping).await.unwrap();
        let pong = pong.await.unwrap().unwrap().unwrap();
        send.send(format!("{pong:?}").into()).await.unwrap();
    });
    let mut socket = client.websocket("/").connect().await.unwrap();
    let message = within("the pong", socket.receive()).await.unwrap();
    assert_eq!(message, AsgiMessage::text("Pong(b\"now\")"));
}

#[tokio::test]
async fn a_message_beyond_the_limit_closes_the_socket_with_1009() {
    let (client, mut received) = reporting();
    let mut socket = client.websocket("/").connect().await.unwrap();
    socket.send_binary(vec![0; (6 << 20) + 1]).await;
    let closed = socket.receive().await.unwrap_err();
    assert_eq!(closed.code, 1009);
    let error = received.recv().await.unwrap();
    assert_eq!(error, "error: the message is larger than 6291456 bytes");
    assert_eq!(received.recv().await.unwrap(), "end");
}

#[tokio::test]
async fn a_middleware_adds_headers_to_a_handshake_or_denies_it() {
    async fn gate(request: Request, next: Next) -> Response {
        let denied = request.uri().path() == "/denied";
        let mut response = next.run(request).await;
        if denied {
            let challenge = [("www-authenticate", "Basic")];
            return (StatusCode::UNAUTHORIZED, challenge, "who are you?").into_response();
        }
        response
            .headers_mut()
            .insert("x-gate", HeaderValue::from_static("open"));
        response
    }
    let handler = async |upgrade: WebSocketUpgrade| upgrade.on_upgrade(echo);
    let router = Router::new()
        .route("/", any(handler))
        .route("/denied", any(handler));
    let client = Client::new(asgi_tower::app(router.layer(middleware::from_fn(gate))));

    let socket = client.websocket("/").connect().await.unwrap();
    assert_eq!(socket.headers()["x-gate"], "open");
    assert_eq!(socket.headers().len(), 1, "{:?}", socket.headers());
    let denied = client.websocket("/denied").connect().await.unwrap_err();
    let response = denied.response().unwrap();
    assert_eq!(response.status(), 401);
    assert_eq!(response.header("www-authenticate"), Some("Basic"));
    assert_eq!(response.text(), "who are you?");
    let plain = client.extensions(Extensions::new());
    let denied = plain.websocket("/denied").connect().await.unwrap_err();
    assert_eq!(denied.status().unwrap(), 403);
}

#[tokio::test]
async fn a_request_that_is_no_handshake_gets_400() {
    let response = client(echo).get("/").await.unwrap();
    assert_eq!(response.status(), 400);
}

#[tokio::test]
async fn a_handshake_that_fails_calls_the_callback_for_it() {
    let (failed, mut failures) = mpsc::unbounded_channel();
    let handler = any(async move |mut upgrade: WebSocketUpgrade| {
        // The client does not offer it.
        upgrade.set_selected_protocol(HeaderValue::from_static("v9"));
        let upgrade = upgrade
            .on_failed_upgrade(move |error: axum::Error| drop(failed.send(error.to_string())));
        upgrade.on_upgrade(echo)
    });
    let client = Client::new(asgi_tower::app(Router::new().route("/", handler)));
    let denied = client.websocket("/").connect().await.unwrap_err();
    assert_eq!(denied.status().unwrap(), 500);
    let error = failures.recv().await.unwrap();
    assert!(error.contains("expected"), "{error}");
}
