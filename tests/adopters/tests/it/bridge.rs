//! The bridge for axum.

use std::time::Duration;

use asgi::{DisconnectReason, Extensions, Message};
use asgi_testing::Client;
use http::Version;
use test_support::Server;
use test_support::websocket_client::{CLOSE, TEXT, over_both};

use crate::forms::{Forms, erased, get};

static BRIDGE: Forms = Forms::new(Some("bridge"), || erased(adopters::bridge::app()));

/// Asks the app again and again until `count` handlers run under this name.
async fn until_running(client: &Client, name: &str, count: u32) {
    let target = format!("/running/{name}");
    while client.get(&target).await.unwrap().text() != count.to_string() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The same over a server.
async fn until_running_on(server: &Server, name: &str, count: u32) {
    let target = format!("/running/{name}");
    while get(server, &target, 200).await != count.to_string() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// What the handler of this name has received, once it has ended.
async fn received(client: &Client, name: &str) -> String {
    until_running(client, name, 0).await;
    let response = client.get(&format!("/received/{name}")).await.unwrap();
    response.text().into_owned()
}

#[test]
fn extractors_of_axum_find_the_path_the_peer_and_the_body() {
    BRIDGE.in_memory(async |client| {
        let home = client.get("/").await.unwrap();
        assert_eq!(home.text(), "Hello, world!\n");
        assert_eq!(home.header("content-length"), Some("14"));
        let hello = client.get("/hello/a%2Fb").await.unwrap();
        assert_eq!(hello.text(), "Hello a/b\n");
        let peer = client.get("/peer").await.unwrap();
        assert_eq!(peer.text(), "127.0.0.1:50000");
        let length = client.post("/length").body("12345").await.unwrap();
        assert_eq!(length.text(), "5");
        assert_eq!(client.get("/nothing").await.unwrap().status(), 404);
    });
}

#[test]
fn a_router_of_axum_works_below_a_root_path() {
    let below = |app| Client::new(app).mounted_at("/api");
    BRIDGE.in_memory_with(below, async |client| {
        let hello = client.get("/hello/x").await.unwrap();
        assert_eq!(hello.text(), "Hello x\n");
    });
}

#[test]
fn bodies_stream_in_both_directions() {
    BRIDGE.in_memory(async |client| {
        let mut exchange = client.post("/echo").open_body().start();
        for part in ["one", "two"] {
            exchange.send_body(part);
            assert_eq!(exchange.data().await.unwrap(), part);
        }
        exchange.end_body("");
        assert_eq!(exchange.finish().await.unwrap().text(), "onetwo");
    });
}

#[test]
fn a_handler_is_dropped_when_its_client_leaves() {
    BRIDGE.in_memory(async |client| {
        let mut exchange = client.get("/slow/leaves").start();
        tokio::select! {
            event = exchange.next_event() => panic!("{event:?}"),
            () = until_running(&client, "leaves", 1) => {}
        }
        exchange.disconnect(DisconnectReason::Lost);
        assert_eq!(exchange.finish().await.unwrap_err().fault(), None);
        until_running(&client, "leaves", 0).await;
    });
}

#[test]
fn a_body_is_dropped_when_its_client_leaves_also_if_it_is_silent() {
    BRIDGE.in_memory(async |client| {
        for name in ["ticks", "silent"] {
            let mut exchange = client.get(&format!("/{name}/{name}")).start();
            assert_eq!(exchange.data().await.unwrap(), "data: 0\n\n");
            until_running(&client, name, 1).await;
            exchange.disconnect(DisconnectReason::Lost);
            assert_eq!(exchange.finish().await.unwrap_err().fault(), None);
            until_running(&client, name, 0).await;
        }
    });
}

#[test]
fn an_upload_that_breaks_off_is_not_the_apps_fault() {
    BRIDGE.in_memory(async |client| {
        let mut exchange = client.post("/echo").open_body().start();
        exchange.send_body("one");
        assert_eq!(exchange.data().await.unwrap(), "one");
        exchange.disconnect(DisconnectReason::TimedOut);
        let broken = exchange.finish().await.unwrap_err();
        assert_eq!(broken.body(), "one");
        assert_eq!(broken.fault(), None);
    });
}

#[test]
fn messages_pass_through_unchanged_also_large_and_empty_ones() {
    BRIDGE.in_memory(async |client| {
        let handshake = client.websocket("/ws/echo/messages");
        let handshake = handshake.subprotocols(["other", "chat"]);
        let mut socket = handshake.connect().await.unwrap();
        assert_eq!(socket.subprotocol(), Some("chat"));
        assert!(socket.headers().is_empty(), "{:?}", socket.headers());
        for message in [
            Message::text("héllo"),
            Message::binary(vec![9; 5 << 20]),
            Message::binary(""),
        ] {
            socket.send(message.clone()).await;
            assert!(socket.receive().await.unwrap() == message);
        }
        socket.close(1000, "").await.unwrap();
    });
}

#[test]
fn a_handler_receives_the_close_of_its_client() {
    BRIDGE.in_memory(async |client| {
        let socket = client.websocket("/ws/echo/close").connect().await.unwrap();
        until_running(&client, "close", 1).await;
        socket.close(4002, "enough").await.unwrap();
        assert_eq!(received(&client, "close").await, "4002 enough");

        let socket = client.websocket("/ws/echo/lost").connect().await.unwrap();
        until_running(&client, "lost", 1).await;
        socket.lose().await.unwrap();
        let error = received(&client, "lost").await;
        assert!(error.contains("without closing handshake"), "{error}");
    });
}

#[test]
fn a_handler_ends_if_the_server_drops_the_app() {
    BRIDGE.in_memory(async |client| {
        let socket = client.websocket("/ws/echo/drop").connect().await.unwrap();
        until_running(&client, "drop", 1).await;
        drop(socket);
        until_running(&client, "drop", 0).await;
    });
}

#[test]
fn a_client_receives_the_close_of_its_handler() {
    BRIDGE.in_memory(async |client| {
        let mut socket = client.websocket("/ws/closes").connect().await.unwrap();
        assert_eq!(socket.receive().await.unwrap(), Message::text("bye"));
        let closed = socket.receive().await.unwrap_err();
        assert_eq!((closed.code, &*closed.reason), (4001, "enough"));
        // As on axum's own server: no close frame.
        let mut socket = client.websocket("/ws/drops").connect().await.unwrap();
        assert_eq!(socket.receive().await.unwrap_err().code, 1006);
    });
}

#[test]
fn a_ping_of_a_handler_is_answered_before_it_reaches_the_client() {
    BRIDGE.in_memory(async |client| {
        let mut socket = client.websocket("/ws/pings").connect().await.unwrap();
        assert_eq!(socket.receive().await.unwrap(), Message::text("pong: true"));
    });
}

#[test]
fn a_denial_of_axum_reaches_the_client() {
    BRIDGE.in_memory(async |client| {
        let denied = client.websocket("/ws/guarded").connect().await.unwrap_err();
        let response = denied.response().unwrap();
        assert_eq!(response.status(), 401);
        assert_eq!(response.header("www-authenticate"), Some("Basic"));
        assert_eq!(response.text(), "who are you?");
        for (target, status) in [("/ws/nothing", 404), ("/", 400)] {
            let denied = client.websocket(target).connect().await.unwrap_err();
            assert_eq!(denied.status().unwrap(), status, "{target}");
        }
        let plain = client.clone().extensions(Extensions::new());
        let denied = plain.websocket("/ws/guarded").connect().await.unwrap_err();
        assert_eq!(denied.status().unwrap(), 403);
    });
}

#[test]
fn a_handshake_over_http_2_is_one_over_http_1_for_axum() {
    BRIDGE.in_memory(async |client| {
        let handshake = client.websocket("/ws/echo/h2");
        let handshake = handshake.scope(|scope| scope.version = Version::HTTP_2);
        let mut socket = handshake.connect().await.unwrap();
        socket.send_text("hi").await;
        assert_eq!(socket.receive().await.unwrap(), Message::text("hi"));
    });
}

#[test]
fn two_full_directions_do_not_wait_for_each_other() {
    const PART: usize = 64 * 1024;
    BRIDGE.in_memory(async |client| {
        let mut socket = client.websocket("/ws/floods").connect().await.unwrap();
        for _ in 0..64 {
            socket.send_binary(vec![1; PART]).await;
        }
        for _ in 0..64 {
            socket.receive().await.unwrap();
        }
        let count = Message::text((64 * PART).to_string());
        assert_eq!(socket.receive().await.unwrap(), count);
    });
}

#[test]
fn a_server_serves_a_router_of_axum() {
    BRIDGE.on_a_server(async |server| {
        assert_eq!(get(&server, "/", 200).await, "Hello, world!\n");
        assert_eq!(get(&server, "/hello/a%2Fb", 200).await, "Hello a/b\n");
        assert_eq!(get(&server, "/nothing", 404).await, "");
        let mut client = server.connect().await;
        client
            .write("POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
            .await;
        client.write("3\r\none\r\n").await;
        client.expect_head(200).await;
        assert_eq!(client.read_chunk().await.unwrap(), "one");
        client.write("3\r\ntwo\r\n0\r\n\r\n").await;
        assert_eq!(client.read_chunked().await.body(), "two");
    });
}

#[test]
fn a_server_ends_a_handler_whose_client_leaves() {
    BRIDGE.on_a_server(async |server| {
        let mut client = server.connect().await;
        client.get("/slow/server").await;
        until_running_on(&server, "server", 1).await;
        client.reset();
        until_running_on(&server, "server", 0).await;
    });
}

#[test]
fn a_server_opens_the_sockets_of_axum_over_both_versions() {
    over_both(async |over| {
        for (_, app) in BRIDGE.each() {
            let server = Server::start(app).await;
            let mut peer = over.open(&server, "/ws/echo/server").await;
            for length in [0, 1, 200, 70_000] {
                let text = "y".repeat(length);
                peer.text(&text).await;
                peer.expect(TEXT, &text).await;
            }
            peer.close(3000, "done").await;
            peer.expect(CLOSE, 3000_u16.to_be_bytes()).await;
            peer.expect_end().await;
        }
    });
}
