//! Floods: frames that cost the client little and the server much. Each flood ends with
//! ENHANCE_YOUR_CALM. Harmless frames that look similar do not.

use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use asgi::App;
use http2::frame::{code, kind};
use http2::{Frame, Peer, Request, headers, hpack};
use tokio::sync::watch;

use crate::connect::Connect as _;
use test_support::app::{echo, hello};
use test_support::blocking::Server;
use test_support::{Http, http_with};

/// Waits for the end of its exchange, and counts the calls.
fn counting() -> (Arc<AtomicUsize>, impl App) {
    let calls = Arc::new(AtomicUsize::new(0));
    let app = http_with(Arc::clone(&calls), async |calls, mut http: Http| {
        calls.fetch_add(1, Ordering::Relaxed);
        http.disconnect().await;
        Ok(())
    });
    (calls, app)
}

/// Checks that the server ends the connection because of these frames.
#[track_caller]
fn expect_too_much(peer: &mut Peer, frames: impl IntoIterator<Item = Frame>) {
    let ended = peer.flood(frames);
    if !ended {
        peer.settle_or_close();
    }
    peer.expect_goaway(code::ENHANCE_YOUR_CALM);
    peer.expect_closed();
}

/// A request and its reset, on the `nth` stream.
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
    expect_too_much(&mut peer, (0..5_000).flat_map(canceled));
    let calls = calls.load(Ordering::Relaxed);
    assert!(calls <= 1_000, "{calls} apps were started");
}

#[test]
fn resets_of_running_apps_are_too_much() {
    let app = http_with((), async |(), mut http: Http| {
        http.begin().await?;
        http.disconnect().await;
        Ok(())
    });
    let server = Server::start(app);
    let mut peer = server.connect();
    for stream in (1..2_000).step_by(2) {
        // Each request is accepted before its reset, so h2 does not count the reset.
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
    server.wait_for_exchanges(0);
}

#[test]
fn endless_empty_continuations_are_too_much() {
    let server = Server::start(hello());
    let mut peer = server.connect();
    let head = Frame::new(kind::HEADERS, 1, Request::get("/").block());
    let more = iter::repeat_n(Frame::continuation(1, []), 20_000);
    expect_too_much(&mut peer, iter::once(head).chain(more));
}

#[test]
fn endless_continuations_with_headers_are_too_much() {
    let server = Server::start(hello());
    let mut peer = server.connect();
    let head = Frame::new(kind::HEADERS, 1, Request::get("/").block());
    let headers = Request::empty().header("x", "y".repeat(1_000)).block();
    let more = iter::repeat_n(Frame::continuation(1, headers), 2_000);
    expect_too_much(&mut peer, iter::once(head).chain(more));
}

#[test]
fn endless_settings_are_too_much() {
    let server = Server::start(hello());
    let mut peer = server.connect();
    expect_too_much(&mut peer, iter::repeat_n(Frame::settings(&[]), 20_000));
}

#[test]
fn endless_pings_are_too_much() {
    let server = Server::start(hello());
    let mut peer = server.connect();
    expect_too_much(&mut peer, iter::repeat_n(Frame::ping([0; 8]), 20_000));
}

#[test]
fn endless_priorities_are_too_much() {
    let server = Server::start(hello());
    let mut peer = server.connect();
    let churn = (0..20_000).map(|nth| Frame::priority(2 * nth + 1, 2 * nth + 3));
    expect_too_much(&mut peer, churn);
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
fn endless_empty_data_is_too_much() {
    let (_calls, app) = counting();
    let server = Server::start(app);
    let mut peer = server.connect();
    peer.post(1, "/");
    expect_too_much(&mut peer, iter::repeat_n(Frame::data(1, []), 20_000));
}

#[test]
fn endless_unread_tiny_data_is_too_much() {
    let (go, gate) = watch::channel(false);
    let app = http_with(gate, async |mut gate, mut http: Http| {
        // The app learns nothing while it does not receive.
        let _ = gate.wait_for(|open| *open).await;
        http.disconnect().await;
        Ok(())
    });
    let server = Server::start(app);
    let mut peer = server.connect();
    peer.post(1, "/");
    expect_too_much(&mut peer, iter::repeat_n(Frame::data(1, "x"), 200_000));
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
#[ignore = "h2 ends a connection at its 101st empty DATA frame"]
fn an_occasional_empty_part_of_a_body_is_no_flood() {
    let server = Server::start(echo());
    let mut peer = server.connect();
    for stream in (1..400).step_by(2) {
        peer.post(stream, "/");
        peer.data(stream, []);
        peer.last(stream, "x");
        peer.expect_response(stream, 200);
    }
}

/// A header block that puts a header of 4,000 bytes into the table and repeats it with each byte.
fn bomb(stream: u32) -> Frame {
    let mut block = Request::get("/").block();
    hpack::indexed_literal(b"x", &[b'y'; 4_000], &mut block);
    block.extend([0x80 | 62; 8_000]);
    Frame::new(kind::HEADERS, stream, block)
        .end_headers()
        .end_stream()
}

#[test]
fn an_hpack_bomb_is_too_much() {
    let (calls, app) = counting();
    let server = Server::start(app);
    let mut peer = server.connect();
    peer.send(bomb(1));
    peer.expect_goaway(code::ENHANCE_YOUR_CALM);
    peer.expect_closed();
    assert_eq!(calls.load(Ordering::Relaxed), 0);
}

#[test]
fn a_header_list_far_above_the_limit_is_too_much() {
    let server = Server::start_set(|config| config.max_head_size = 2_048, hello());
    let mut peer = server.connect();
    peer.request(1, &Request::get("/").header("x", "y".repeat(10_000)));
    peer.expect_goaway(code::ENHANCE_YOUR_CALM);
    peer.expect_closed();
}

/// The server resets these streams itself, so a limit on the client's resets does not help.
#[test]
fn streams_that_make_the_server_reset_them_are_too_much() {
    let (_calls, app) = counting();
    let server = Server::start(app);
    let mut peer = server.connect();
    let overflow = |nth: u32| {
        let stream = 2 * nth + 1;
        [
            headers(stream, &Request::get("/")).end_stream(),
            Frame::window_update(stream, (1 << 31) - 1),
        ]
    };
    expect_too_much(&mut peer, (0..3_000).flat_map(overflow));
}

#[test]
fn endless_malformed_requests_are_too_much() {
    let server = Server::start(hello());
    let mut peer = server.connect();
    let malformed = Request::get("/").header("host", "another");
    let malformed = |nth: u32| headers(2 * nth + 1, &malformed).end_stream();
    expect_too_much(&mut peer, (0..5_000).map(malformed));
}

#[test]
fn endless_streams_above_the_limit_are_too_much() {
    let (_calls, app) = counting();
    let server = Server::start_set(|config| config.h2_max_concurrent_streams = 1, app);
    let mut peer = server.connect();
    let one = |nth: u32| headers(2 * nth + 1, &Request::get("/")).end_stream();
    expect_too_much(&mut peer, (0..5_000).map(one));
}
