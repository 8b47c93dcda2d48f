//! All programs as one app.

use asgi::Message;
use test_support::websocket_client::{TEXT, over_both};

use crate::forms::{Forms, erased, get};

static ALL: Forms = Forms::new(None, || erased(adopters::app()));

#[test]
fn apps_of_any_kind_work_below_the_path_of_another_app() {
    ALL.in_memory(async |client| {
        for (target, text) in [
            ("/mini", "mini\n"),
            ("/mini/hello/x", "Hello x\n"),
            ("/bridge/hello/x", "Hello x\n"),
            ("/middleware/upper/x", "/MIDDLEWARE/UPPER /X"),
        ] {
            let response = client.get(target).await.unwrap();
            assert_eq!(response.text(), text, "{target}");
        }
        for target in ["/", "/bridge/x", "/middleware/x", "/minix"] {
            let response = client.get(target).await.unwrap();
            assert_eq!(response.status(), 404, "{target}");
        }
    });
}

#[test]
fn sockets_work_below_the_path_of_another_app() {
    ALL.in_memory(async |client| {
        let mut socket = client.websocket("/mini/echo/7").connect().await.unwrap();
        assert_eq!(socket.receive().await.unwrap(), Message::text("room 7"));
        let mut socket = client
            .websocket("/bridge/ws/closes")
            .connect()
            .await
            .unwrap();
        assert_eq!(socket.receive().await.unwrap(), Message::text("bye"));
    });
}

#[test]
fn a_server_serves_all_programs_at_once() {
    over_both(async |over| {
        for (_, app) in ALL.each() {
            let server = test_support::Server::start(app).await;
            assert_eq!(get(&server, "/mini/hello/x", 200).await, "Hello x\n");
            assert_eq!(get(&server, "/bridge/hello/x", 200).await, "Hello x\n");
            assert_eq!(get(&server, "/middleware/slow/short", 200).await, "short");
            let mut peer = over.open(&server, "/bridge/ws/echo/all").await;
            peer.text("hi").await;
            peer.expect(TEXT, "hi").await;
        }
    });
}
