//! Valid and malformed requests.

use std::sync::mpsc;

use http::HeaderMap;
use http2::frame::{code, flag, kind};
use http2::{Frame, Request, headers};

use crate::connect::Connect as _;
use test_support::app::{echo, hello, mirror};
use test_support::blocking::{Server, next_report};
use test_support::{Http, http, http_with};

/// Checks that the server resets the stream of this request, and that the connection continues.
#[track_caller]
fn expect_malformed(request: &Request) {
    let server = Server::start(hello());
    let mut peer = server.connect();
    peer.request(1, request);
    peer.expect_reset(1, code::PROTOCOL_ERROR);
    peer.get(3, "/");
    peer.expect_response(3, 200);
}

/// Checks that the server refuses this request, with a stream error or a connection error.
///
/// h2 makes a malformed header an error of the connection, which RFC 9113 §5.4.1 allows.
#[track_caller]
fn expect_malformed_header(request: &Request) {
    let (report, reports) = mpsc::channel();
    let app = http_with(report, async |report, mut http: Http| {
        report.send(())?;
        http.respond("").await
    });
    let server = Server::start(app);
    let mut peer = server.connect();
    peer.request(1, request);
    peer.expect_refusal(1, code::PROTOCOL_ERROR);
    drop((peer, server));
    assert!(reports.try_recv().is_err(), "the app was called");
}

/// Checks that the server responds with this status, and that the connection continues.
#[track_caller]
fn expect_status(request: &Request, status: u16) {
    let server = Server::start(hello());
    let mut peer = server.connect();
    peer.request(1, request);
    peer.expect_response(1, status);
    peer.get(3, "/");
    peer.expect_response(3, 200);
}

/// The request as the app sees it: method and target, then one line per header.
#[track_caller]
fn seen_by_app(request: &Request) -> Vec<String> {
    let server = Server::start(mirror());
    let mut peer = server.connect();
    peer.request(1, request);
    let text = peer.expect_response(1, 200).text();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_path_that_is_not_ascii_is_malformed() {
    expect_malformed(&Request::get("/caf\u{e9}"));
    expect_malformed(&Request::get("/\""));
}

#[test]
fn a_path_above_the_limit_of_a_request_line_is_a_414() {
    let server = Server::start_set(|config| config.max_request_line = 300, hello());
    let mut peer = server.connect();
    peer.get(1, &format!("/{}", "a".repeat(299)));
    peer.expect_response(1, 200);
    peer.get(3, &format!("/{}", "a".repeat(300)));
    peer.expect_response(3, 414);
}

#[test]
fn an_authority_without_a_possible_port_or_address_is_malformed() {
    expect_malformed(&Request::get("/").with(":authority", "a:65536"));
    expect_malformed(&Request::get("/").with(":authority", "[zz]"));
}

#[test]
fn a_path_that_is_not_utf_8_is_malformed() {
    expect_malformed_header(&Request::get("/").with(":path", b"/caf\xe9"));
}

#[test]
fn a_path_with_a_space_is_malformed() {
    expect_malformed(&Request::get("/a b"));
}

#[test]
fn a_path_without_its_slash_is_malformed() {
    expect_malformed(&Request::get("a"));
}

#[test]
fn an_asterisk_is_a_path_only_for_options() {
    assert_eq!(seen_by_app(&Request::new("OPTIONS", "*"))[0], "OPTIONS *");
    expect_malformed(&Request::get("*"));
}

#[test]
fn an_empty_path_is_malformed() {
    expect_malformed(&Request::get(""));
}

#[test]
fn a_request_without_a_path_is_malformed() {
    expect_malformed(&Request::get("/").without(":path"));
}

#[test]
fn a_request_without_a_method_is_malformed() {
    expect_malformed(&Request::get("/").without(":method"));
}

#[test]
fn a_request_without_a_scheme_is_malformed() {
    expect_malformed(&Request::get("/").without(":scheme"));
}

#[test]
fn a_method_that_is_no_token_is_malformed() {
    expect_malformed_header(&Request::new("GE T", "/"));
}

#[test]
fn a_connect_without_a_protocol_is_not_implemented() {
    let connect = Request::empty()
        .header(":method", "CONNECT")
        .header(":authority", "a:1");
    expect_status(&connect, 501);
}

#[test]
fn a_connect_with_a_scheme_and_a_path_is_malformed() {
    let server = Server::start(hello());
    let mut peer = server.connect();
    peer.request(1, &Request::new("CONNECT", "/"));
    // RFC 9113 §8.5: "The ":scheme" and ":path" pseudo-header fields MUST be omitted."
    peer.expect_reset(1, code::PROTOCOL_ERROR);
}

#[test]
fn a_protocol_that_was_not_offered_is_malformed() {
    let server = Server::start_set(|config| config.ws = false, hello());
    let mut peer = server.connect();
    peer.request(
        1,
        &Request::new("CONNECT", "/").header(":protocol", "websocket"),
    );
    peer.expect_reset(1, code::PROTOCOL_ERROR);
    // The connection continues.
    peer.get(3, "/");
    peer.expect_response(3, 200);
}

#[test]
fn a_protocol_without_connect_is_malformed() {
    expect_malformed(&Request::get("/").header(":protocol", "websocket"));
}

#[test]
fn an_unknown_pseudo_header_is_malformed() {
    expect_malformed_header(&Request::get("/").header(":color", "red"));
}

#[test]
fn a_response_pseudo_header_is_malformed() {
    expect_malformed(&Request::get("/").header(":status", "200"));
}

#[test]
fn a_repeated_pseudo_header_is_malformed() {
    expect_malformed(&Request::get("/").header(":path", "/"));
}

#[test]
fn a_pseudo_header_after_a_header_is_malformed() {
    let path_last = Request::get("/").without(":path");
    expect_malformed(&path_last.header("accept", "*/*").header(":path", "/"));
}

#[test]
fn an_uppercase_name_is_malformed() {
    expect_malformed_header(&Request::get("/").header("X-Up", "1"));
}

#[test]
fn a_name_with_a_space_is_malformed() {
    expect_malformed_header(&Request::get("/").header("x y", "1"));
}

#[test]
fn an_empty_name_is_malformed() {
    expect_malformed_header(&Request::get("/").header("", "1"));
}

#[test]
fn a_value_with_a_line_feed_is_malformed() {
    expect_malformed_header(&Request::get("/").header("x", "a\nb: c"));
}

#[test]
fn a_value_with_a_carriage_return_is_malformed() {
    expect_malformed_header(&Request::get("/").header("x", "a\rb"));
}

#[test]
fn a_value_with_a_nul_is_malformed() {
    expect_malformed_header(&Request::get("/").header("x", "a\0b"));
}

#[test]
fn white_space_around_a_value_is_malformed() {
    expect_malformed(&Request::get("/").header("x", " a"));
    expect_malformed(&Request::get("/").header("x", "a\t"));
}

#[test]
fn a_connection_header_is_malformed() {
    expect_malformed(&Request::get("/").header("connection", "close"));
}

#[test]
fn other_connection_specific_headers_are_malformed() {
    for name in [
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
        "upgrade",
    ] {
        expect_malformed(&Request::get("/").header(name, "a"));
    }
}

#[test]
fn a_te_other_than_trailers_is_malformed() {
    expect_malformed(&Request::get("/").header("te", "gzip"));
    expect_status(&Request::get("/").header("te", "trailers"), 200);
}

/// HTTP-009
#[test]
fn the_authority_becomes_the_host_header() {
    let lines = seen_by_app(&Request::get("/x?y=1").with(":authority", "example.org:81"));
    assert_eq!(lines, ["GET /x?y=1", "host: example.org:81"]);
}

#[test]
fn a_host_without_an_authority_is_enough() {
    let host = Request::get("/").without(":authority").header("host", "b");
    assert_eq!(seen_by_app(&host), ["GET /", "host: b"]);
}

#[test]
fn a_request_without_an_authority_and_a_host_is_malformed() {
    expect_malformed(&Request::get("/").without(":authority"));
}

#[test]
fn a_host_that_differs_from_the_authority_is_malformed() {
    expect_malformed(&Request::get("/").header("host", "b"));
    assert_eq!(
        seen_by_app(&Request::get("/").header("host", "a")),
        ["GET /", "host: a"]
    );
}

#[test]
fn two_hosts_are_malformed() {
    let hosts = Request::get("/").without(":authority");
    expect_malformed(&hosts.header("host", "a").header("host", "a"));
}

#[test]
fn an_authority_with_userinfo_is_malformed() {
    expect_malformed(&Request::get("/").with(":authority", "user@a"));
}

#[test]
fn split_cookies_are_joined() {
    let split = Request::get("/")
        .header("cookie", "a=1")
        .header("accept", "*/*")
        .header("cookie", "b=2")
        .header("cookie", "c=3");
    let lines = seen_by_app(&split);
    assert!(
        lines.contains(&"cookie: a=1; b=2; c=3".to_owned()),
        "{lines:?}"
    );
    assert_eq!(lines.len(), 4, "{lines:?}");
}

#[test]
fn split_cookies_count_as_one_header() {
    let server = Server::start_set(|config| config.max_headers = 2, hello());
    let mut peer = server.connect();
    let mut many = Request::get("/").header("x", "y");
    for nth in 0..50 {
        many = many.header("cookie", format!("part={nth}"));
    }
    peer.request(1, &many);
    peer.expect_response(1, 200);
}

#[test]
fn an_empty_authority_is_malformed() {
    expect_malformed_header(&Request::get("/").with(":authority", ""));
}

#[test]
fn an_invalid_scheme_is_malformed() {
    expect_malformed_header(&Request::get("/").with(":scheme", "1 http"));
}

#[test]
fn a_body_shorter_than_its_content_length_is_malformed() {
    let server = Server::start(echo());
    let mut peer = server.connect();
    peer.send(headers(
        1,
        &Request::post("/").header("content-length", "5"),
    ));
    peer.last(1, "four");
    peer.expect_reset(1, code::PROTOCOL_ERROR);
    peer.get(3, "/");
    peer.expect_response(3, 200);
}

#[test]
fn a_body_longer_than_its_content_length_is_malformed() {
    let server = Server::start(echo());
    let mut peer = server.connect();
    peer.send(headers(
        1,
        &Request::post("/").header("content-length", "5"),
    ));
    peer.data(1, "sixsix");
    peer.expect_reset(1, code::PROTOCOL_ERROR);
    peer.get(3, "/");
    peer.expect_response(3, 200);
}

#[test]
fn a_content_length_without_a_body_is_malformed() {
    expect_malformed(&Request::post("/").header("content-length", "5"));
}

#[test]
fn a_content_length_that_is_no_number_is_malformed() {
    expect_malformed(&Request::post("/").header("content-length", "0x5"));
}

#[test]
fn two_content_lengths_are_malformed() {
    for second in ["5", "4"] {
        let server = Server::start(echo());
        let mut peer = server.connect();
        let two = Request::post("/").header("content-length", "4");
        peer.send(headers(1, &two.header("content-length", second)));
        peer.expect_reset(1, code::PROTOCOL_ERROR);
        peer.get(3, "/");
        peer.expect_response(3, 200);
    }
}

#[test]
fn a_content_length_list_is_malformed() {
    expect_malformed(&Request::post("/").header("content-length", "0, 0"));
    expect_malformed(&Request::post("/").header("content-length", "+0"));
}

#[test]
fn a_100_is_sent_when_the_app_asks_for_the_body() {
    let server = Server::start(echo());
    let mut peer = server.connect();
    let expecting = Request::post("/").header("expect", "100-continue");
    peer.send(headers(1, &expecting));
    let interim = peer.expect_status(1, 100);
    assert!(!interim.end && interim.headers.is_empty(), "{interim:?}");
    peer.last(1, "body");
    assert_eq!(peer.expect_response(1, 200).text(), "body");
}

#[test]
fn no_100_is_sent_if_the_app_responds_without_the_body() {
    let server = Server::start(hello());
    let mut peer = server.connect();
    let expecting = Request::post("/").header("expect", "100-continue");
    peer.send(headers(1, &expecting));
    assert_eq!(peer.expect_response(1, 200).text(), "hello");
    peer.expect_reset(1, code::NO_ERROR);
}

#[test]
fn an_unknown_expectation_is_a_417() {
    expect_status(&Request::get("/").header("expect", "a-miracle"), 417);
}

type Body = (Vec<u8>, Option<HeaderMap>);

/// A server whose app reports the body and the trailers.
fn with_trailers() -> (Server, mpsc::Receiver<Body>) {
    let (report, reports) = mpsc::channel();
    let app = http_with(report, async |report, mut http: Http| {
        if let Ok(request) = http.body().await {
            report.send(request)?;
            http.respond("ok").await?;
        }
        Ok(())
    });
    (Server::start(app), reports)
}

#[test]
fn trailers_of_a_request_reach_the_app() {
    let (server, reports) = with_trailers();
    let mut peer = server.connect();
    peer.post(1, "/");
    peer.data(1, "body");
    let trailers = Request::empty().header("checksum", "9").header("x", "y");
    peer.request(1, &trailers);
    peer.expect_response(1, 200);
    let (body, trailers) = next_report(&reports);
    assert_eq!(body, b"body");
    let trailers = trailers.expect("trailers");
    assert_eq!(trailers["checksum"], "9");
    assert_eq!(trailers.len(), 2);
}

#[test]
fn trailers_that_do_not_end_the_stream_are_malformed() {
    let (server, _reports) = with_trailers();
    let mut peer = server.connect();
    peer.post(1, "/");
    peer.send(headers(1, &Request::empty().header("checksum", "9")));
    // RFC 9113 §8.1: it is malformed, which is a stream error.
    peer.expect_reset(1, code::PROTOCOL_ERROR);
    peer.settle();
}

#[test]
#[ignore = "h2 drops them silently"]
fn a_pseudo_header_among_trailers_is_malformed() {
    let (server, _reports) = with_trailers();
    let mut peer = server.connect();
    peer.post(1, "/");
    peer.request(1, &Request::empty().header(":path", "/"));
    peer.expect_reset(1, code::PROTOCOL_ERROR);
    peer.settle();
}

#[test]
fn too_many_headers_are_a_431() {
    let server = Server::start_set(|config| config.max_headers = 3, hello());
    let mut peer = server.connect();
    let three = Request::get("/")
        .header("a", "1")
        .header("b", "2")
        .header("c", "3");
    peer.request(1, &three);
    peer.expect_response(1, 200);
    peer.request(3, &three.clone().header("d", "4"));
    peer.expect_response(3, 431);
    peer.get(5, "/");
    peer.expect_response(5, 200);
}

#[test]
fn a_header_list_above_the_limit_is_a_431() {
    let server = Server::start_set(|config| config.max_head_size = 4_096, hello());
    let mut peer = server.connect();
    peer.request(1, &Request::get("/").header("x", "y".repeat(4_096)));
    peer.expect_response(1, 431);
    peer.get(3, "/");
    peer.expect_response(3, 200);
}

#[test]
fn a_header_block_in_many_pieces_is_one_request() {
    let server = Server::start(mirror());
    let mut peer = server.connect();
    let block = Request::get("/pieces").header("x", "y").block();
    peer.send(Frame::new(kind::HEADERS, 1, []).end_stream());
    for piece in block.chunks(16) {
        peer.send(Frame::continuation(1, piece));
    }
    peer.send(Frame::continuation(1, []).end_headers());
    let text = peer.expect_response(1, 200).text();
    assert!(text.starts_with("GET /pieces\n"), "{text}");
}

#[test]
fn padding_and_priority_change_nothing() {
    let server = Server::start(echo());
    let mut peer = server.connect();
    let mut head = headers(1, &Request::post("/"));
    head.payload.splice(0..0, [0, 0, 0, 0, 15]);
    peer.send(head.flags(flag::PRIORITY).padded(20));
    peer.send(Frame::data(1, "bo").padded(200));
    peer.send(Frame::data(1, "dy").padded(0).end_stream());
    assert_eq!(peer.expect_response(1, 200).text(), "body");
}

#[test]
fn a_scheme_of_https_from_a_gateway_is_served() {
    let server = Server::start(http(async |mut http: Http| {
        let scheme = http.scope.scheme.clone().into_owned();
        http.respond(scheme).await
    }));
    let mut peer = server.connect();
    peer.request(1, &Request::get("/").with(":scheme", "https"));
    assert_eq!(peer.expect_response(1, 200).text(), "http");
}

#[test]
fn the_scope_says_whether_a_body_follows() {
    let server = Server::start(http(async |mut http: Http| {
        let has_body = http.scope.has_body();
        http.body().await.unwrap();
        http.respond(has_body.to_string()).await
    }));
    let mut peer = server.connect();
    peer.get(1, "/");
    assert_eq!(peer.expect_response(1, 200).text(), "false");
    peer.post(3, "/");
    peer.last(3, "a");
    assert_eq!(peer.expect_response(3, 200).text(), "true");
}

#[test]
fn a_header_above_the_limit_is_a_431() {
    let server = Server::start_set(|config| config.max_header_size = Some(10), echo());
    let mut peer = server.connect();
    peer.request(1, &Request::get("/").header("x-name", "1234"));
    peer.expect_response(1, 200);
    peer.request(3, &Request::get("/").header("x-name", "12345"));
    peer.expect_response(3, 431);
    peer.get(5, "/");
    peer.expect_response(5, 200);
}

#[test]
fn a_body_above_the_limit_is_a_413_before_or_while_it_is_read() {
    let server = Server::start_set(|config| config.max_body_size = Some(10), echo());
    let mut peer = server.connect();
    peer.post(1, "/");
    peer.last(1, "0123456789");
    assert_eq!(peer.expect_response(1, 200).text(), "0123456789");
    peer.send(headers(
        3,
        &Request::new("POST", "/").header("content-length", "11"),
    ));
    peer.expect_response(3, 413);
    peer.post(5, "/");
    peer.data(5, "01234");
    peer.data(5, "567890");
    peer.expect_response(5, 413);
    peer.get(7, "/");
    peer.expect_response(7, 200);
}

#[test]
fn a_request_that_takes_too_long_in_all_is_a_503_or_a_408() {
    let app = http(async |mut http: Http| {
        if http.scope.path() == "/body" {
            drop(http.body().await);
        }
        std::future::pending().await
    });
    let limit = Some(std::time::Duration::from_millis(100));
    let server = Server::start_set(|config| config.request_timeout = limit, app);
    let mut peer = server.connect();
    peer.get(1, "/");
    peer.expect_response(1, 503);
    peer.post(3, "/body");
    peer.expect_response(3, 408);
    server.wait_for_exchanges(0);
}
