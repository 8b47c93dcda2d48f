//! What goes on the wire of what an app sends.

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

fn names(fields: &[(String, String)]) -> Vec<&str> {
    fields.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn a_response_has_its_length_a_date_and_a_server() {
    let server = Server::start(hello());
    let mut peer = server.connect();
    peer.get(1, "/");
    let response = peer.expect_response(1, 200);
    assert_eq!(response.field("content-length"), Some("5"));
    assert_eq!(response.field("server"), Some("ferricorn"));
    assert!(response.field("date").is_some());
    assert_eq!(response.head.fields.len(), 3);
}

#[test]
fn a_date_and_a_server_of_the_app_stay_alone() {
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
    assert_eq!(response.field("date"), Some("today"));
    assert_eq!(response.field("server"), Some("mine"));
}

#[test]
fn fields_of_a_connection_do_not_go_out() {
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
        names(&response.head.fields),
        ["content-length", "server", "date"]
    );
    assert_eq!(response.text(), "hello");
}

#[test]
fn a_value_with_a_line_end_cannot_be_built() {
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
fn a_head_larger_than_a_frame_comes_in_pieces() {
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
    assert_eq!(response.head.fields.len(), 63);
    assert_eq!(response.text(), "hello");
}

#[test]
fn an_answer_to_head_has_a_length_and_no_body() {
    let server = Server::start(hello());
    let mut peer = server.connect();
    peer.request(1, &Request::new("HEAD", "/"));
    let head = peer.expect_status(1, 200);
    assert!(head.end, "{head:?}");
    assert_eq!(head.field("content-length"), Some("5"));
    peer.expect_nothing(1);
}

#[test]
fn a_streamed_answer_to_head_ends_with_its_head() {
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

/// The body that an app sends with this status does not go out.
#[track_caller]
fn has_no_body(status: StatusCode) {
    let server = Server::start(http(move |mut http: Http| async move {
        http.send.send(HttpResponseStart::new(status)).await?;
        http.last("nobody may see this").await
    }));
    let mut peer = server.connect();
    peer.get(1, "/");
    let head = peer.expect_status(1, status.as_u16());
    assert!(head.end, "{head:?}");
    if status == StatusCode::NO_CONTENT {
        assert_eq!(head.field("content-length"), None);
    }
    peer.expect_nothing(1);
}

#[test]
fn a_204_has_no_body_and_no_length() {
    has_no_body(StatusCode::NO_CONTENT);
}

#[test]
fn a_304_has_no_body() {
    has_no_body(StatusCode::NOT_MODIFIED);
}

#[test]
fn an_empty_body_ends_with_its_head() {
    let server = Server::start(http(async |mut http: Http| http.respond("").await));
    let mut peer = server.connect();
    peer.get(1, "/");
    let head = peer.expect_status(1, 200);
    assert!(head.end, "{head:?}");
    assert_eq!(head.field("content-length"), Some("0"));
}

#[test]
fn a_head_and_each_part_go_out_when_the_app_waits() {
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
    assert!(!head.end && head.field("content-length").is_none());
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
    let mut fields = HeaderMap::new();
    fields.insert("checksum", HeaderValue::from_static("9"));
    // RFC 9110 §6.5.1: not of those that a recipient must know before the content.
    fields.insert(header::CONTENT_LENGTH, HeaderValue::from_static("7"));
    http.send.send(HttpResponseTrailers::new(fields)).await?;
    Ok(())
}

#[test]
fn trailers_go_out_to_who_takes_them() {
    let server = Server::start(http(with_trailers));
    let mut peer = server.connect();
    peer.request(1, &Request::get("/").field("te", "trailers"));
    let response = peer.expect_response(1, 200);
    assert_eq!(response.text(), "body");
    let expected = vec![("checksum".to_owned(), "9".to_owned())];
    assert_eq!(response.trailers, Some(expected));
}

#[test]
fn trailers_are_not_offered_to_who_does_not_take_them() {
    let server = Server::start(http(with_trailers));
    let mut peer = server.connect();
    peer.get(1, "/");
    assert_eq!(peer.expect_response(1, 200).text(), "no trailers");
}

#[test]
fn trailers_behind_no_body_end_the_stream() {
    let server = Server::start(http(async |mut http: Http| {
        let start = HttpResponseStart::ok().with_trailers();
        http.send.send(start).await?;
        http.last("").await?;
        let mut fields = HeaderMap::new();
        fields.insert("grpc-status", HeaderValue::from_static("0"));
        http.send.send(HttpResponseTrailers::new(fields)).await?;
        Ok(())
    }));
    let mut peer = server.connect();
    peer.request(1, &Request::get("/").field("te", "trailers"));
    let response = peer.expect_response(1, 200);
    assert_eq!(response.trailers.map(|trailers| trailers.len()), Some(1));
}

fn hint(link: &'static str) -> HttpResponseEarlyHint {
    HttpResponseEarlyHint::new([HeaderValue::from_static(link)])
}

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
        assert_eq!(interim.fields, [("link".to_owned(), link.to_owned())]);
        assert!(!interim.end);
    }
    assert_eq!(peer.expect_response(1, 200).text(), "hello");
}

#[test]
fn a_hint_behind_the_head_is_refused_to_the_app() {
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
fn a_hint_behind_a_100_is_sent_too() {
    let server = Server::start(http(async |mut http: Http| {
        http.receive.receive().await;
        http.send.send(hint("</a.css>")).await?;
        http.respond("hello").await
    }));
    let mut peer = server.connect();
    peer.send(headers(
        1,
        &Request::post("/").field("expect", "100-continue"),
    ));
    peer.expect_status(1, 100);
    peer.last(1, "body");
    peer.expect_status(1, 103);
    peer.expect_response(1, 200);
}

#[test]
fn a_response_before_the_end_of_the_body_is_followed_by_a_reset_without_an_error() {
    let server = Server::start(hello());
    let mut peer = server.connect();
    peer.post(1, "/");
    assert_eq!(peer.expect_response(1, 200).text(), "hello");
    // RFC 9113 §8.1: "the server MAY request that the client abort transmission of a request
    // without error by sending a RST_STREAM with an error code of NO_ERROR after sending a
    // complete response".
    peer.expect_reset(1, code::NO_ERROR);
}

#[test]
fn what_comes_behind_our_response_is_thrown_away_and_its_credit_given_back() {
    let server = Server::start_set(
        |config| {
            config.h2_stream_window = 65_535;
            config.h2_max_concurrent_streams = 1;
        },
        http(async |mut http: Http| match http.scope.path.as_str() {
            "/early" => http.respond("no, thanks").await,
            _ => {
                let (body, _) = http.body().await.unwrap();
                http.respond(body.len().to_string()).await
            }
        }),
    );
    let mut peer = server.connect();
    peer.post(1, "/early");
    peer.expect_response(1, 200);
    peer.expect_reset(1, code::NO_ERROR);
    // It was on its way already: all that the connection lets us send.
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
fn a_client_that_allows_little_in_a_frame_gets_no_larger_ones() {
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
fn a_client_without_a_table_gets_literals() {
    let server = Server::start(hello());
    let mut peer = server.connect_with(&[(setting::HEADER_TABLE_SIZE, 0)]);
    for stream in [1, 3, 5] {
        peer.get(stream, "/");
        let response = peer.expect_response(stream, 200);
        assert_eq!(response.field("server"), Some("ferricorn"));
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
fn an_interim_status_as_the_final_one_is_refused_to_the_app() {
    let server = Server::start(http(async |mut http: Http| {
        let status = StatusCode::from_u16(http.scope.path[1..].parse()?)?;
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
