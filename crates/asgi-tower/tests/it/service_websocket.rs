//! WebSockets of an app in an axum program.

use std::time::{Duration, Instant};

use asgi::{AppError, DisconnectReason, Extension, WebSocketAccept, WebSocketClose};
use test_support::app::{channel, websocket, websocket_with};
use test_support::websocket_client::{
    BINARY, CLOSE, HANDSHAKE, Over, PING, PONG, TEXT, close_payload, frame,
};
use test_support::{WebSocket, logs, run, within};

use crate::service::serve;

const BOTH: [Over; 2] = [Over::Http1, Over::Http2];

#[test]
fn messages_come_back_unchanged_over_both_versions() {
    run(async {
        let echo = websocket(async |mut socket: WebSocket| {
            socket.accept().await?;
            socket.echo().await?;
            Ok(())
        });
        let host = serve(echo).await;
        for over in BOTH {
            let mut peer = over.ask_at(host.0, "/", &[]).await.peer;
            for length in [0, 1, 200, 70_000] {
                let text = "y".repeat(length);
                peer.text(&text).await;
                peer.expect(TEXT, &text).await;
                peer.send(BINARY, vec![7; length]).await;
                peer.expect(BINARY, vec![7; length]).await;
            }
            peer.send(PING, "there?").await;
            peer.expect(PONG, "there?").await;
            peer.close(3000, "done").await;
            let (opcode, payload) = peer.next_frame().await;
            assert_eq!(
                (opcode & 0x0f, &payload[..2]),
                (CLOSE, &3000_u16.to_be_bytes()[..])
            );
            peer.expect_gone().await;
        }
    });
}

#[test]
fn an_accept_has_the_subprotocol_and_the_headers_of_the_app() {
    run(async {
        let accepts = websocket(async |mut socket: WebSocket| {
            assert_eq!(socket.scope.subprotocols, ["a", "b"]);
            assert!(
                !socket
                    .scope
                    .extensions
                    .has(Extension::WebSocketHttpResponse)
            );
            let accept = WebSocketAccept::new().subprotocol("b").header("x-a", "1");
            socket.send.send(accept).await?;
            Ok(())
        });
        let host = serve(accepts).await;
        for (over, status) in [(Over::Http1, 101), (Over::Http2, 200)] {
            let offered = [("sec-websocket-protocol", "a, b")];
            let answer = over.ask_at(host.0, "/", &offered).await;
            assert_eq!(answer.status, status);
            assert_eq!(answer.headers["sec-websocket-protocol"], "b");
            assert_eq!(answer.headers["x-a"], "1");
        }
    });
}

#[test]
fn the_key_of_the_client_is_answered() {
    run(async {
        let accepts = websocket(async |mut socket: WebSocket| Ok(socket.accept().await?));
        let host = serve(accepts).await;
        let answer = Over::Http1.ask_at(host.0, "/", &[]).await;
        // RFC 6455 §1.3 has this key and this answer.
        let accept = &answer.headers["sec-websocket-accept"];
        assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    });
}

#[test]
fn the_close_frame_of_the_app_reaches_the_client() {
    run(async {
        let closes = websocket(async |mut socket: WebSocket| {
            socket.accept().await?;
            socket.text("bye").await?;
            let close = WebSocketClose::new(4001).reason("enough");
            Ok(socket.send.send(close).await?)
        });
        let host = serve(closes).await;
        for over in BOTH {
            let mut peer = over.ask_at(host.0, "/", &[]).await.peer;
            // The app never reads it, and the reply to the close frame comes after it.
            peer.text("unread").await;
            peer.expect(TEXT, "bye").await;
            peer.expect(CLOSE, close_payload(4001, "enough")).await;
            peer.close(4001, "enough").await;
            peer.expect_gone().await;
        }
    });
}

#[test]
fn the_end_of_an_app_decides_how_its_socket_closes() {
    run(async {
        let ends = websocket(async |mut socket: WebSocket| {
            socket.accept().await?;
            match &*socket.scope.local_path() {
                "/returns" => Ok(()),
                "/aborts" => Err(AppError::aborted()),
                "/panics" => panic!("on purpose"),
                _ => Err("no database".into()),
            }
        });
        let host = serve(ends).await;
        for (target, code, error) in [
            ("/returns", 1000, None),
            ("/fails", 1011, Some("no database")),
            ("/panics", 1011, Some("the app panicked")),
        ] {
            let mut peer = Over::Http1.ask_at(host.0, target, &[]).await.peer;
            peer.expect(CLOSE, close_payload(code, "")).await;
            if let Some(error) = error {
                logs::expect_error(&[&format!("GET {target}"), error]);
            }
        }
        // No close frame, and no wait for one of the client.
        let began = Instant::now();
        let mut peer = Over::Http1.ask_at(host.0, "/aborts", &[]).await.peer;
        peer.expect_gone().await;
        assert!(began.elapsed() < Duration::from_secs(4));
    });
}

#[test]
fn a_handshake_that_is_not_accepted_has_a_status() {
    run(async {
        let denies = websocket(
            async |mut socket: WebSocket| match &*socket.scope.local_path() {
                "/closes" => Ok(socket.send.send(WebSocketClose::default()).await?),
                "/unsupported" => Err(AppError::unsupported_kind("websocket")),
                _ => Err("no database".into()),
            },
        );
        let host = serve(denies).await;
        for over in BOTH {
            for (target, status) in [("/closes", 403), ("/unsupported", 403), ("/fails", 500)] {
                let answer = over.ask_at(host.0, target, &[]).await;
                assert_eq!(answer.status, status, "{target}");
            }
            logs::expect_error(&["/fails", "no database"]);
        }
    });
}

#[test]
fn an_app_learns_how_its_client_left() {
    run(async {
        let (reports, mut reported) = channel();
        let told = websocket_with(reports, async |reports, mut socket: WebSocket| {
            socket.accept().await?;
            let end = socket.next().await.unwrap_err();
            let closed = socket.send.closed().await;
            reports.send((end.code, end.reason, closed))?;
            Ok(())
        });
        let host = serve(told).await;
        for over in BOTH {
            let mut peer = over.ask_at(host.0, "/", &[]).await.peer;
            peer.close(3001, "enough").await;
            let (code, reason, _) = within("a report", reported.recv()).await.unwrap();
            assert_eq!((code, &*reason), (3001, "enough"));

            let peer = over.ask_at(host.0, "/", &[]).await.peer;
            drop(peer);
            let (code, _, closed) = within("a report", reported.recv()).await.unwrap();
            assert_eq!((code, closed), (1006, DisconnectReason::Lost));
        }
    });
}

#[test]
fn two_full_directions_do_not_wait_for_each_other() {
    const PART: usize = 64 * 1024;
    run(async {
        let floods = websocket(async |mut socket: WebSocket| {
            socket.accept().await?;
            for _ in 0..64 {
                socket
                    .send
                    .send(asgi::WebSocketSend::binary(vec![7; PART]))
                    .await?;
            }
            let mut count = 0;
            while count < 64 * PART
                && let Ok(message) = socket.next().await
            {
                count += message.as_bytes().len();
            }
            socket.text(&count.to_string()).await?;
            Ok(())
        });
        let host = serve(floods).await;
        let mut peer = Over::Http1.ask_at(host.0, "/", &[]).await.peer;
        let opened = peer.next_frame().await;
        assert_eq!(opened.1.len(), PART);
        for _ in 1..64 {
            assert_eq!(peer.next_frame().await.1.len(), PART);
        }
        for _ in 0..64 {
            peer.send(BINARY, vec![1; PART]).await;
        }
        peer.expect(TEXT, (64 * PART).to_string()).await;
    });
}

#[test]
fn an_app_in_a_router_in_an_app_has_websockets() {
    run(async {
        let echo = websocket(async |mut socket: WebSocket| {
            socket.accept().await?;
            socket.echo().await?;
            Ok(())
        });
        let router = axum::Router::new().nest_service("/in", asgi_tower::service(echo));
        let server = test_support::Server::start(asgi_tower::app(router)).await;
        for over in BOTH {
            let mut peer = over.open(&server, "/in/side").await;
            peer.text("hi").await;
            peer.expect(TEXT, "hi").await;
            peer.close(3000, "done").await;
            let (opcode, payload) = peer.next_frame().await;
            assert_eq!(
                (opcode & 0x0f, &payload[..2]),
                (CLOSE, &3000_u16.to_be_bytes()[..])
            );
        }
    });
}

#[test]
fn a_request_that_is_no_handshake_stays_a_request() {
    run(async {
        let host = serve(websocket(async |_: WebSocket| Ok(()))).await;
        // Version 12 is not one that the host knows.
        let stream = tokio::net::TcpStream::connect(host.0).await.unwrap();
        let mut client = test_support::Client::tcp(stream);
        client
            .write(
                "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                sec-websocket-version: 12\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            )
            .await;
        assert_eq!(client.expect_response(200).await.body, "http");
    });
}

#[test]
fn an_app_learns_that_its_client_has_left_before_the_answer() {
    run(async {
        let (reports, mut reported) = channel();
        let waits = websocket_with(reports, async |reports, mut socket: WebSocket| {
            reports.send(None)?;
            reports.send(Some(socket.send.closed().await))?;
            Ok(())
        });
        let host = serve(waits).await;
        let stream = tokio::net::TcpStream::connect(host.0).await.unwrap();
        let mut client = test_support::Client::tcp(stream);
        client
            .write(format!("GET / HTTP/1.1\r\nhost: a\r\n{HANDSHAKE}\r\n"))
            .await;
        assert_eq!(within("the start", reported.recv()).await, Some(None));
        client.reset();
        let reason = within("the close", reported.recv()).await;
        assert_eq!(reason, Some(Some(DisconnectReason::Lost)));
    });
}

#[test]
fn a_client_waits_for_an_app_that_does_not_receive() {
    /// Far more than the buffers of the kernel and of this crate.
    const MOST: usize = 1024;
    run(async {
        let ignores = websocket(async |mut socket: WebSocket| {
            socket.accept().await?;
            std::future::pending().await
        });
        let host = serve(ignores).await;
        let mut peer = Over::Http1.ask_at(host.0, "/", &[]).await.peer;
        let message = frame(0x80 | BINARY, &vec![7; 64 * 1024]);
        let patience = Duration::from_millis(200);
        let written = peer.write_until_full(&message, MOST, patience).await;
        assert!(
            written < MOST * message.len(),
            "the host took {written} bytes"
        );
    });
}

#[test]
fn an_app_waits_for_a_client_that_does_not_read() {
    /// Far more than the buffers of the kernel and of this crate.
    const MOST: usize = 1024;
    run(async {
        let (reports, mut reported) = channel();
        let floods = websocket_with(reports, async |reports, mut socket: WebSocket| {
            socket.accept().await?;
            for _ in 0..MOST {
                let message = asgi::WebSocketSend::binary(vec![7; 64 * 1024]);
                socket.send.send(message).await?;
            }
            reports.send(())?;
            Ok(())
        });
        let host = serve(floods).await;
        let peer = Over::Http1.ask_at(host.0, "/", &[]).await.peer;
        let patience = Duration::from_millis(200);
        let all_sent = tokio::time::timeout(patience, reported.recv()).await;
        assert!(all_sent.is_err(), "the app did not wait");
        drop(peer);
    });
}
