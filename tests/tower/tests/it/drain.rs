//! A drain with open WebSockets and event streams.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::extract::ws::{self, Message};
use axum::response::Response;
use axum::response::sse::{Event, Sse};
use axum::routing::{any, get};
use bytes::Bytes;
use ferricorn::Config;
use futures_util::{StreamExt, stream};
use http::Request;
use http_body_util::BodyExt;
use test_support::app::Dropped;
use test_support::websocket_client::{CLOSE, Over, TEXT};
use test_support::{Server, run, within};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use crate::answer::{BOTH, begin};

type Reports = UnboundedSender<String>;

/// Each handler reports its end.
fn router(reports: &Reports) -> Router {
    /// A handler that sends "open" and then reports what it receives.
    macro_rules! socket {
        ($upgrade:ty, $socket:ty) => {{
            let reports = reports.clone();
            any(async move |Path(name): Path<String>, upgrade: $upgrade| {
                upgrade.on_upgrade(async move |mut socket: $socket| {
                    socket.send("open".into()).await.unwrap();
                    let text = match socket.recv().await {
                        Some(Ok(Message::Close(Some(frame)))) => format!("close {}", frame.code),
                        other => format!("{other:?}"),
                    };
                    reports.send(format!("{name} {text}")).unwrap();
                })
            })
        }};
    }
    let silent = reports.clone();
    let events = get(async move |Path(name): Path<String>| -> Response {
        let open = Dropped::new(silent, format!("{name} dropped"));
        let first = stream::once(async { Ok::<_, Infallible>(Event::default().data("open")) });
        let events = first.chain(stream::pending()).map(move |event| {
            let _open = &open;
            event
        });
        axum::response::IntoResponse::into_response(Sse::new(events))
    });
    Router::new()
        .route("/ws/{name}", socket!(ws::WebSocketUpgrade, ws::WebSocket))
        .route(
            "/own/{name}",
            socket!(
                asgi_tower::axum::WebSocketUpgrade,
                asgi_tower::axum::WebSocket
            ),
        )
        .route("/events/{name}", events)
}

#[test]
fn a_drain_tells_every_socket_and_stream_and_ends_in_time() {
    run(async {
        let (reports, mut reported) = test_support::app::channel();
        let mut config = Config::default();
        config.graceful_timeout = Some(Duration::from_millis(300));
        let server = Server::start_with(config, asgi_tower::app(router(&reports))).await;

        let mut peers = Vec::new();
        let mut streams = Vec::new();
        for over in [Over::Http1, Over::Http2] {
            for path in ["ws", "own"] {
                let mut peer = over.open(&server, &format!("/{path}/{path}")).await;
                peer.expect(TEXT, "open").await;
                peers.push(peer);
            }
        }
        for over in BOTH {
            let request = Request::get("/events/sse").body(Bytes::new()).unwrap();
            let (response, connection) = begin(server.address(), over, request).await;
            let mut body = response.into_body();
            let first = within("an event", body.frame()).await.unwrap().unwrap();
            assert_eq!(first.into_data().unwrap(), "data: open\n\n");
            streams.push((body, connection));
        }

        let began = Instant::now();
        server.handle().drain();
        for mut peer in peers {
            // 1001, "going away". (RFC 6455 §7.4.1)
            let (opcode, payload) = peer.next_frame().await;
            assert_eq!(
                (opcode & 0x0f, &payload[..2]),
                (CLOSE, &1001_u16.to_be_bytes()[..])
            );
            peer.close(1001, "").await;
        }
        for (mut body, _connection) in streams {
            // The server cuts them off after the graceful timeout.
            let end = within("the end of the stream", body.frame()).await;
            assert!(matches!(end, Some(Err(_))), "{end:?}");
        }
        within("the end of the server", server.ended())
            .await
            .unwrap();
        assert!(
            began.elapsed() < Duration::from_secs(3),
            "{:?}",
            began.elapsed()
        );

        let mut ends = Vec::new();
        while ends.len() < 6 {
            ends.push(within("a report", reported.recv()).await.unwrap());
        }
        ends.sort();
        assert_eq!(
            ends,
            [
                "own close 1001",
                "own close 1001",
                "sse dropped",
                "sse dropped",
                "ws close 1001",
                "ws close 1001",
            ]
        );
    });
}
