//! The head and the framing of a response.

use asgi::{AppError, Extension, HttpResponseBody, HttpResponseStart, HttpResponseTrailers};
use ferricorn::Config;
use http::header::{CONTENT_LENGTH, DATE, SERVER, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use test_support::app::hello;
use test_support::{Http, Server, http, run};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// Sends "one" and "two" as a stream.
async fn stream(mut http: Http) -> Result<(), AppError> {
    http.begin().await?;
    http.more("one").await?;
    http.more("").await?;
    http.last("two").await
}

/// Responds with the status in the path and a body of four bytes.
async fn status(mut http: Http) -> Result<(), AppError> {
    let status = StatusCode::from_bytes(&http.scope.path().as_bytes()[1..])?;
    http.send.send(HttpResponseStart::new(status)).await?;
    http.last("four").await
}

/// HTTP-027
#[test]
fn a_body_in_one_part_has_a_content_length() {
    run(async {
        let server = Server::start(hello()).await;
        let mut client = server.connect().await;
        client.get("/").await;
        let head = client.expect_head(200).await;
        assert_eq!(head.minor_version, 1);
        assert_eq!(head.header("content-length"), Some("5"));
        assert_eq!(head.header("transfer-encoding"), None);
        assert_eq!(client.read_body(5).await, "hello");
    });
}

/// HTTP-027
#[test]
fn an_empty_body_in_one_part_has_content_length_0() {
    run(async {
        let server = Server::start(http(async |mut http: Http| http.respond("").await)).await;
        let mut client = server.connect().await;
        client.get("/").await;
        let head = client.expect_head(200).await;
        assert_eq!(head.header("content-length"), Some("0"));
    });
}

/// HTTP-033
#[test]
fn a_streamed_body_is_chunked() {
    run(async {
        let server = Server::start(http(stream)).await;
        let mut client = server.connect().await;
        client.get("/").await;
        let head = client.expect_head(200).await;
        assert_eq!(head.header("content-length"), None);
        assert_eq!(head.header("transfer-encoding"), Some("chunked"));
        let body = client.read_chunked().await;
        assert_eq!(body.body(), "onetwo");
        assert_eq!(body.trailers, []);
        // The connection stays open.
        client.get("/").await;
        client.expect_response(200).await;
    });
}

/// HTTP-025, HTTP-023
#[test]
fn each_part_of_a_stream_is_sent_before_the_app_has_the_next() {
    run(async {
        let (go, gate) = tokio::sync::watch::channel(0);
        let app = test_support::http_with(gate, async |mut gate, mut http: Http| {
            http.begin().await?;
            http.send.flush().await?;
            gate.wait_for(|step| *step >= 1).await?;
            http.more("one").await?;
            gate.wait_for(|step| *step >= 2).await?;
            http.last("two").await
        });
        let server = Server::start(app).await;
        let mut client = server.connect().await;
        client.get("/").await;
        client.expect_head(200).await;
        go.send(1).unwrap();
        assert_eq!(client.read_chunk().await.unwrap(), "one");
        go.send(2).unwrap();
        assert_eq!(client.read_chunk().await.unwrap(), "two");
        assert_eq!(client.read_chunk().await, None);
        assert_eq!(client.read_trailers().await, []);
    });
}

/// HTTP-024
#[test]
fn an_unsent_head_is_sent_when_the_app_waits() {
    run(async {
        let (go, gate) = tokio::sync::watch::channel(false);
        let app = test_support::http_with(gate, async |mut gate, mut http: Http| {
            http.begin().await?;
            gate.wait_for(|open| *open).await?;
            http.last("late").await
        });
        let server = Server::start(app).await;
        let mut client = server.connect().await;
        client.get("/").await;
        let head = client.expect_head(200).await;
        assert_eq!(head.header("content-length"), None);
        go.send(true).unwrap();
        assert_eq!(client.read_chunked().await.body(), "late");
    });
}

/// HTTP-033
#[test]
fn on_http_1_0_a_streamed_body_ends_with_the_connection() {
    run(async {
        let server = Server::start(http(stream)).await;
        // Even if the client asks for keep-alive.
        for header in ["", "connection: keep-alive\r\n"] {
            let mut client = server.connect().await;
            client
                .write(format!("GET / HTTP/1.0\r\n{header}\r\n"))
                .await;
            let head = client.expect_head(200).await;
            assert_eq!(head.header("content-length"), None);
            assert_eq!(head.header("transfer-encoding"), None);
            assert_eq!(client.read_body(6).await, "onetwo");
            client.expect_eof().await;
        }
    });
}

#[test]
fn a_close_delimited_response_has_no_keep_alive() {
    run(async {
        let server = Server::start(http(stream)).await;
        let mut client = server.connect().await;
        client
            .write("GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
            .await;
        let head = client.expect_head(200).await;
        assert!(!head.connection_has("keep-alive"), "{head:#?}");
    });
}

/// HTTP-026, HTTP-027
#[test]
fn a_response_to_head_has_no_body() {
    run(async {
        let server = Server::start(http(async |mut http: Http| {
            match http.scope.path().into_owned().as_str() {
                "/whole" => http.respond("hello").await,
                "/stream" => stream(http).await,
                _ => http.respond("").await,
            }
        }))
        .await;
        let mut client = server.connect().await;
        for (path, length) in [("/whole", Some("5")), ("/stream", None), ("/empty", None)] {
            client
                .write(format!("HEAD {path} HTTP/1.1\r\nhost: a\r\n\r\n"))
                .await;
            let head = client.expect_head(200).await;
            assert_eq!(head.header("content-length"), length, "{path}");
        }
        // A body would come before this response.
        client.get("/whole").await;
        assert_eq!(client.expect_response(200).await.body, "hello");
    });
}

/// HTTP-026
#[test]
fn the_apps_content_length_stays_in_a_response_to_head() {
    run(async {
        let server = Server::start(http(async |mut http: Http| {
            let length = HeaderValue::from_static("1234");
            let start = HttpResponseStart::ok().header(CONTENT_LENGTH, length);
            http.send.send(start).await?;
            http.last("").await
        }))
        .await;
        let mut client = server.connect().await;
        for _ in 0..2 {
            client.write("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n").await;
            let head = client.expect_head(200).await;
            assert_eq!(head.header("content-length"), Some("1234"));
        }
    });
}

/// HTTP-026, HTTP-034
#[test]
fn a_204_a_205_and_a_304_have_no_content() {
    run(async {
        let server = Server::start(http(status)).await;
        let mut client = server.connect().await;
        for (status, length) in [(204, None), (205, Some("0")), (304, None)] {
            client.get(&format!("/{status}")).await;
            let head = client.expect_head(status).await;
            assert_eq!(head.header("content-length"), length, "{status}");
            assert_eq!(head.header("transfer-encoding"), None, "{status}");
        }
        // A body would come before this response.
        client.get("/200").await;
        assert_eq!(client.expect_response(200).await.body, "four");
    });
}

#[test]
fn any_final_status_is_sent() {
    run(async {
        let server = Server::start(http(status)).await;
        let mut client = server.connect().await;
        for status in [200, 299, 404, 418, 599, 999] {
            client.get(&format!("/{status}")).await;
            assert_eq!(client.expect_response(status).await.body, "four");
        }
    });
}

#[test]
fn a_response_has_a_date_and_a_server() {
    run(async {
        let server = Server::start(hello()).await;
        let mut client = server.connect().await;
        client.get("/").await;
        let head = client.expect_head(200).await;
        assert_eq!(head.header("server"), Some("ferricorn"));
        // RFC 9110 §5.6.7: "Sun, 06 Nov 1994 08:49:37 GMT".
        let date = head.header("date").expect("a date");
        assert_eq!(date.len(), 29, "{date}");
        assert!(date.ends_with(" GMT"), "{date}");
    });
}

#[test]
fn date_and_server_can_be_turned_off() {
    run(async {
        let mut config = Config::default();
        config.date_header = false;
        config.server_header = false;
        let server = Server::start_with(config, hello()).await;
        let mut client = server.connect().await;
        client.get("/").await;
        let head = client.expect_head(200).await;
        assert_eq!(
            head.headers,
            [("content-length".to_owned(), "5".to_owned())]
        );
    });
}

/// HTTP-072
#[test]
fn the_apps_date_and_server_replace_the_servers() {
    run(async {
        let server = Server::start(http(async |mut http: Http| {
            let start = HttpResponseStart::ok()
                .header(SERVER, HeaderValue::from_static("mine"))
                .header(
                    DATE,
                    HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"),
                );
            http.send.send(start).await?;
            http.last("").await
        }))
        .await;
        let mut client = server.connect().await;
        client.get("/").await;
        let head = client.expect_head(200).await;
        assert_eq!(head.header("server"), Some("mine"));
        assert_eq!(head.header("date"), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    });
}

/// HTTP-087
#[test]
fn repeated_response_headers_stay_separate_and_in_order() {
    run(async {
        let server = Server::start(http(async |mut http: Http| {
            let name = HeaderName::from_static("set-cookie");
            let start = HttpResponseStart::ok()
                .header(name.clone(), HeaderValue::from_static("a=1"))
                .header(name, HeaderValue::from_static("b=2"));
            http.send.send(start).await?;
            http.last("").await
        }))
        .await;
        let mut client = server.connect().await;
        client.get("/").await;
        let head = client.expect_head(200).await;
        let cookies: Vec<_> = head
            .headers
            .iter()
            .filter(|(name, _)| name == "set-cookie")
            .map(|(_, value)| value.as_str())
            .collect();
        assert_eq!(cookies, ["a=1", "b=2"]);
    });
}

/// HTTP-028
#[test]
fn the_apps_transfer_encoding_is_ignored() {
    run(async {
        let server = Server::start(http(async |mut http: Http| {
            let chunked = HeaderValue::from_static("chunked");
            let start = HttpResponseStart::ok().header(TRANSFER_ENCODING, chunked);
            http.send.send(start).await?;
            if http.scope.path() == "/stream" {
                http.more("hel").await?;
                return http.last("lo").await;
            }
            http.last("hello").await
        }))
        .await;
        let mut client = server.connect().await;
        for path in ["/", "/stream"] {
            client.get(path).await;
            assert_eq!(client.expect_response(200).await.body, "hello");
        }
        let mut client = server.connect().await;
        client.write("GET /stream HTTP/1.0\r\n\r\n").await;
        let response = client.expect_response(200).await;
        assert_eq!(response.header("transfer-encoding"), None);
        assert_eq!(response.body, "hello");
    });
}

/// HTTP-028
#[test]
fn the_apps_connection_headers_are_dropped() {
    run(async {
        let server = Server::start(http(async |mut http: Http| {
            let mut start = HttpResponseStart::ok();
            for name in ["keep-alive", "proxy-connection", "te", "upgrade"] {
                let value = HeaderValue::from_static("x");
                start = start.header(HeaderName::from_static(name), value);
            }
            http.send.send(start).await?;
            http.last("").await
        }))
        .await;
        let mut client = server.connect().await;
        client.get("/").await;
        let head = client.expect_head(200).await;
        for name in [
            "keep-alive",
            "proxy-connection",
            "te",
            "upgrade",
            "connection",
        ] {
            assert_eq!(head.header(name), None);
        }
    });
}

/// Streams with a length that the app announced.
async fn announced(mut http: Http) -> Result<(), AppError> {
    let start = HttpResponseStart::ok().header(CONTENT_LENGTH, HeaderValue::from(6));
    http.send.send(start).await?;
    http.more("one").await?;
    http.last("two").await
}

/// HTTP-029, HTTP-033
#[test]
fn a_stream_with_the_apps_content_length_is_not_chunked() {
    run(async {
        let server = Server::start(http(announced)).await;
        let mut client = server.connect().await;
        for _ in 0..2 {
            client.get("/").await;
            let head = client.expect_head(200).await;
            assert_eq!(head.header("content-length"), Some("6"));
            assert_eq!(head.header("transfer-encoding"), None);
            assert_eq!(client.read_body(6).await, "onetwo");
        }
    });
}

#[test]
fn a_body_larger_than_every_buffer_arrives_whole() {
    run(async {
        let server = Server::start(http(async |mut http: Http| {
            if http.scope.path() == "/whole" {
                return http.respond(vec![b'x'; 10 << 20]).await;
            }
            http.begin().await?;
            for _ in 0..160 {
                http.more(vec![b'x'; 64 << 10]).await?;
            }
            http.last("").await
        }))
        .await;
        for path in ["/whole", "/stream"] {
            let mut client = server.connect().await;
            client.get(path).await;
            let body = client.expect_response(200).await.body;
            assert_eq!(body.len(), 10 << 20);
            assert!(body.iter().all(|byte| *byte == b'x'));
        }
    });
}

/// Sends trailers if the scope offers them.
async fn with_trailers(mut http: Http) -> Result<(), AppError> {
    if !http.scope.extensions.has(Extension::Trailers) {
        return http.respond("without").await;
    }
    let mut start = HttpResponseStart::ok().with_trailers();
    let names = HeaderValue::from_static("x-sum, x-other");
    start.headers.insert("trailer", names);
    http.send.send(start).await?;
    http.send.send(HttpResponseBody::last("with")).await?;
    let one = |name, value| {
        HeaderMap::from_iter([(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )])
    };
    http.send
        .send(HttpResponseTrailers::more(one("x-sum", "7")))
        .await?;
    http.send
        .send(HttpResponseTrailers::new(one("x-other", "8")))
        .await?;
    Ok(())
}

/// HTTP-051, HTTP-052
#[test]
fn trailers_follow_a_chunked_body() {
    run(async {
        let server = Server::start(http(with_trailers)).await;
        let mut client = server.connect().await;
        client
            .write("GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\n\r\n")
            .await;
        let head = client.expect_head(200).await;
        assert_eq!(head.header("content-length"), None);
        let body = client.read_chunked().await;
        assert_eq!(body.body(), "with");
        let trailers: Vec<_> = body
            .trailers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(trailers, [("x-sum", "7"), ("x-other", "8")]);
    });
}

/// HTTP-079
#[test]
fn trailers_may_be_promised_and_not_sent() {
    run(async {
        let server = Server::start(http(async |mut http: Http| {
            let start = HttpResponseStart::ok().with_trailers();
            http.send.send(start).await?;
            http.last("without").await
        }))
        .await;
        let mut client = server.connect().await;
        for _ in 0..2 {
            client
                .write("GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\n\r\n")
                .await;
            client.expect_head(200).await;
            let body = client.read_chunked().await;
            assert_eq!((body.body(), body.trailers), ("without".into(), vec![]));
        }
        let head = "HEAD / HTTP/1.1\r\nhost: a\r\nte: trailers\r\n\r\n";
        client.write(head).await;
        client.expect_head(200).await;
        // The connection goes on, so nothing is left of that response.
        client
            .write("GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\n\r\n")
            .await;
        client.expect_head(200).await;
        assert_eq!(client.read_chunked().await.body(), "without");
    });
}

/// CORE §7: an extension is offered only if the connection supports it.
///
/// CORE-024, TRAIL-001
#[test]
fn trailers_are_not_offered_to_a_client_that_does_not_accept_them() {
    run(async {
        let server = Server::start(http(with_trailers)).await;
        for request in [GET, "GET / HTTP/1.0\r\nte: trailers\r\n\r\n"] {
            let mut client = server.connect().await;
            client.write(request).await;
            assert_eq!(client.expect_response(200).await.body, "without");
        }
    });
}

/// HTTP-022
#[test]
fn a_start_with_an_interim_status_is_misuse_and_changes_nothing() {
    run(async {
        let server = Server::start(http(async |mut http: Http| {
            let start = HttpResponseStart::new(StatusCode::CONTINUE);
            let error = http.send.send(start).await.unwrap_err();
            assert!(error.is_misuse(), "{error}");
            http.respond("fine").await
        }))
        .await;
        let mut client = server.connect().await;
        client.get("/").await;
        assert_eq!(client.expect_response(200).await.body, "fine");
    });
}
