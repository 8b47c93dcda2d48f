//! What a request may be, and what becomes of one that may not.

use std::sync::mpsc;

use http::HeaderMap;
use http2::frame::{code, flag, kind};
use http2::{Frame, Request, headers};

use crate::connect::Connect as _;
use test_support::app::{echo, hello, mirror};
use test_support::blocking::{Server, next_report};
use test_support::{Http, http, http_with};

/// The request is refused as malformed, on its own stream alone.
#[track_caller]
fn malformed(request: &Request) {
    let server = Server::start(hello());
    let mut peer = server.connect();
    peer.request(1, request);
    peer.expect_reset(1, code::PROTOCOL_ERROR);
    peer.get(3, "/");
    peer.expect_response(3, 200);
}

/// The request is refused as malformed, which h2 takes for an error of the whole connection when it
/// meets it among the fields (RFC 9113 §5.4.1 lets it).
#[track_caller]
fn malformed_field(request: &Request) {
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

/// The request is answered with this status, and the connection goes on.
#[track_caller]
fn answered(request: &Request, status: u16) {
    let server = Server::start(hello());
    let mut peer = server.connect();
    peer.request(1, request);
    peer.expect_response(1, status);
    peer.get(3, "/");
    peer.expect_response(3, 200);
}

/// What the app sees of the request, a line for the method and the target and one a field.
#[track_caller]
fn seen(request: &Request) -> Vec<String> {
    let server = Server::start(mirror());
    let mut peer = server.connect();
    peer.request(1, request);
    let text = peer.expect_response(1, 200).text();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_path_that_is_not_ascii_is_served_as_utf_8() {
    let server = Server::start(mirror());
    let mut peer = server.connect();
    peer.get(1, "/caf\u{e9}");
    let text = peer.expect_response(1, 200).text();
    assert!(text.starts_with("GET /caf\u{e9}\n"), "{text}");
}

#[test]
fn a_path_that_is_no_utf_8_is_malformed() {
    malformed_field(&Request::get("/").with(":path", b"/caf\xe9"));
}

#[test]
fn a_path_with_a_space_is_malformed() {
    malformed(&Request::get("/a b"));
}

#[test]
fn a_path_without_its_slash_is_malformed() {
    malformed(&Request::get("a"));
}

#[test]
fn a_star_is_a_path_for_options_alone() {
    assert_eq!(seen(&Request::new("OPTIONS", "*"))[0], "OPTIONS *");
    malformed(&Request::get("*"));
}

#[test]
fn an_empty_path_is_malformed() {
    malformed(&Request::get(""));
}

#[test]
fn a_request_without_a_path_is_malformed() {
    malformed(&Request::get("/").without(":path"));
}

#[test]
fn a_request_without_a_method_is_malformed() {
    malformed(&Request::get("/").without(":method"));
}

#[test]
fn a_request_without_a_scheme_is_malformed() {
    malformed(&Request::get("/").without(":scheme"));
}

#[test]
fn a_method_that_is_no_token_is_malformed() {
    malformed_field(&Request::new("GE T", "/"));
}

#[test]
fn a_connect_without_a_protocol_is_not_implemented() {
    let connect = Request::empty()
        .field(":method", "CONNECT")
        .field(":authority", "a:1");
    answered(&connect, 501);
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
        &Request::new("CONNECT", "/").field(":protocol", "websocket"),
    );
    peer.expect_reset(1, code::PROTOCOL_ERROR);
    // The connection goes on.
    peer.get(3, "/");
    peer.expect_response(3, 200);
}

#[test]
fn a_protocol_is_for_connect_alone() {
    malformed(&Request::get("/").field(":protocol", "websocket"));
}

#[test]
fn an_unknown_pseudo_header_is_malformed() {
    malformed_field(&Request::get("/").field(":color", "red"));
}

#[test]
fn a_pseudo_header_of_responses_is_malformed() {
    malformed(&Request::get("/").field(":status", "200"));
}

#[test]
fn a_repeated_pseudo_header_is_malformed() {
    malformed(&Request::get("/").field(":path", "/"));
}

#[test]
fn a_pseudo_header_behind_a_field_is_malformed() {
    let path_last = Request::get("/").without(":path");
    malformed(&path_last.field("accept", "*/*").field(":path", "/"));
}

#[test]
fn an_uppercase_name_is_malformed() {
    malformed_field(&Request::get("/").field("X-Up", "1"));
}

#[test]
fn a_name_with_a_space_is_malformed() {
    malformed_field(&Request::get("/").field("x y", "1"));
}

#[test]
fn an_empty_name_is_malformed() {
    malformed_field(&Request::get("/").field("", "1"));
}

#[test]
fn a_value_with_a_line_feed_is_malformed() {
    malformed_field(&Request::get("/").field("x", "a\nb: c"));
}

#[test]
fn a_value_with_a_carriage_return_is_malformed() {
    malformed_field(&Request::get("/").field("x", "a\rb"));
}

#[test]
fn a_value_with_a_nul_is_malformed() {
    malformed_field(&Request::get("/").field("x", "a\0b"));
}

#[test]
fn white_space_around_a_value_is_malformed() {
    malformed(&Request::get("/").field("x", " a"));
    malformed(&Request::get("/").field("x", "a\t"));
}

#[test]
fn a_connection_field_is_malformed() {
    malformed(&Request::get("/").field("connection", "close"));
}

#[test]
fn the_other_fields_of_a_connection_are_malformed() {
    for name in [
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
        "upgrade",
    ] {
        malformed(&Request::get("/").field(name, "a"));
    }
}

#[test]
fn a_te_other_than_trailers_is_malformed() {
    malformed(&Request::get("/").field("te", "gzip"));
    answered(&Request::get("/").field("te", "trailers"), 200);
}

#[test]
fn the_authority_is_the_host_of_the_scope() {
    let lines = seen(&Request::get("/x?y=1").with(":authority", "example.org:81"));
    assert_eq!(lines, ["GET /x?y=1", "host: example.org:81"]);
}

#[test]
fn a_host_without_an_authority_is_enough() {
    let host = Request::get("/").without(":authority").field("host", "b");
    assert_eq!(seen(&host), ["GET /", "host: b"]);
}

#[test]
fn a_request_without_an_authority_and_a_host_is_malformed() {
    malformed(&Request::get("/").without(":authority"));
}

#[test]
fn a_host_that_is_not_the_authority_is_malformed() {
    malformed(&Request::get("/").field("host", "b"));
    assert_eq!(
        seen(&Request::get("/").field("host", "a")),
        ["GET /", "host: a"]
    );
}

#[test]
fn two_hosts_are_malformed() {
    let hosts = Request::get("/").without(":authority");
    malformed(&hosts.field("host", "a").field("host", "a"));
}

#[test]
fn an_authority_with_a_user_is_malformed() {
    malformed(&Request::get("/").with(":authority", "user@a"));
}

#[test]
fn crumbs_of_a_cookie_are_joined() {
    let crumbs = Request::get("/")
        .field("cookie", "a=1")
        .field("accept", "*/*")
        .field("cookie", "b=2")
        .field("cookie", "c=3");
    let lines = seen(&crumbs);
    assert!(
        lines.contains(&"cookie: a=1; b=2; c=3".to_owned()),
        "{lines:?}"
    );
    assert_eq!(lines.len(), 4, "{lines:?}");
}

#[test]
fn crumbs_of_a_cookie_count_as_one_field() {
    let server = Server::start_set(|config| config.max_headers = 2, hello());
    let mut peer = server.connect();
    let mut many = Request::get("/").field("x", "y");
    for nth in 0..50 {
        many = many.field("cookie", format!("crumb={nth}"));
    }
    peer.request(1, &many);
    peer.expect_response(1, 200);
}

#[test]
fn an_empty_authority_is_malformed() {
    malformed_field(&Request::get("/").with(":authority", ""));
}

#[test]
fn a_scheme_that_is_none_is_malformed() {
    malformed_field(&Request::get("/").with(":scheme", "1 http"));
}

#[test]
fn a_body_shorter_than_its_length_is_malformed() {
    let server = Server::start(echo());
    let mut peer = server.connect();
    peer.send(headers(1, &Request::post("/").field("content-length", "5")));
    peer.last(1, "four");
    peer.expect_reset(1, code::PROTOCOL_ERROR);
    peer.get(3, "/");
    peer.expect_response(3, 200);
}

#[test]
fn a_body_longer_than_its_length_is_malformed() {
    let server = Server::start(echo());
    let mut peer = server.connect();
    peer.send(headers(1, &Request::post("/").field("content-length", "5")));
    peer.data(1, "sixsix");
    peer.expect_reset(1, code::PROTOCOL_ERROR);
    peer.get(3, "/");
    peer.expect_response(3, 200);
}

#[test]
fn a_length_without_a_body_is_malformed() {
    malformed(&Request::post("/").field("content-length", "5"));
}

#[test]
fn a_length_that_is_no_number_is_malformed() {
    malformed(&Request::post("/").field("content-length", "0x5"));
}

#[test]
fn two_lengths_are_malformed() {
    for second in ["5", "4"] {
        let server = Server::start(echo());
        let mut peer = server.connect();
        let two = Request::post("/").field("content-length", "4");
        peer.send(headers(1, &two.field("content-length", second)));
        peer.expect_reset(1, code::PROTOCOL_ERROR);
        peer.get(3, "/");
        peer.expect_response(3, 200);
    }
}

#[test]
fn a_length_that_is_a_list_is_malformed() {
    malformed(&Request::post("/").field("content-length", "0, 0"));
    malformed(&Request::post("/").field("content-length", "+0"));
}

#[test]
fn a_100_goes_out_when_the_app_wants_the_body() {
    let server = Server::start(echo());
    let mut peer = server.connect();
    let expecting = Request::post("/").field("expect", "100-continue");
    peer.send(headers(1, &expecting));
    let interim = peer.expect_status(1, 100);
    assert!(!interim.end && interim.fields.is_empty(), "{interim:?}");
    peer.last(1, "body");
    assert_eq!(peer.expect_response(1, 200).text(), "body");
}

#[test]
fn an_app_that_answers_without_the_body_sends_no_100() {
    let server = Server::start(hello());
    let mut peer = server.connect();
    let expecting = Request::post("/").field("expect", "100-continue");
    peer.send(headers(1, &expecting));
    assert_eq!(peer.expect_response(1, 200).text(), "hello");
    peer.expect_reset(1, code::NO_ERROR);
}

#[test]
fn another_expectation_is_417() {
    answered(&Request::get("/").field("expect", "a-miracle"), 417);
}

type Body = (Vec<u8>, Option<HeaderMap>);

/// Tells the test what came as a body and as trailers.
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
    let trailers = Request::empty().field("checksum", "9").field("x", "y");
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
    peer.send(headers(1, &Request::empty().field("checksum", "9")));
    // RFC 9113 §8.1 makes it malformed, which is an error of the stream.
    peer.expect_reset(1, code::PROTOCOL_ERROR);
    peer.settle();
}

#[test]
#[ignore = "h2 drops them and does not tell"]
fn a_pseudo_header_among_trailers_is_malformed() {
    let (server, _reports) = with_trailers();
    let mut peer = server.connect();
    peer.post(1, "/");
    peer.request(1, &Request::empty().field(":path", "/"));
    peer.expect_reset(1, code::PROTOCOL_ERROR);
    peer.settle();
}

#[test]
fn too_many_fields_are_431() {
    let server = Server::start_set(|config| config.max_headers = 3, hello());
    let mut peer = server.connect();
    let three = Request::get("/")
        .field("a", "1")
        .field("b", "2")
        .field("c", "3");
    peer.request(1, &three);
    peer.expect_response(1, 200);
    peer.request(3, &three.clone().field("d", "4"));
    peer.expect_response(3, 431);
    peer.get(5, "/");
    peer.expect_response(5, 200);
}

#[test]
fn a_list_of_fields_beyond_the_limit_is_431() {
    let server = Server::start_set(|config| config.max_head_size = 4_096, hello());
    let mut peer = server.connect();
    peer.request(1, &Request::get("/").field("x", "y".repeat(4_096)));
    peer.expect_response(1, 431);
    peer.get(3, "/");
    peer.expect_response(3, 200);
}

#[test]
fn a_field_block_in_many_pieces_is_one_request() {
    let server = Server::start(mirror());
    let mut peer = server.connect();
    let block = Request::get("/pieces").field("x", "y").block();
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
fn a_scheme_of_https_behind_a_gateway_is_served() {
    let server = Server::start(http(async |mut http: Http| {
        let scheme = http.scope.scheme.clone().into_owned();
        http.respond(scheme).await
    }));
    let mut peer = server.connect();
    peer.request(1, &Request::get("/").with(":scheme", "https"));
    assert_eq!(peer.expect_response(1, 200).text(), "http");
}
