//! The small framework.

use asgi::{DisconnectReason, Message};
use asgi_testing::{Client, Fault};
use http::StatusCode;
use test_support::logs;
use test_support::websocket_client::{CLOSE, TEXT, over_both};

use crate::forms::{Forms, erased, get};

static MINI: Forms = Forms::new(Some("mini"), || erased(adopters::mini::app()));

#[test]
fn a_handler_gets_the_parameters_of_its_path() {
    MINI.in_memory(async |client| {
        let text = client.get("/hello/a%20b").await.unwrap();
        assert_eq!(text.text(), "Hello a b\n");
        // The path is decoded before it is split, so this one has a segment more.
        let split = client.get("/hello/a%2Fb").await.unwrap();
        assert_eq!(split.status(), 404);
    });
}

#[test]
fn a_router_works_below_a_root_path() {
    let below = |app| Client::new(app).mounted_at("/api");
    MINI.in_memory_with(below, async |client| {
        let text = client.get("/hello/x").await.unwrap();
        assert_eq!(text.text(), "Hello x\n");
    });
}

#[test]
fn a_wrong_path_is_404_and_a_wrong_method_is_405() {
    MINI.in_memory(async |client| {
        assert_eq!(client.get("/nothing").await.unwrap().status(), 404);
        assert_eq!(client.post("/hello/x").await.unwrap().status(), 405);
    });
}

#[test]
fn json_is_read_and_written_and_bad_json_is_the_clients_fault() {
    MINI.in_memory(async |client| {
        let item = r#"{"name":"x","price":1}"#;
        let response = client.post("/items").body(item).await.unwrap();
        assert_eq!(response.status(), 201);
        assert_eq!(response.text(), r#"{"name":"x","price":2}"#);
        for (body, status) in [
            ("{".to_owned(), StatusCode::BAD_REQUEST),
            (r#"{"name":"x"}"#.to_owned(), StatusCode::BAD_REQUEST),
            (" ".repeat(2 << 20), StatusCode::PAYLOAD_TOO_LARGE),
        ] {
            let response = client.post("/items").body(body).await.unwrap();
            assert_eq!(response.status(), status);
            assert_eq!(response.fault(), None);
        }
    });
}

#[test]
fn layers_answer_in_place_of_a_handler_and_change_its_response() {
    MINI.in_memory(async |client| {
        for number in ["1", "2"] {
            let response = client.get("/").await.unwrap();
            assert_eq!(response.header("x-request"), Some(number));
            assert!(response.header("x-microseconds").is_some());
        }
        let request = client.get("/").header("x-forbidden", "1");
        let response = request.await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &*response.text()),
            (403, "no\n")
        );
    });
}

#[test]
fn an_error_of_a_handler_is_500_and_the_apps_fault() {
    MINI.in_memory(async |client| {
        let response = client.get("/fail").await.unwrap();
        assert_eq!(response.status(), 500);
        assert_eq!(response.fault(), Some(Fault::Failed));
        let error = response.app_error().unwrap();
        assert_eq!(error.to_string(), "the handler broke");
    });
}

#[test]
fn a_request_without_a_start_up_fails() {
    test_support::run(async {
        let client = Client::new(adopters::mini::app());
        let response = client.get("/").await.unwrap();
        let error = response.app_error().unwrap();
        assert_eq!(error.to_string(), "the app has not started");
    });
}

#[test]
fn a_stream_is_sent_part_by_part_until_its_client_leaves() {
    MINI.in_memory(async |client| {
        let response = client.get("/stream/3").await.unwrap();
        assert_eq!(response.chunks(), ["line 1\n", "line 2\n", "line 3\n"]);
        let bad = client.get("/stream/x").await.unwrap();
        assert_eq!(bad.status(), 400);

        let mut events = client.get("/events").start();
        assert_eq!(events.data().await.unwrap(), "data: 0\n\n");
        assert_eq!(events.data().await.unwrap(), "data: 1\n\n");
        events.disconnect(DisconnectReason::Lost);
        assert_eq!(events.finish().await.unwrap_err().fault(), None);
    });
}

#[test]
fn a_socket_gets_the_parameters_of_its_path_and_a_wrong_path_is_denied() {
    MINI.in_memory(async |client| {
        let mut socket = client.websocket("/echo/7").connect().await.unwrap();
        assert_eq!(socket.receive().await.unwrap(), Message::text("room 7"));
        socket.send_text("hi").await;
        assert_eq!(socket.receive().await.unwrap(), Message::text("hi"));
        socket.close(1000, "").await.unwrap();
        let denied = client.websocket("/nothing").connect().await.unwrap_err();
        assert_eq!(denied.status().unwrap(), 404);
    });
}

#[test]
fn a_server_serves_the_framework() {
    MINI.on_a_server(async |server| {
        assert_eq!(get(&server, "/hello/a%20b", 200).await, "Hello a b\n");
        assert_eq!(get(&server, "/nothing", 404).await, "404 Not Found\n");
        let mut client = server.connect().await;
        client.get("/stream/3").await;
        let head = client.expect_head(200).await;
        assert_eq!(head.header("transfer-encoding"), Some("chunked"));
        let body = client.read_chunked().await.body();
        assert_eq!(body, "line 1\nline 2\nline 3\n");
        get(&server, "/fail", 500).await;
        logs::expect_error(&["failed", "the handler broke"]);
    });
}

#[test]
fn a_server_stops_a_stream_when_its_client_leaves() {
    MINI.on_a_server(async |server| {
        let mut client = server.connect().await;
        client.get("/events").await;
        client.expect_head(200).await;
        assert_eq!(client.read_chunk().await.unwrap(), "data: 0\n\n");
        client.reset();
        server.wait_for_exchanges(0).await;
    });
}

#[test]
fn a_server_opens_the_sockets_of_the_framework_over_both_versions() {
    over_both(async |over| {
        for (_, app) in MINI.each() {
            let server = test_support::Server::start(app).await;
            let mut peer = over.open(&server, "/echo/7").await;
            peer.expect(TEXT, "room 7").await;
            peer.text("hi").await;
            peer.expect(TEXT, "hi").await;
            peer.close(3000, "done").await;
            peer.expect(CLOSE, 3000_u16.to_be_bytes()).await;
            peer.expect_end().await;
        }
    });
}
