//! Messages: fragments, checks, order and limits.

use ferricorn::Config;

use super::{echo, next_end};
use test_support::websocket_client::{
    BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame, over_both,
};
use test_support::{Server, WebSocket, websocket};

/// WS-015
#[test]
fn text_and_binary_messages_of_every_size_are_echoed() {
    over_both(async |over| {
        let (app, _ends) = echo();
        let server = Server::start(app).await;
        let mut peer = over.open(&server, "/").await;
        for length in [0, 1, 125, 126, 4095, 4096, 65_535, 65_536, 300_000] {
            for opcode in [TEXT, BINARY] {
                let payload = "x".repeat(length);
                peer.send(opcode, &payload).await;
                peer.expect(opcode, &payload).await;
            }
        }
        peer.text("Grüße, 世界 🦀").await;
        peer.expect(TEXT, "Grüße, 世界 🦀").await;
    });
}

/// WS-015, WS-016
#[test]
fn fragments_are_joined_with_pings_in_between() {
    over_both(async |over| {
        let (app, _ends) = echo();
        let server = Server::start(app).await;
        let mut peer = over.open(&server, "/").await;
        let crab = "🦀".as_bytes();
        peer.raw(frame(TEXT, &crab[..1])).await;
        peer.send(PING, "first").await;
        peer.raw(frame(CONTINUATION, &crab[1..2])).await;
        peer.raw(frame(CONTINUATION, b"")).await;
        peer.send(PING, "").await;
        peer.send(PONG, "unasked").await;
        peer.raw(frame(0x80 | CONTINUATION, &crab[2..])).await;
        peer.expect(PONG, "first").await;
        peer.expect(PONG, "").await;
        peer.expect(TEXT, crab).await;
    });
}

#[test]
fn frames_are_read_wherever_they_are_split() {
    over_both(async |over| {
        let (app, _ends) = echo();
        let server = Server::start(app).await;
        let mut peer = over.open(&server, "/").await;
        let mut all = frame(0x80 | TEXT, b"one");
        all.extend(frame(0x80 | PING, b"p"));
        all.extend(frame(BINARY, &[7; 200]));
        all.extend(frame(0x80 | CONTINUATION, b"!"));
        for byte in all {
            peer.raw([byte]).await;
        }
        // The pong may come before the echo.
        let mut two = [peer.next_frame().await, peer.next_frame().await];
        two.sort();
        assert_eq!(two, [(0x81, "one".into()), (0x8a, "p".into())]);
        let whole = [&[7; 200][..], b"!"].concat();
        peer.expect(BINARY, whole).await;
    });
}

#[test]
fn many_messages_in_one_write_are_echoed_in_order() {
    over_both(async |over| {
        let (app, _ends) = echo();
        let server = Server::start(app).await;
        let mut peer = over.open(&server, "/").await;
        let mut all = Vec::new();
        for number in 0..1_000 {
            all.extend(frame(0x80 | TEXT, number.to_string().as_bytes()));
        }
        peer.raw(all).await;
        for number in 0..1_000 {
            peer.expect(TEXT, number.to_string()).await;
        }
    });
}

/// WS-029, WS-031
#[test]
fn a_protocol_violation_closes_with_its_code_for_client_and_app() {
    over_both(async |over| {
        let (app, mut ends) = echo();
        let server = Server::start(app).await;
        let long = frame(0x80 | PING, &[0; 126]);
        let mut unmasked = vec![0x81, 1];
        unmasked.push(b'x');
        for (code, what, bytes) in [
            (1002, "a frame without a mask", unmasked),
            (1002, "a reserved bit", frame(0xc0 | TEXT, b"x")),
            (1002, "another reserved bit", frame(0x90 | TEXT, b"x")),
            (1002, "an unknown type", frame(0x80 | 3, b"x")),
            (1002, "an unknown control", frame(0x80 | 11, b"x")),
            (1002, "a fragmented ping", frame(PING, b"x")),
            (1002, "a ping that is too long", long),
            (
                1002,
                "a continuation without a message",
                frame(0x80 | CONTINUATION, b"x"),
            ),
            (
                1002,
                "a message in a message",
                [frame(TEXT, b"x"), frame(0x80 | TEXT, b"y")].concat(),
            ),
            (1002, "half a close code", frame(0x80 | CLOSE, b"x")),
            (
                1002,
                "code 999",
                frame(0x80 | CLOSE, &999_u16.to_be_bytes()),
            ),
            (
                1002,
                "code 1005",
                frame(0x80 | CLOSE, &1005_u16.to_be_bytes()),
            ),
            (
                1002,
                "code 1015",
                frame(0x80 | CLOSE, &1015_u16.to_be_bytes()),
            ),
            (
                1002,
                "code 2000",
                frame(0x80 | CLOSE, &2000_u16.to_be_bytes()),
            ),
            (
                1002,
                "code 5000",
                frame(0x80 | CLOSE, &5000_u16.to_be_bytes()),
            ),
            (
                1007,
                "a text that is not UTF-8",
                frame(0x80 | TEXT, b"\xff"),
            ),
            (1007, "half a character", frame(0x80 | TEXT, b"\xf0\x9f")),
            (
                1007,
                "a part that is not UTF-8",
                frame(TEXT, b"\xf0\x9f\xff"),
            ),
            (
                1007,
                "half a character at the end of the parts",
                [frame(TEXT, b"\xf0\x9f"), frame(0x80 | CONTINUATION, b"")].concat(),
            ),
            (
                1007,
                "a reason that is not UTF-8",
                frame(0x80 | CLOSE, b"\x03\xe8\xff"),
            ),
        ] {
            let mut peer = over.open(&server, "/").await;
            peer.text("before").await;
            peer.raw(bytes).await;
            // The server reads nothing after the violation.
            peer.text("after").await;
            peer.expect(TEXT, "before").await;
            let (first, payload) = peer.next_frame().await;
            assert_eq!(first, 0x80 | CLOSE, "{what}");
            assert_eq!(payload[..2], u16::to_be_bytes(code), "{what}");
            let reason = std::str::from_utf8(&payload[2..]).unwrap();
            let end = next_end(&mut ends).await;
            assert_eq!((end.code, end.reason.as_str()), (code, reason), "{what}");
            peer.expect_end().await;
        }
    });
}

/// WS-017
#[test]
fn a_message_beyond_the_limit_closes_with_1009() {
    over_both(async |over| {
        let (app, mut ends) = echo();
        let mut config = Config::default();
        config.ws_max_message_size = 1_000;
        config.ws_max_frame_size = 600;
        let server = Server::start_with(config, app).await;
        let part = [b'x'; 500];
        let mut peer = over.open(&server, "/").await;
        peer.raw(frame(TEXT, &part)).await;
        peer.raw(frame(0x80 | CONTINUATION, &part)).await;
        peer.expect(TEXT, "x".repeat(1_000)).await;
        peer.send(BINARY, [0; 600]).await;
        peer.expect(BINARY, [0; 600]).await;
        // The head of a frame is enough.
        for bytes in [
            [
                frame(TEXT, &part),
                frame(CONTINUATION, &part),
                frame(0x80, b"x")[..2].to_vec(),
            ]
            .concat(),
            frame(0x80 | BINARY, &[0; 601])[..8].to_vec(),
            vec![
                0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0,
            ],
        ] {
            let mut peer = over.open(&server, "/").await;
            // The mask is a part of the head.
            peer.raw([&bytes[..], &[0; 4]].concat()).await;
            let (first, payload) = peer.next_frame().await;
            assert_eq!((first, &payload[..2]), (0x88, &1009_u16.to_be_bytes()[..]));
            assert_eq!(next_end(&mut ends).await.code, 1009);
            peer.expect_end().await;
        }
    });
}

/// CORE-010
#[test]
fn messages_sent_by_another_task_arrive_in_order() {
    over_both(async |over| {
        let app = websocket(async |mut socket: WebSocket| {
            socket.accept().await?;
            let WebSocket { mut send, .. } = socket;
            tokio::spawn(async move {
                for number in 0..200 {
                    let message = asgi::WebSocketSend::text(number.to_string());
                    send.send(message).await.unwrap();
                }
                send.send(asgi::WebSocketClose::default()).await.unwrap();
            })
            .await?;
            Ok(())
        });
        let server = Server::start(app).await;
        let mut peer = over.open(&server, "/").await;
        for number in 0..200 {
            peer.expect(TEXT, number.to_string()).await;
        }
        peer.expect_close(1000, "").await;
    });
}
