//! Flow control.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use asgi::{App, DisconnectReason, ReceiveEvent};
use http2::frame::{code, setting};
use http2::{Event, Frame, Peer};
use tokio::sync::watch;

use crate::connect::Connect as _;
use test_support::app::{echo, hello};
use test_support::blocking::{Server, next_report};
use test_support::{Http, http, http_with};

const MAX_WINDOW: u32 = (1 << 31) - 1;
const INITIAL: u16 = setting::INITIAL_WINDOW_SIZE;

/// Responds with the number of bytes in the path.
fn counted() -> impl App {
    http(async |mut http: Http| {
        let length: usize = http.scope.path()[1..].parse()?;
        http.respond(vec![b'x'; length]).await
    })
}

/// Waits for the gate, then reads the body and responds with its length.
fn gated_reader() -> (watch::Sender<bool>, impl App) {
    let (go, gate) = watch::channel(false);
    let app = http_with(gate, async |mut gate, mut http: Http| {
        if http.scope.path() == "/gated" {
            gate.wait_for(|open| *open).await?;
        }
        match http.body().await {
            Ok((body, _)) => http.respond(body.len().to_string()).await,
            Err(_) => Ok(()),
        }
    });
    (go, app)
}

#[test]
fn a_stream_whose_window_opens_byte_by_byte_gets_its_whole_body() {
    let server = Server::start(counted());
    let mut peer = server.connect_with(&[(INITIAL, 0)]);
    peer.get(1, "/50");
    peer.expect_status(1, 200);
    peer.expect_nothing(1);
    for at in 1..=50 {
        peer.credit(1, 1);
        assert_eq!(peer.expect_data(1), (vec![b'x'], at == 50));
    }
}

#[test]
fn a_window_of_zero_does_not_block_heads_and_empty_bodies() {
    let server = Server::start(counted());
    let mut peer = server.connect_with(&[(INITIAL, 0)]);
    peer.get(1, "/0");
    peer.expect_response(1, 200);
    peer.get(3, "/1");
    peer.expect_status(3, 200);
    peer.expect_nothing(3);
}

#[test]
fn a_stream_without_a_window_does_not_block_others() {
    let server = Server::start(counted());
    let mut peer = server.connect_with(&[(INITIAL, 1_000)]);
    peer.get(1, "/1000000");
    peer.expect_status(1, 200);
    peer.expect_bytes(1, 1_000);
    for stream in (3..23).step_by(2) {
        peer.get(stream, "/1000");
        peer.expect_response(stream, 200);
    }
    peer.expect_nothing(1);
}

#[test]
fn a_connection_continues_when_its_window_opens() {
    let server = Server::start(counted());
    let mut peer = server.connect_with(&[(INITIAL, MAX_WINDOW)]);
    peer.get(1, "/100000");
    peer.get(3, "/100000");
    peer.expect_status(1, 200);
    peer.expect_status(3, 200);
    let (mut one, mut three) = (0, 0);
    while one + three < 65_535 {
        match peer.next_of_all() {
            Some((1, Event::Data(data, false))) => one += data.len(),
            Some((3, Event::Data(data, false))) => three += data.len(),
            other => peer.fail(format_args!("{other:?}")),
        }
    }
    peer.settle();
    peer.expect_nothing(1);
    peer.expect_nothing(3);
    peer.credit(0, 200_000);
    let mut ends = 0;
    while ends < 2 {
        match peer.next_of_all() {
            Some((stream, Event::Data(data, end))) => {
                let length = if stream == 1 { &mut one } else { &mut three };
                *length += data.len();
                ends += usize::from(end);
            }
            other => peer.fail(format_args!("{other:?}")),
        }
    }
    assert_eq!((one, three), (100_000, 100_000));
}

#[test]
fn a_larger_initial_window_reaches_waiting_streams() {
    let server = Server::start(counted());
    let mut peer = server.connect_with(&[(INITIAL, 10)]);
    peer.get(1, "/30");
    peer.expect_status(1, 200);
    peer.expect_bytes(1, 10);
    peer.send(Frame::settings(&[(INITIAL, 25)]));
    peer.expect_settings_ack();
    peer.expect_bytes(1, 15);
    // Now the window of the stream is negative.
    peer.send(Frame::settings(&[(INITIAL, 0)]));
    peer.expect_settings_ack();
    peer.credit(1, 25);
    peer.expect_nothing(1);
    peer.credit(1, 5);
    assert_eq!(peer.expect_data(1), (vec![b'x'; 5], true));
}

#[test]
fn an_idle_stream_reserves_no_window_of_the_connection() {
    let (go, gate) = watch::channel(false);
    let app = http_with(gate, async |mut gate, mut http: Http| {
        if http.scope.path() == "/idle" {
            http.begin().await?;
            http.more("x").await?;
            gate.wait_for(|open| *open).await?;
            return http.last("").await;
        }
        http.respond(vec![b'x'; 65_525]).await
    });
    let server = Server::start(app);
    let mut peer = server.connect();
    for stream in (1..20).step_by(2) {
        peer.get(stream, "/idle");
        peer.expect_status(stream, 200);
        peer.expect_bytes(stream, 1);
    }
    // The rest of the connection's 65,535 bytes.
    peer.get(21, "/");
    assert_eq!(peer.expect_response(21, 200).body.len(), 65_525);
    go.send(true).unwrap();
    for stream in (1..20).step_by(2) {
        assert_eq!(peer.expect_data(stream), (Vec::new(), true));
    }
}

#[test]
fn a_response_outlives_the_app_that_sent_it() {
    let server = Server::start(counted());
    let mut peer = server.connect();
    peer.get(1, "/300000");
    peer.expect_status(1, 200);
    peer.expect_bytes(1, 65_535);
    server.wait_for_exchanges(0);
    peer.credit(0, 300_000);
    peer.credit(1, 300_000);
    let mut length = 65_535;
    loop {
        let (data, end) = peer.expect_data(1);
        length += data.len();
        if end {
            break;
        }
    }
    assert_eq!(length, 300_000);
}

#[test]
fn an_app_waits_for_its_slow_client() {
    let sent = Arc::new(AtomicUsize::new(0));
    let app = http_with(Arc::clone(&sent), async |sent, mut http: Http| {
        http.begin().await?;
        loop {
            sent.fetch_add(16_384, Ordering::Relaxed);
            http.more(vec![b'x'; 16_384]).await?;
        }
    });
    let server = Server::start(app);
    let mut peer = server.connect();
    peer.get(1, "/");
    peer.expect_status(1, 200);
    peer.expect_bytes(1, 65_535);
    peer.expect_nothing(1);
    let so_far = sent.load(Ordering::Relaxed);
    assert!(so_far <= 256 * 1024, "the app sent {so_far} bytes ahead");
    peer.credit(0, 65_535);
    peer.credit(1, 65_535);
    peer.expect_bytes(1, 65_535);
    peer.reset(1, code::CANCEL);
}

#[test]
fn an_unread_upload_does_not_block_other_uploads() {
    let (go, app) = gated_reader();
    let server = Server::start(app);
    let mut peer = server.connect();
    peer.post(1, "/gated");
    for _ in 0..16 {
        peer.data(1, vec![b'x'; 16_384]);
    }
    peer.settle();
    for stream in (3..13).step_by(2) {
        peer.post(stream, "/");
        for _ in 0..16 {
            peer.data(stream, vec![b'x'; 16_384]);
        }
        peer.last(stream, "");
        assert_eq!(peer.expect_response(stream, 200).text(), "262144");
    }
    assert_eq!(peer.credit_of(1), 0);
    go.send(true).unwrap();
    peer.expect_credit(1, 131_072);
    peer.last(1, "");
    assert_eq!(peer.expect_response(1, 200).text(), "262144");
}

#[test]
fn a_cancelled_upload_gives_its_credit_back_though_its_app_reads_nothing() {
    let (_go, app) = gated_reader();
    let server = Server::start_set(
        |config| {
            config.h2_stream_window = 65_535;
            config.h2_max_concurrent_streams = 2;
        },
        app,
    );
    let mut peer = server.connect();
    // Together far more than the connection's window of 131,070 bytes.
    let mut sent = 0;
    let mut upload = |peer: &mut Peer, stream| {
        for _ in 0..4 {
            sent += 16_000;
            peer.expect_credit(0, u64::saturating_sub(sent, 65_535));
            peer.data(stream, vec![b'x'; 16_000]);
        }
    };
    for stream in (1..41).step_by(2) {
        peer.post(stream, "/gated");
        upload(&mut peer, stream);
        peer.settle();
        peer.reset(stream, code::CANCEL);
    }
    server.wait_for_exchanges(20);
    peer.post(41, "/");
    upload(&mut peer, 41);
    peer.last(41, "");
    assert_eq!(peer.expect_response(41, 200).text(), "64000");
}

/// Waits for the gate, then reads the body. Responds with the number of its parts, and how often it was
/// polled for them.
fn gated_counter() -> (watch::Sender<bool>, impl App) {
    let (go, gate) = watch::channel(false);
    let app = http_with(gate, async |mut gate, mut http: Http| {
        gate.wait_for(|open| *open).await?;
        let mut polls = 0;
        let parts = {
            let mut parts = pin!(async {
                let mut parts = 0;
                while let ReceiveEvent::HttpRequest(part) = http.receive.receive().await {
                    parts += 1;
                    if !part.more_body {
                        break;
                    }
                }
                parts
            });
            let parts = poll_fn(|cx| {
                polls += 1;
                parts.as_mut().poll(cx)
            });
            parts.await
        };
        http.respond(format!("{parts} {polls}")).await
    });
    (go, app)
}

#[test]
fn a_loop_over_parts_that_are_all_there_yields_now_and_then() {
    let (go, app) = gated_counter();
    let server = Server::start_set(|config| config.h2_stream_window = 1 << 20, app);
    let mut peer = server.connect();
    peer.expect_credit(0, 1 << 20);
    peer.post(1, "/");
    for _ in 0..1_000 {
        peer.data(1, vec![b'x'; 256]);
    }
    peer.last(1, "");
    peer.settle();
    go.send(true).unwrap();
    assert_eq!(peer.expect_response(1, 200).text(), "1001 8");
}

#[test]
fn frames_of_one_byte_that_wait_for_the_app_are_one_part() {
    let (go, app) = gated_counter();
    let server = Server::start(app);
    let mut peer = server.connect();
    peer.post(1, "/");
    for _ in 0..4_000 {
        peer.data(1, "x");
    }
    peer.last(1, "");
    peer.settle();
    go.send(true).unwrap();
    assert_eq!(peer.expect_response(1, 200).text(), "1 1");
}

#[test]
fn more_frames_of_one_byte_than_may_wait_end_the_connection() {
    let (_go, app) = gated_counter();
    let server = Server::start(app);
    let mut peer = server.connect();
    peer.post(1, "/");
    peer.flood((0..8 * 1024 + 1).map(|_| Frame::data(1, "x")));
    peer.expect_connection_error(code::ENHANCE_YOUR_CALM);
}

#[test]
fn the_server_gives_credit_only_for_bytes_that_the_app_has_received() {
    let (report, reports) = mpsc::channel();
    let (go, gate) = watch::channel(0);
    let app = http_with(
        (report, gate),
        async |(report, mut gate), mut http: Http| {
            for round in 1.. {
                gate.wait_for(|open| *open >= round).await?;
                match http.receive.receive().await {
                    ReceiveEvent::HttpRequest(part) => {
                        report.send(part.body.len())?;
                        if !part.more_body {
                            break;
                        }
                    }
                    other => panic!("{other:?}"),
                }
            }
            http.respond("").await
        },
    );
    let server = Server::start_set(|config| config.h2_stream_window = 65_535, app);
    let mut peer = server.connect();
    peer.post(1, "/");
    for _ in 0..4 {
        peer.data(1, vec![b'x'; 16_000]);
    }
    peer.settle();
    peer.settle();
    assert_eq!(peer.credit_of(1), 0);
    go.send(3).unwrap();
    for _ in 0..3 {
        assert_eq!(next_report(&reports), 16_000);
    }
    // h2 gives credit in steps of half a window.
    peer.expect_credit(1, 32_768);
    peer.settle();
    assert!(peer.credit_of(1) <= 48_000, "{}", peer.credit_of(1));
    go.send(9).unwrap();
    peer.last(1, "");
    peer.expect_response(1, 200);
}

#[test]
fn the_server_gives_credit_for_padding_too() {
    let server = Server::start_set(|config| config.h2_stream_window = 65_535, echo());
    let mut peer = server.connect();
    peer.post(1, "/");
    let mut sent = 0;
    for _ in 0..600 {
        sent += 257;
        if sent > 65_535 {
            peer.expect_credit(1, sent - 65_535);
        }
        peer.send(Frame::data(1, "x").padded(255));
    }
    peer.last(1, "");
    assert_eq!(peer.expect_response(1, 200).body.len(), 600);
}

#[test]
fn data_above_the_window_of_a_stream_is_an_error() {
    let (_go, app) = gated_reader();
    let server = Server::start_set(|config| config.h2_stream_window = 20_000, app);
    let mut peer = server.connect();
    peer.post(1, "/gated");
    peer.data(1, vec![b'x'; 16_000]);
    peer.data(1, vec![b'x'; 4_001]);
    peer.expect_refusal(1, code::FLOW_CONTROL_ERROR);
}

#[test]
fn data_above_the_window_of_the_connection_is_an_error() {
    let (_go, app) = gated_reader();
    let server = Server::start_set(
        |config| {
            config.h2_stream_window = 65_535;
            config.h2_max_concurrent_streams = 1;
        },
        app,
    );
    let mut peer = server.connect();
    peer.post(1, "/gated");
    for _ in 0..5 {
        peer.data(1, vec![b'x'; 16_000]);
    }
    peer.expect_refusal(1, code::FLOW_CONTROL_ERROR);
}

#[test]
fn a_window_of_a_stream_that_overflows_resets_it() {
    let (_go, app) = gated_reader();
    let server = Server::start(app);
    let mut peer = server.connect();
    peer.post(1, "/gated");
    peer.credit(1, MAX_WINDOW);
    peer.expect_reset(1, code::FLOW_CONTROL_ERROR);
    peer.settle();
}

#[test]
fn a_window_of_the_connection_that_overflows_ends_it() {
    let server = Server::start(hello());
    let mut peer = server.connect();
    peer.credit(0, MAX_WINDOW);
    peer.expect_connection_error(code::FLOW_CONTROL_ERROR);
}

#[test]
fn an_initial_window_that_overflows_a_streams_window_ends_the_connection() {
    let (_go, app) = gated_reader();
    let server = Server::start(app);
    let mut peer = server.connect();
    peer.post(1, "/gated");
    peer.credit(1, MAX_WINDOW - 65_535);
    peer.settle();
    peer.send(Frame::settings(&[(INITIAL, 65_536)]));
    peer.expect_connection_error(code::FLOW_CONTROL_ERROR);
}

#[test]
fn an_initial_window_above_the_maximum_ends_the_connection() {
    let server = Server::start(hello());
    let mut peer = server.connect();
    peer.send(Frame::settings(&[(INITIAL, 1 << 31)]));
    peer.expect_connection_error(code::FLOW_CONTROL_ERROR);
}

#[test]
fn a_window_update_of_zero_for_a_stream_is_refused() {
    let (_go, app) = gated_reader();
    let server = Server::start(app);
    let mut peer = server.connect();
    peer.post(1, "/gated");
    peer.credit(1, 0);
    peer.expect_refusal(1, code::PROTOCOL_ERROR);
}

#[test]
fn a_window_update_of_zero_for_the_connection_ends_it() {
    let server = Server::start(hello());
    let mut peer = server.connect();
    peer.credit(0, 0);
    peer.expect_connection_error(code::PROTOCOL_ERROR);
}

#[test]
fn a_hundred_streams_at_once_are_served() {
    let (go, app) = gated_reader();
    let server = Server::start(app);
    let mut peer = server.connect();
    for stream in (1..200).step_by(2) {
        peer.post(stream, "/gated");
        peer.last(stream, "hello");
    }
    server.wait_for_exchanges(100);
    go.send(true).unwrap();
    for stream in (1..200).step_by(2) {
        assert_eq!(peer.expect_response(stream, 200).text(), "5");
    }
}

#[test]
fn a_stream_above_the_limit_is_refused_and_the_others_continue() {
    let (go, app) = gated_reader();
    let server = Server::start_set(|config| config.h2_max_concurrent_streams = 3, app);
    let mut peer = server.connect();
    for stream in [1, 3, 5, 7] {
        peer.post(stream, "/gated");
    }
    peer.expect_reset(7, code::REFUSED_STREAM);
    go.send(true).unwrap();
    for stream in [1, 3, 5] {
        peer.last(stream, "hello");
        assert_eq!(peer.expect_response(stream, 200).text(), "5");
    }
    peer.post(9, "/gated");
    peer.last(9, "");
    peer.expect_response(9, 200);
}

#[test]
fn a_client_that_opens_its_window_byte_by_byte_reads_too_slowly() {
    let set = |config: &mut ferricorn::Config| config.write_timeout = Duration::from_millis(400);
    let server = Server::start_set(set, counted());
    let mut peer = server.connect_with(&[(INITIAL, 0)]);
    peer.get(1, "/1000");
    peer.expect_status(1, 200);
    for _ in 0..100 {
        peer.credit(1, 1);
        match peer.next(1) {
            Event::Data(data, false) => assert_eq!(data, b"x"),
            Event::Reset(code) => return assert_eq!(code, code::CANCEL),
            other => peer.fail(format_args!("{other:?}")),
        }
        // The client's pace is what the test is about.
        std::thread::sleep(Duration::from_millis(50));
    }
    peer.fail("no reset after five seconds");
}

#[test]
fn a_write_timeout_resets_only_its_stream() {
    let (report, reports) = mpsc::channel();
    let app = http_with(report, async |report, mut http: Http| {
        if http.scope.path() == "/quick" {
            return http.respond("quick").await;
        }
        http.begin().await?;
        while http.more(vec![b'x'; 16_384]).await.is_ok() {}
        report.send(http.disconnect().await)?;
        Ok(())
    });
    let short = Duration::from_millis(300);
    let server = Server::start_set(|config| config.write_timeout = short, app);
    let mut peer = server.connect_with(&[(INITIAL, 10_000)]);
    peer.get(1, "/");
    peer.expect_status(1, 200);
    peer.expect_bytes(1, 10_000);
    peer.expect_reset(1, code::CANCEL);
    assert_eq!(next_report(&reports), DisconnectReason::TimedOut);
    peer.get(3, "/quick");
    assert_eq!(peer.expect_response(3, 200).text(), "quick");
}

#[test]
fn a_slow_client_that_reads_in_time_is_not_reset() {
    let server = Server::start_set(
        |config| {
            config.write_timeout = Duration::from_millis(700);
            config.min_read_rate = 0;
        },
        counted(),
    );
    let mut peer = server.connect_with(&[(INITIAL, 0)]);
    peer.get(1, "/16");
    peer.expect_status(1, 200);
    for at in 1..=16 {
        // The client is slow on purpose.
        std::thread::sleep(Duration::from_millis(100));
        peer.credit(1, 1);
        assert_eq!(peer.expect_data(1), (vec![b'x'], at == 16));
    }
}

#[test]
fn a_client_that_stops_reading_is_disconnected() {
    let (report, reports) = mpsc::channel();
    let app = http_with(report, async |report, mut http: Http| {
        http.begin().await?;
        while http.more(vec![b'x'; 65_536]).await.is_ok() {}
        report.send(http.disconnect().await)?;
        Ok(())
    });
    let short = Duration::from_millis(300);
    let server = Server::start_set(|config| config.write_timeout = short, app);
    let mut peer = server.connect_with(&[(INITIAL, MAX_WINDOW)]);
    peer.credit(0, 1 << 30);
    peer.get(1, "/");
    next_report(&reports);
    server.wait_for_connections(0);
}

#[test]
fn a_body_that_stops_arriving_is_a_408_for_its_stream_only() {
    let short = Duration::from_millis(300);
    let server = Server::start_set(|config| config.body_timeout = short, echo());
    let mut peer = server.connect();
    peer.post(1, "/");
    peer.data(1, "half");
    peer.expect_response(1, 408);
    peer.post(3, "/");
    peer.last(3, "whole");
    assert_eq!(peer.expect_response(3, 200).text(), "whole");
}

#[test]
fn the_body_timeout_does_not_run_while_the_app_does_not_receive() {
    let (go, app) = gated_reader();
    let short = Duration::from_millis(100);
    let server = Server::start_set(|config| config.body_timeout = short, app);
    let mut peer = server.connect();
    peer.post(1, "/gated");
    peer.post(3, "/");
    // If stream 1 had a running timeout, it would get its 408 at the same time.
    peer.expect_response(3, 408);
    peer.last(1, "hello");
    go.send(true).unwrap();
    assert_eq!(peer.expect_response(1, 200).text(), "5");
}

#[test]
fn a_full_server_answers_503_with_retry_after() {
    let (go, app) = gated_reader();
    let server = Server::start_set(|config| config.max_exchanges = 2, app);
    let mut peer: Peer = server.connect();
    for stream in [1, 3, 5] {
        peer.post(stream, "/gated");
    }
    let refused = peer.expect_response(5, 503);
    assert_eq!(refused.header("retry-after"), Some("1"));
    go.send(true).unwrap();
    for stream in [1, 3] {
        peer.last(stream, "");
        peer.expect_response(stream, 200);
    }
}
