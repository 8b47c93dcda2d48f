//! Frames that RFC 9113 forbids, with the error code that it demands, and frames that a receiver must
//! ignore.

use asgi::App;
use http2::frame::{code, flag, kind, setting};
use http2::{Frame, Peer, Request, headers, hpack};

use crate::connect::Connect as _;
use test_support::app::{echo, hello};
use test_support::blocking::Server;
use test_support::{Http, http_with};

/// Checks that the frame ends the connection with this code, after a good request.
#[track_caller]
fn expect_connection_error(frame: Frame, code: u32) {
    let server = Server::start(hello());
    let mut peer = server.connect();
    peer.get(1, "/");
    peer.expect_response(1, 200);
    peer.send(frame);
    peer.expect_connection_error(code);
}

/// Checks that the frame changes nothing.
#[track_caller]
fn expect_ignored(frame: Frame) {
    let server = Server::start(hello());
    let mut peer = server.connect();
    peer.send(frame);
    peer.settle();
    peer.get(1, "/");
    peer.expect_response(1, 200);
}

/// A connection whose stream 1 is half-closed and whose app has not responded.
fn half_closed() -> (Server, Peer) {
    let server = Server::start(never());
    let mut peer = server.connect();
    peer.get(1, "/");
    peer.settle();
    (server, peer)
}

fn never() -> impl App {
    http_with((), async |(), mut http: Http| {
        http.disconnect().await;
        Ok(())
    })
}

#[test]
fn a_ping_is_answered_with_its_payload() {
    let server = Server::start(hello());
    let mut peer = server.connect();
    peer.send(Frame::ping(*b"are you?"));
    assert_eq!(peer.next(0), http2::Event::Pong(*b"are you?"));
}

#[test]
fn an_unknown_frame_is_ignored() {
    expect_ignored(Frame::new(0x42, 0, *b"whatever").flags(0xff));
    expect_ignored(Frame::new(0x42, 1, *b"whatever"));
}

#[test]
fn an_unknown_setting_is_ignored() {
    expect_ignored(Frame::settings(&[(0x4242, 7)]));
}

#[test]
fn unknown_flags_are_ignored() {
    expect_ignored(Frame::ping([0; 8]).flags(0xfe));
}

#[test]
fn a_priority_for_a_stream_that_is_not_open_is_ignored() {
    expect_ignored(Frame::priority(99, 0));
}

#[test]
fn a_frame_above_the_size_limit_ends_the_connection() {
    expect_connection_error(Frame::new(0x42, 0, vec![0; 16_385]), code::FRAME_SIZE_ERROR);
}

#[test]
fn data_on_stream_0_ends_the_connection() {
    expect_connection_error(Frame::data(0, "x"), code::PROTOCOL_ERROR);
}

#[test]
fn headers_on_stream_0_end_the_connection() {
    let frame = headers(0, &Request::get("/")).end_stream();
    expect_connection_error(frame, code::PROTOCOL_ERROR);
}

#[test]
fn a_stream_with_an_even_number_ends_the_connection() {
    let frame = headers(2, &Request::get("/")).end_stream();
    expect_connection_error(frame, code::PROTOCOL_ERROR);
}

#[test]
fn a_stream_with_a_skipped_number_ends_the_connection() {
    let server = Server::start(hello());
    let mut peer = server.connect();
    peer.get(5, "/");
    peer.expect_response(5, 200);
    peer.get(3, "/");
    peer.expect_connection_error(code::PROTOCOL_ERROR);
}

#[test]
fn data_on_an_idle_stream_ends_the_connection() {
    expect_connection_error(Frame::data(99, "x"), code::PROTOCOL_ERROR);
}

#[test]
fn a_reset_of_an_idle_stream_ends_the_connection() {
    expect_connection_error(Frame::reset(99, code::CANCEL), code::PROTOCOL_ERROR);
}

#[test]
fn a_window_update_for_an_idle_stream_ends_the_connection() {
    expect_connection_error(Frame::window_update(99, 1), code::PROTOCOL_ERROR);
}

#[test]
fn data_after_the_end_of_a_stream_is_a_stream_error() {
    let (_server, mut peer) = half_closed();
    peer.data(1, "more");
    peer.expect_refusal(1, code::STREAM_CLOSED);
}

#[test]
fn headers_after_the_end_of_a_stream_are_an_error() {
    let (_server, mut peer) = half_closed();
    peer.request(1, &Request::empty().header("x", "y"));
    peer.expect_refusal(1, code::STREAM_CLOSED);
}

#[test]
fn a_frame_in_the_middle_of_a_header_block_ends_the_connection() {
    let server = Server::start(hello());
    let mut peer = server.connect();
    peer.send(Frame::new(kind::HEADERS, 1, Request::get("/").block()).end_stream());
    peer.send(Frame::ping([0; 8]));
    peer.expect_connection_error(code::PROTOCOL_ERROR);
}

#[test]
fn a_continuation_on_another_stream_ends_the_connection() {
    let server = Server::start(hello());
    let mut peer = server.connect();
    peer.send(Frame::new(kind::HEADERS, 1, Request::get("/").block()).end_stream());
    peer.send(Frame::continuation(3, []).end_headers());
    peer.expect_connection_error(code::PROTOCOL_ERROR);
}

#[test]
fn a_continuation_without_headers_ends_the_connection() {
    expect_connection_error(
        Frame::continuation(1, []).end_headers(),
        code::PROTOCOL_ERROR,
    );
}

#[test]
#[ignore = "h2 says PROTOCOL_ERROR"]
fn an_invalid_header_block_is_a_compression_error() {
    // An index far above the size of the tables.
    let broken = Frame::new(kind::HEADERS, 3, [0xff, 0xff, 0xff, 0x7f]).end_headers();
    expect_connection_error(broken.end_stream(), code::COMPRESSION_ERROR);
}

#[test]
#[ignore = "h2 says PROTOCOL_ERROR"]
fn a_dynamic_table_above_the_limit_is_a_compression_error() {
    let mut block = vec![0x3f, 0xe1, 0xff, 0x7f];
    block.extend(Request::get("/").block());
    let frame = Frame::new(kind::HEADERS, 3, block)
        .end_headers()
        .end_stream();
    expect_connection_error(frame, code::COMPRESSION_ERROR);
}

#[test]
fn a_ping_of_a_wrong_length_ends_the_connection() {
    expect_connection_error(Frame::new(kind::PING, 0, [0; 7]), code::FRAME_SIZE_ERROR);
}

#[test]
fn a_ping_on_a_stream_ends_the_connection() {
    expect_connection_error(Frame::new(kind::PING, 1, [0; 8]), code::PROTOCOL_ERROR);
}

#[test]
fn settings_of_a_wrong_length_end_the_connection() {
    expect_connection_error(
        Frame::new(kind::SETTINGS, 0, [0; 5]),
        code::FRAME_SIZE_ERROR,
    );
}

#[test]
fn a_settings_ack_with_a_payload_ends_the_connection() {
    let frame = Frame::settings(&[(setting::ENABLE_PUSH, 0)]).ack();
    expect_connection_error(frame, code::FRAME_SIZE_ERROR);
}

#[test]
fn settings_on_a_stream_end_the_connection() {
    expect_connection_error(Frame::new(kind::SETTINGS, 1, []), code::PROTOCOL_ERROR);
}

#[test]
fn an_invalid_setting_ends_the_connection() {
    for (name, value) in [
        (setting::ENABLE_PUSH, 2),
        (setting::MAX_FRAME_SIZE, 16_383),
        (setting::MAX_FRAME_SIZE, 1 << 24),
    ] {
        expect_connection_error(Frame::settings(&[(name, value)]), code::PROTOCOL_ERROR);
    }
}

#[test]
fn a_reset_of_a_wrong_length_ends_the_connection() {
    expect_connection_error(
        Frame::new(kind::RST_STREAM, 1, [0; 3]),
        code::FRAME_SIZE_ERROR,
    );
}

#[test]
fn a_reset_on_stream_0_ends_the_connection() {
    expect_connection_error(Frame::reset(0, code::CANCEL), code::PROTOCOL_ERROR);
}

#[test]
fn a_window_update_of_a_wrong_length_ends_the_connection() {
    expect_connection_error(
        Frame::new(kind::WINDOW_UPDATE, 0, [0; 3]),
        code::FRAME_SIZE_ERROR,
    );
}

#[test]
fn a_priority_of_a_wrong_length_is_a_stream_error() {
    let (_server, mut peer) = half_closed();
    peer.send(Frame::new(kind::PRIORITY, 1, [0; 4]));
    peer.expect_refusal(1, code::FRAME_SIZE_ERROR);
}

#[test]
fn a_push_promise_from_the_client_ends_the_connection() {
    let mut promise = Frame::new(kind::PUSH_PROMISE, 1, [0, 0, 0, 2]).end_headers();
    promise.payload.extend(Request::get("/").block());
    expect_connection_error(promise, code::PROTOCOL_ERROR);
}

#[test]
fn padding_longer_than_its_frame_ends_the_connection() {
    let server = Server::start(echo());
    let mut peer = server.connect();
    peer.post(1, "/");
    peer.send(Frame::new(kind::DATA, 1, [9, b'x']).flags(flag::PADDED));
    peer.expect_connection_error(code::PROTOCOL_ERROR);
}

#[test]
fn a_goaway_on_a_stream_ends_the_connection() {
    let mut goaway = Frame::goaway(0, code::NO_ERROR);
    goaway.stream = 1;
    expect_connection_error(goaway, code::PROTOCOL_ERROR);
}

#[test]
fn an_indexed_header_is_found_in_a_later_request() {
    let server = Server::start(test_support::app::mirror());
    let mut peer = server.connect();
    let mut block = Request::get("/").block();
    hpack::indexed_literal(b"x-long", b"remembered", &mut block);
    peer.send(
        Frame::new(kind::HEADERS, 1, block)
            .end_headers()
            .end_stream(),
    );
    peer.expect_response(1, 200);
    let mut block = Request::get("/").block();
    block.push(0x80 | 62);
    peer.send(
        Frame::new(kind::HEADERS, 3, block)
            .end_headers()
            .end_stream(),
    );
    let text = peer.expect_response(3, 200).text();
    assert!(text.contains("x-long: remembered\n"), "{text}");
}

#[test]
fn the_reserved_bit_of_a_stream_is_ignored() {
    let server = Server::start(hello());
    let mut peer = server.connect();
    let reserved = 1 << 31;
    let head = Frame::new(kind::HEADERS, reserved | 1, Request::get("/").block());
    peer.send(head.end_headers().end_stream());
    peer.expect_response(1, 200);
}

#[test]
fn data_after_a_reset_of_its_client_is_a_stream_error() {
    let server = Server::start(never());
    let mut peer = server.connect();
    peer.post(1, "/");
    peer.reset(1, code::CANCEL);
    peer.data(1, "more");
    peer.expect_refusal(1, code::STREAM_CLOSED);
}

#[test]
fn an_unknown_frame_in_the_middle_of_a_header_block_ends_the_connection() {
    let server = Server::start(hello());
    let mut peer = server.connect();
    peer.send(Frame::new(kind::HEADERS, 1, Request::get("/").block()).end_stream());
    peer.send(Frame::new(0x42, 1, *b"whatever"));
    peer.expect_connection_error(code::PROTOCOL_ERROR);
}

#[test]
fn padding_longer_than_its_headers_ends_the_connection() {
    let mut payload = Request::get("/").block();
    payload.insert(0, u8::MAX);
    let head = Frame::new(kind::HEADERS, 3, payload).flags(flag::PADDED);
    expect_connection_error(head.end_headers().end_stream(), code::PROTOCOL_ERROR);
}

#[test]
fn a_priority_on_stream_0_ends_the_connection() {
    expect_connection_error(Frame::priority(0, 1), code::PROTOCOL_ERROR);
}

#[test]
fn a_continuation_on_stream_0_ends_the_connection() {
    let server = Server::start(hello());
    let mut peer = server.connect();
    peer.send(Frame::new(kind::HEADERS, 1, Request::get("/").block()).end_stream());
    peer.send(Frame::continuation(0, []).end_headers());
    peer.expect_connection_error(code::PROTOCOL_ERROR);
}
