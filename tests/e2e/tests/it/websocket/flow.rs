//! Back-pressure in both directions.

use std::time::Duration;

use asgi::{DisconnectReason, WebSocketSend};
use bytes::Bytes;
use ferricorn::Config;
use tokio::sync::watch;
use tokio::time::timeout;

use test_support::app::channel;
use test_support::websocket_client::{BINARY, Over, TEXT, frame, over_both};
use test_support::{Server, WebSocket, run, websocket, websocket_with, within};

/// WS-034
#[test]
fn the_server_stops_reading_if_the_app_does_not_receive() {
    over_both(async |over| {
        let (go, gate) = watch::channel(false);
        let (report, mut counts) = channel();
        let app = websocket_with(
            (gate, report),
            async |(mut gate, report), mut socket: WebSocket| {
                socket.accept().await?;
                gate.wait_for(|open| *open).await?;
                let mut count = 0;
                while socket.next().await.is_ok() {
                    count += 1;
                    report.send(count)?;
                }
                Ok(())
            },
        );
        let server = Server::start(app).await;
        let mut peer = over.open(&server, "/").await;
        let message = frame(0x80 | BINARY, &[0; 64 * 1024]);
        let taken = peer
            .write_until_full(&message, 1_000, Duration::from_millis(500))
            .await;
        // The buffers of the two sockets, and a little more.
        assert!(taken < 16 << 20, "{taken}");
        let whole = taken / message.len();
        go.send(true).unwrap();
        let all = async { while counts.recv().await.unwrap() < whole {} };
        within("all complete messages", all).await;
    });
}

/// CORE-011
#[test]
fn an_app_waits_in_send_if_its_client_does_not_read() {
    over_both(async |over| {
        let (report, mut sent) = channel();
        let app = websocket_with(report, async |report, mut socket: WebSocket| {
            socket.accept().await?;
            for number in 0_u32.. {
                let mut payload = vec![0; 60_000];
                payload[..4].copy_from_slice(&number.to_be_bytes());
                socket.send.send(WebSocketSend::binary(payload)).await?;
                report.send(number)?;
            }
            Ok(())
        });
        let server = Server::start(app).await;
        let mut peer = over.open(&server, "/").await;
        let mut last = 0;
        while let Ok(number) = timeout(Duration::from_millis(500), sent.recv()).await {
            last = number.unwrap();
            assert!(last < 500, "the app sent 30 MB without a reader");
        }
        for number in 0..last + 5 {
            let (_, payload) = peer.next_frame().await;
            assert_eq!(payload[..4], number.to_be_bytes());
        }
        // The app continues.
        within("the app to send on", sent.recv()).await.unwrap();
    });
}

/// CORE-016
#[test]
fn an_app_that_waits_in_send_learns_of_a_write_timeout() {
    over_both(async |over| {
        let (report, mut errors) = channel();
        let app = websocket_with(report, async |report, mut socket: WebSocket| {
            socket.accept().await?;
            loop {
                let message = WebSocketSend::binary(Bytes::from_static(&[0; 60_000]));
                if let Err(error) = socket.send.send(message).await {
                    report.send(error.disconnect_reason())?;
                    return Ok(());
                }
            }
        });
        let mut config = Config::default();
        config.write_timeout = Duration::from_millis(300);
        let server = Server::start_with(config, app).await;
        let peer = over.open(&server, "/").await;
        let reason = within("the error", errors.recv()).await.unwrap();
        assert_eq!(reason, Some(DisconnectReason::TimedOut));
        drop(peer);
    });
}

#[test]
fn the_timers_of_an_app_fire_while_it_waits_in_send() {
    over_both(async |over| {
        let (report, mut ticks) = channel();
        let app = websocket_with(report, async |report, mut socket: WebSocket| {
            socket.accept().await?;
            let WebSocket { mut send, .. } = socket;
            let flood = async {
                loop {
                    let message = WebSocketSend::binary(Bytes::from_static(&[0; 60_000]));
                    if send.send(message).await.is_err() {
                        break;
                    }
                }
            };
            let tick = async {
                for _ in 0..10 {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    let _ = report.send(());
                }
            };
            tokio::join!(flood, tick);
            Ok(())
        });
        let server = Server::start(app).await;
        let _peer = over.open(&server, "/").await;
        for _ in 0..10 {
            within("a tick", ticks.recv()).await.unwrap();
        }
    });
}

#[test]
fn an_app_may_receive_in_one_task_and_send_in_another() {
    over_both(async |over| {
        let app = websocket(async |mut socket: WebSocket| {
            socket.accept().await?;
            let WebSocket {
                mut receive,
                mut send,
                ..
            } = socket;
            let (sender, mut messages) = tokio::sync::mpsc::channel(4);
            let receiving = tokio::spawn(async move {
                while let asgi::ReceiveEvent::WebSocketReceive(event) = receive.receive().await {
                    sender.send(event.message).await.unwrap();
                }
            });
            let sending = tokio::spawn(async move {
                while let Some(message) = messages.recv().await {
                    send.send(WebSocketSend::new(message)).await.unwrap();
                }
            });
            receiving.await?;
            sending.await?;
            Ok(())
        });
        let server = Server::start(app).await;
        let mut peer = over.open(&server, "/").await;
        for number in 0..50 {
            peer.text(&number.to_string()).await;
            peer.expect(TEXT, number.to_string()).await;
        }
        let mut all = Vec::new();
        for number in 0..500 {
            all.extend(frame(0x80 | TEXT, number.to_string().as_bytes()));
        }
        peer.raw(all).await;
        for number in 0..500 {
            peer.expect(TEXT, number.to_string()).await;
        }
        peer.close(1000, "").await;
        peer.expect_close(1000, "").await;
    });
}

/// h2 ends a connection if too many DATA frames wait that are smaller than its bookkeeping.
#[test]
fn a_window_of_one_byte_messages_may_wait_for_the_app() {
    run(async {
        let (go, gate) = watch::channel(false);
        let app = websocket_with(gate, async |mut gate, mut socket: WebSocket| {
            socket.accept().await?;
            gate.wait_for(|open| *open).await?;
            let mut count = 0;
            while let Ok(message) = socket.next().await {
                count += 1;
                if message.as_bytes() == b"?" {
                    socket.text(&count.to_string()).await?;
                }
            }
            Ok(())
        });
        let server = Server::start(app).await;
        let mut peer = Over::Http2.open(&server, "/").await;
        let message = frame(0x80 | TEXT, b"x");
        let sent = Config::default().h2_stream_window / message.len() - 100;
        for _ in 0..sent {
            // Each message has its own DATA frame.
            peer.raw(&message).await;
        }
        go.send(true).unwrap();
        peer.text("?").await;
        let (_, payload) = peer.next_frame().await;
        let count: usize = String::from_utf8_lossy(&payload).parse().unwrap();
        assert!(count > sent, "{count} of {sent}");
    });
}
