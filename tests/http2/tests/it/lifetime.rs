//! How long a connection stays open, and how it ends.

use std::sync::mpsc;
use std::time::Duration;

use asgi::{App, DisconnectReason};
use http2::frame::{Frame, code, kind};
use http2::{Event, Request};

use crate::connect::Connect as _;
use test_support::app::{gated, hello};
use test_support::blocking::{Server, next_report};
use test_support::{Http, http_with};

const LAST: u32 = (1 << 31) - 1;

/// Waits for the end of its exchange and reports the reason.
fn waiting() -> (mpsc::Receiver<DisconnectReason>, impl App) {
    let (report, reports) = mpsc::channel();
    let app = http_with(report, async |report, mut http: Http| {
        if http.scope.path() == "/quick" {
            return http.respond("quick").await;
        }
        let reason = http.disconnect().await;
        report.send(reason)?;
        Ok(())
    });
    (reports, app)
}

#[test]
fn the_last_request_of_a_connection_is_answered_with_a_graceful_goaway() {
    let server = Server::start_set(|config| config.keep_alive_max_requests = Some(2), hello());
    let mut peer = server.connect();
    peer.get(1, "/");
    peer.expect_response(1, 200);
    peer.get(3, "/");
    assert_eq!(peer.expect_response(3, 200).text(), "hello");
    assert_eq!(peer.expect_graceful_goaway(code::NO_ERROR), 3);
    peer.expect_eof();
}

#[test]
fn requests_that_cross_the_goaway_are_answered() {
    let server = Server::start_set(|config| config.keep_alive_max_requests = Some(1), hello());
    let mut peer = server.connect();
    peer.ignore_pings();
    peer.get(1, "/");
    peer.expect_response(1, 200);
    assert_eq!(peer.expect_goaway(code::NO_ERROR), LAST);
    let ping = peer.expect_ping();
    peer.get(3, "/");
    assert_eq!(peer.expect_response(3, 200).text(), "hello");
    peer.send(Frame::ping(ping).ack());
    assert_eq!(peer.expect_goaway(code::NO_ERROR), 3);
    peer.expect_eof();
}

#[test]
fn an_idle_connection_gets_a_goaway_before_it_is_closed() {
    let short = Duration::from_millis(200);
    let server = Server::start_set(|config| config.keep_alive_timeout = short, hello());
    let mut peer = server.connect();
    peer.get(1, "/");
    peer.expect_response(1, 200);
    assert_eq!(peer.expect_graceful_goaway(code::NO_ERROR), 1);
    peer.expect_eof();
}

#[test]
fn a_connection_with_an_open_stream_is_not_idle() {
    let (go, app) = gated();
    let short = Duration::from_millis(100);
    let server = Server::start_set(
        |config| {
            config.keep_alive_timeout = short;
            config.header_timeout = short;
            config.h2_keep_alive_interval = Some(Duration::from_millis(500));
        },
        app,
    );
    let mut peer = server.connect();
    peer.ignore_pings();
    peer.get(1, "/");
    // The check that sends the ping would also close an idle connection.
    let ping = peer.expect_ping();
    peer.send(Frame::ping(ping).ack());
    go.send(true).unwrap();
    assert_eq!(peer.expect_response(1, 200).text(), "finished");
}

#[test]
fn pings_do_not_keep_an_idle_connection_open() {
    let short = Duration::from_millis(300);
    let server = Server::start_set(|config| config.keep_alive_timeout = short, hello());
    let mut peer = server.connect();
    peer.get(1, "/");
    peer.expect_response(1, 200);
    // One ping after the other, until the server sends a GOAWAY.
    let goaway = (0..).find_map(|round: u64| {
        peer.send(Frame::ping(round.to_be_bytes()));
        match peer.next(0) {
            Event::Goaway(last, code) => Some((last, code)),
            _ => {
                std::thread::sleep(Duration::from_millis(20));
                None
            }
        }
    });
    assert_eq!(goaway, Some((LAST, code::NO_ERROR)));
    peer.expect_eof();
}

#[test]
fn a_drain_loses_no_request_in_flight() {
    let (go, app) = gated();
    let server = Server::start(app);
    let mut peer = server.connect();
    peer.ignore_pings();
    for stream in (1..20).step_by(2) {
        peer.get(stream, "/");
    }
    server.wait_for_exchanges(10);
    server.handle().drain();
    assert_eq!(peer.expect_goaway(code::NO_ERROR), LAST);
    let ping = peer.expect_ping();
    // This request crosses the GOAWAY.
    peer.get(21, "/");
    peer.send(Frame::ping(ping).ack());
    assert_eq!(peer.expect_goaway(code::NO_ERROR), 21);
    go.send(true).unwrap();
    for stream in (1..23).step_by(2) {
        assert_eq!(peer.expect_response(stream, 200).text(), "finished");
    }
    peer.expect_eof();
    server.expect_end();
}

#[test]
fn a_stream_after_the_last_goaway_is_ignored() {
    let (go, app) = gated();
    let server = Server::start(app);
    let mut peer = server.connect();
    peer.get(1, "/");
    server.wait_for_exchanges(1);
    server.handle().drain();
    assert_eq!(peer.expect_graceful_goaway(code::NO_ERROR), 1);
    peer.get(3, "/");
    peer.settle();
    assert_eq!(server.handle().statistics().exchanges, 1);
    go.send(true).unwrap();
    assert_eq!(peer.expect_response(1, 200).text(), "finished");
    peer.expect_eof();
    server.expect_end();
}

#[test]
fn a_drain_closes_an_idle_connection_whose_client_answers_no_ping() {
    let server = Server::start(hello());
    let mut peer = server.connect();
    peer.ignore_pings();
    peer.get(1, "/");
    peer.expect_response(1, 200);
    server.handle().drain();
    assert_eq!(peer.expect_goaway(code::NO_ERROR), LAST);
    assert_eq!(peer.expect_goaway(code::NO_ERROR), 1);
    peer.expect_eof();
    server.expect_end();
}

#[test]
fn the_graceful_timeout_closes_the_connection() {
    let (reports, app) = waiting();
    let short = Duration::from_millis(300);
    let server = Server::start_set(|config| config.graceful_timeout = Some(short), app);
    let mut peer = server.connect();
    peer.get(1, "/");
    server.wait_for_exchanges(1);
    server.handle().drain();
    assert_eq!(peer.expect_graceful_goaway(code::NO_ERROR), 1);
    peer.expect_closed();
    // The app may or may not be polled again.
    drop(reports);
    server.expect_end();
}

#[test]
fn a_client_that_answers_no_ping_is_disconnected() {
    let (reports, app) = waiting();
    let short = Some(Duration::from_millis(200));
    let server = Server::start_set(
        |config| {
            config.h2_keep_alive_interval = short;
            config.h2_keep_alive_timeout = Duration::from_millis(200);
        },
        app,
    );
    let mut peer = server.connect();
    peer.ignore_pings();
    peer.get(1, "/");
    peer.expect_ping();
    peer.expect_closed();
    assert_eq!(next_report(&reports), DisconnectReason::Lost);
}

#[test]
fn a_client_that_answers_pings_may_be_silent_otherwise() {
    let (_reports, app) = waiting();
    let short = Some(Duration::from_millis(100));
    let server = Server::start_set(
        |config| {
            config.h2_keep_alive_interval = short;
            config.h2_keep_alive_timeout = Duration::from_millis(100);
        },
        app,
    );
    let mut peer = server.connect();
    peer.ignore_pings();
    peer.get(1, "/");
    for _ in 0..2 {
        let ping = peer.expect_ping();
        peer.send(Frame::ping(ping).ack());
    }
    peer.get(3, "/quick");
    peer.expect_response(3, 200);
}

#[test]
fn an_incomplete_header_block_ends_a_new_connection() {
    let short = Duration::from_millis(200);
    let server = Server::start_set(|config| config.header_timeout = short, hello());
    let mut peer = server.connect();
    peer.send(Frame::new(kind::HEADERS, 1, Request::get("/").block()));
    peer.expect_closed();
}

#[test]
fn an_incomplete_header_block_ends_a_used_connection() {
    let short = Duration::from_millis(200);
    let server = Server::start_set(|config| config.header_timeout = short, hello());
    let mut peer = server.connect();
    peer.get(1, "/");
    peer.expect_response(1, 200);
    peer.send(Frame::new(kind::HEADERS, 3, Request::get("/").block()));
    peer.expect_closed();
}

#[test]
fn an_incomplete_header_block_ends_a_busy_connection() {
    let (reports, app) = waiting();
    let short = Duration::from_millis(200);
    let server = Server::start_set(|config| config.header_timeout = short, app);
    let mut peer = server.connect();
    peer.get(1, "/");
    peer.send(Frame::new(kind::HEADERS, 3, Request::get("/").block()));
    peer.expect_closed();
    next_report(&reports);
}

#[test]
fn an_app_that_blocks_its_thread_delays_another_connection_only_while_it_blocks() {
    let server = Server::start(blocking());
    let mut busy = server.connect();
    let mut other = server.connect();
    busy.get(1, "/block");
    server.wait_for_exchanges(1);
    for stream in (1..20).step_by(2) {
        other.settle();
        other.get(stream, "/");
        assert_eq!(other.expect_response(stream, 200).text(), "hello");
    }
    busy.expect_response(1, 200);
}

#[test]
fn an_app_that_blocks_its_thread_delays_its_own_connection_only_while_it_blocks() {
    let server = Server::start(blocking());
    let mut peer = server.connect();
    peer.post(1, "/block-later");
    peer.settle();
    peer.last(1, "now");
    for stream in (3..20).step_by(2) {
        peer.settle();
        peer.get(stream, "/");
        assert_eq!(peer.expect_response(stream, 200).text(), "hello");
    }
    peer.expect_response(1, 200);
}

/// An app that blocks its thread on some paths.
fn blocking() -> impl App {
    http_with((), async |(), mut http: Http| {
        let path = http.scope.path().into_owned();
        if path == "/block-later" {
            let _ = http.body().await;
        }
        if path.starts_with("/block") {
            std::thread::sleep(Duration::from_millis(300));
        }
        http.respond("hello").await
    })
}

#[test]
fn an_abort_sends_a_goaway() {
    let (_reports, app) = waiting();
    let server = Server::start(app);
    let mut peer = server.connect();
    peer.get(1, "/");
    server.wait_for_exchanges(1);
    server.handle().abort();
    peer.expect_goaway(code::NO_ERROR);
    peer.expect_closed();
}

#[test]
fn a_connection_closes_after_a_goaway_of_its_client() {
    let (go, app) = gated();
    let server = Server::start(app);
    let mut peer = server.connect();
    peer.get(1, "/");
    peer.send(Frame::goaway(0, code::NO_ERROR));
    peer.settle();
    go.send(true).unwrap();
    assert_eq!(peer.expect_response(1, 200).text(), "finished");
    peer.expect_closed();
}
