//! The start of a connection.

use std::time::Duration;

use http2::frame::{code, setting};
use http2::{Frame, PREFACE, Peer, Request, headers};

use crate::connect::Connect as _;
use test_support::app::hello;
use test_support::blocking::Server;

#[test]
fn a_preface_in_single_bytes_is_recognized() {
    let server = Server::start(hello());
    let mut peer = Peer::silent(server.address());
    let mut bytes = PREFACE.to_vec();
    Frame::settings(&[]).write_to(&mut bytes);
    for byte in bytes {
        peer.write(&[byte]);
    }
    peer.expect_settings_ack();
    peer.get(1, "/");
    assert_eq!(peer.expect_response(1, 200).text(), "hello");
}

#[test]
fn a_request_may_come_in_one_segment_with_the_preface() {
    let server = Server::start(hello());
    let mut peer = Peer::silent(server.address());
    let mut bytes = PREFACE.to_vec();
    Frame::settings(&[]).write_to(&mut bytes);
    headers(1, &Request::get("/"))
        .end_stream()
        .write_to(&mut bytes);
    peer.write(&bytes);
    assert_eq!(peer.expect_response(1, 200).text(), "hello");
}

#[test]
fn the_method_pri_with_another_version_is_no_preface() {
    let server = Server::start(hello());
    let mut peer = Peer::silent(server.address());
    peer.write(b"PRI * HTTP/1.1\r\nhost: a\r\n\r\n");
    let answer = peer.expect_bytes_until_close();
    assert!(
        answer.starts_with(b"HTTP/1.1 400 "),
        "{}",
        answer.escape_ascii()
    );
}

#[test]
fn a_preface_with_a_wrong_last_byte_is_answered_as_http_1() {
    let server = Server::start(hello());
    let mut peer = Peer::silent(server.address());
    peer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rx");
    let answer = peer.expect_bytes_until_close();
    assert!(
        answer.starts_with(b"HTTP/1.1 4") || answer.starts_with(b"HTTP/1.1 505"),
        "{}",
        answer.escape_ascii()
    );
}

#[test]
fn an_upgrade_to_h2c_is_ignored() {
    let server = Server::start(hello());
    let mut peer = Peer::silent(server.address());
    peer.write(
        b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade, http2-settings, close\r\n\
          upgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n\r\n",
    );
    let answer = peer.expect_bytes_until_close();
    assert!(
        answer.starts_with(b"HTTP/1.1 200 "),
        "{}",
        answer.escape_ascii()
    );
}

#[test]
fn half_a_preface_times_out() {
    let short = Duration::from_millis(200);
    let server = Server::start_set(|config| config.header_timeout = short, hello());
    let mut peer = Peer::silent(server.address());
    peer.write(&PREFACE[..20]);
    peer.expect_closed();
}

#[test]
fn a_preface_without_settings_times_out() {
    let short = Duration::from_millis(200);
    let server = Server::start_set(|config| config.header_timeout = short, hello());
    let mut peer = Peer::silent(server.address());
    peer.write(PREFACE);
    peer.expect_closed();
}

#[test]
fn a_first_frame_other_than_settings_ends_the_connection() {
    let server = Server::start(hello());
    let mut peer = Peer::silent(server.address());
    peer.write(PREFACE);
    peer.send(Frame::ping(*b"too soon"));
    peer.expect_connection_error(code::PROTOCOL_ERROR);
}

#[test]
fn the_settings_have_the_configured_limits() {
    let server = Server::start_set(
        |config| {
            config.h2_max_concurrent_streams = 7;
            config.h2_stream_window = 100_000;
            config.h2_max_frame_size = 20_000;
            config.max_head_size = 5_000;
        },
        hello(),
    );
    let peer = server.connect();
    assert_eq!(peer.setting(setting::MAX_CONCURRENT_STREAMS), Some(7));
    assert_eq!(peer.setting(setting::INITIAL_WINDOW_SIZE), Some(100_000));
    assert_eq!(peer.setting(setting::MAX_FRAME_SIZE), Some(20_000));
    assert_eq!(peer.setting(setting::MAX_HEADER_LIST_SIZE), Some(5_000));
}

#[test]
fn a_preface_during_a_drain_still_gets_its_response() {
    let server = Server::start(hello());
    let mut peer = Peer::silent(server.address());
    server.wait_for_connections(1);
    server.handle().drain();
    peer.write(PREFACE);
    peer.send(Frame::settings(&[]));
    peer.get(1, "/");
    assert_eq!(peer.expect_response(1, 200).text(), "hello");
    assert_eq!(peer.expect_graceful_goaway(code::NO_ERROR), 1);
    peer.expect_eof();
    server.expect_end();
}
