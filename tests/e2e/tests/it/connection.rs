//! How long a connection stays open, and how clients may use it.

use std::time::Duration;

use asgi::HttpResponseStart;
use bytes::Bytes;
use ferricorn::Config;
use http::HeaderValue;
use http::header::CONNECTION;
use tokio::runtime::Builder;
use tokio::time::Instant;

use test_support::app::{echo_path, hello};
use test_support::{Http, Server, http, run};

/// HTTP-035
#[test]
fn a_connection_is_kept_for_the_next_request() {
    run(async {
        let server = Server::start(echo_path()).await;
        let mut client = server.connect().await;
        for path in ["/1", "/2", "/3"] {
            client.get(path).await;
            let response = client.expect_response(200).await;
            assert_eq!(response.body, path);
            assert!(!response.head.connection_has("close"));
        }
        assert_eq!(server.handle().statistics().connections, 1);
    });
}

/// HTTP-035; RFC 9112 §9.3
#[test]
fn an_http_1_0_connection_is_kept_if_the_client_asks_for_it() {
    run(async {
        let server = Server::start(echo_path()).await;
        let mut client = server.connect().await;
        for path in ["/1", "/2"] {
            client
                .write(format!(
                    "GET {path} HTTP/1.0\r\nconnection: keep-alive\r\n\r\n"
                ))
                .await;
            let response = client.expect_response(200).await;
            assert_eq!(response.body, path);
            assert!(response.head.connection_has("keep-alive"), "{response:#?}");
        }
        client.write("GET /3 HTTP/1.0\r\n\r\n").await;
        assert_eq!(client.expect_response(200).await.body, "/3");
        client.expect_eof().await;
    });
}

/// RFC 9112 §9.3.2
///
/// HTTP-088
#[test]
fn pipelined_requests_are_answered_in_order() {
    run(async {
        let server = Server::start(http(async |mut http: Http| {
            let path = http.scope.path().into_owned();
            let body = http.receive.body(100).await?;
            // The earlier requests take longer.
            for _ in 0..10 - body.len() {
                tokio::task::yield_now().await;
            }
            http.respond(path).await
        }))
        .await;
        let mut client = server.connect().await;
        client
            .write(
                "GET /1 HTTP/1.1\r\nhost: a\r\n\r\n\
                 POST /2 HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody\
                 GET /3 HTTP/1.1\r\nhost: a\r\n\r\n",
            )
            .await;
        for path in ["/1", "/2", "/3"] {
            assert_eq!(client.expect_response(200).await.body, path);
        }
    });
}

#[test]
fn a_request_that_comes_byte_by_byte_is_served() {
    run(async {
        let server = Server::start(echo_path()).await;
        let mut client = server.connect().await;
        for byte in b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n" {
            client.write([*byte]).await;
            tokio::task::yield_now().await;
        }
        assert_eq!(client.expect_response(200).await.body, "/slow");
    });
}

/// RFC 9112 §2.2: "a server that is expecting to receive and parse a request-line SHOULD ignore at
/// least one empty line (CRLF) received prior to the request-line".
#[test]
fn an_empty_line_before_a_request_is_ignored() {
    run(async {
        let server = Server::start(echo_path()).await;
        let mut client = server.connect().await;
        client.write("\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(client.expect_response(200).await.body, "/");
    });
}

/// HTTP-035
#[test]
fn the_client_can_close_the_connection_with_its_last_request() {
    run(async {
        let server = Server::start(echo_path()).await;
        for option in ["close", "Close", "x, close"] {
            let mut client = server.connect().await;
            client
                .write(format!(
                    "GET / HTTP/1.1\r\nhost: a\r\nconnection: {option}\r\n\r\n"
                ))
                .await;
            let response = client.expect_response(200).await;
            assert!(response.head.connection_has("close"), "{response:#?}");
            client.expect_eof().await;
        }
    });
}

/// HTTP-032
#[test]
fn the_app_can_close_the_connection_with_its_response() {
    run(async {
        let server = Server::start(http(async |mut http: Http| {
            let close = HeaderValue::from_static("close");
            let start = HttpResponseStart::ok().header(CONNECTION, close);
            http.send.send(start).await?;
            http.last("bye").await
        }))
        .await;
        let mut client = server.connect().await;
        client.get("/").await;
        let response = client.expect_response(200).await;
        assert!(response.head.connection_has("close"));
        assert_eq!(response.body, "bye");
        client.expect_eof().await;
    });
}

/// As `printf … | nc -N` does. hyper alone sends no response in this case.
#[test]
fn a_client_that_half_closes_after_its_request_gets_its_response() {
    run(async {
        let server = Server::start(http(async |mut http: Http| {
            // Responds only in a later poll.
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            http.respond("hello").await
        }))
        .await;
        for request in [
            "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
            "GET / HTTP/1.0\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nread",
        ] {
            let mut client = server.connect().await;
            client.write(request).await;
            client.half_close().await;
            assert_eq!(client.expect_response(200).await.body, "hello");
            client.expect_eof().await;
        }
    });
}

#[test]
fn pipelined_requests_are_all_answered_after_a_half_close() {
    run(async {
        let server = Server::start(echo_path()).await;
        let mut client = server.connect().await;
        client
            .write("GET /1 HTTP/1.1\r\nhost: a\r\n\r\nGET /2 HTTP/1.1\r\nhost: a\r\n\r\n")
            .await;
        client.half_close().await;
        for path in ["/1", "/2"] {
            assert_eq!(client.expect_response(200).await.body, path);
        }
        client.expect_eof().await;
    });
}

/// HTTP-035
#[test]
fn a_response_before_the_end_of_an_upload_reaches_a_client_that_still_sends() {
    run(async {
        let server = Server::start(http(async |mut http: Http| http.respond("enough").await)).await;
        let mut client = server.connect().await;
        client
            .write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 400000\r\n\r\n")
            .await;
        // A reset would discard the received response.
        for _ in 0..4 {
            let _ = client.try_write(vec![b'x'; 100_000]).await;
        }
        assert_eq!(client.expect_response(200).await.body, "enough");
    });
}

#[test]
fn a_connection_is_closed_after_its_maximum_number_of_requests() {
    run(async {
        let mut config = Config::default();
        config.keep_alive_max_requests = Some(2);
        let server = Server::start_with(config, echo_path()).await;
        let mut client = server.connect().await;
        for close in [false, true] {
            client.get("/").await;
            let response = client.expect_response(200).await;
            assert_eq!(response.head.connection_has("close"), close);
        }
        client.expect_eof().await;
    });
}

#[test]
fn an_idle_connection_is_closed_after_the_keep_alive_timeout() {
    run(async {
        let mut config = Config::default();
        config.keep_alive_timeout = Duration::from_millis(500);
        let server = Server::start_with(config, echo_path()).await;
        let mut client = server.connect().await;
        client.get("/").await;
        client.expect_response(200).await;
        let idle = Instant::now();
        client.expect_eof().await;
        assert!(
            idle.elapsed() >= Duration::from_millis(450),
            "{:?}",
            idle.elapsed()
        );
        server.wait_for_connections(0).await;
    });
}

#[test]
fn a_silent_connection_is_closed_after_the_header_timeout() {
    run(async {
        let mut config = Config::default();
        config.header_timeout = Duration::from_millis(300);
        let server = Server::start_with(config, echo_path()).await;
        let mut client = server.connect().await;
        let (_, _) = client.read_until_closed().await;
    });
}

#[test]
fn an_incomplete_head_is_answered_with_408_or_closed() {
    run(async {
        let mut config = Config::default();
        config.header_timeout = Duration::from_millis(300);
        let server = Server::start_with(config, echo_path()).await;
        for before in ["", "GET / HTTP/1.1\r\nhost: a\r\n\r\n"] {
            let mut client = server.connect().await;
            if !before.is_empty() {
                client.write(before).await;
                client.expect_response(200).await;
            }
            client.write("GET / HTTP/1.1\r\nhost: ").await;
            let (rest, _) = client.read_until_closed().await;
            let rest = String::from_utf8_lossy(&rest);
            assert!(
                rest.is_empty() || rest.starts_with("HTTP/1.1 408 "),
                "{rest}"
            );
        }
    });
}

#[test]
fn a_body_that_stops_arriving_is_answered_with_408() {
    run(async {
        let mut config = Config::default();
        config.body_timeout = Duration::from_millis(300);
        let server = Server::start_with(
            config,
            http(async |mut http: Http| {
                let body = http.receive.body(100).await?;
                http.respond(body).await
            }),
        )
        .await;
        let mut client = server.connect().await;
        client
            .write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf")
            .await;
        client.expect_response(408).await;
        client.expect_end().await;
    });
}

#[test]
fn a_client_that_does_not_read_its_response_is_disconnected() {
    run(async {
        let mut config = Config::default();
        config.write_timeout = Duration::from_millis(300);
        let server = Server::start_with(
            config,
            http(async |mut http: Http| {
                http.begin().await?;
                loop {
                    http.more(vec![b'x'; 64 << 10]).await?;
                }
            }),
        )
        .await;
        let mut client = server.connect().await;
        client.get("/").await;
        server.wait_for_exchanges(1).await;
        server.wait_for_connections(0).await;
        server.wait_for_exchanges(0).await;
    });
}

#[test]
fn a_client_above_the_connection_limit_waits_for_a_free_place() {
    run(async {
        let mut config = Config::default();
        config.max_connections = 1;
        let server = Server::start_with(config, echo_path()).await;
        let mut first = server.connect().await;
        first.get("/").await;
        first.expect_response(200).await;
        let mut second = server.connect().await;
        second.get("/").await;
        second.expect_silence(Duration::from_millis(200)).await;
        drop(first);
        second.expect_response(200).await;
    });
}

/// A client with a connection pool must not send its next request on this connection.
#[test]
fn a_response_before_the_end_of_an_upload_announces_the_close() {
    run(async {
        let server = Server::start(http(async |mut http: Http| {
            let limit = http.receive.body(10).await;
            assert!(limit.is_err_and(|error| error.is_too_large()));
            http.respond("too large").await
        }))
        .await;
        let mut client = server.connect().await;
        client
            .write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\nthe first part")
            .await;
        let response = client.expect_response(200).await;
        assert!(response.head.connection_has("close"), "{response:#?}");
        client.expect_eof().await;
    });
}

#[test]
fn a_response_after_a_complete_unread_upload_keeps_the_connection() {
    run(async {
        let server = Server::start(http(async |mut http: Http| http.respond("fine").await)).await;
        let mut client = server.connect().await;
        for _ in 0..2 {
            client
                .write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody")
                .await;
            let response = client.expect_response(200).await;
            assert!(!response.head.connection_has("close"), "{response:#?}");
        }
    });
}

/// HTTP-020, HTTP-075. The timeout once started with the request, so a client that waited for a 100 got
/// a 408 after it.
#[test]
fn the_body_timeout_starts_when_the_app_asks_for_the_body() {
    run(async {
        let mut config = Config::default();
        config.body_timeout = Duration::from_millis(1500);
        let server = Server::start_with(
            config,
            http(async |mut http: Http| {
                tokio::time::sleep(Duration::from_millis(2000)).await;
                let body = http.receive.body(10).await?;
                http.respond(body).await
            }),
        )
        .await;
        let mut client = server.connect().await;
        client
            .write("PUT / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n")
            .await;
        client.expect_head(100).await;
        client.expect_silence(Duration::from_millis(1100)).await;
        client.write("ping").await;
        assert_eq!(client.expect_response(200).await.body, "ping");
    });
}

/// Callbacks from hyper find their connection through a thread-local. The inner server changes it.
#[test]
fn an_app_may_run_another_server_inside_a_poll() {
    fn inner() -> Bytes {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = Server::start(http(async |mut http: Http| http.respond("inner").await));
            let server = server.await;
            let mut client = server.connect().await;
            client.get("/").await;
            let response = client.expect_response(200).await;
            drop(client);
            server.stop().await;
            response.body
        })
    }
    // `block_in_place` needs this runtime.
    let mut runtime = Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let server = Server::start(http(async |mut http: Http| {
            http.begin().await?;
            http.more("outer, ").await?;
            // After this, hyper polls the app for the next part.
            tokio::task::yield_now().await;
            http.last(tokio::task::block_in_place(inner)).await
        }));
        let server = server.await;
        let mut client = server.connect().await;
        for _ in 0..2 {
            client.get("/").await;
            client.expect_head(200).await;
            assert_eq!(client.read_chunked().await.body(), "outer, inner");
        }
        drop(client);
        server.stop().await;
    });
}

#[test]
fn an_address_above_its_limit_of_connections_is_disconnected() {
    run(async {
        let mut config = Config::default();
        config.max_connections_per_address = Some(2);
        let server = Server::start_with(config, hello()).await;
        let mut first = server.connect().await;
        let mut second = server.connect().await;
        for client in [&mut first, &mut second] {
            client.get("/").await;
            client.expect_response(200).await;
        }
        let mut third = server.connect().await;
        let _ = third.try_write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        third.expect_end().await;
        drop(first);
        server.wait_for_connections(1).await;
        let mut third = server.connect().await;
        third.get("/").await;
        third.expect_response(200).await;
    });
}
