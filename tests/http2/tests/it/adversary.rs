//! Edge cases from reviews that attacked the server.

use std::sync::mpsc;
use std::time::Duration;

use asgi::{HttpResponseEarlyHint, HttpResponsePush, HttpResponseStart};
use bytes::Bytes;
use http::HeaderValue;
use http::uri::PathAndQuery;
use http2::frame::{code, setting};
use http2::{Event, Frame, Request};

use crate::connect::Connect as _;
use test_support::app::hello;
use test_support::blocking::{Server, next_report};
use test_support::{Http, http, http_with};

const MAX_WINDOW: u32 = (1 << 31) - 1;

#[test]
fn a_client_that_does_not_read_large_frames_is_disconnected() {
    let app = http(async |mut http: Http| http.respond(vec![b'x'; 120_000]).await);
    let short = Duration::from_millis(300);
    let server = Server::start_set(
        |config| {
            config.write_timeout = short;
            config.h2_keep_alive_interval = None;
        },
        app,
    );
    let mut peer = server.connect_with(&[
        (setting::INITIAL_WINDOW_SIZE, MAX_WINDOW),
        (setting::MAX_FRAME_SIZE, (1 << 24) - 1),
    ]);
    peer.credit(0, 1 << 30);
    // More than the sockets hold. No app waits in a send, so only the socket shows the stall.
    for stream in (1..200).step_by(2) {
        peer.get(stream, "/");
    }
    server.wait_for_connections(0);
}

/// HTTP-082
#[test]
fn a_hint_after_an_unsent_start_is_sent_before_the_head() {
    let app = http(async |mut http: Http| {
        http.begin().await?;
        let mut hint = HttpResponseEarlyHint::default();
        hint.links.push(HeaderValue::from_static("</a.css>"));
        http.send.send(hint).await?;
        http.last("body").await
    });
    let server = Server::start(app);
    let mut peer = server.connect();
    peer.get(1, "/");
    let hint = peer.expect_status(1, 103);
    assert_eq!(hint.header("link"), Some("</a.css>"));
    // The app waited only for the hint, so the server still knows the length of the body.
    let response = peer.expect_response(1, 200);
    assert_eq!(response.header("content-length"), Some("4"));
}

#[test]
fn a_push_after_the_unsent_start_of_a_head_response_does_not_block_the_app() {
    let (report, reports) = mpsc::channel();
    let app = http_with(report, async |report, mut http: Http| {
        if http.scope.path() == "/pushed" {
            return http.respond("pushed").await;
        }
        http.send.send(HttpResponseStart::ok()).await?;
        let path = PathAndQuery::from_static("/pushed");
        http.send.send(HttpResponsePush::new(path)).await?;
        http.more("not sent").await?;
        http.last("for HEAD").await?;
        report.send("done")?;
        Ok(())
    });
    let server = Server::start(app);
    let mut peer = server.connect();
    peer.request(1, &Request::new("HEAD", "/"));
    assert_eq!(peer.expect_promise(1).0, 2);
    peer.expect_response(1, 200);
    assert_eq!(peer.expect_response(2, 200).text(), "pushed");
    assert_eq!(next_report(&reports), "done");
}

#[test]
fn endless_apps_for_head_requests_are_cancelled() {
    let app = http(async |mut http: Http| {
        http.begin().await?;
        loop {
            http.more("an event").await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let none = Duration::ZERO;
    let server = Server::start_set(|config| config.disconnect_grace = Some(none), app);
    let mut peer = server.connect();
    // Each stream ends with its head, so it does not count towards the limit of streams.
    for stream in (1..400).step_by(2) {
        peer.request(stream, &Request::new("HEAD", "/"));
        peer.expect_response(stream, 200);
    }
    server.wait_for_exchanges(0);
    peer.settle();
}

#[test]
fn a_part_of_four_gibibytes_is_sent() {
    let app = http(async |mut http: Http| {
        http.begin().await?;
        // Only the first few pages of this memory are used.
        http.last(Bytes::from(vec![0; 1 << 32])).await
    });
    let server = Server::start(app);
    let mut peer = server.connect();
    peer.get(1, "/");
    peer.expect_status(1, 200);
    let (part, end) = peer.expect_data(1);
    assert!(!part.is_empty() && !end);
}

#[test]
fn a_client_that_ignores_the_ping_after_a_goaway_cannot_open_more_streams() {
    let none = Duration::ZERO;
    let server = Server::start_set(
        |config| {
            config.keep_alive_max_requests = Some(1);
            config.h2_keep_alive_timeout = none;
        },
        hello(),
    );
    let mut peer = server.connect();
    peer.ignore_pings();
    peer.get(1, "/");
    peer.expect_response(1, 200);
    assert_eq!(peer.expect_goaway(code::NO_ERROR), MAX_WINDOW);
    peer.get(3, "/");
    peer.expect_reset(3, code::REFUSED_STREAM);
    peer.expect_goaway(code::NO_ERROR);
    peer.expect_eof();
}

/// If the client lowers its limit of streams after a promise, h2 keeps the promised response back. If
/// the client then resets the stream, h2 ends the connection and does not report that to the stream.
/// The server once waited for such streams forever, even after an abort.
#[test]
fn an_unreported_promise_does_not_keep_a_closed_connection_open() {
    let app = http(async |mut http: Http| {
        if http.scope.path() != "/" {
            return http.respond(vec![b'p'; 30_000]).await;
        }
        http.begin().await?;
        for n in 0..20 {
            let path = PathAndQuery::try_from(format!("/{n}"))?;
            // The push is refused while the client allows no more streams.
            let _ = http.send.send(HttpResponsePush::new(path)).await;
            http.more(vec![b'x'; 1000]).await?;
            if n % 5 == 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        http.last("end").await
    });
    let server = Server::start(app);
    for _ in 0..100 {
        let mut peer = server.connect_with(&[
            (setting::INITIAL_WINDOW_SIZE, 0),
            (setting::MAX_CONCURRENT_STREAMS, 100),
        ]);
        for stream in [1, 3, 5] {
            peer.get(stream, "/");
        }
        let mut ends = 0;
        for turn in 1.. {
            match peer.next_of_all() {
                Some((_, Event::Promise(promised, _))) => peer.reset(promised, code::CANCEL),
                Some((stream, Event::Head(_))) => peer.credit(stream, 50_000),
                Some((1 | 3 | 5, Event::Data(_, true))) => ends += 1,
                Some((_, Event::Goaway(..))) | None => break,
                _ => {}
            }
            match turn {
                10 => peer.send(Frame::settings(&[(setting::MAX_CONCURRENT_STREAMS, 0)])),
                12 => peer.send(Frame::settings(&[(setting::MAX_CONCURRENT_STREAMS, 100)])),
                _ => {}
            }
            if ends == 3 {
                break;
            }
        }
    }
    server.wait_for_connections(0);
}
