//! `examples/chat` and `examples/ws-echo`, over both versions of HTTP, linked in and as loaded
//! libraries.

use std::sync::OnceLock;

use asgi::DynApp;
use asgi_abi::Library;
use asgi_spec::Lint;
use http::StatusCode;
use serde_json::{Value, json};

use test_support::websocket_client::{BINARY, CLOSE, Over, Peer, TEXT, over_both};
use test_support::{Server, eventually, library};

#[path = "../../../../examples/chat/src/app/mod.rs"]
mod app;
#[path = "../../../../examples/ws-echo/src/app.rs"]
mod ws_echo;

/// Runs a test with the linked app and with the loaded library, over both versions of HTTP.
fn in_each_form(
    linked: impl Fn() -> DynApp,
    loaded: impl Fn() -> DynApp,
    test: impl AsyncFn(Over, Server),
) {
    over_both(async |over| {
        test(over, Server::start(Lint::new(linked())).await).await;
        test(over, Server::start(Lint::new(loaded())).await).await;
    });
}

/// All tests share one library and its rooms, so each test uses a room of its own.
fn chatting(test: impl AsyncFn(Over, Server)) {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    let loaded = || DynApp::new(LIBRARY.get_or_init(|| library::load("chat")).app());
    in_each_form(|| DynApp::new(app::app), loaded, test);
}

fn echoing(test: impl AsyncFn(Over, Server)) {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    let loaded = || DynApp::new(LIBRARY.get_or_init(|| library::load("ws-echo")).app());
    in_each_form(|| DynApp::new(ws_echo::app), loaded, test);
}

#[track_caller]
fn receive(peer: &mut Peer) -> impl Future<Output = Value> {
    let frame = peer.next_frame();
    async move {
        let (first, payload) = frame.await;
        assert_eq!(first, 0x80 | TEXT, "{payload:?}");
        serde_json::from_slice(&payload).unwrap()
    }
}

async fn say(peer: &mut Peer, text: &str) {
    peer.text(&json!({ "say": text }).to_string()).await;
}

fn said(name: &str, text: &str) -> Value {
    json!({ "type": "said", "name": name, "text": text })
}

#[test]
fn ws_echo_echoes_messages_and_accepts_the_first_subprotocol() {
    echoing(async |over, server| {
        let offer = [("sec-websocket-protocol", "b, a")];
        let mut answer = over.ask(&server, "/", &offer).await;
        assert_eq!(answer.headers["sec-websocket-protocol"], "b");
        let peer = &mut answer.peer;
        for length in [0, 1, 200, 70_000] {
            for opcode in [TEXT, BINARY] {
                let payload = "y".repeat(length);
                peer.send(opcode, &payload).await;
                peer.expect(opcode, &payload).await;
            }
        }
        peer.close(3000, "done").await;
        peer.expect(CLOSE, 3000_u16.to_be_bytes()).await;
        peer.expect_end().await;
    });
}

#[test]
fn the_chat_sends_messages_joins_and_leaves_to_all_members() {
    chatting(async |over, server| {
        let mut ann = over.open(&server, "/ws/lobby/Ann").await;
        let welcome = receive(&mut ann).await;
        let version = match over {
            Over::Http1 => "HTTP/1.1",
            Over::Http2 => "HTTP/2.0",
        };
        assert_eq!(welcome["version"], version);
        assert_eq!(welcome["members"], json!(["Ann"]));
        let mut bob = over.open(&server, "/ws/lobby/B%C3%B6b").await;
        assert_eq!(receive(&mut bob).await["members"], json!(["Ann", "Böb"]));
        assert_eq!(
            receive(&mut ann).await,
            json!({ "type": "joined", "name": "Böb" })
        );
        say(&mut ann, "hello").await;
        for peer in [&mut ann, &mut bob] {
            assert_eq!(receive(peer).await, said("Ann", "hello"));
        }
        bob.close(1000, "").await;
        bob.expect_close(1000, "").await;
        let left = json!({ "type": "left", "name": "Böb", "why": "" });
        assert_eq!(receive(&mut ann).await, left);
        // A lost connection counts as leaving.
        let cid = over.open(&server, "/ws/lobby/Cid").await;
        assert_eq!(receive(&mut ann).await["name"], "Cid");
        drop(cid);
        assert_eq!(
            receive(&mut ann).await,
            json!({ "type": "left", "name": "Cid", "why": "" })
        );
    });
}

#[test]
fn the_chat_denies_a_bad_name_with_a_text() {
    chatting(async |over, server| {
        let mut answer = over.ask(&server, "/ws/lobby/%00", &[]).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
        if over == Over::Http2 {
            let text = answer.peer.rest().await;
            assert!(
                text.starts_with(b"the name of the person needs"),
                "{text:?}"
            );
        }
    });
}

/// Only over HTTP/2, whose windows are small. Over HTTP/1.1, the kernel buffers megabytes for a client
/// that does not read.
#[test]
fn the_chat_disconnects_a_slow_member_and_the_others_miss_nothing() {
    chatting(async |over, server| {
        if over == Over::Http1 {
            return;
        }
        let mut ann = over.open(&server, "/ws/slow/Ann").await;
        receive(&mut ann).await;
        let mut slow = over.open(&server, "/ws/slow/Slow").await;
        assert_eq!(receive(&mut ann).await["name"], "Slow");
        let mut talkers = Vec::new();
        for number in 0..20 {
            let place = format!("/ws/slow/T{number}");
            talkers.push(over.open(&server, &place).await);
            assert_eq!(receive(&mut ann).await["type"], "joined");
        }
        let long = "x".repeat(2_000);
        let mut rounds = 0;
        'all: for round in 0..20 {
            for number in 0..talkers.len() {
                let text = format!("{round}{long}");
                let text = &text[..2_000];
                say(&mut talkers[number], text).await;
                for talker in &mut talkers {
                    while receive(talker).await["text"] != text {}
                }
                let received = receive(&mut ann).await;
                if received["type"] == "left" {
                    assert_eq!(received["name"], "Slow");
                    assert_eq!(received["why"], "too slow");
                    rounds = round;
                    break 'all;
                }
                assert_eq!(received, said(&format!("T{number}"), text));
            }
        }
        assert!(rounds > 2, "disconnected too early or never");
        // Its unread messages are still there. The close frame with the reason follows them.
        let (first, payload) = loop {
            let frame = slow.next_frame().await;
            if frame.0 != 0x80 | TEXT {
                break frame;
            }
        };
        assert_eq!(
            (first, &payload[..2]),
            (0x80 | CLOSE, &1013_u16.to_be_bytes()[..])
        );
        slow.close(1013, "").await;
        slow.expect_end().await;
        say(&mut ann, "we go on").await;
        while receive(&mut ann).await["text"] != "we go on" {}
    });
}

#[test]
fn the_chat_ends_when_its_server_drains() {
    chatting(async |over, server| {
        let mut peers = Vec::new();
        for number in 0..10 {
            let mut peer = over.open(&server, &format!("/ws/end/{number}")).await;
            receive(&mut peer).await;
            peers.push(peer);
        }
        let handle = server.handle();
        handle.drain();
        for peer in &mut peers {
            // Earlier messages of the others may still arrive.
            while peer.next_frame().await.0 == 0x80 | TEXT {}
            peer.close(1001, "").await;
        }
        drop(peers);
        server.ended().await.unwrap();
        eventually("all apps have ended", || handle.statistics().exchanges == 0).await;
    });
}
