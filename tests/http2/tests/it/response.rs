//! How the server sends the response of an app.

use asgi::{
    AppError, Extension, HttpResponseBody, HttpResponseEarlyHint, HttpResponseStart,
    HttpResponseTrailers,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http2::frame::{code, setting};
use http2::{Request, headers};

use crate::connect::Connect as _;
use test_support::app::hello;
use test_support::blocking::Server;
use test_support::{Http, http};

fn names(headers: &[(String, String)]) -> Vec<&str> {
    headers.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn a_response_has_a_content_length_a_date_and_a_server() {
    let server = Server::start(hello());
    let mut peer = server.connect();
    peer.get(1, "/");
    let response = peer.expect_response(1, 200);
    assert_eq!(response.header("content-length"), Some("5"));
    assert_eq!(response.header("server"), Some("ferricorn"));
    assert!(response.header("date").is_some());
    assert_eq!(response.head.headers.len(), 3);
}

#[test]
fn the_apps_date_and_server_are_not_repeated() {
    let server = Server::start(http(async |mut http: Http| {
        let start = HttpResponseStart::ok()
            .header(header::DATE, HeaderValue::from_static("today"))
            .header(header::SERVER, HeaderValue::from_static("mine"));
        http.send.send(start).await?;
        http.last("").await
    }));
    let mut peer = server.connect();
    peer.get(1, "/");
    let response = peer.expect_response(1, 200);
    assert_eq!(response.header("date"), Some("today"));
    assert_eq!(response.header("server"), Some("mine"));
}

#[test]
fn connection_specific_headers_are_not_sent() {
    let server = Server::start(http(async |mut http: Http| {
        let mut start = HttpResponseStart::ok();
        for name in [
            "connection",
            "keep-alive",
            "proxy-connection",
            "transfer-encoding",
            "upgrade",
        ] {
            let name = HeaderName::from_static(name);
            start = start.header(name, HeaderValue::from_static("close"));
        }
        http.send.send(start).await?;
        http.last("hello").await
    }));
    let mut peer = server.connect();
    peer.get(1, "/");
    let response = peer.expect_response(1, 200);
    assert_eq!(
        names(&response.head.headers),
        ["content-length", "server", "date"]
    );
    assert_eq!(response.text(), "hello");
}

#[test]
fn a_header_value_with_a_line_end_is_an_error() {
    let server = Server::start(http(async |mut http: Http| {
        let value = HeaderValue::from_str("a\r\nset-cookie: b")?;
        let start = HttpResponseStart::ok().header(header::VARY, value);
        http.send.send(start).await?;
        http.last("").await
    }));
    let mut peer = server.connect();
    peer.get(1, "/");
    peer.expect_response(1, 500);
    server.expect_error(&["failed to parse header value"]);
}

#[test]
fn a_head_larger_than_a_frame_is_split() {
    let server = Server::start(http(async |mut http: Http| {
        let mut start = HttpResponseStart::ok();
        for _ in 0..60 {
            let value = HeaderValue::from_str(&"v".repeat(1_000))?;
            start = start.header(header::VIA, value);
        }
        http.send.send(start).await?;
        http.last("hello").await
    }));
    let mut peer = server.connect();
    peer.get(1, "/");
    let response = peer.expect_response(1, 200);
    assert_eq!(response.head.headers.len(), 63);
    assert_eq!(response.text(), "hello");
}

#[test]
fn a_response_to_head_has_a_content_length_and_no_body() {
    let server = Server::start(hello());
    let mut peer = server.connect();
    peer.request(1, &Request::new("HEAD", "/"));
    let head = peer.expect_status(1, 200);
    assert!(head.end, "{head:?}");
    assert_eq!(head.header("content-length"), Some("5"));
    peer.expect_nothing(1);
}

#[test]
fn a_streamed_response_to_head_ends_with_its_head() {
    let server = Server::start(http(async |mut http: Http| {
        http.begin().await?;
        for _ in 0..3 {
            http.more("part").await?;
            tokio::task::yield_now().await;
        }
        http.last("").await
    }));
    let mut peer = server.connect();
    peer.request(1, &Request::new("HEAD", "/"));
    assert!(peer.expect_status(1, 200).end);
    peer.expect_nothing(1);
}

/// Checks that the server does not send the body of a response with this status.
#[track_caller]
fn expect_no_body(status: StatusCode) {
    let server = Server::start(http(move |mut http: Http| async move {
        http.send.send(HttpResponseStart::new(status)).await?;
        http.last("not sent").await
    }));
    let mut peer = server.connect();
    peer.get(1, "/");
    let head = peer.expect_status(1, status.as_u16());
    assert!(head.end, "{head:?}");
    if status == StatusCode::NO_CONTENT {
        assert_eq!(head.header("content-length"), None);
    }
    peer.expect_nothing(1);
}

#[test]
fn a_204_has_no_body_and_no_content_length() {
    expect_no_body(StatusCode::NO_CONTENT);
}

#[test]
fn a_304_has_no_body() {
    expect_no_body(StatusCode::NOT_MODIFIED);
}

#[test]
fn an_empty_body_ends_with_its_head() {
    let server = Server::start(http(async |mut http: Http| http.respond("").await));
    let mut peer = server.connect();
    peer.get(1, "/");
    let head = peer.expect_status(1, 200);
    assert!(head.end, "{head:?}");
    assert_eq!(head.header("content-length"), Some("0"));
}

#[test]
fn the_head_and_each_part_are_sent_when_the_app_waits() {
    let server = Server::start(http(async |mut http: Http| {
        http.begin().await?;
        http.receive.receive().await;
        http.more("one").await?;
        http.receive.receive().await;
        http.more("two").await?;
        http.receive.receive().await;
        http.last("").await
    }));
    let mut peer = server.connect();
    peer.post(1, "/");
    let head = peer.expect_status(1, 200);
    assert!(!head.end && head.header("content-length").is_none());
    peer.data(1, "a");
    assert_eq!(peer.expect_bytes(1, 3), b"one");
    peer.data(1, "b");
    assert_eq!(peer.expect_bytes(1, 3), b"two");
    peer.last(1, "c");
    assert_eq!(peer.expect_data(1), (Vec::new(), true));
}

async fn with_trailers(mut http: Http) -> Result<(), AppError> {
    if !http.scope.extensions.has(Extension::Trailers) {
        return http.respond("no trailers").await;
    }
    let start = HttpResponseStart::ok().with_trailers();
    http.send.send(start).await?;
    http.last("body").await?;
    let mut trailers = HeaderMap::new();
    trailers.insert("checksum", HeaderValue::from_static("9"));
    // RFC 9110 §6.5.1: a recipient must know this before the content, so it is no trailer.
    trailers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("7"));
    http.send.send(HttpResponseTrailers::new(trailers)).await?;
    Ok(())
}

/// HTTP-079
#[test]
fn trailers_may_be_promised_and_not_sent() {
    let server = Server::start(http(async |mut http: Http| {
        let start = HttpResponseStart::ok().with_trailers();
        http.send.send(start).await?;
        http.last("without").await
    }));
    let mut peer = server.connect();
    peer.request(1, &Request::get("/").header("te", "trailers"));
    assert_eq!(peer.expect_response(1, 200).text(), "without");
}

#[test]
fn trailers_are_sent_to_a_client_that_accepts_them() {
    let server = Server::start(http(with_trailers));
    let mut peer = server.connect();
    peer.request(1, &Request::get("/").header("te", "trailers"));
    let response = peer.expect_response(1, 200);
    assert_eq!(response.text(), "body");
    let expected = vec![("checksum".to_owned(), "9".to_owned())];
    assert_eq!(response.trailers, Some(expected));
}

/// TRAIL-001
#[test]
fn trailers_are_not_offered_without_te_trailers() {
    let server = Server::start(http(with_trailers));
    let mut peer = server.connect();
    peer.get(1, "/");
    assert_eq!(peer.expect_response(1, 200).text(), "no trailers");
}

#[test]
fn trailers_after_an_empty_body_end_the_stream() {
    let server = Server::start(http(async |mut http: Http| {
        let start = HttpResponseStart::ok().with_trailers();
        http.send.send(start).await?;
        http.last("").await?;
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        http.send.send(HttpResponseTrailers::new(trailers)).await?;
        Ok(())
    }));
    let mut peer = server.connect();
    peer.request(1, &Request::get("/").header("te", "trailers"));
    let response = peer.expect_response(1, 200);
    assert_eq!(response.trailers.map(|trailers| trailers.len()), Some(1));
}

fn hint(link: &'static str) -> HttpResponseEarlyHint {
    HttpResponseEarlyHint::new([HeaderValue::from_static(link)])
}

/// HINT-001
#[test]
fn early_hints_come_before_the_head() {
    let server = Server::start(http(async |mut http: Http| {
        http.send.send(hint("</a.css>; rel=preload")).await?;
        http.send.send(hint("</b.css>; rel=preload")).await?;
        http.respond("hello").await
    }));
    let mut peer = server.connect();
    peer.get(1, "/");
    for link in ["</a.css>; rel=preload", "</b.css>; rel=preload"] {
        let interim = peer.expect_status(1, 103);
        assert_eq!(interim.headers, [("link".to_owned(), link.to_owned())]);
        assert!(!interim.end);
    }
    assert_eq!(peer.expect_response(1, 200).text(), "hello");
}

/// HTTP-082: the 500 was sent at once, and the hint was lost.
#[test]
fn a_hint_before_a_failure_is_sent_before_the_500() {
    let server = Server::start(http(async |mut http: Http| {
        http.begin().await?;
        http.send.send(hint("</a.css>")).await?;
        Err("on purpose".into())
    }));
    let mut peer = server.connect();
    peer.get(1, "/");
    peer.expect_status(1, 103);
    peer.expect_response(1, 500);
    server.expect_error(&["on purpose"]);
}

#[test]
fn a_hint_after_the_head_is_refused() {
    let server = Server::start(http(async |mut http: Http| {
        http.begin().await?;
        http.more("hello").await?;
        let late = http.send.send(hint("</a.css>")).await;
        assert!(late.unwrap_err().is_refused());
        http.last("").await
    }));
    let mut peer = server.connect();
    peer.get(1, "/");
    assert_eq!(peer.expect_response(1, 200).text(), "hello");
}

#[test]
fn a_hint_after_a_100_is_sent() {
    let server = Server::start(http(async |mut http: Http| {
        http.receive.receive().await;
        http.send.send(hint("</a.css>")).await?;
        http.respond("hello").await
    }));
    let mut peer = server.connect();
    peer.send(headers(
        1,
        &Request::post("/").header("expect", "100-continue"),
    ));
    peer.expect_status(1, 100);
    peer.last(1, "body");
    peer.expect_status(1, 103);
    peer.expect_response(1, 200);
}

#[test]
fn a_response_before_the_end_of_the_upload_is_followed_by_a_reset_with_no_error() {
    let server = Server::start(hello());
    let mut peer = server.connect();
    peer.post(1, "/");
    assert_eq!(peer.expect_response(1, 200).text(), "hello");
    // RFC 9113 §8.1: "a server MAY request that the client abort transmission of a request
    // without error by sending a RST_STREAM with an error code of NO_ERROR after sending a
    // complete response".
    peer.expect_reset(1, code::NO_ERROR);
}

#[test]
fn data_after_the_response_is_discarded_and_its_credit_given_back() {
    let server = Server::start_set(
        |config| {
            config.h2_stream_window = 65_535;
            config.h2_max_concurrent_streams = 1;
        },
        http(
            async |mut http: Http| match http.scope.path().into_owned().as_str() {
                "/early" => http.respond("no, thanks").await,
                _ => {
                    let (body, _) = http.body().await.unwrap();
                    http.respond(body.len().to_string()).await
                }
            },
        ),
    );
    let mut peer = server.connect();
    peer.post(1, "/early");
    peer.expect_response(1, 200);
    peer.expect_reset(1, code::NO_ERROR);
    // These frames cross the reset. They use the whole window of the connection.
    for _ in 0..3 {
        peer.data(1, vec![b'x'; 16_384]);
    }
    peer.data(1, vec![b'x'; 16_383]);
    peer.expect_credit(0, 60_000);
    peer.expect_nothing(1);
    peer.post(3, "/");
    for _ in 0..3 {
        peer.data(3, vec![b'x'; 16_384]);
    }
    peer.last(3, "");
    assert_eq!(peer.expect_response(3, 200).text(), "49152");
}

#[test]
fn frames_do_not_exceed_the_clients_maximum_size() {
    let server = Server::start(http(async |mut http: Http| {
        http.respond(vec![b'x'; 50_000]).await
    }));
    let mut peer = server.connect_with(&[(setting::MAX_FRAME_SIZE, 16_384)]);
    peer.get(1, "/");
    peer.expect_status(1, 200);
    let (mut length, mut over) = (0, false);
    while !over {
        let (data, end) = peer.expect_data(1);
        assert!(data.len() <= 16_384, "{}", data.len());
        (length, over) = (length + data.len(), end);
    }
    assert_eq!(length, 50_000);
}

#[test]
fn a_client_without_a_dynamic_table_gets_its_headers() {
    let server = Server::start(hello());
    let mut peer = server.connect_with(&[(setting::HEADER_TABLE_SIZE, 0)]);
    for stream in [1, 3, 5] {
        peer.get(stream, "/");
        let response = peer.expect_response(stream, 200);
        assert_eq!(response.header("server"), Some("ferricorn"));
    }
}

#[test]
fn a_body_in_both_directions_at_once_is_echoed() {
    let server = Server::start(http(async |mut http: Http| {
        http.begin().await?;
        loop {
            match http.receive.receive().await {
                asgi::ReceiveEvent::HttpRequest(part) => {
                    let more = part.more_body;
                    http.send
                        .send(HttpResponseBody::new(part.body, more))
                        .await?;
                    if !more {
                        return Ok(());
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }));
    let mut peer = server.connect();
    peer.post(1, "/");
    peer.expect_status(1, 200);
    for round in 0..20 {
        let word = format!("word {round:2}");
        peer.data(1, word.clone());
        assert_eq!(peer.expect_bytes(1, 7), word.as_bytes());
    }
    peer.last(1, "");
    assert_eq!(peer.expect_data(1), (Vec::new(), true));
}

#[test]
fn an_interim_status_as_the_final_status_is_misuse() {
    let server = Server::start(http(async |mut http: Http| {
        let status = StatusCode::from_u16(http.scope.path()[1..].parse()?)?;
        http.send.send(HttpResponseStart::new(status)).await?;
        http.last("").await
    }));
    let mut peer = server.connect();
    for (stream, path) in [(1, "/100"), (3, "/101"), (5, "/103")] {
        peer.get(stream, path);
        peer.expect_response(stream, 500);
        server.expect_error(&[path]);
    }
}
