//! Old bugs in which a connection waited forever, or ended too early.

use std::fmt;
use std::time::{Duration, Instant};

use asgi::{AppError, HttpResponseStart};
use ferricorn::Config;
use http::HeaderValue;
use http::header::CONTENT_LENGTH;

use test_support::app::{Dropped, channel};
use test_support::{Http, Server, http, http_with, logs, run, within};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const HEAD: &str = "HEAD / HTTP/1.1\r\nhost: a\r\n\r\n";

/// More than the buffers of client and server hold.
const LARGE: usize = 16 << 20;

/// Responds with a large body in one part.
async fn large(mut http: Http) -> Result<(), AppError> {
    http.respond(vec![b'x'; LARGE]).await
}

fn idle_for(limit: Duration) -> Config {
    let mut config = Config::default();
    config.keep_alive_timeout = limit;
    config
}

/// The idle time once started with the request, so the server closed the connection right after each
/// response that took longer than the idle time.
#[test]
fn the_idle_time_starts_after_the_response() {
    run(async {
        let app = http(async |mut http: Http| {
            tokio::time::sleep(Duration::from_millis(700)).await;
            http.respond("late").await
        });
        let server = Server::start_with(idle_for(Duration::from_millis(500)), app).await;
        let mut client = server.connect().await;
        for _ in 0..2 {
            client.get("/").await;
            client.expect_response(200).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        client.expect_eof().await;
    });
}

/// The app had ended, but hyper still wrote the body. The idle timeout cut the body off.
#[test]
fn a_connection_is_not_idle_while_its_client_reads() {
    run(async {
        let server = Server::start_with(idle_for(Duration::from_millis(300)), http(large)).await;
        let mut client = server.connect().await;
        client.get("/").await;
        client.expect_head(200).await;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        client.read_body(LARGE).await;
        client.expect_eof().await;
    });
}

/// The server wrote the 408 for the next head into the body.
#[test]
fn a_408_is_not_written_into_a_body() {
    run(async {
        let mut config = Config::default();
        config.header_timeout = Duration::from_millis(300);
        let server = Server::start_with(config, http(large)).await;
        let mut client = server.connect().await;
        client.write(format!("{GET}GET / HT")).await;
        client.expect_head(200).await;
        tokio::time::sleep(Duration::from_millis(2500)).await;
        let body = client.read_body(LARGE).await;
        assert!(body.iter().all(|byte| *byte == b'x'));
    });
}

/// For hyper, the response was complete and nothing was left to break off. The exchange stayed open, and
/// its connection had no deadlines.
#[test]
fn a_connection_is_idle_after_an_app_returns_without_its_last_part() {
    run(async {
        let server = Server::start_with(
            idle_for(Duration::from_millis(300)),
            http(async |mut http: Http| {
                let start =
                    HttpResponseStart::ok().header(CONTENT_LENGTH, HeaderValue::from_static("2"));
                http.send.send(start).await?;
                http.more("ab").await?;
                tokio::task::yield_now().await;
                Ok(())
            }),
        )
        .await;
        for request in [HEAD, GET] {
            let mut client = server.connect().await;
            client.write(request).await;
            client.expect_head(200).await;
            if request == GET {
                assert_eq!(client.read_body(2).await, "ab");
            }
            client.expect_eof().await;
            logs::expect_error(&["before its response was complete"]);
        }
    });
}

/// The server sends no part of this stream, so nothing made the app wait.
#[test]
fn an_app_that_streams_in_response_to_head_does_not_block_others() {
    run(async {
        let app = http(async |mut http: Http| {
            if http.scope.method != http::Method::HEAD {
                return http.respond("me too").await;
            }
            http.begin().await?;
            loop {
                http.more("on and on").await?;
            }
        });
        let server = Server::start(app).await;
        let mut endless = server.connect().await;
        endless.write(HEAD).await;
        endless.expect_head(200).await;
        let mut client = server.connect().await;
        client.get("/").await;
        client.expect_response(200).await;
    });
}

/// Each HEAD request for an endless stream left an app that ran forever.
#[test]
fn an_app_that_streams_in_response_to_head_is_cancelled_after_its_grace() {
    run(async {
        let (report, mut received) = channel();
        let app = http_with(report, async |report, mut http: Http| {
            let _dropped = Dropped::new(report, ());
            http.begin().await?;
            loop {
                http.more("on and on").await?;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        let mut config = Config::default();
        config.disconnect_grace = Some(Duration::from_millis(300));
        let server = Server::start_with(config, app).await;
        let mut client = server.connect().await;
        for _ in 0..2 {
            client.write(HEAD).await;
            client.expect_head(200).await;
        }
        within("the first app's end", received.recv()).await;
        drop(client);
        within("the second app's end", received.recv()).await;
        server.wait_for_exchanges(0).await;
    });
}

/// The exchange kept the rest of the request while its app ran, and hyper waited.
#[test]
fn an_unread_body_does_not_keep_the_connection_open_while_the_app_runs() {
    run(async {
        let app = http(async |mut http: Http| {
            http.respond("early").await?;
            std::future::pending().await
        });
        let server = Server::start(app).await;
        let mut client = server.connect().await;
        client
            .write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n")
            .await;
        client.write(vec![b'x'; 1_000_000]).await;
        client.expect_response(200).await;
        client.expect_end().await;
    });
}

/// The driver stored its waker only at the end of its turn. If another thread sent an event before
/// that, the driver found the event only at the next tick, a second later.
#[test]
fn events_sent_by_another_thread_go_out_at_once() {
    const PARTS: usize = 5;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (seen, receiver) = tokio::sync::watch::channel(0);
        let app = http_with(receiver, async |mut seen, mut http: Http| {
            let sending = tokio::spawn(async move {
                seen.borrow_and_update();
                http.begin().await?;
                for _ in 0..PARTS {
                    http.more("a").await?;
                }
                seen.changed().await?;
                http.last("b").await
            });
            sending.await?
        });
        let server = Server::start(app).await;
        let mut client = server.connect().await;
        let mut slowest = Duration::ZERO;
        for round in 0..5_000 {
            let began = Instant::now();
            client.get("/").await;
            client.expect_head(200).await;
            for _ in 0..PARTS {
                assert_eq!(client.read_chunk().await.unwrap(), "a");
            }
            slowest = slowest.max(began.elapsed());
            seen.send(round).unwrap();
            assert_eq!(client.read_chunked().await.body(), "b");
        }
        assert!(slowest < Duration::from_millis(700), "{slowest:?}");
        server.stop().await;
    });
}

/// HTTP-038
#[test]
fn an_error_that_panics_while_it_is_logged_is_a_500() {
    #[derive(Debug)]
    struct Bomb;
    impl fmt::Display for Bomb {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("an error that cannot be displayed");
        }
    }
    impl std::error::Error for Bomb {}
    impl Drop for Bomb {
        fn drop(&mut self) {
            assert!(std::thread::panicking(), "an error that cannot be dropped");
        }
    }
    run(async {
        let server = Server::start(http(async |_: Http| Err(AppError::from(Bomb)))).await;
        let mut client = server.connect().await;
        client.get("/").await;
        client.expect_response(500).await;
        logs::expect_error(&["panicked"]);
    });
}
