//! WebSockets when the server stops.

use std::time::Duration;

use ferricorn::Config;
use tokio::time::Instant;

use super::{echo, next_end};
use test_support::app::channel;
use test_support::websocket_client::{CLOSE, Over, TEXT, frame, over_both};
use test_support::{Server, WebSocket, eventually, logs, run, websocket_with};

/// WS-030, WS-031
#[test]
fn a_drain_closes_every_websocket_with_1001_at_once() {
    over_both(async |over| {
        let (app, mut ends) = echo();
        let server = Server::start(app).await;
        let mut peers = Vec::new();
        for _ in 0..20 {
            peers.push(over.open(&server, "/").await);
        }
        let began = Instant::now();
        server.handle().drain();
        for peer in &mut peers {
            peer.expect_close(1001, "the server stops").await;
            peer.close(1001, "").await;
        }
        for _ in 0..20 {
            let end = next_end(&mut ends).await;
            assert_eq!((end.code, end.reason.as_str()), (1001, "the server stops"));
        }
        for peer in &mut peers {
            peer.expect_end().await;
        }
        drop(peers);
        server.ended().await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(5));
    });
}

#[test]
fn a_drain_waits_for_a_close_frame_no_longer_than_the_close_timeout() {
    over_both(async |over| {
        let (app, _ends) = echo();
        let mut config = Config::default();
        config.ws_close_timeout = Duration::from_millis(200);
        let server = Server::start_with(config, app).await;
        let mut peer = over.open(&server, "/").await;
        server.handle().drain();
        peer.expect_close(1001, "the server stops").await;
        server.ended().await.unwrap();
    });
}

#[test]
fn an_app_gets_1001_and_cannot_send_during_a_drain() {
    over_both(async |over| {
        let (report, mut seen) = channel();
        let app = websocket_with(report, async |report, mut socket: WebSocket| {
            socket.accept().await?;
            let end = socket.next().await.unwrap_err();
            let error = socket.text("late").await.unwrap_err();
            report.send((end.code, error.disconnect_reason()))?;
            Ok(())
        });
        let server = Server::start(app).await;
        let mut peer = over.open(&server, "/").await;
        server.handle().drain();
        peer.expect_close(1001, "the server stops").await;
        let (code, reason) = seen.recv().await.unwrap();
        assert_eq!(code, 1001);
        assert_eq!(reason, Some(asgi::DisconnectReason::Shutdown));
        peer.close(1001, "").await;
        peer.expect_end().await;
        drop(peer);
        server.ended().await.unwrap();
    });
}

#[test]
fn the_graceful_timeout_ends_websocket_apps() {
    over_both(async |over| {
        let (report, mut seen) = channel();
        let app = websocket_with(report, async |report, mut socket: WebSocket| {
            let _dropped = test_support::app::Dropped::new(report.clone(), ());
            socket.accept().await?;
            std::future::pending::<()>().await;
            Ok(())
        });
        let mut config = Config::default();
        config.graceful_timeout = Some(Duration::from_millis(200));
        let server = Server::start_with(config, app).await;
        let mut peer = over.open(&server, "/").await;
        server.handle().drain();
        peer.expect_close(1001, "the server stops").await;
        seen.recv().await.unwrap();
        server.ended().await.unwrap();
    });
}

/// CORE-003, WS-025
#[test]
fn an_abort_closes_with_1001() {
    over_both(async |over| {
        let (app, _ends) = echo();
        let server = Server::start(app).await;
        let mut peer = over.open(&server, "/").await;
        peer.text("a").await;
        peer.expect(TEXT, "a").await;
        server.handle().abort();
        if over == Over::Http1 {
            peer.expect(CLOSE, b"\x03\xe9the server stops").await;
        }
        peer.expect_gone().await;
        assert!(server.ended().await.unwrap_err().is_aborted());
    });
}

#[test]
fn an_app_that_does_not_receive_does_not_delay_a_drain() {
    over_both(async |over| {
        let app = test_support::websocket(async |mut socket: WebSocket| {
            socket.accept().await?;
            socket.send.closed().await;
            Ok(())
        });
        let server = Server::start(app).await;
        let mut peer = over.open(&server, "/").await;
        peer.raw(frame(0x81, b"unread").repeat(500)).await;
        let began = Instant::now();
        server.handle().drain();
        peer.expect_close(1001, "the server stops").await;
        peer.close(1001, "").await;
        peer.expect_end().await;
        drop(peer);
        server.ended().await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(5));
    });
}

/// WS-042
#[test]
fn a_handshake_during_a_drain_is_a_503() {
    run(async {
        let (app, _ends) = echo();
        let server = Server::start(app).await;
        let mut client = server.connect().await;
        client.get("/").await;
        client.expect_response(200).await;
        server.handle().drain();
        let handshake = test_support::websocket_client::HANDSHAKE;
        client
            .write(format!("GET / HTTP/1.1\r\nhost: a\r\n{handshake}\r\n"))
            .await;
        let response = client.expect_response(503).await;
        assert!(response.head.connection_has("close"));
        client.expect_eof().await;
        server.ended().await.unwrap();
    });
}

#[test]
fn a_websocket_is_counted_until_it_is_closed() {
    over_both(async |over| {
        let (app, _ends) = echo();
        let server = Server::start(app).await;
        let handle = server.handle();
        let mut peer = over.open(&server, "/").await;
        let statistics = handle.statistics();
        assert_eq!((statistics.connections, statistics.exchanges), (1, 1));
        peer.close(1000, "").await;
        peer.expect_close(1000, "").await;
        peer.expect_end().await;
        drop(peer);
        eventually("everything has ended", || {
            let statistics = handle.statistics();
            statistics.exchanges + statistics.connections + statistics.detached == 0
        })
        .await;
    });
}

#[test]
fn a_websocket_is_logged_once_when_it_is_closed() {
    over_both(async |over| {
        let (app, _ends) = echo();
        let mut config = Config::default();
        config.access_log = true;
        let server = Server::start_with(config, app).await;
        let mut peer = over.open(&server, "/room?a").await;
        peer.text("12345").await;
        peer.expect(TEXT, "12345").await;
        assert!(!logs::has_info("/room?a"));
        peer.close(1000, "").await;
        peer.expect_close(1000, "").await;
        peer.expect_end().await;
        // Seven bytes of the message frame and four of the close frame.
        let line = match over {
            Over::Http1 => "\"GET /room?a HTTP/1.1\" 101 11 ",
            Over::Http2 => "\"CONNECT /room?a HTTP/2.0\" 200 11 ",
        };
        eventually("the line is logged", || logs::has_info(line)).await;
        logs::expect_info(&[line]);
    });
}

/// WS-030
#[test]
fn a_websocket_that_opens_during_a_drain_is_closed_with_1001() {
    over_both(async |over| {
        let (go, gate) = tokio::sync::watch::channel(false);
        let app = websocket_with(gate, async |mut gate, mut socket: WebSocket| {
            gate.wait_for(|open| *open).await?;
            socket.accept().await?;
            socket.next().await.unwrap_err();
            Ok(())
        });
        let server = Server::start(app).await;
        let opening = tokio::spawn(over.open(&server, "/"));
        server.wait_for_exchanges(1).await;
        server.handle().drain();
        go.send(true).unwrap();
        let mut peer = opening.await.unwrap();
        peer.expect_close(1001, "the server stops").await;
        peer.close(1001, "").await;
        peer.expect_end().await;
        drop(peer);
        server.ended().await.unwrap();
    });
}
