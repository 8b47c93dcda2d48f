//! Frames that cross a reset or the end of a stream, and values at the edges of their ranges: what
//! RFC 9113 wants ignored, counted or kept in step.

use asgi::{App, AppError};
use http2::frame::{code, flag, kind, setting};
use http2::{Event, Frame, Peer, Request, hpack};

use crate::connect::Connect as _;
use test_support::app::{echo, gated, hello, mirror};
use test_support::blocking::Server;
use test_support::{Http, http};

/// A request whose header `x-kept` enters the dynamic table.
fn remembering(stream: u32, request: &Request) -> Frame {
    let mut block = request.block();
    hpack::indexed_literal(b"x-kept", b"in step", &mut block);
    Frame::new(kind::HEADERS, stream, block).end_headers()
}

/// Checks that the newest entry of the server's dynamic table is the one of [`remembering`]. Its app
/// responds with the headers.
#[track_caller]
fn expect_in_step(peer: &mut Peer, stream: u32) {
    let mut block = Request::get("/").block();
    block.push(0x80 | 62);
    let head = Frame::new(kind::HEADERS, stream, block).end_headers();
    peer.send(head.end_stream());
    let text = peer.expect_response(stream, 200).text();
    assert!(text.contains("x-kept: in step\n"), "{text}");
}

/// An app that responds to `/early` without the body, and to other requests with their headers after
/// the body.
fn early() -> impl App {
    http(async |mut http: Http| {
        if http.scope.path() == "/early" {
            return http.respond("no, thanks").await;
        }
        http.body().await.map_err(|_| AppError::aborted())?;
        let mut text = String::new();
        for (name, value) in &http.scope.headers {
            text += &format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()));
        }
        http.respond(text).await
    })
}

#[test]
fn a_field_block_on_a_stream_that_the_server_has_reset_keeps_hpack_in_step() {
    let server = Server::start(early());
    let mut peer = server.connect();
    peer.post(1, "/early");
    peer.expect_response(1, 200);
    peer.expect_reset(1, code::NO_ERROR);
    peer.send(remembering(1, &Request::empty()).end_stream());
    peer.expect_nothing(1);
    expect_in_step(&mut peer, 3);
}

#[test]
fn a_refused_stream_keeps_hpack_in_step() {
    let server = Server::start_set(|config| config.h2_max_concurrent_streams = 1, early());
    let mut peer = server.connect();
    peer.post(1, "/");
    peer.settle();
    peer.send(remembering(3, &Request::get("/")).end_stream());
    peer.expect_reset(3, code::REFUSED_STREAM);
    peer.last(1, "");
    peer.expect_response(1, 200);
    expect_in_step(&mut peer, 5);
}

#[test]
fn a_malformed_request_keeps_hpack_in_step() {
    let server = Server::start(mirror());
    let mut peer = server.connect();
    let malformed = Request::get("/").header("connection", "close");
    peer.send(remembering(1, &malformed).end_stream());
    peer.expect_reset(1, code::PROTOCOL_ERROR);
    expect_in_step(&mut peer, 3);
}

#[test]
fn a_header_list_above_the_limit_keeps_hpack_in_step() {
    let server = Server::start_set(|config| config.max_head_size = 5_000, mirror());
    let mut peer = server.connect();
    let large = Request::get("/").header("x", [b'y'; 6_000]);
    peer.send(remembering(1, &large).end_stream());
    peer.expect_status(1, 431);
    expect_in_step(&mut peer, 3);
}

#[test]
fn a_window_update_after_the_end_of_a_request_is_no_error() {
    let server = Server::start(hello());
    let mut peer = server.connect_with(&[(setting::INITIAL_WINDOW_SIZE, 0)]);
    peer.get(1, "/");
    peer.settle();
    // The stream is half-closed (remote).
    peer.credit(1, 5);
    assert_eq!(peer.expect_response(1, 200).text(), "hello");
    // It is closed.
    peer.credit(1, 5);
    peer.expect_nothing(1);
}

#[test]
fn a_reset_is_not_answered_with_a_reset() {
    let server = Server::start(echo());
    let mut peer = server.connect();
    peer.post(1, "/");
    peer.reset(1, code::CANCEL);
    peer.expect_nothing(1);
    peer.get(3, "/");
    peer.expect_response(3, 200);
    // Both sides have ended the stream.
    peer.reset(3, code::CANCEL);
    peer.reset(3, code::CANCEL);
    peer.expect_nothing(3);
}

#[test]
fn an_unknown_error_code_has_no_special_meaning() {
    const UNKNOWN: u32 = 0xffff_fffe;
    let (go, app) = gated();
    let server = Server::start(app);
    let mut peer = server.connect();
    peer.get(1, "/");
    peer.get(3, "/");
    peer.reset(1, UNKNOWN);
    peer.send(Frame::goaway(0, UNKNOWN));
    peer.settle();
    go.send(true).unwrap();
    assert_eq!(peer.expect_response(3, 200).text(), "finished");
    peer.expect_closed();
}

#[test]
fn each_settings_frame_is_acknowledged_at_once_and_in_order() {
    let server = Server::start(hello());
    let mut peer = server.connect();
    let acks = |peer: &mut Peer| {
        peer.settle();
        let mut count = 0;
        while let Some(Event::SettingsAck) = peer.try_next(0) {
            count += 1;
        }
        count
    };
    assert_eq!(acks(&mut peer), 0);
    for _ in 0..3 {
        peer.send(Frame::settings(&[(setting::HEADER_TABLE_SIZE, 0)]));
    }
    assert_eq!(acks(&mut peer), 3);
}

#[test]
fn settings_of_one_frame_apply_in_their_order() {
    let server = Server::start(hello());
    let mut peer = server.connect();
    peer.send(Frame::settings(&[
        (setting::INITIAL_WINDOW_SIZE, 100),
        (0x4242, 7),
        (setting::INITIAL_WINDOW_SIZE, 1),
    ]));
    peer.get(1, "/");
    peer.expect_status(1, 200);
    assert_eq!(peer.expect_data(1), (b"h".to_vec(), false));
    peer.expect_nothing(1);
}

#[test]
fn settings_at_the_edges_of_their_ranges_are_accepted() {
    let server = Server::start(hello());
    let mut peer = server.connect_with(&[
        (setting::HEADER_TABLE_SIZE, u32::MAX),
        (setting::ENABLE_PUSH, 1),
        (setting::MAX_CONCURRENT_STREAMS, 0),
        (setting::INITIAL_WINDOW_SIZE, (1 << 31) - 1),
        (setting::MAX_FRAME_SIZE, (1 << 24) - 1),
        (setting::MAX_HEADER_LIST_SIZE, 0),
    ]);
    peer.get(1, "/");
    assert_eq!(peer.expect_response(1, 200).text(), "hello");
    peer.send(Frame::settings(&[
        (setting::MAX_FRAME_SIZE, 1 << 14),
        (setting::MAX_CONCURRENT_STREAMS, u32::MAX),
        (setting::MAX_HEADER_LIST_SIZE, u32::MAX),
    ]));
    peer.get((1 << 31) - 1, "/");
    assert_eq!(peer.expect_response((1 << 31) - 1, 200).text(), "hello");
}

#[test]
fn an_ack_of_a_ping_is_not_answered() {
    let server = Server::start(hello());
    let mut peer = server.connect();
    peer.send(Frame::ping(*b"unasked!").ack());
    peer.settle();
    assert_eq!(peer.try_next(0), None);
}

#[test]
fn a_frame_of_the_largest_size_is_received() {
    let server = Server::start(echo());
    let mut peer = server.connect();
    peer.post(1, "/");
    peer.last(1, vec![b'x'; 16_384]);
    assert_eq!(peer.expect_response(1, 200).text().len(), 16_384);
}

#[test]
fn padding_need_not_be_zero() {
    let server = Server::start(echo());
    let mut peer = server.connect();
    let mut payload = Request::post("/").block();
    payload.insert(0, 3);
    payload.extend(*b"\xff\0\x01");
    let head = Frame::new(kind::HEADERS, 1, payload).flags(flag::PADDED);
    peer.send(head.end_headers());
    let data = Frame::new(kind::DATA, 1, *b"\x02body\xff\xff").flags(flag::PADDED);
    peer.send(data.end_stream());
    assert_eq!(peer.expect_response(1, 200).text(), "body");
}

#[test]
fn padding_may_fill_a_whole_frame() {
    let server = Server::start(echo());
    let mut peer = server.connect();
    peer.post(1, "/");
    peer.send(Frame::data(1, "").padded(255));
    peer.last(1, "body");
    assert_eq!(peer.expect_response(1, 200).text(), "body");
}

#[test]
fn a_frame_without_room_for_its_flags_is_a_frame_size_error() {
    let too_short = [
        Frame::new(kind::HEADERS, 3, []).flags(flag::PADDED),
        Frame::new(kind::HEADERS, 3, [0; 4]).flags(flag::PRIORITY),
        Frame::new(kind::HEADERS, 3, [0; 5]).flags(flag::PRIORITY | flag::PADDED),
        Frame::new(kind::GOAWAY, 0, [0; 7]),
        Frame::new(kind::WINDOW_UPDATE, 0, [0; 5]),
        Frame::new(kind::RST_STREAM, 1, [0; 5]),
        Frame::new(kind::PING, 0, [0; 9]),
        Frame::new(kind::SETTINGS, 0, [0; 7]),
    ];
    for frame in too_short {
        let server = Server::start(hello());
        let mut peer = server.connect();
        peer.get(1, "/");
        peer.expect_response(1, 200);
        peer.send(frame.end_headers());
        peer.expect_connection_error(code::FRAME_SIZE_ERROR);
    }
}

#[test]
fn the_reserved_bit_of_a_window_update_is_ignored() {
    let server = Server::start(hello());
    let mut peer = server.connect_with(&[(setting::INITIAL_WINDOW_SIZE, 0)]);
    peer.get(1, "/");
    peer.credit(1, 1 << 31 | 5);
    assert_eq!(peer.expect_response(1, 200).text(), "hello");
    // An increment of 0.
    peer.credit(0, 1 << 31);
    peer.expect_connection_error(code::PROTOCOL_ERROR);
}

#[test]
fn a_window_below_zero_is_counted() {
    let server = Server::start(http(async |mut http: Http| {
        http.respond(vec![b'x'; 20]).await
    }));
    let mut peer = server.connect_with(&[(setting::INITIAL_WINDOW_SIZE, 10)]);
    peer.get(1, "/");
    peer.expect_status(1, 200);
    assert_eq!(peer.expect_bytes(1, 10).len(), 10);
    // The window is 0 - 10 = -10.
    peer.send(Frame::settings(&[(setting::INITIAL_WINDOW_SIZE, 0)]));
    peer.credit(1, 10);
    peer.expect_nothing(1);
    peer.credit(1, 10);
    assert_eq!(peer.expect_data(1).0.len(), 10);
}
