//! WebSockets of axum, with its own extractor and with ours, compared over both versions of HTTP.

use axum::Router;
use axum::extract::Request;
use axum::extract::ws::{CloseFrame, Message};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::{StatusCode, header};
use test_support::run;
use test_support::websocket_client::{BINARY, CLOSE, Over, PING, PONG, TEXT, close_payload};

use crate::hosts::Hosts;

/// The routes with one of the two extractors: the code of the handlers is the same.
macro_rules! routes {
    ($upgrade:ty, $socket:ty) => {{
        async fn echo(upgrade: $upgrade) -> Response {
            upgrade
                .protocols(["chat", "other"])
                .on_upgrade(async |mut socket: $socket| {
                    while let Some(Ok(message)) = socket.recv().await {
                        if matches!(message, Message::Text(_) | Message::Binary(_))
                            && socket.send(message).await.is_err()
                        {
                            return;
                        }
                    }
                })
        }

        async fn closes(upgrade: $upgrade) -> Response {
            upgrade.on_upgrade(async |mut socket: $socket| {
                let close = CloseFrame {
                    code: 4001,
                    reason: "enough".into(),
                };
                // They fail if the client has left.
                let _ = socket.send("bye".into()).await;
                let _ = socket.send(Message::Close(Some(close))).await;
                while let Some(Ok(_)) = socket.recv().await {}
            })
        }

        async fn guarded(upgrade: $upgrade, request: Request) -> Response {
            if request.headers().contains_key(header::AUTHORIZATION) {
                return upgrade.on_upgrade(async |_: $socket| {});
            }
            let challenge = [(header::WWW_AUTHENTICATE, "Basic")];
            (StatusCode::UNAUTHORIZED, challenge, "who are you?").into_response()
        }

        async fn stamped(upgrade: $upgrade) -> Response {
            let mut response = upgrade.on_upgrade(async |_: $socket| {});
            let stamp = http::HeaderValue::from_static("stamped");
            response.headers_mut().insert("x-stamp", stamp);
            response
        }

        Router::new()
            .route("/echo", any(echo))
            .route("/closes", any(closes))
            .route("/guarded", any(guarded))
            .route("/stamped", any(stamped))
    }};
}

/// The routes with axum's own extractor.
pub fn router() -> Router {
    routes!(
        axum::extract::ws::WebSocketUpgrade,
        axum::extract::ws::WebSocket
    )
}

/// The routes with our extractor, which needs `asgi-tower`.
pub fn own_router() -> Router {
    routes!(
        asgi_tower::axum::WebSocketUpgrade,
        asgi_tower::axum::WebSocket
    )
}

/// Runs the test on each server and extractor, over both versions of HTTP.
///
/// An app in an axum program is one of the servers, unless the test needs what such a host cannot do.
fn on_each_with_hosted(test: impl AsyncFn(std::net::SocketAddr, Over)) {
    on_each(Hosted::Too, test);
}

#[derive(PartialEq)]
enum Hosted {
    Too,
    Not,
}

fn on_each(hosted: Hosted, test: impl AsyncFn(std::net::SocketAddr, Over)) {
    run(async {
        let hosts = Hosts::start(router()).await;
        let own = test_support::Server::start(asgi_tower::app(own_router())).await;
        let mut all = vec![("our extractor", own.address())];
        all.extend(hosts.all());
        if hosted == Hosted::Not {
            all.pop();
        }
        for (name, address) in all {
            for over in [Over::Http1, Over::Http2] {
                println!("{name} over {over:?}");
                test(address, over).await;
            }
        }
    });
}

#[test]
fn messages_come_back_unchanged() {
    on_each_with_hosted(async |address, over| {
        let mut peer = over.ask_at(address, "/echo", &[]).await.peer;
        for length in [0, 1, 200, 70_000] {
            let text = "y".repeat(length);
            peer.text(&text).await;
            peer.expect(TEXT, &text).await;
            peer.send(BINARY, vec![7; length]).await;
            peer.expect(BINARY, vec![7; length]).await;
        }
        peer.close(3000, "done").await;
        let (opcode, payload) = peer.next_frame().await;
        assert_eq!(opcode & 0x0f, CLOSE);
        assert_eq!(payload[..2], 3000_u16.to_be_bytes());
    });
}

#[test]
fn a_ping_of_the_client_is_answered() {
    on_each_with_hosted(async |address, over| {
        let mut peer = over.ask_at(address, "/echo", &[]).await.peer;
        peer.send(PING, "are you there?").await;
        peer.expect(PONG, "are you there?").await;
    });
}

#[test]
fn a_close_of_the_handler_reaches_the_client() {
    on_each_with_hosted(async |address, over| {
        let mut peer = over.ask_at(address, "/closes", &[]).await.peer;
        peer.expect(TEXT, "bye").await;
        peer.expect(CLOSE, close_payload(4001, "enough")).await;
        peer.close(4001, "enough").await;
        peer.expect_gone().await;
    });
}

#[test]
fn a_handshake_has_the_chosen_subprotocol() {
    on_each_with_hosted(async |address, over| {
        for (offered, chosen) in [
            ("x, other", Some("other")),
            ("other, chat", Some("chat")),
            ("x", None),
        ] {
            let offered = [("sec-websocket-protocol", offered)];
            let answer = over.ask_at(address, "/echo", &offered).await;
            let found = answer.headers.get("sec-websocket-protocol");
            assert_eq!(found.map(|name| name.as_bytes()), chosen.map(str::as_bytes));
        }
    });
}

#[test]
fn a_handler_denies_a_handshake_with_a_response_of_its_own() {
    on_each(Hosted::Not, async |address, over| {
        let answer = over.ask_at(address, "/guarded", &[]).await;
        assert_eq!(answer.status, 401);
        assert_eq!(answer.headers["www-authenticate"], "Basic");
        assert_eq!(answer.headers["content-length"], "12");
        assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
        let accepted = [("authorization", "Basic eDp5")];
        let answer = over.ask_at(address, "/guarded", &accepted).await;
        assert!(matches!(answer.status.as_u16(), 101 | 200), "{answer:?}");
    });
}

#[test]
fn a_handshake_has_the_headers_of_the_handler() {
    on_each_with_hosted(async |address, over| {
        let answer = over.ask_at(address, "/stamped", &[]).await;
        assert_eq!(answer.headers["x-stamp"], "stamped");
    });
}

#[test]
fn a_path_without_a_route_gets_404() {
    on_each(Hosted::Not, async |address, over| {
        let answer = over.ask_at(address, "/nothing", &[]).await;
        assert_eq!(answer.status, 404);
    });
}
