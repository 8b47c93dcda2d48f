//! The app in memory.

use asgi::Message;
use asgi_testing::Client;

use crate::app::app;

#[tokio::test]
async fn what_comes_goes_back_as_it_came() {
    let client = Client::new(app);
    let socket = client.websocket("/").subprotocols(["b", "a"]);
    let mut socket = socket.connect().await.unwrap();
    assert_eq!(socket.subprotocol(), Some("b"));
    for message in [Message::text("a"), Message::binary("b"), Message::text("")] {
        match &message {
            Message::Text(text) => socket.send_text(&**text).await,
            message => socket.send_binary(message.as_bytes().to_vec()).await,
        }
        assert_eq!(socket.receive().await.unwrap(), message);
    }
    socket.close(1000, "").await.unwrap();
}

#[tokio::test]
async fn a_request_is_told_what_is_here() {
    let response = Client::new(app).get("/").await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.text().contains("WebSocket"));
}
