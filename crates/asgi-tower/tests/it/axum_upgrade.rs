//! axum's own extractor for WebSockets. `tests/adopters` and `tests/tower` have more of it.

use asgi_testing::Client;
use axum::Router;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::routing::any;
use tokio::sync::mpsc;

fn client<F, Fut>(handler: F) -> Client
where
    F: Fn(WebSocket) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let upgrade = any(async move |upgrade: WebSocketUpgrade| upgrade.on_upgrade(handler));
    Client::new(asgi_tower::app(Router::new().route("/", upgrade)))
}

// The handler's tungstenite has no time to write its reply then. That was an abort of the app.
#[tokio::test]
async fn a_handler_that_ends_at_the_close_of_its_client_ends_normally() {
    let client = client(async |mut socket: WebSocket| {
        let message = socket.recv().await.unwrap().unwrap();
        assert!(matches!(message, Message::Close(_)), "{message:?}");
    });
    for _ in 0..20 {
        let socket = client.websocket("/").connect().await.unwrap();
        socket.close(1000, "").await.unwrap();
    }
}

#[tokio::test]
async fn a_handler_that_closes_gets_the_reply_to_its_close_frame() {
    let (reports, mut reported) = mpsc::unbounded_channel();
    let client = client(move |mut socket: WebSocket| {
        let reports = reports.clone();
        async move {
            let close = CloseFrame {
                code: 4001,
                reason: "enough".into(),
            };
            socket.send(Message::Close(Some(close))).await.unwrap();
            while let Some(message) = socket.recv().await {
                reports.send(message).unwrap();
            }
        }
    });
    let mut socket = client.websocket("/").connect().await.unwrap();
    assert_eq!(socket.receive().await.unwrap_err().code, 4001);
    socket.finish().await.unwrap();
    let reply = reported.recv().await.unwrap().unwrap();
    let Message::Close(Some(frame)) = reply else {
        panic!("{reply:?}");
    };
    assert_eq!(frame.code, 4001);
}

#[tokio::test]
async fn a_handler_whose_response_is_replaced_learns_that_the_upgrade_failed() {
    use axum::response::{IntoResponse, Response};
    let (failed, mut failures) = mpsc::unbounded_channel();
    let handler = any(async move |upgrade: WebSocketUpgrade| {
        let upgrade = upgrade.on_failed_upgrade(move |error: axum::Error| {
            // The test may be over.
            let _ = failed.send(error.to_string());
        });
        drop(upgrade.on_upgrade(async |_| {}));
        (http::StatusCode::FORBIDDEN, "no").into_response() as Response
    });
    let client = Client::new(asgi_tower::app(Router::new().route("/", handler)));
    let denied = client.websocket("/").connect().await.unwrap_err();
    assert_eq!(denied.status().unwrap(), 403);
    failures.recv().await.unwrap();
}
