//! What costs a client nothing and a server much: each flood ends with ENHANCE_YOUR_CALM, and what
//! only looks like one goes on.

use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use asgi::App;
use http2::frame::{code, kind};
use http2::{Frame, Peer, Request, headers, hpack};
use tokio::sync::watch;

use crate::connect::Connect as _;
use test_support::app::{echo, hello};
use test_support::blocking::{Server, eventually};
use test_support::{Http, http_with};

/// Waits for the end of its exchange and counts how often it was called.
fn counting() -> (Arc<AtomicUsize>, impl App) {
    let calls = Arc::new(AtomicUsize::new(0));
    let app = http_with(Arc::clone(&calls), async |calls, mut http: Http| {
        calls.fetch_add(1, Ordering::Relaxed);
        http.disconnect().await;
        Ok(())
    });
    (calls, app)
}

/// The server has enough of these frames before they are over.
#[track_caller]
fn is_too_much(peer: &mut Peer, frames: impl IntoIterator<Item = Frame>) {
    let ended = peer.flood(frames);
    if !ended {
        peer.settle_or_close();
    }
    peer.expect_goaway(code::ENHANCE_YOUR_CALM);
    peer.expect_closed();
}

/// A request and its reset, on the `nth` stream of a client.
fn canceled(nth: u32) -> [Frame; 2] {
    let stream = 2 * nth + 1;
    [
        headers(stream, &Request::get("/")).end_stream(),
        Frame::reset(stream, code::CANCEL),
    ]
}

#[test]
fn a_burst_of_resets_is_too_much() {
    let (calls, app) = counting();
    let server = Server::start(app);
    let mut peer = server.connect();
    is_too_much(&mut peer, (0..5_000).flat_map(canceled));
    let calls = calls.load(Ordering::Relaxed);
    assert!(calls <= 1_000, "{calls} apps were started");
}

#[test]
fn resets_at_a_measured_pace_are_too_much() {
    let app = http_with((), async |(), mut http: Http| {
        http.begin().await?;
        http.disconnect().await;
        Ok(())
    });
    let server = Server::start(app);
    let mut peer = server.connect();
    for stream in (1..2_000).step_by(2) {
        // None waits to be accepted when it is reset, so the h2 crate counts none.
        let [request, reset] = canceled(stream / 2);
        if peer.flood([request]) || peer.next_or_close(stream).is_none() || peer.flood([reset]) {
            break;
        }
    }
    peer.expect_goaway(code::ENHANCE_YOUR_CALM);
    peer.expect_closed();
}

#[test]
fn a_few_resets_are_no_flood() {
    let (_calls, app) = counting();
    let server = Server::start(app);
    let mut peer = server.connect();
    for nth in 0..30 {
        for frame in canceled(nth) {
            peer.send(frame);
        }
        peer.settle();
    }
    eventually("all are over", || {
        server.handle().statistics().exchanges == 0
    });
}

#[test]
fn continuations_without_an_end_are_too_much() {
    let server = Server::start(hello());
    let mut peer = server.connect();
    let head = Frame::new(kind::HEADERS, 1, Request::get("/").block());
    let more = iter::repeat_n(Frame::continuation(1, []), 20_000);
    is_too_much(&mut peer, iter::once(head).chain(more));
}

#[test]
fn continuations_that_carry_fields_without_an_end_are_too_much() {
    let server = Server::start(hello());
    let mut peer = server.connect();
    let head = Frame::new(kind::HEADERS, 1, Request::get("/").block());
    let fields = Request::empty().field("x", "y".repeat(1_000)).block();
    let more = iter::repeat_n(Frame::continuation(1, fields), 2_000);
    is_too_much(&mut peer, iter::once(head).chain(more));
}

#[test]
fn settings_without_an_end_are_too_much() {
    let server = Server::start(hello());
    let mut peer = server.connect();
    is_too_much(&mut peer, iter::repeat_n(Frame::settings(&[]), 20_000));
}

#[test]
fn pings_without_an_end_are_too_much() {
    let server = Server::start(hello());
    let mut peer = server.connect();
    is_too_much(&mut peer, iter::repeat_n(Frame::ping([0; 8]), 20_000));
}

#[test]
fn priorities_without_an_end_are_too_much() {
    let server = Server::start(hello());
    let mut peer = server.connect();
    let churn = (0..20_000).map(|nth| Frame::priority(2 * nth + 1, 2 * nth + 3));
    is_too_much(&mut peer, churn);
}

#[test]
fn a_few_of_each_frame_are_no_flood() {
    let server = Server::start(hello());
    let mut peer = server.connect();
    for nth in 0..20 {
        peer.send(Frame::settings(&[]));
        peer.send(Frame::priority(2 * nth + 1, 0));
        peer.settle();
        peer.get(2 * nth + 1, "/");
        peer.expect_response(2 * nth + 1, 200);
    }
}

#[test]
fn empty_data_without_an_end_is_too_much() {
    let (_calls, app) = counting();
    let server = Server::start(app);
    let mut peer = server.connect();
    peer.post(1, "/");
    is_too_much(&mut peer, iter::repeat_n(Frame::data(1, []), 20_000));
}

#[test]
fn tiny_data_that_nobody_reads_is_too_much() {
    let (go, gate) = watch::channel(false);
    let app = http_with(gate, async |mut gate, mut http: Http| {
        // It is told nothing while it does not ask.
        let _ = gate.wait_for(|open| *open).await;
        http.disconnect().await;
        Ok(())
    });
    let server = Server::start(app);
    let mut peer = server.connect();
    peer.post(1, "/");
    is_too_much(&mut peer, iter::repeat_n(Frame::data(1, "x"), 200_000));
    drop(go);
}

#[test]
fn tiny_data_that_the_app_reads_is_no_flood() {
    let server = Server::start(echo());
    let mut peer = server.connect();
    peer.post(1, "/");
    assert!(!peer.flood(iter::repeat_n(Frame::data(1, "x"), 5_000)));
    peer.last(1, "");
    assert_eq!(peer.expect_response(1, 200).body.len(), 5_000);
}

#[test]
#[ignore = "h2 takes the hundred and first of a connection for a flood"]
fn an_empty_part_of_a_body_now_and_then_is_no_flood() {
    let server = Server::start(echo());
    let mut peer = server.connect();
    for stream in (1..400).step_by(2) {
        peer.post(stream, "/");
        peer.data(stream, []);
        peer.last(stream, "x");
        peer.expect_response(stream, 200);
    }
}

/// A field of 4,000 bytes in the table, which each byte of the block writes out again.
fn bomb(stream: u32) -> Frame {
    let mut block = Request::get("/").block();
    hpack::indexed_literal(b"x", &[b'y'; 4_000], &mut block);
    block.extend([0x80 | 62; 8_000]);
    Frame::new(kind::HEADERS, stream, block)
        .end_headers()
        .end_stream()
}

#[test]
fn a_field_block_that_unpacks_to_very_much_is_too_much() {
    let (calls, app) = counting();
    let server = Server::start(app);
    let mut peer = server.connect();
    peer.send(bomb(1));
    peer.expect_goaway(code::ENHANCE_YOUR_CALM);
    peer.expect_closed();
    assert_eq!(calls.load(Ordering::Relaxed), 0);
}

#[test]
fn a_list_of_fields_far_beyond_the_limit_is_too_much() {
    let server = Server::start_set(|config| config.max_head_size = 2_048, hello());
    let mut peer = server.connect();
    peer.request(1, &Request::get("/").field("x", "y".repeat(10_000)));
    peer.expect_goaway(code::ENHANCE_YOUR_CALM);
    peer.expect_closed();
}

/// The server resets the streams itself, and a limit on the client's resets sees nothing.
#[test]
fn streams_that_the_server_is_made_to_reset_are_too_much() {
    let (_calls, app) = counting();
    let server = Server::start(app);
    let mut peer = server.connect();
    let made = |nth: u32| {
        let stream = 2 * nth + 1;
        [
            headers(stream, &Request::get("/")).end_stream(),
            Frame::window_update(stream, (1 << 31) - 1),
        ]
    };
    is_too_much(&mut peer, (0..3_000).flat_map(made));
}

#[test]
fn malformed_requests_without_an_end_are_too_much() {
    let server = Server::start(hello());
    let mut peer = server.connect();
    let malformed = Request::get("/").field("host", "another");
    let malformed = |nth: u32| headers(2 * nth + 1, &malformed).end_stream();
    is_too_much(&mut peer, (0..5_000).map(malformed));
}

#[test]
fn streams_beyond_the_limit_without_an_end_are_too_much() {
    let (_calls, app) = counting();
    let server = Server::start_set(|config| config.h2_max_concurrent_streams = 1, app);
    let mut peer = server.connect();
    let one = |nth: u32| headers(2 * nth + 1, &Request::get("/")).end_stream();
    is_too_much(&mut peer, (0..5_000).map(one));
}
