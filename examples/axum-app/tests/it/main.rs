//! The app in memory, and on a server: linked in and loaded.

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a panic fails the test, and the output says which form has failed"
)]

use std::sync::OnceLock;

use asgi::{DynApp, Message};
use asgi_abi::Library;
use asgi_testing::Client;
use serde_json::{Value, json};
use test_support::websocket_client::{Over, TEXT};
use test_support::{Server, library, run};

fn client() -> Client {
    Client::new(asgi_tower::app(axum_app::router()))
}

async fn todos(client: &Client) -> Value {
    let response = client.get("/todos").await.unwrap();
    serde_json::from_slice(response.body()).unwrap()
}

#[tokio::test]
async fn todos_are_added_changed_and_removed() {
    let client = client();
    let request = client
        .post("/todos")
        .header("content-type", "application/json");
    let added = request.body(r#"{"text":"buy milk"}"#).await.unwrap();
    assert_eq!(added.status(), 201);
    assert_eq!(added.header("location"), Some("/todos/1"));
    let change = client
        .put("/todos/1")
        .header("content-type", "application/json");
    assert_eq!(change.body(r#"{"done":true}"#).await.unwrap().status(), 204);
    let expected = json!([{ "id": 1, "text": "buy milk", "done": true }]);
    assert_eq!(todos(&client).await, expected);
    assert_eq!(client.delete("/todos/1").await.unwrap().status(), 204);
    assert_eq!(client.delete("/todos/1").await.unwrap().status(), 404);
    assert_eq!(todos(&client).await, json!([]));
}

#[tokio::test]
async fn a_todo_without_a_text_is_refused() {
    let client = client();
    let request = client
        .post("/todos")
        .header("content-type", "application/json");
    assert_eq!(request.body("{}").await.unwrap().status(), 422);
}

#[tokio::test]
async fn each_line_of_an_upload_is_a_todo() {
    let client = client();
    let upload = client.post("/todos/import");
    let upload = upload.header("content-type", "multipart/form-data; boundary=X");
    let part = "--X\r\ncontent-disposition: form-data; name=\"list\"; filename=\"a.txt\"\r\n\r\n\
        one\n\ntwo\n\r\n--X--\r\n";
    let response = upload.body(part).await.unwrap();
    assert_eq!(response.text(), "2 added\n");
    assert_eq!(todos(&client).await[1]["text"], "two");
}

#[tokio::test]
async fn a_socket_adds_todos_and_gets_the_news() {
    let client = client();
    let mut socket = client.websocket("/ws").connect().await.unwrap();
    socket.send_text("buy milk").await;
    let news = socket.receive().await.unwrap();
    assert_eq!(news, Message::text("added 1: buy milk"));
    socket.close(1000, "").await.unwrap();
}

#[tokio::test]
async fn an_event_stream_gets_the_news() {
    let client = client();
    let mut events = client.get("/events").start();
    assert_eq!(events.data().await.unwrap(), "data: hello\n\n");
    let request = client
        .post("/todos")
        .header("content-type", "application/json");
    request.body(r#"{"text":"buy milk"}"#).await.unwrap();
    let news = events.data().await.unwrap();
    assert_eq!(news, "data: added 1: buy milk\n\n");
}

#[tokio::test]
async fn the_page_and_its_script_are_files() {
    let client = client();
    let page = client.get("/").await.unwrap();
    assert_eq!(page.header("content-type"), Some("text/html"));
    assert!(page.text().contains("/todos.js"));
    assert_eq!(client.get("/todos.js").await.unwrap().status(), 200);
    assert_eq!(client.get("/nothing").await.unwrap().status(), 404);
}

#[test]
fn the_app_is_the_same_linked_in_and_loaded() {
    static LOADED: OnceLock<Library> = OnceLock::new();
    let loaded = LOADED.get_or_init(|| library::load("axum-app"));
    for (form, app) in [
        (
            "linked in",
            DynApp::new(asgi_tower::app(axum_app::router())),
        ),
        ("loaded", DynApp::new(loaded.app())),
    ] {
        println!("{form}");
        run(async {
            let server = Server::start(app).await;
            let mut client = server.connect().await;
            client.get("/todos.js").await;
            client.expect_response(200).await;
            let mut last = 0;
            for over in [Over::Http1, Over::Http2] {
                let mut peer = over.open(&server, "/ws").await;
                peer.text("buy milk").await;
                last += 1;
                peer.expect(TEXT, format!("added {last}: buy milk")).await;
            }
        });
    }
}
