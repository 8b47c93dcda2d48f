//! Clients that leave, and how their apps learn of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use asgi::{AppError, DisconnectReason, HttpResponseBody, ReceiveEvent, SendError};
use ferricorn::Config;
use tokio::sync::watch;
use tokio::time::Instant;

use test_support::app::{Dropped, channel};
use test_support::{Http, Server, eventually, http_with, run, within};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// How long the server may take to notice that a client has left.
const NOTICED: Duration = Duration::from_secs(2);

/// HTTP-041: hyper alone never notices a client that leaves while its upload is unread.
#[test]
fn an_app_that_never_reads_its_body_learns_of_a_disconnect_within_two_seconds() {
    run(async {
        let (report, mut reasons) = channel();
        let app = http_with(report, async |report, mut http: Http| {
            report.send(http.send.closed().await)?;
            Ok(())
        });
        let server = Server::start(app).await;
        for request in [
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\nhalf",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nfour",
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            // With a byte of the next request.
            "GET / HTTP/1.1\r\nhost: a\r\n\r\nG",
            GET,
        ] {
            let mut client = server.connect().await;
            client.write(request).await;
            server.wait_for_exchanges(1).await;
            client.half_close().await;
            let left = Instant::now();
            let reason = within("the disconnect", reasons.recv()).await.unwrap();
            assert_eq!(reason, DisconnectReason::Closed, "{request:?}");
            assert!(
                left.elapsed() < NOTICED,
                "{:?} for {request:?}",
                left.elapsed()
            );
            drop(client);
            server.wait_for_exchanges(0).await;
            // The server logs no error, as the app did nothing wrong.
        }
    });
}

/// HTTP-041, HTTP-042
#[test]
fn after_a_half_close_the_response_is_still_written() {
    run(async {
        let (report, mut reasons) = channel();
        let app = http_with(report, async |report, mut http: Http| {
            report.send(http.disconnect().await)?;
            http.begin().await?;
            http.more("still ").await?;
            http.last("here").await
        });
        let server = Server::start(app).await;
        let mut client = server.connect().await;
        client.get("/").await;
        client.half_close().await;
        assert_eq!(client.expect_response(200).await.body, "still here");
        client.expect_eof().await;
        assert_eq!(reasons.recv().await, Some(DisconnectReason::Closed));
    });
}

/// HTTP-041: the close does not lose the body before it.
#[test]
fn a_body_before_a_half_close_is_received_first() {
    run(async {
        let (go, gate) = watch::channel(false);
        let app = http_with(gate, async |mut gate, mut http: Http| {
            gate.wait_for(|open| *open).await?;
            let body = http.receive.body(100).await?;
            assert!(matches!(
                http.receive.receive().await,
                ReceiveEvent::HttpDisconnect(_)
            ));
            http.respond(body).await
        });
        let server = Server::start(app).await;
        let mut client = server.connect().await;
        client
            .write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nfour")
            .await;
        client.half_close().await;
        go.send(true).unwrap();
        assert_eq!(client.expect_response(200).await.body, "four");
    });
}

/// HTTP-043, CORE-015, HTTP-037
#[test]
fn after_a_reset_a_send_fails_as_disconnected_and_nothing_is_logged() {
    run(async {
        let (errors, mut received) = channel::<SendError>();
        let app = http_with(errors, async |errors, mut http: Http| {
            http.begin().await?;
            let error = loop {
                let part = HttpResponseBody::more(vec![b'x'; 1000]);
                if let Err(error) = http.send.send(part).await {
                    break error;
                }
                tokio::task::yield_now().await;
            };
            errors.send(error.clone())?;
            Err(error.into())
        });
        let server = Server::start(app).await;
        let mut client = server.connect().await;
        client.get("/").await;
        client.expect_head(200).await;
        client.reset();
        let error = within("the failure", received.recv()).await.unwrap();
        assert!(error.is_disconnected(), "{error}");
        server.wait_for_exchanges(0).await;
    });
}

/// HTTP-043
#[test]
fn a_waiting_app_learns_of_a_reset() {
    run(async {
        let (report, mut reasons) = channel();
        let app = http_with(report, async |report, mut http: Http| {
            report.send(http.disconnect().await)?;
            Ok(())
        });
        let server = Server::start(app).await;
        let mut client = server.connect().await;
        client.get("/").await;
        server.wait_for_exchanges(1).await;
        client.reset();
        let reason = within("the disconnect", reasons.recv()).await.unwrap();
        assert_eq!(reason, DisconnectReason::Lost);
    });
}

/// CORE-008, HTTP-046
#[test]
fn the_disconnect_is_repeated_for_every_receive() {
    run(async {
        let (report, mut reasons) = channel();
        let app = http_with(report, async |report, mut http: Http| {
            for _ in 0..3 {
                report.send(http.disconnect().await)?;
            }
            report.send(http.send.closed().await)?;
            Ok(())
        });
        let server = Server::start(app).await;
        let mut client = server.connect().await;
        client.get("/").await;
        client.half_close().await;
        for _ in 0..4 {
            let reason = within("the disconnect", reasons.recv()).await.unwrap();
            assert_eq!(reason, DisconnectReason::Closed);
        }
    });
}

/// An app that never ends. It reports when it starts, when it is disconnected and when it is dropped.
async fn endless(reports: Reports, mut http: Http) -> Result<(), AppError> {
    let _dropped = Dropped::new(reports.0.clone(), "dropped");
    let _ = reports.0.send("started");
    http.disconnect().await;
    let _ = reports.0.send("disconnected");
    std::future::pending().await
}

#[derive(Clone)]
struct Reports(tokio::sync::mpsc::UnboundedSender<&'static str>);

/// HTTP-047, HTTP-084
#[test]
fn an_app_whose_client_has_left_is_cancelled_after_its_grace() {
    run(async {
        for reset in [false, true] {
            let (report, mut received) = channel();
            let mut config = Config::default();
            config.disconnect_grace = Some(Duration::from_millis(300));
            let server = Server::start_with(config, http_with(Reports(report), endless)).await;
            let mut client = server.connect().await;
            client.get("/").await;
            assert_eq!(within("the app", received.recv()).await, Some("started"));
            let left = Instant::now();
            let half_closed = if reset {
                client.reset();
                None
            } else {
                client.half_close().await;
                Some(client)
            };
            assert_eq!(
                within("the disconnect", received.recv()).await,
                Some("disconnected")
            );
            assert_eq!(
                within("the end of the grace", received.recv()).await,
                Some("dropped")
            );
            assert!(
                left.elapsed() >= Duration::from_millis(250),
                "{:?}",
                left.elapsed()
            );
            // HTTP-048: a client that still reads gets no response, and no clean end of one.
            if let Some(mut client) = half_closed {
                client.expect_end().await;
            }
            let server = server.handle();
            eventually("nothing runs", || {
                let now = server.statistics();
                (now.connections, now.exchanges, now.detached) == (0, 0, 0)
            })
            .await;
        }
    });
}

/// HTTP-047
#[test]
fn without_a_grace_limit_an_app_may_run_forever() {
    run(async {
        let (report, mut received) = channel();
        let (go, gate) = watch::channel(false);
        let mut config = Config::default();
        config.disconnect_grace = None;
        let app = http_with(
            (Reports(report), gate),
            async |(reports, mut gate), mut http: Http| {
                http.disconnect().await;
                gate.wait_for(|open| *open).await?;
                reports.0.send("finished")?;
                Ok(())
            },
        );
        let server = Server::start_with(config, app).await;
        let mut client = server.connect().await;
        client.get("/").await;
        let handle = server.handle();
        server.wait_for_exchanges(1).await;
        client.reset();
        eventually("the app is detached", || handle.statistics().detached == 1).await;
        go.send(true).unwrap();
        assert_eq!(within("the app", received.recv()).await, Some("finished"));
        eventually("nothing is detached", || handle.statistics().detached == 0).await;
    });
}

#[test]
fn detached_apps_count_towards_the_limit_of_exchanges() {
    run(async {
        let (go, gate) = watch::channel(false);
        let mut config = Config::default();
        config.max_exchanges = 1;
        let app = http_with(gate, async |mut gate, mut http: Http| {
            gate.wait_for(|open| *open).await?;
            http.respond("served").await
        });
        let server = Server::start_with(config, app).await;
        let handle = server.handle();
        let mut first = server.connect().await;
        first.get("/").await;
        server.wait_for_exchanges(1).await;
        first.reset();
        eventually("the app is detached", || handle.statistics().detached == 1).await;
        assert_eq!(handle.statistics().exchanges, 1);

        let mut second = server.connect().await;
        second.get("/").await;
        let response = second.expect_response(503).await;
        assert!(response.header("retry-after").is_some());
        // The connection still works.
        go.send(true).unwrap();
        server.wait_for_exchanges(0).await;
        second.get("/").await;
        assert_eq!(second.expect_response(200).await.body, "served");
    });
}

/// hyper alone does not poll the service while the socket is full, so its timers do not run.
#[test]
fn the_timers_of_an_app_fire_while_its_client_does_not_read() {
    run(async {
        let (ticks, mut ticked) = channel();
        let app = http_with(ticks, async |ticks, mut http: Http| {
            http.begin().await?;
            let mut timer = tokio::time::interval(Duration::from_millis(5));
            let mut sent = 0_usize;
            loop {
                tokio::select! {
                    biased;
                    _ = timer.tick() => {
                        if ticks.send(sent).is_err() {
                            return Ok(());
                        }
                    }
                    result = http.send.send(HttpResponseBody::more(vec![b'x'; 64 << 10])) => {
                        result?;
                        sent += 1;
                    }
                }
            }
        });
        let server = Server::start(app).await;
        let mut client = server.connect().await;
        client.get("/").await;
        // Twenty ticks without progress: the socket is full, and the app still runs.
        let (mut before, mut same) = (usize::MAX, 0);
        while same < 20 {
            let sent = within("a tick of the app's timer", ticked.recv())
                .await
                .unwrap();
            same = if sent == before { same + 1 } else { 0 };
            before = sent;
        }
        // The buffers of HTTP/1.1, of the server and of two sockets.
        assert!(
            before < 512,
            "the app sent {before} parts of 64 KiB without a reader"
        );
        // The app continues when the client reads.
        client.expect_head(200).await;
        for _ in 0..before + 10 {
            client.read_chunk().await.unwrap();
        }
    });
}

#[test]
fn an_app_that_has_ended_is_dropped_with_its_values() {
    run(async {
        let alive = Arc::new(AtomicUsize::new(0));
        struct Held(Arc<AtomicUsize>);
        impl Drop for Held {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        let app = http_with(Arc::clone(&alive), async |alive, mut http: Http| {
            alive.fetch_add(1, Ordering::SeqCst);
            let _held = Held(alive);
            http.respond("").await
        });
        let server = Server::start(app).await;
        let mut client = server.connect().await;
        for _ in 0..3 {
            client.get("/").await;
            client.expect_response(200).await;
        }
        eventually("all values are dropped", || {
            alive.load(Ordering::SeqCst) == 0
        })
        .await;
    });
}

/// CORE-030
#[test]
fn several_tasks_wait_for_the_close_while_one_sends() {
    run(async {
        let (report, mut reasons) = channel();
        let app = http_with(report, async |report, mut http: Http| {
            for _ in 0..3 {
                let (closed, report) = (http.send.closed_handle(), report.clone());
                tokio::spawn(async move { report.send(closed.await) });
            }
            drop(http.send.closed_handle());
            http.begin().await?;
            loop {
                http.more("tick").await?;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        let server = Server::start(app).await;
        let mut client = server.connect().await;
        client.get("/").await;
        client.expect_head(200).await;
        assert_eq!(client.read_chunk().await.unwrap(), "tick");
        client.reset();
        for _ in 0..3 {
            let reason = within("the close", reasons.recv()).await.unwrap();
            assert!(reason.is_gone(), "{reason:?}");
        }
    });
}
