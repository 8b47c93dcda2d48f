//! WebSockets, over HTTP/1.1 and HTTP/2.

use test_support::websocket_client::{BINARY, CLOSE, TEXT, over_both};

use crate::each;

#[test]
fn a_web_socket_echoes_messages_and_the_close_of_its_client() {
    over_both(async |over| {
        each(async |framework| {
            let mut peer = over.open(&framework.server, "/ws").await;
            for length in [0, 1, 200, 70_000] {
                let text = "y".repeat(length);
                peer.text(&text).await;
                peer.expect(TEXT, &text).await;
            }
            peer.send(BINARY, [1, 2, 3]).await;
            peer.expect(BINARY, [1, 2, 3]).await;
            framework.wait_for(1).await;
            peer.close(1000, "").await;
            peer.expect(CLOSE, 1000_u16.to_be_bytes()).await;
            framework.wait_for(0).await;
        })
        .await;
    });
}

#[test]
fn a_handler_chooses_the_subprotocol() {
    over_both(async |over| {
        each(async |framework| {
            let offered = [("sec-websocket-protocol", "other, echo")];
            let answer = over.ask(&framework.server, "/ws", &offered).await;
            assert_eq!(answer.headers["sec-websocket-protocol"], "echo");
        })
        .await;
    });
}

#[test]
fn a_web_socket_ends_in_the_app_when_its_client_is_lost() {
    over_both(async |over| {
        each(async |framework| {
            let mut peer = over.open(&framework.server, "/ws").await;
            peer.text("hi").await;
            peer.expect(TEXT, "hi").await;
            framework.wait_for(1).await;
            drop(peer);
            framework.wait_for(0).await;
        })
        .await;
    });
}

#[test]
fn a_handshake_on_a_path_without_a_web_socket_is_denied() {
    over_both(async |over| {
        each(async |framework| {
            for (target, status) in [("/nothing", 404), ("/hello/Ann", 400)] {
                let answer = over.ask(&framework.server, target, &[]).await;
                assert_eq!(answer.status, status, "{target}");
            }
        })
        .await;
    });
}
