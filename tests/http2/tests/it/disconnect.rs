//! What an app learns if its client leaves.

use std::sync::mpsc;
use std::time::Duration;

use asgi::{App, DisconnectReason, SendError};
use http2::frame::code;

use crate::connect::Connect as _;
use test_support::blocking::{Server, eventually, next_report};
use test_support::{Http, http_with};

/// Reads the body and reports its length or the disconnect. Responds to "/quick" at once.
fn uploads() -> (mpsc::Receiver<Result<usize, DisconnectReason>>, impl App) {
    let (report, reports) = mpsc::channel();
    let app = http_with(report, async |report, mut http: Http| {
        if http.scope.path() == "/quick" {
            return http.respond("quick").await;
        }
        let body = http.body().await;
        let failed = body.is_err();
        report.send(body.map(|(body, _)| body.len()))?;
        if failed {
            return Ok(());
        }
        http.respond("").await
    });
    (reports, app)
}

/// Sends until a send fails, and reports the error.
fn downloads() -> (mpsc::Receiver<SendError>, impl App) {
    let (report, reports) = mpsc::channel();
    let app = http_with(report, async |report, mut http: Http| {
        http.begin().await?;
        loop {
            let part = asgi::HttpResponseBody::more(vec![b'x'; 1_000]);
            if let Err(error) = http.send.send(part).await {
                report.send(error)?;
                return Ok(());
            }
        }
    });
    (reports, app)
}

/// HTTP-044, HTTP-081
#[test]
fn a_reset_is_a_disconnect_with_its_code_for_its_exchange_only() {
    let (reports, app) = uploads();
    let server = Server::start(app);
    let mut peer = server.connect();
    peer.post(1, "/");
    peer.post(3, "/");
    server.wait_for_exchanges(2);
    peer.reset(1, 0x77);
    assert_eq!(next_report(&reports), Err(DisconnectReason::Reset(0x77)));
    peer.last(3, "body");
    peer.expect_response(3, 200);
    assert_eq!(next_report(&reports), Ok(4));
}

#[test]
fn the_body_of_a_reset_upload_is_not_complete() {
    let (reports, app) = uploads();
    let server = Server::start(app);
    let mut peer = server.connect();
    peer.post(1, "/");
    peer.data(1, "half");
    server.wait_for_exchanges(1);
    peer.reset(1, code::NO_ERROR);
    assert_eq!(
        next_report(&reports),
        Err(DisconnectReason::Reset(code::NO_ERROR.into()))
    );
}

#[test]
fn a_reset_fails_the_apps_sends_with_its_code() {
    let (reports, app) = downloads();
    let server = Server::start(app);
    let mut peer = server.connect();
    peer.get(1, "/");
    peer.expect_status(1, 200);
    peer.reset(1, code::CANCEL);
    let reason = next_report(&reports).disconnect_reason();
    assert_eq!(reason, Some(DisconnectReason::Reset(code::CANCEL.into())));
    peer.settle();
}

#[test]
fn a_reset_wakes_an_app_that_waits_for_the_window() {
    let (reports, app) = downloads();
    let server = Server::start(app);
    let mut peer = server.connect();
    peer.get(1, "/");
    peer.expect_status(1, 200);
    peer.expect_bytes(1, 65_535);
    peer.expect_nothing(1);
    peer.reset(1, code::CANCEL);
    assert!(next_report(&reports).is_disconnected());
}

#[test]
fn a_reset_after_the_response_changes_nothing() {
    let (_reports, app) = uploads();
    let server = Server::start(app);
    let mut peer = server.connect();
    for stream in [1, 3, 5] {
        peer.get(stream, "/quick");
        peer.expect_response(stream, 200);
        peer.reset(stream, code::CANCEL);
    }
    peer.get(7, "/quick");
    peer.expect_response(7, 200);
}

#[test]
fn a_closed_connection_is_a_disconnect_for_every_exchange() {
    let (reports, app) = uploads();
    let server = Server::start(app);
    let mut peer = server.connect();
    for stream in (1..10).step_by(2) {
        peer.post(stream, "/");
    }
    server.wait_for_exchanges(5);
    drop(peer);
    for _ in 0..5 {
        let reason = next_report(&reports).unwrap_err();
        let gone = [DisconnectReason::Lost, DisconnectReason::Closed];
        assert!(gone.contains(&reason), "{reason:?}");
    }
    eventually("everything has ended", || {
        let statistics = server.handle().statistics();
        statistics.connections == 0 && statistics.exchanges == 0
    });
}

#[test]
fn a_lost_connection_fails_its_downloads() {
    let (reports, app) = downloads();
    let server = Server::start(app);
    let mut peer = server.connect();
    peer.get(1, "/");
    peer.get(3, "/");
    peer.expect_status(1, 200);
    peer.expect_status(3, 200);
    drop(peer);
    for _ in 0..2 {
        assert!(next_report(&reports).is_disconnected());
    }
    server.wait_for_connections(0);
}

#[test]
fn a_client_that_half_closes_has_left() {
    let (reports, app) = uploads();
    let server = Server::start(app);
    let mut peer = server.connect();
    peer.post(1, "/");
    server.wait_for_exchanges(1);
    peer.shut();
    assert!(next_report(&reports).is_err());
    peer.expect_closed();
}

#[test]
fn a_connection_error_is_a_disconnect_for_every_exchange() {
    let (reports, app) = uploads();
    let server = Server::start(app);
    let mut peer = server.connect();
    peer.post(1, "/");
    peer.post(3, "/");
    server.wait_for_exchanges(2);
    peer.data(0, "on no stream");
    peer.expect_goaway(code::PROTOCOL_ERROR);
    for _ in 0..2 {
        assert_eq!(next_report(&reports), Err(DisconnectReason::ProtocolError));
    }
    peer.expect_closed();
}

#[test]
fn an_app_that_ignores_its_disconnect_is_cancelled_after_its_grace() {
    let app = http_with((), async |(), _http: Http| {
        std::future::pending::<()>().await;
        Ok(())
    });
    let grace = Some(Duration::from_millis(100));
    let server = Server::start_set(|config| config.disconnect_grace = grace, app);
    let mut peer = server.connect();
    peer.get(1, "/");
    server.wait_for_exchanges(1);
    peer.reset(1, code::CANCEL);
    server.wait_for_exchanges(0);
    peer.settle();
}

#[test]
fn a_cancelled_upload_frees_its_stream() {
    let (reports, app) = uploads();
    let server = Server::start_set(|config| config.h2_max_concurrent_streams = 1, app);
    let mut peer = server.connect();
    for stream in (1..30).step_by(2) {
        peer.post(stream, "/");
        peer.data(stream, "half");
        server.wait_for_exchanges(1);
        peer.reset(stream, code::CANCEL);
        assert_eq!(
            next_report(&reports),
            Err(DisconnectReason::Reset(code::CANCEL.into()))
        );
    }
    peer.get(31, "/quick");
    peer.expect_response(31, 200);
}

#[test]
fn a_reset_upload_gives_its_unread_bytes_back_to_the_connection() {
    let app = http_with((), async |(), mut http: Http| {
        if http.scope.path() == "/unread" {
            http.send.closed().await;
            return Ok(());
        }
        let (body, _) = http.body().await.unwrap();
        http.respond(body.len().to_string()).await
    });
    let server = Server::start_set(
        |config| {
            config.h2_stream_window = 65_535;
            config.h2_max_concurrent_streams = 1;
        },
        app,
    );
    let mut peer = server.connect();
    // Without the credit for the reset uploads, the fourth round would have no window.
    let mut sent = 0;
    for round in 0..10 {
        let (unread, read) = (4 * round + 1, 4 * round + 3);
        peer.post(unread, "/unread");
        for stream in [unread, unread, read] {
            sent += 16_000;
            if sent > 65_535 {
                peer.expect_credit(0, sent - 65_535);
            }
            if stream == read {
                peer.reset(unread, code::CANCEL);
                peer.post(read, "/");
            }
            peer.data(stream, vec![b'x'; 16_000]);
        }
        peer.last(read, "");
        assert_eq!(peer.expect_response(read, 200).text(), "16000");
    }
}
