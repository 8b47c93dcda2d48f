//! WebSockets and their handshakes.

use asgi::{
    AppError, Extensions, HttpResponseStart, Message, ReceiveEvent, Receiver, Scope, Sender,
    WebSocketAccept, WebSocketClose, WebSocketHttpResponseBody, WebSocketHttpResponseStart,
    WebSocketSend,
};
use asgi_testing::{Client, Fault, WebSocketClosed};
use http::HeaderValue;

async fn echo(_: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
    assert!(matches!(
        receive.receive().await,
        ReceiveEvent::WebSocketConnect(_)
    ));
    send.send(WebSocketAccept::new()).await?;
    while let ReceiveEvent::WebSocketReceive(event) = receive.receive().await {
        send.send(WebSocketSend::new(event.message)).await?;
    }
    Ok(())
}

#[tokio::test]
async fn messages_travel_in_both_directions() {
    let mut socket = Client::new(echo).websocket("/").connect().await.unwrap();
    socket.send_text("a").await;
    socket.send_binary("b").await;
    assert_eq!(socket.receive().await.unwrap(), Message::text("a"));
    assert_eq!(socket.receive().await.unwrap(), Message::binary("b"));
    socket.close(1000, "").await.unwrap();
}

#[tokio::test]
async fn the_accept_chooses_a_subprotocol_from_the_scope() {
    let client = Client::new(async |scope: Scope, _: Receiver, mut send: Sender| {
        let Scope::WebSocket(scope) = scope else {
            return Err(AppError::unsupported(&scope));
        };
        assert_eq!(scope.path(), "/chat");
        assert_eq!(scope.headers["origin"], "http://localhost");
        assert_eq!(scope.subprotocols, ["a", "b"]);
        let mut accept = WebSocketAccept::new().subprotocol("b");
        accept.headers.insert("x-a", HeaderValue::from_static("1"));
        send.send(accept).await?;
        Ok(())
    });
    let socket = client
        .websocket("/chat")
        .header("origin", "http://localhost")
        .subprotocols(["a", "b"])
        .connect()
        .await
        .unwrap();
    assert_eq!(socket.subprotocol(), Some("b"));
    assert_eq!(socket.headers()["x-a"], "1");
    socket.finish().await.unwrap();
}

#[tokio::test]
async fn the_clients_close_reaches_the_app_with_code_and_reason() {
    let client = Client::new(async |_: Scope, mut receive: Receiver, mut send: Sender| {
        receive.receive().await;
        send.send(WebSocketAccept::new()).await?;
        for _ in 0..2 {
            let ReceiveEvent::WebSocketDisconnect(disconnect) = receive.receive().await else {
                return Err("expected a disconnect".into());
            };
            assert_eq!((disconnect.code, disconnect.reason.as_str()), (3001, "bye"));
        }
        let error = send.send(WebSocketSend::text("late")).await.unwrap_err();
        assert!(error.is_disconnected());
        Err(error.into())
    });
    let socket = client.websocket("/").connect().await.unwrap();
    // The error says that the client is gone, so it is not the app's fault.
    socket.close(3001, "bye").await.unwrap();
}

#[tokio::test]
async fn messages_before_the_clients_close_are_not_lost() {
    let client = Client::new(async |_: Scope, mut receive: Receiver, mut send: Sender| {
        receive.receive().await;
        send.send(WebSocketAccept::new()).await?;
        tokio::task::yield_now().await;
        assert!(matches!(
            receive.receive().await,
            ReceiveEvent::WebSocketReceive(_)
        ));
        assert!(matches!(
            receive.receive().await,
            ReceiveEvent::WebSocketDisconnect(_)
        ));
        Ok::<_, AppError>(())
    });
    let mut socket = client.websocket("/").connect().await.unwrap();
    socket.send_text("last words").await;
    socket.close(1000, "").await.unwrap();
}

#[tokio::test]
async fn after_a_lost_connection_the_app_receives_1006() {
    let client = Client::new(async |_: Scope, mut receive: Receiver, mut send: Sender| {
        receive.receive().await;
        send.send(WebSocketAccept::new()).await?;
        let ReceiveEvent::WebSocketDisconnect(disconnect) = receive.receive().await else {
            return Err("expected a disconnect".into());
        };
        assert_eq!(disconnect.code, 1006);
        Ok(())
    });
    let socket = client.websocket("/").connect().await.unwrap();
    socket.lose().await.unwrap();
}

#[tokio::test]
async fn the_apps_close_reaches_the_client() {
    let client = Client::new(async |_: Scope, mut receive: Receiver, mut send: Sender| {
        receive.receive().await;
        send.send(WebSocketAccept::new()).await?;
        send.send(WebSocketSend::text("last")).await?;
        send.send(WebSocketClose::new(4000).reason("enough"))
            .await?;
        assert!(
            send.send(WebSocketSend::text("late"))
                .await
                .unwrap_err()
                .is_misuse()
        );
        Ok::<_, AppError>(())
    });
    let mut socket = client
        .allow_faults()
        .websocket("/")
        .connect()
        .await
        .unwrap();
    assert_eq!(socket.receive().await.unwrap(), Message::text("last"));
    for _ in 0..2 {
        let WebSocketClosed { code, reason, .. } = socket.receive().await.unwrap_err();
        assert_eq!((code, reason.as_str()), (4000, "enough"));
    }
    socket.finish().await.unwrap();
}

#[tokio::test]
async fn a_return_closes_with_1000_and_an_error_closes_with_1011() {
    for (fails, expected) in [(false, 1000), (true, 1011)] {
        let client = Client::new(
            move |_: Scope, mut receive: Receiver, mut send: Sender| async move {
                receive.receive().await;
                send.send(WebSocketAccept::new()).await?;
                match fails {
                    true => Err("out of order".into()),
                    false => Ok::<_, AppError>(()),
                }
            },
        );
        let mut socket = client.websocket("/").connect().await.unwrap();
        assert_eq!(socket.receive().await.unwrap_err().code, expected);
        assert_eq!(socket.finish().await.is_err(), fails);
    }
}

#[tokio::test]
async fn a_close_before_the_accept_denies_with_403() {
    let client = Client::new(async |_: Scope, _: Receiver, mut send: Sender| {
        send.send(WebSocketClose::default()).await?;
        Ok::<_, AppError>(())
    });
    let denied = client.websocket("/").connect().await.unwrap_err();
    assert_eq!(denied.status().unwrap(), 403);
    assert_eq!(denied.response().unwrap().fault(), None);
}

#[tokio::test]
async fn a_return_before_the_accept_denies_with_500() {
    let client = Client::new(async |_: Scope, _: Receiver, _: Sender| Ok::<_, AppError>(()));
    let denied = client.websocket("/").connect().await.unwrap_err();
    assert_eq!(denied.status().unwrap(), 500);
    assert_eq!(denied.response().unwrap().fault(), Some(Fault::NoResponse));
}

async fn denying(_: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
    send.send(WebSocketHttpResponseStart::new(
        http::StatusCode::UNAUTHORIZED,
    ))
    .await?;
    send.send(WebSocketHttpResponseBody::new("who ", true))
        .await?;
    send.send(WebSocketHttpResponseBody::new("are you?", false))
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_denial_with_a_response_arrives_complete() {
    let denied = Client::new(denying)
        .websocket("/")
        .connect()
        .await
        .unwrap_err();
    let response = denied.response().unwrap();
    assert_eq!(response.status(), 401);
    assert_eq!(response.text(), "who are you?");
}

#[tokio::test]
async fn a_denial_with_a_response_is_refused_if_it_is_not_offered() {
    let client = Client::new(denying).extensions(Extensions::new());
    let denied = client.websocket("/").connect().await.unwrap_err();
    assert_eq!(denied.status().unwrap(), 500);
    let error = denied.response().unwrap().app_error().unwrap();
    assert!(
        error.to_string().contains("websocket.http.response"),
        "{error}"
    );
}

#[tokio::test]
async fn messages_sent_before_the_accept_are_kept() {
    // This client cannot send before `connect` has returned, so the app accepts late.
    let client = Client::new(async |_: Scope, mut receive: Receiver, mut send: Sender| {
        receive.receive().await;
        tokio::task::yield_now().await;
        send.send(WebSocketAccept::new()).await?;
        let ReceiveEvent::WebSocketReceive(event) = receive.receive().await else {
            return Err("expected a message".into());
        };
        send.send(WebSocketSend::new(event.message)).await?;
        Ok(())
    });
    let mut socket = client.websocket("/").connect().await.unwrap();
    socket.send_text("x").await;
    assert_eq!(socket.receive().await.unwrap(), Message::text("x"));
}

#[tokio::test]
async fn an_event_of_another_protocol_is_misuse() {
    let client = Client::new(async |_: Scope, _: Receiver, mut send: Sender| {
        let error = send.send(HttpResponseStart::ok()).await.unwrap_err();
        assert!(error.is_misuse(), "{error}");
        send.send(WebSocketClose::default()).await?;
        Ok::<_, AppError>(())
    });
    client
        .allow_faults()
        .websocket("/")
        .connect()
        .await
        .unwrap_err();
}
