//! WebSockets, whose clients use HTTP/1.1 and HTTP/2.

use std::time::Duration;

use asgi::{
    AppError, Message, SendEvent, WebSocketAccept, WebSocketClose, WebSocketDisconnect,
    WebSocketHttpResponseBody, WebSocketHttpResponseStart, WebSocketSend,
};
use http::StatusCode;
use test_support::app::channel;
use test_support::websocket_client::{BINARY, CLOSE, Over, TEXT, close_payload, frame, over_both};
use test_support::{Server, WebSocket, logs, websocket, websocket_with, within};

use crate::proxied;
use crate::upstream::Upstream;

/// A proxy and its upstream.
async fn chain<F, Fut>(app: F) -> (Server, Server)
where
    F: Fn(WebSocket) -> Fut + Send + Sync + Clone + 'static,
    Fut: Future<Output = Result<(), AppError>> + Send,
{
    let upstream = Server::start(websocket(app)).await;
    let proxy = proxied(upstream.address(), "").await;
    (proxy, upstream)
}

#[test]
fn the_handshake_passes_with_its_headers_and_the_subprotocol() {
    over_both(async |over| {
        let (proxy, _upstream) = chain(async |mut socket: WebSocket| {
            let scope = &socket.scope;
            assert_eq!(scope.target, "/room?a=%20b");
            assert_eq!(scope.subprotocols, ["chat.v2", "chat.v1"]);
            assert_eq!(scope.headers["cookie"], "id=7");
            assert_eq!(scope.headers["x-forwarded-for"], "127.0.0.1");
            assert_eq!(scope.headers["x-forwarded-proto"], "http");
            let accept = WebSocketAccept::new().subprotocol("chat.v1");
            let accept = accept.header("set-cookie", "id=8");
            socket.send.send(accept).await?;
            socket.receive.receive().await;
            socket.echo().await?;
            Ok(())
        })
        .await;
        let offer = [
            ("sec-websocket-protocol", "chat.v2, chat.v1"),
            ("cookie", "id=7"),
        ];
        let mut answer = over.ask(&proxy, "/room?a=%20b", &offer).await;
        assert_eq!(answer.headers["sec-websocket-protocol"], "chat.v1");
        assert_eq!(answer.headers["set-cookie"], "id=8");
        let peer = &mut answer.peer;
        for length in [0, 1, 200, 70_000, 1 << 20] {
            for opcode in [TEXT, BINARY] {
                let payload = "y".repeat(length);
                peer.send(opcode, &payload).await;
                peer.expect(opcode, &payload).await;
            }
        }
        logs::expect_no_warnings();
    });
}

#[test]
fn a_close_of_the_client_reaches_the_upstream_with_its_code() {
    over_both(async |over| {
        let (reports, mut ends) = channel();
        let upstream = websocket_with(reports, async |reports, mut socket: WebSocket| {
            socket.accept().await?;
            let end = socket.next().await;
            reports.send(end).unwrap();
            Ok(())
        });
        let upstream = Server::start(upstream).await;
        let proxy = proxied(upstream.address(), "").await;
        for (payload, expected) in [
            (
                close_payload(3001, "done"),
                WebSocketDisconnect::new(3001, "done"),
            ),
            (Vec::new(), WebSocketDisconnect::new(1005, "")),
        ] {
            let mut peer = over.open(&proxy, "/").await;
            peer.send(CLOSE, payload).await;
            peer.next_frame().await;
            let end = within("the end of the WebSocket", ends.recv()).await;
            assert_eq!(end.unwrap().unwrap_err(), expected);
            within("the app's end", proxy.wait_for_exchanges(0)).await;
        }
        // A client that is lost sends no close frame, so the upstream gets none.
        drop(over.open(&proxy, "/").await);
        let end = within("the end of the WebSocket", ends.recv()).await;
        assert_eq!(end.unwrap().unwrap_err().code, 1006);
    });
}

#[test]
fn a_close_of_the_upstream_reaches_the_client_with_its_code_after_the_messages() {
    over_both(async |over| {
        let (reports, mut ends) = channel();
        let upstream = websocket_with(reports, async |reports, mut socket: WebSocket| {
            socket.accept().await?;
            socket.text("last words").await?;
            let close = WebSocketClose::new(4002).reason("bye");
            socket.send.send(close).await?;
            reports.send(socket.next().await).unwrap();
            Ok(())
        });
        let upstream = Server::start(upstream).await;
        let proxy = proxied(upstream.address(), "").await;
        let mut peer = over.open(&proxy, "/").await;
        peer.expect(TEXT, "last words").await;
        peer.expect_close(4002, "bye").await;
        peer.close(4002, "bye").await;
        peer.expect_end().await;
        // The upstream's close is answered.
        let end = within("the end of the WebSocket", ends.recv()).await;
        assert_eq!(end.unwrap().unwrap_err().code, 4002);
    });
}

#[test]
fn an_upstream_that_breaks_off_breaks_the_web_socket_off_without_an_error_in_the_log() {
    over_both(async |over| {
        let (proxy, _upstream) = chain(async |mut socket: WebSocket| {
            socket.accept().await?;
            socket.text("half").await?;
            socket.next().await.unwrap();
            Err(AppError::aborted())
        })
        .await;
        let mut peer = over.open(&proxy, "/").await;
        peer.expect(TEXT, "half").await;
        peer.text("go").await;
        // There is no close frame.
        peer.expect_gone().await;
        logs::expect_no_warnings();
    });
}

#[test]
fn a_denial_of_the_upstream_is_streamed_to_the_client() {
    over_both(async |over| {
        let (proxy, _upstream) = chain(async |mut socket: WebSocket| {
            let start = WebSocketHttpResponseStart::new(StatusCode::UNAUTHORIZED);
            let start = start.header("www-authenticate", "Basic");
            socket.send.send(start).await?;
            for part in ["log ", "in "] {
                let part = WebSocketHttpResponseBody::new(part, true);
                socket.send.send(part).await?;
                tokio::task::yield_now().await;
            }
            let part = WebSocketHttpResponseBody::new("first", false);
            socket.send.send(part).await?;
            Ok(())
        })
        .await;
        let mut answer = over.ask(&proxy, "/", &[]).await;
        assert_eq!(answer.status, 401);
        assert_eq!(answer.headers["www-authenticate"], "Basic");
        if over == Over::Http2 {
            assert_eq!(answer.peer.rest().await, "log in first");
        } else {
            assert_eq!(answer.headers["transfer-encoding"], "chunked");
        }
        logs::expect_no_warnings();
    });
}

#[test]
fn an_upstream_that_does_not_accept_and_does_not_deny_is_a_502() {
    over_both(async |over| {
        let upstream = Upstream::start().await;
        let proxy = proxied(upstream.address(), "").await;
        let key = "sec-websocket-accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        let upgrade = "connection: upgrade\r\nupgrade: websocket";
        for answer in [
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned(),
            format!("HTTP/1.1 101 Switching Protocols\r\n{upgrade}\r\n{key}\r\n\r\n"),
        ] {
            let upstream = async {
                let mut connection = upstream.accept().await;
                assert_eq!(connection.values("upgrade"), ["websocket"]);
                connection.write(&answer).await;
                connection.raw().expect_end().await;
            };
            let ask = over.ask(&proxy, "/", &[]);
            let (answer, ()) = tokio::join!(ask, upstream);
            assert_eq!(answer.status, 502);
        }
        drop(upstream);
        assert_eq!(over.ask(&proxy, "/", &[]).await.status, 502);
        logs::expect_warning(&["the upstream failed", "refused"]);
    });
}

#[test]
fn slow_readers_slow_the_other_side() {
    over_both(async |over| {
        let (reports, mut sent) = channel();
        let upstream = websocket_with(reports, async |reports, mut socket: WebSocket| {
            socket.accept().await?;
            let message = Message::binary(vec![0; 64 << 10]);
            let mut count = 0;
            // It never reads, and sends what the proxy takes.
            loop {
                let event = SendEvent::from(WebSocketSend::new(message.clone()));
                let send = socket.send.send(event);
                match tokio::time::timeout(SHORT, send).await {
                    Ok(result) => result?,
                    Err(_) => break,
                }
                count += 1;
            }
            reports.send(count).unwrap();
            std::future::pending().await
        });
        let upstream = Server::start(upstream).await;
        let proxy = proxied(upstream.address(), "").await;
        let mut peer = over.open(&proxy, "/").await;
        let message = frame(0x80 | BINARY, &[0; 64 << 10]);
        let written = peer.write_until_full(&message, 2_000, SHORT).await;
        assert!(written < MOST, "the upstream reads nothing: {written}");
        let count: usize = within("the upstream", sent.recv()).await.unwrap();
        assert!(
            count * (64 << 10) < MOST,
            "the client reads nothing: {count}"
        );
    });
}

const SHORT: Duration = Duration::from_millis(400);
/// What all buffers between a client and an upstream hold at most, with those of the kernel.
const MOST: usize = 80 << 20;

#[test]
fn a_client_that_leaves_during_the_handshake_cancels_it() {
    over_both(async |over| {
        let upstream = Upstream::start().await;
        let proxy = proxied(upstream.address(), "").await;
        let ask = tokio::spawn(over.ask(&proxy, "/", &[]));
        let connection = upstream.accept().await;
        ask.abort();
        connection.raw().expect_end().await;
        proxy.wait_for_exchanges(0).await;
        logs::expect_no_warnings();
    });
}
