//! The closing handshake, from either side.

use std::time::Duration;

use asgi::{AppError, DisconnectReason, WebSocketClose};
use ferricorn::Config;
use tokio::time::Instant;

use super::{echo, next_end};
use test_support::app::channel;
use test_support::websocket_client::{CLOSE, Over, PING, TEXT, frame, over_both};
use test_support::{Server, WebSocket, eventually, logs, websocket, websocket_with};

/// WS-020, WS-028, WS-040
#[test]
fn the_app_gets_the_code_and_the_reason_of_the_clients_close() {
    over_both(async |over| {
        let (app, mut ends) = echo();
        let server = Server::start(app).await;
        for (code, reason) in [
            (1000, ""),
            (1001, "bye"),
            (1014, ""),
            (3000, "x"),
            (4999, "😀"),
        ] {
            let mut peer = over.open(&server, "/").await;
            peer.text("last").await;
            peer.close(code, reason).await;
            peer.expect(TEXT, "last").await;
            peer.expect_close(code, "").await;
            peer.expect_end().await;
            let end = next_end(&mut ends).await;
            assert_eq!((end.code, end.reason.as_str()), (code, reason));
        }
        let mut peer = over.open(&server, "/").await;
        peer.send(CLOSE, "").await;
        peer.expect(CLOSE, "").await;
        peer.expect_end().await;
        assert_eq!(next_end(&mut ends).await.code, 1005);
    });
}

/// WS-021
#[test]
fn the_app_gets_1006_if_its_client_is_lost() {
    over_both(async |over| {
        let (app, mut ends) = echo();
        let server = Server::start(app).await;
        // The client ends its side without a close frame.
        let mut peer = over.open(&server, "/").await;
        peer.end_side().await;
        assert_eq!(next_end(&mut ends).await.code, 1006);
        // The client dies.
        let mut peer = over.open(&server, "/").await;
        peer.text("a").await;
        peer.expect(TEXT, "a").await;
        drop(peer);
        assert_eq!(next_end(&mut ends).await.code, 1006);
        // The client dies in the middle of a message.
        let mut peer = over.open(&server, "/").await;
        peer.raw(&frame(0x80 | TEXT, b"abc")[..7]).await;
        drop(peer);
        let end = next_end(&mut ends).await;
        assert_eq!((end.code, end.reason.as_str()), (1006, ""));
    });
}

/// WS-020
#[test]
fn an_app_that_does_not_receive_still_learns_of_a_close() {
    over_both(async |over| {
        let (report, mut seen) = channel();
        let app = websocket_with(report, async |report, mut socket: WebSocket| {
            socket.accept().await?;
            let reason = socket.send.closed().await;
            report.send(format!("{reason:?}"))?;
            loop {
                match socket.next().await {
                    Ok(message) => report.send(format!("{message:?}"))?,
                    Err(end) => break report.send(format!("{}", end.code))?,
                }
            }
            assert!(socket.text("x").await.unwrap_err().is_disconnected());
            Ok(())
        });
        let server = Server::start(app).await;
        let mut peer = over.open(&server, "/").await;
        for text in ["a", "b"] {
            peer.text(text).await;
        }
        peer.close(4000, "").await;
        for expected in ["Closed", "Text(\"a\")", "Text(\"b\")", "4000"] {
            assert_eq!(seen.recv().await.unwrap(), expected);
        }
    });
}

/// WS-014, WS-022, WS-026
#[test]
fn after_the_apps_close_messages_are_dropped_until_the_clients_close() {
    over_both(async |over| {
        let (report, mut ends) = channel();
        let app = websocket_with(report, async |report, mut socket: WebSocket| {
            socket.accept().await?;
            socket.text("first").await?;
            let close = WebSocketClose::new(3001).reason("enough");
            socket.send.send(close).await?;
            let end = socket.next().await.unwrap_err();
            report.send((end.code, end.reason, socket.send.closed().await))?;
            let late = socket.text("late").await.unwrap_err();
            assert!(late.is_misuse());
            Ok(())
        });
        let server = Server::start(app).await;
        let mut peer = over.open(&server, "/").await;
        peer.expect(TEXT, "first").await;
        peer.expect_close(3001, "enough").await;
        let end = ends.recv().await.unwrap();
        assert_eq!(end, (3001, "enough".to_owned(), DisconnectReason::Complete));
        // The client may send these before it has read the close.
        peer.text("crossing").await;
        peer.send(PING, "crossing").await;
        peer.close(3001, "").await;
        peer.expect_end().await;
    });
}

/// WS-023, WS-024
#[test]
fn the_end_of_the_app_closes_the_websocket_with_a_code() {
    over_both(async |over| {
        let app = websocket(async |mut socket: WebSocket| {
            socket.accept().await?;
            socket.text("last").await?;
            match socket.scope.path().into_owned().as_str() {
                "/fail" => Err("no".into()),
                "/panic" => panic!("oh"),
                _ => Ok(()),
            }
        });
        let server = Server::start(app).await;
        for (path, code, line) in [
            ("/return", 1000, None),
            ("/fail", 1011, Some("the app failed: no")),
            ("/panic", 1011, Some("the app panicked: oh")),
        ] {
            let mut peer = over.open(&server, path).await;
            peer.expect(TEXT, "last").await;
            peer.expect_close(code, "").await;
            peer.close(code, "").await;
            peer.expect_end().await;
            if let Some(line) = line {
                logs::expect_error(&[line]);
            }
        }
    });
}

/// WS-026
#[test]
fn a_client_that_does_not_answer_a_close_is_disconnected_after_the_close_timeout() {
    over_both(async |over| {
        let app = websocket(async |mut socket: WebSocket| socket.accept().await);
        let mut config = Config::default();
        config.ws_close_timeout = Duration::from_millis(300);
        let server = Server::start_with(config, app).await;
        let began = Instant::now();
        let mut peer = over.open(&server, "/").await;
        peer.expect_close(1000, "").await;
        peer.text("I go on").await;
        peer.expect_gone().await;
        assert!(began.elapsed() >= Duration::from_millis(300));
        assert!(began.elapsed() < Duration::from_secs(5));
        drop(peer);
        let handle = server.handle();
        eventually("everything has ended", || {
            let statistics = handle.statistics();
            statistics.exchanges + statistics.connections + statistics.detached == 0
        })
        .await;
    });
}

/// WS-032
#[test]
fn a_silent_client_is_pinged_and_stays_if_it_answers() {
    over_both(async |over| {
        let (app, mut ends) = echo();
        let mut config = Config::default();
        config.ws_ping_interval = Some(Duration::from_millis(60));
        config.ws_ping_timeout = Duration::from_millis(400);
        let server = Server::start_with(config, app).await;
        let mut peer = over.open(&server, "/").await;
        for _ in 0..5 {
            peer.expect(PING, "").await;
            peer.send(0xa, "").await;
        }
        // Any frame counts as an answer.
        peer.expect(PING, "").await;
        peer.text("here").await;
        let (first, _) = loop {
            let frame = peer.next_frame().await;
            if frame.0 != 0x80 | PING {
                break frame;
            }
        };
        assert_eq!(first, 0x80 | TEXT);
        // Without an answer, the server closes.
        let began = Instant::now();
        loop {
            let (first, payload) = peer.next_frame().await;
            if first == 0x80 | CLOSE {
                assert_eq!(payload[..2], 1011_u16.to_be_bytes());
                break;
            }
            assert_eq!(first, 0x80 | PING);
        }
        assert!(began.elapsed() >= Duration::from_millis(300));
        peer.expect_gone().await;
        let end = next_end(&mut ends).await;
        assert_eq!(
            (end.code, end.reason.as_str()),
            (1011, "no answer to a ping")
        );
    });
}

/// WS-033
#[test]
fn a_flood_of_pings_closes_with_1008() {
    over_both(async |over| {
        let (app, mut ends) = echo();
        let server = Server::start(app).await;
        let mut peer = over.open(&server, "/").await;
        peer.raw(frame(0x80 | PING, b"x").repeat(1_000)).await;
        let mut answered = 0;
        let payload = loop {
            match peer.next_frame().await {
                (0x8a, _) => answered += 1,
                (first, payload) => break (first, payload).1,
            }
        };
        assert!((100..200).contains(&answered), "{answered}");
        assert_eq!(payload[..2], 1008_u16.to_be_bytes());
        assert_eq!(next_end(&mut ends).await.code, 1008);
        if over == Over::Http1 {
            peer.expect_end().await;
        }
    });
}

/// WS-027
#[test]
fn an_app_whose_websocket_is_closed_is_cancelled_after_its_grace() {
    over_both(async |over| {
        let (report, mut seen) = channel();
        let app = websocket_with(report, async |report, mut socket: WebSocket| {
            let _dropped = test_support::app::Dropped::new(report.clone(), "dropped");
            socket.accept().await?;
            socket.next().await.unwrap_err();
            report.send("disconnected")?;
            std::future::pending::<()>().await;
            Ok(())
        });
        let mut config = Config::default();
        config.disconnect_grace = Some(Duration::from_millis(200));
        let server = Server::start_with(config, app).await;
        let mut peer = over.open(&server, "/").await;
        peer.close(1000, "").await;
        peer.expect_close(1000, "").await;
        assert_eq!(seen.recv().await, Some("disconnected"));
        let began = Instant::now();
        assert_eq!(seen.recv().await, Some("dropped"));
        assert!(began.elapsed() >= Duration::from_millis(100));
    });
}

/// WS-043
#[test]
fn an_app_that_aborts_sends_no_close_frame() {
    over_both(async |over| {
        let app = websocket(async |mut socket: WebSocket| {
            socket.accept().await?;
            socket.text("last").await?;
            socket.next().await.unwrap();
            Err(AppError::aborted())
        });
        let server = Server::start(app).await;
        let mut peer = over.open(&server, "/").await;
        peer.expect(TEXT, "last").await;
        peer.text("break off").await;
        peer.expect_gone().await;
        logs::expect_no_warnings();
    });
}
