//! Requests and their responses.

use std::time::Duration;

use asgi::{HttpResponseBody, HttpResponseStart, HttpResponseTrailers, ReceiveEvent};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::Full;
use http2::Peer;
use test_support::hyper_client::HyperClient;
use test_support::{Client, Http, Server, http, logs, run, within};

use crate::proxied;
use crate::upstream::Upstream;

/// More than all buffers between a client and an upstream hold.
const ENDLESS: &str = "content-length: 1000000000\r\n\r\n";
/// What they hold at most. The kernel alone may give each socket tens of MiB.
const BUFFERS: usize = 80 << 20;
const SHORT: Duration = Duration::from_millis(300);

#[test]
fn a_body_of_five_mebibytes_passes_both_ways_at_once() {
    run(async {
        // It answers each part before it receives the next, so no side can wait for a whole body.
        let echo = http(async |mut http: Http| {
            http.begin().await?;
            loop {
                let ReceiveEvent::HttpRequest(part) = http.receive.receive().await else {
                    return Ok(());
                };
                let is_last = !part.more_body;
                let part = HttpResponseBody::new(part.body, part.more_body);
                http.send.send(part).await?;
                if is_last {
                    return Ok(());
                }
            }
        });
        let upstream = Server::start(echo).await;
        let proxy = proxied(upstream.address(), "").await;
        let body: Bytes = (0..5 << 20).map(|index: u32| (index / 3) as u8).collect();
        let mut client = HyperClient::connect(&proxy).await;
        let request = Request::post("/").body(Full::new(body.clone())).unwrap();
        let response = client.send(request).await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(*response.body() == body);
    });
}

#[test]
fn a_client_that_reads_slowly_slows_the_upstream() {
    run(async {
        let upstream = Upstream::start().await;
        let proxy = proxied(upstream.address(), "").await;
        let mut client = proxy.connect().await;
        client.get("/").await;
        let mut connection = upstream.accept().await;
        connection.write("HTTP/1.1 200 OK\r\n").await;
        connection.write(ENDLESS).await;
        let mut connection = connection.raw();
        let written = connection.write_until_full(SHORT).await;
        assert!(written < BUFFERS, "{written}");
        // Room for more comes if the client reads.
        client.expect_head(200).await;
        client.read_body(written).await;
        assert!(connection.write_until_full(SHORT).await > 0);
        // The rest never comes.
        drop(client);
        connection.read_until_closed().await;
    });
}

#[test]
fn an_upstream_that_reads_slowly_slows_the_client() {
    run(async {
        let upstream = Upstream::start().await;
        let proxy = proxied(upstream.address(), "").await;
        let mut client = proxy.connect().await;
        client.write("POST / HTTP/1.1\r\nhost: a\r\n").await;
        client.write(ENDLESS).await;
        let written = client.write_until_full(SHORT).await;
        assert!(written < BUFFERS, "{written}");
        let mut connection = upstream.accept().await;
        connection.read_exact(written).await;
        assert!(client.write_until_full(SHORT).await > 0);
    });
}

#[test]
fn trailers_pass_both_ways() {
    run(async {
        let app = http(async |mut http: Http| {
            let (body, trailers) = http.body().await?;
            let mut start = HttpResponseStart::ok().with_trailers();
            start = start.header("trailer", "x-back");
            http.send.send(start).await?;
            http.last(body).await?;
            let mut back = HeaderMap::new();
            let sum = trailers.unwrap_or_default().remove("x-sum");
            let sum = sum.unwrap_or(HeaderValue::from_static("none"));
            back.insert("x-back", sum);
            http.send.send(HttpResponseTrailers::new(back)).await?;
            Ok(())
        });
        let upstream = Server::start(app).await;
        let proxy = proxied(upstream.address(), "").await;
        let mut client = proxy.connect().await;
        client
            .write(
                "POST / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te\r\n\
                 transfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n\
                 4\r\nbody\r\n0\r\nx-sum: 42\r\n\r\n",
            )
            .await;
        client.expect_head(200).await;
        let chunked = client.read_chunked().await;
        assert_eq!(chunked.body(), "body");
        let expected = ("x-back".to_owned(), "42".to_owned());
        assert_eq!(chunked.trailers, [expected]);
    });
}

#[test]
fn an_upstream_that_breaks_off_breaks_the_response_off_without_an_error_in_the_log() {
    run(async {
        for framing in [
            "content-length: 100\r\n\r\nhalf",
            "transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        ] {
            let upstream = Upstream::start().await;
            let proxy = proxied(upstream.address(), "").await;
            let mut client = proxy.connect().await;
            client.get("/").await;
            let mut connection = upstream.accept().await;
            connection.write("HTTP/1.1 200 OK\r\n").await;
            connection.write(framing).await;
            client.expect_head(200).await;
            if framing.starts_with("content") {
                assert_eq!(client.read_body(4).await, "half");
            } else {
                assert_eq!(client.read_chunk().await.unwrap(), "half");
            }
            drop(connection);
            // Neither 96 bytes more nor a last chunk.
            client.expect_end().await;
            proxy.wait_for_exchanges(0).await;
        }
        // `run` checks that there is no error.
        logs::expect_no_warnings();
    });
}

#[test]
fn fields_for_one_connection_are_removed_and_the_proxy_says_whom_it_forwards_for() {
    run(async {
        let upstream = Upstream::start().await;
        let proxy = proxied(upstream.address(), "").await;
        let mut client = proxy.connect().await;
        client
            .write(
                "GET /a%20b?c HTTP/1.1\r\nhost: shop.example\r\nconnection: X-Mine, keep-alive\r\n\
                 x-mine: 1\r\nkeep-alive: 1\r\nproxy-connection: keep-alive\r\nte: gzip\r\n\
                 x-kept: a\r\nx-kept: b\r\nforwarded: for=9.9.9.9\r\nx-real-ip: 9.9.9.9\r\n\
                 x-forwarded-for: 9.9.9.9\r\nx-forwarded-host: evil\r\nvia: 1.0 other\r\n\r\n",
            )
            .await;
        let mut connection = upstream.accept().await;
        let mut head = connection.head.clone();
        assert_eq!(head.remove(0), "GET /a%20b?c HTTP/1.1");
        head.sort();
        assert_eq!(
            head,
            [
                "host: shop.example",
                "via: 1.0 other",
                "via: 1.1 proxy",
                "x-forwarded-for: 127.0.0.1",
                "x-forwarded-host: shop.example",
                "x-forwarded-proto: http",
                "x-kept: a",
                "x-kept: b",
            ]
        );
        connection
            .write(
                "HTTP/1.1 203 Fine\r\nconnection: x-gone\r\nx-gone: 1\r\nkeep-alive: timeout=5\r\n\
                 proxy-connection: close\r\nupgrade: h2c\r\ntransfer-encoding: chunked\r\n\
                 set-cookie: a=1\r\nset-cookie: b=2\r\ndate: now\r\nserver: old\r\n\r\n0\r\n\r\n",
            )
            .await;
        let mut headers = client.expect_response(203).await.head.headers;
        headers.sort();
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        assert_eq!(
            headers,
            [
                ("content-length", "0"),
                ("date", "now"),
                ("server", "old"),
                ("set-cookie", "a=1"),
                ("set-cookie", "b=2"),
            ]
        );
    });
}

#[test]
fn the_host_is_the_upstreams_if_the_operator_wants_it() {
    run(async {
        let upstream = Upstream::start().await;
        let address = upstream.address().to_string();
        let proxy = proxied(upstream.address(), "host=upstream").await;
        let mut client = proxy.connect().await;
        client.get("/").await;
        let connection = upstream.accept().await;
        assert_eq!(connection.values("host"), [&*address]);
        assert_eq!(connection.values("x-forwarded-host"), ["a"]);
    });
}

#[test]
fn an_upstream_that_refuses_the_connection_is_a_502() {
    run(async {
        let upstream = Upstream::start().await;
        let address = upstream.address();
        drop(upstream);
        let proxy = proxied(address, "").await;
        let mut client = proxy.connect().await;
        client.get("/").await;
        client.expect_response(502).await;
        logs::expect_warning(&["the upstream failed", "refused"]);
    });
}

#[test]
fn an_upstream_that_closes_before_the_head_is_a_502() {
    run(async {
        let upstream = Upstream::start().await;
        let proxy = proxied(upstream.address(), "").await;
        let mut client = proxy.connect().await;
        client.get("/").await;
        drop(upstream.accept().await);
        client.expect_response(502).await;
    });
}

#[test]
fn an_upstream_that_is_silent_is_a_504_and_sees_the_end_of_its_request() {
    run(async {
        let upstream = Upstream::start().await;
        let proxy = proxied(upstream.address(), "patience=1").await;
        let mut client = proxy.connect().await;
        client.get("/").await;
        let connection = upstream.accept().await;
        client.expect_response(504).await;
        connection.raw().expect_end().await;
    });
}

#[test]
fn a_client_that_leaves_cancels_the_request_to_the_upstream() {
    run(async {
        let upstream = Upstream::start().await;
        let proxy = proxied(upstream.address(), "").await;
        // Before the head of the response, after it, and in the middle of the request.
        for (request, response) in [
            ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", ""),
            (
                "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
                "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n",
            ),
            (
                "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n",
                "",
            ),
        ] {
            let mut client = proxy.connect().await;
            client.write(request).await;
            let mut connection = upstream.accept().await;
            connection.write(response).await;
            if !response.is_empty() {
                client.expect_head(200).await;
            }
            client.reset();
            connection.raw().expect_end().await;
            proxy.wait_for_exchanges(0).await;
        }
        logs::expect_no_warnings();
    });
}

const NO_CONTENT: &str = "HTTP/1.1 204 No Content\r\n\r\n";

#[test]
fn a_connection_is_used_again_and_replaced_if_the_upstream_has_closed_it() {
    run(async {
        let upstream = Upstream::start().await;
        let proxy = proxied(upstream.address(), "").await;
        let mut client = proxy.connect().await;
        client.get("/1").await;
        let mut connection = upstream.accept().await;
        connection.write(NO_CONTENT).await;
        client.expect_response(204).await;
        proxy.wait_for_exchanges(0).await;
        client.get("/2").await;
        let mut connection = connection.next().await;
        assert_eq!(connection.head[0], "GET /2 HTTP/1.1");
        connection.write(NO_CONTENT).await;
        client.expect_response(204).await;
        proxy.wait_for_exchanges(0).await;
        drop(connection);
        client.get("/3").await;
        let mut connection = upstream.accept().await;
        assert_eq!(connection.head[0], "GET /3 HTTP/1.1");
        connection.write(NO_CONTENT).await;
        client.expect_response(204).await;
    });
}

#[test]
fn requests_wait_if_all_connections_are_in_use() {
    run(async {
        let upstream = Upstream::start().await;
        let proxy = proxied(upstream.address(), "connections=1").await;
        let mut clients: Vec<Client> = Vec::new();
        for _ in 0..2 {
            let mut client = proxy.connect().await;
            client.get("/").await;
            clients.push(client);
        }
        let mut connection = upstream.accept().await;
        proxy.wait_for_exchanges(2).await;
        connection.write(NO_CONTENT).await;
        // On the same connection: there is no second one.
        let mut connection = connection.next().await;
        connection.write(NO_CONTENT).await;
        for client in &mut clients {
            client.expect_response(204).await;
        }
    });
}

#[test]
fn a_response_to_head_keeps_its_length_and_has_no_body() {
    run(async {
        let upstream = Upstream::start().await;
        let proxy = proxied(upstream.address(), "").await;
        let mut client = proxy.connect().await;
        client.write("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut connection = upstream.accept().await;
        connection
            .write("HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n")
            .await;
        let head = client.expect_head(200).await;
        assert_eq!(head.header("content-length"), Some("7"));
        client.get("/next").await;
        let mut connection = connection.next().await;
        connection.write(NO_CONTENT).await;
        client.expect_response(204).await;
    });
}

#[test]
fn a_client_that_waits_before_its_body_is_told_to_continue() {
    run(async {
        let upstream = Upstream::start().await;
        let proxy = proxied(upstream.address(), "").await;
        let mut client = proxy.connect().await;
        client
            .write(
                "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n",
            )
            .await;
        client.expect_head(100).await;
        client.write("body").await;
        let mut connection = upstream.accept().await;
        assert_eq!(connection.read_exact(4).await, b"body");
        connection.write("HTTP/1.1 100 Continue\r\n\r\n").await;
        connection.write(NO_CONTENT).await;
        client.expect_response(204).await;
    });
}

#[test]
fn a_response_can_come_before_the_request_is_complete() {
    run(async {
        let upstream = Upstream::start().await;
        let proxy = proxied(upstream.address(), "").await;
        let mut client = proxy.connect().await;
        client
            .write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhalf")
            .await;
        let mut connection = upstream.accept().await;
        connection
            .write("HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nno\n")
            .await;
        assert_eq!(client.expect_response(413).await.body, "no\n");
        drop(client);
        // The rest of the request never comes, so the connection is of no more use.
        assert_eq!(connection.read_exact(4).await, b"half");
        connection.raw().expect_end().await;
    });
}

/// The server offers early hints over HTTP/2 only.
#[test]
fn early_hints_pass_before_the_head() {
    run(async {
        let upstream = Upstream::start().await;
        let proxy = proxied(upstream.address(), "").await;
        let address = proxy.address();
        let client = tokio::task::spawn_blocking(move || {
            let mut peer = Peer::connect(address);
            peer.get(1, "/");
            let hint = peer.expect_status(1, 103);
            let link = ("link".to_owned(), "</a.css>; rel=preload".to_owned());
            assert_eq!(hint.headers, [link]);
            assert_eq!(peer.expect_response(1, 200).text(), "page");
        });
        let mut connection = upstream.accept().await;
        assert_eq!(connection.values("via"), ["2 proxy"]);
        // HTTP/2 has no chunks, and a GET without a body must not become one with a body.
        assert!(connection.values("transfer-encoding").is_empty());
        connection
            .write(
                "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n\
                 HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\npage",
            )
            .await;
        within("the client", client).await.unwrap();
    });
}
