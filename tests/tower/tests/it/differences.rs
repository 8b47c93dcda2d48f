//! What differs between the two servers, each as `docs/axum.md` says.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::Request;
use axum::extract::ws::{self, Message};
use axum::routing::{any, get};
use bytes::Bytes;
use test_support::websocket_client::{CLOSE, Over, PING, TEXT};
use test_support::{Client, Server, logs, run, within};
use tokio::net::TcpStream;

use crate::answer::{Protocol, send};
use crate::hosts::Hosts;

fn request(target: &str) -> http::Request<Bytes> {
    http::Request::get(target).body(Bytes::new()).unwrap()
}

async fn connect(address: SocketAddr) -> Client {
    Client::tcp(TcpStream::connect(address).await.unwrap())
}

#[test]
fn a_panic_is_a_500_and_on_axum_a_broken_connection() {
    run(async {
        async fn panics() -> &'static str {
            panic!("on purpose")
        }
        let hosts = Hosts::start(Router::new().route("/", get(panics))).await;
        let [(_, ferricorn), (_, axum)] = hosts.each();
        assert_eq!(
            send(ferricorn, Protocol::Http1, request("/")).await.status,
            500
        );
        logs::expect_error(&["GET", "panicked"]);
        let mut client = connect(axum).await;
        client.get("/").await;
        client.expect_end().await;
    });
}

#[test]
fn the_uri_of_an_http_2_request_has_an_authority_only_on_axum() {
    run(async {
        let uri = get(async |request: Request| request.uri().to_string());
        let hosts = Hosts::start(Router::new().route("/page", uri)).await;
        let [(_, ferricorn), (_, axum)] = hosts.each();
        for (over, on_axum) in [
            (Protocol::Http1, "/page?q"),
            (Protocol::Http2, "http://example.org/page?q"),
        ] {
            let answer = send(ferricorn, over, request("/page?q")).await;
            assert_eq!(answer.text(), "/page?q");
            let answer = send(axum, over, request("/page?q")).await;
            assert_eq!(answer.text(), on_axum);
        }
    });
}

#[test]
fn a_route_for_get_also_takes_a_handshake_over_http_2() {
    run(async {
        let opens = get(async |upgrade: ws::WebSocketUpgrade| upgrade.on_upgrade(async |_| {}));
        let hosts = Hosts::start(Router::new().route("/", opens)).await;
        let [(_, ferricorn), (_, axum)] = hosts.each();
        assert_eq!(Over::Http2.ask_at(ferricorn, "/", &[]).await.status, 200);
        assert_eq!(Over::Http2.ask_at(axum, "/", &[]).await.status, 405);
    });
}

#[test]
fn a_route_that_is_no_websocket_answers_a_handshake_with_400() {
    run(async {
        let hosts = Hosts::start(Router::new().route("/", any(async || "plain"))).await;
        let [(_, ferricorn), (_, axum)] = hosts.each();
        for over in [Over::Http1, Over::Http2] {
            assert_eq!(over.ask_at(ferricorn, "/", &[]).await.status, 400);
            assert_eq!(over.ask_at(axum, "/", &[]).await.status, 200);
        }
    });
}

/// A router with axum's extractor at `/ws` and ours at `/own`. Both sockets have the same methods.
macro_rules! with_both_extractors {
    (|$socket:ident| $handler:block) => {
        Router::new()
            .route(
                "/ws",
                any(async |upgrade: ws::WebSocketUpgrade| {
                    upgrade.on_upgrade(async |$socket| $handler)
                }),
            )
            .route(
                "/own",
                any(async |upgrade: asgi_tower::axum::WebSocketUpgrade| {
                    upgrade.on_upgrade(async |$socket| $handler)
                }),
            )
    };
}

#[test]
fn a_socket_that_is_dropped_is_closed_with_1000_only_by_our_extractor() {
    run(async {
        let router = with_both_extractors!(|socket| { drop(socket) });
        let hosts = Hosts::start(router).await;
        let [(_, ferricorn), (_, axum)] = hosts.each();
        for over in [Over::Http1, Over::Http2] {
            let mut peer = over.ask_at(ferricorn, "/own", &[]).await.peer;
            peer.expect_close(1000, "").await;
            // No close frame: the client sees 1006.
            for address in [ferricorn, axum] {
                let mut peer = over.ask_at(address, "/ws", &[]).await.peer;
                peer.expect_gone().await;
            }
        }
    });
}

#[test]
fn a_ping_of_the_handler_is_answered_before_it_reaches_the_client() {
    run(async {
        let router = with_both_extractors!(|socket| {
            let mut socket = socket;
            socket.send(Message::Ping("now".into())).await.unwrap();
            let text = format!("{:?}", socket.recv().await);
            socket.send(text.into()).await.unwrap();
        });
        let hosts = Hosts::start(router).await;
        let [(_, ferricorn), (_, axum)] = hosts.each();
        let pong = "Some(Ok(Pong(b\"now\")))";
        for path in ["/own", "/ws"] {
            let mut peer = Over::Http1.ask_at(ferricorn, path, &[]).await.peer;
            peer.expect(TEXT, pong).await;
        }
        let mut peer = Over::Http1.ask_at(axum, "/ws", &[]).await.peer;
        peer.expect(PING, "now").await;
    });
}

#[test]
fn a_handler_of_our_extractor_that_panics_closes_with_1011() {
    run(async {
        let panics = any(async |upgrade: asgi_tower::axum::WebSocketUpgrade| {
            upgrade.on_upgrade(async |_| panic!("on purpose"))
        });
        let app = asgi_tower::app(Router::new().route("/", panics));
        let server = Server::start(app).await;
        let mut peer = Over::Http1.open(&server, "/").await;
        let (opcode, payload) = peer.next_frame().await;
        assert_eq!(
            (opcode & 0x0f, &payload[..2]),
            (CLOSE, &1011_u16.to_be_bytes()[..])
        );
        logs::expect_error(&["panicked"]);
    });
}

#[test]
fn a_handler_runs_on_after_a_fin_and_on_axum_it_is_dropped() {
    run(async {
        let (go, gate) = tokio::sync::watch::channel(false);
        let (reports, mut reported) = test_support::app::channel();
        let waits = get(move || {
            let (mut gate, reports) = (gate.clone(), reports.clone());
            async move {
                let _dropped = test_support::app::Dropped::new(reports, "dropped");
                gate.wait_for(|open| *open).await.unwrap();
                "late"
            }
        });
        let hosts = Hosts::start(Router::new().route("/", waits)).await;
        let [(_, ferricorn), (_, axum)] = hosts.each();

        let mut client = connect(axum).await;
        client.get("/").await;
        client.half_close().await;
        assert_eq!(within("the drop", reported.recv()).await, Some("dropped"));
        client.expect_end().await;

        let mut client = connect(ferricorn).await;
        client.get("/").await;
        hosts.ferricorn.wait_for_exchanges(1).await;
        client.half_close().await;
        go.send(true).unwrap();
        assert_eq!(client.expect_response(200).await.body, "late");
    });
}

#[test]
fn an_upgrade_to_another_protocol_is_not_possible() {
    run(async {
        let upgrades =
            get(
                async |mut request: Request| match hyper::upgrade::on(&mut request).await {
                    Ok(_) => "upgraded",
                    Err(_) => "no upgrade",
                },
            );
        let hosts = Hosts::start(Router::new().route("/", upgrades)).await;
        let mut client = connect(hosts.ferricorn.address()).await;
        client
            .write("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: other\r\n\r\n")
            .await;
        assert_eq!(client.expect_response(200).await.body, "no upgrade");
    });
}
