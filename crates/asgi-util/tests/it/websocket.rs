//! A WebSocket with methods.

use std::future::poll_fn;
use std::pin::Pin;

use asgi::{
    AppError, Extension, Extensions, Message, Receiver, Scope, SendError, Sender, WebSocketAccept,
    WebSocketClose, WebSocketHttpResponseStart,
};
use asgi_testing::Client;
use asgi_util::{WebSocket, WebSocketSender, choose_subprotocol};
use futures_core::Stream;
use futures_sink::Sink;
use http::StatusCode;

async fn chat(scope: Scope, receive: Receiver, mut send: Sender) -> Result<(), AppError> {
    let Scope::WebSocket(scope) = scope else {
        return Err(AppError::unsupported(&scope));
    };
    let Some(name) = choose_subprotocol(&scope, &["v1", "v2"]) else {
        let start = WebSocketHttpResponseStart::new(StatusCode::NOT_ACCEPTABLE);
        return Ok(WebSocket::deny(&scope, &mut send, start, "no subprotocol").await?);
    };
    let accept = WebSocketAccept::new().subprotocol(name);
    let mut socket = WebSocket::accept(receive, send, accept).await?;
    assert_eq!(socket.subprotocol(), Some(name));
    assert!(socket.disconnect().is_none());
    while let Some(message) = socket.receive().await {
        if message == Message::text("close") {
            return Ok(socket
                .close(WebSocketClose::new(3000).reason("asked"))
                .await?);
        }
        socket.send(message).await?;
    }
    let end = socket.disconnect().unwrap();
    assert_eq!((end.code, &*end.reason), (4001, "bye"));
    assert!(socket.receive().await.is_none());
    assert!(socket.send("late").await.unwrap_err().is_disconnected());
    Ok(())
}

#[tokio::test]
async fn messages_go_both_ways_until_the_client_closes() {
    let handshake = Client::new(chat)
        .websocket("/")
        .subprotocols(["v3", "v2", "v1"]);
    let mut client = handshake.connect().await.unwrap();
    assert_eq!(client.subprotocol(), Some("v2"));
    client.send_text("hello").await;
    client.send_binary("bytes").await;
    assert_eq!(client.receive().await.unwrap(), Message::text("hello"));
    assert_eq!(client.receive().await.unwrap(), Message::binary("bytes"));
    client.close(4001, "bye").await.unwrap();
}

#[tokio::test]
async fn the_app_closes_with_code_and_reason() {
    let handshake = Client::new(chat).websocket("/").subprotocols(["v1"]);
    let mut client = handshake.connect().await.unwrap();
    client.send_text("close").await;
    let closed = client.receive().await.unwrap_err();
    assert_eq!((closed.code, &*closed.reason), (3000, "asked"));
    client.finish().await.unwrap();
}

#[tokio::test]
async fn a_denied_handshake_gets_the_response_or_403() {
    let offered = Extensions::new().with(Extension::WebSocketHttpResponse);
    for (extensions, status) in [(offered, 406), (Extensions::new(), 403)] {
        let client = Client::new(chat).extensions(extensions);
        let denied = client.websocket("/").connect().await.unwrap_err();
        assert_eq!(denied.status().unwrap(), status);
    }
}

async fn send_with_sink(sink: &mut WebSocketSender, message: Message) -> Result<(), SendError> {
    poll_fn(|cx| Pin::new(&mut *sink).poll_ready(cx)).await?;
    Pin::new(sink).start_send(message)
}

/// One half sends while the other one waits, each in a task of its own.
#[tokio::test]
async fn the_halves_work_in_two_tasks_as_stream_and_sink() {
    let app = async |_: Scope, receive: Receiver, send: Sender| {
        let socket = WebSocket::accept(receive, send, WebSocketAccept::new()).await?;
        let (mut receive, mut send) = socket.split();
        let receiving = tokio::spawn(async move {
            let mut messages = Vec::new();
            while let Some(message) = poll_fn(|cx| Pin::new(&mut receive).poll_next(cx)).await {
                messages.push(message);
            }
            (messages, receive.disconnect().map(|end| end.code))
        });
        let sending = tokio::spawn(async move {
            for _ in 0..3 {
                send_with_sink(&mut send, Message::text("tick")).await?;
            }
            poll_fn(|cx| Pin::new(&mut send).poll_close(cx)).await
        });
        sending.await??;
        let (messages, code) = receiving.await?;
        assert_eq!((messages, code), (vec![Message::text("a")], Some(1000)));
        Ok::<(), AppError>(())
    };
    let mut client = Client::new(app).websocket("/").connect().await.unwrap();
    client.send_text("a").await;
    for _ in 0..3 {
        assert_eq!(client.receive().await.unwrap(), Message::text("tick"));
    }
    assert_eq!(client.receive().await.unwrap_err().code, 1000);
    client.finish().await.unwrap();
}
