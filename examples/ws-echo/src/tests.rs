//! Tests of the app, without a server.

use asgi::Message;
use asgi_spec::Lint;
use asgi_testing::Client;

use crate::app::app;

#[tokio::test]
async fn each_message_comes_back_unchanged() {
    let client = Client::new(Lint::new(app));
    let websocket = client.websocket("/").subprotocols(["b", "a"]);
    let mut websocket = websocket.connect().await.unwrap();
    assert_eq!(websocket.subprotocol(), Some("b"));
    for message in [Message::text("a"), Message::binary("b"), Message::text("")] {
        match &message {
            Message::Text(text) => websocket.send_text(&**text).await,
            message => websocket.send_binary(message.as_bytes().to_vec()).await,
        }
        assert_eq!(websocket.receive().await.unwrap(), message);
    }
    websocket.close(1000, "").await.unwrap();
}

#[tokio::test]
async fn an_http_request_gets_an_explanation() {
    let response = Client::new(Lint::new(app)).get("/").await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.text().contains("WebSocket"));
}
