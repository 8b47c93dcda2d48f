//! Requests that one parser in a chain reads in another way than the next: request smuggling over
//! HTTP/2. None of them reaches the app.

use std::sync::mpsc;

use asgi::App;
use http2::frame::{code, kind};
use http2::{Event, Frame, Peer, Request, headers};

use crate::connect::Connect as _;
use test_support::blocking::Server;
use test_support::{Http, http_with, websocket};

/// An app that reports each body that it has read to its end.
fn reporting() -> (mpsc::Receiver<()>, impl App) {
    let (report, reports) = mpsc::channel();
    let app = http_with(report, async |report, mut http: Http| {
        if http.body().await.is_ok() {
            report.send(())?;
        }
        http.respond("").await
    });
    (reports, app)
}

/// Checks that none of these requests reaches the app: each is refused, by RST_STREAM or GOAWAY.
#[track_caller]
fn expect_all_malformed(requests: &[Request]) {
    for request in requests {
        let (reports, app) = reporting();
        let server = Server::start(app);
        let mut peer = server.connect();
        peer.request(1, request);
        peer.expect_refusal(1, code::PROTOCOL_ERROR);
        drop((peer, server));
        assert!(reports.try_recv().is_err(), "{request:?} reached the app");
    }
}

/// Checks that a body is malformed: the app never sees its end. `send` sends what follows the head.
///
/// The refusal is RST_STREAM, GOAWAY, or a 400, which §8.1.1 allows.
#[track_caller]
fn expect_malformed_body(request: &Request, send: impl Fn(&mut Peer)) {
    let (reports, app) = reporting();
    let server = Server::start(app);
    let mut peer = server.connect();
    peer.send(headers(1, request));
    send(&mut peer);
    match peer.next_or_close(1) {
        Some(Event::Head(head)) if head.status == 400 => {}
        Some(Event::Reset(code::PROTOCOL_ERROR)) => {}
        None => drop(peer.expect_goaway(code::PROTOCOL_ERROR)),
        other => peer.fail(format_args!("expected a refusal, got {other:?}")),
    }
    drop((peer, server));
    assert!(reports.try_recv().is_err(), "{request:?} reached the app");
}

#[test]
fn a_name_has_only_the_bytes_of_a_token() {
    let get = Request::get("/");
    let names: [&[u8]; 9] = [
        b"a:b", b":", b"a\x7f", b"\xe9", b"a\tb", b"a\r\nb", b"a\0", b" a", b"a ",
    ];
    expect_all_malformed(&names.map(|name| get.clone().header(name, "x")));
}

#[test]
fn a_pseudo_header_has_no_invalid_value() {
    let get = Request::get("/");
    expect_all_malformed(&[
        get.clone().with(":method", ""),
        get.clone()
            .with(":method", "GET / HTTP/1.1\r\nx: y\r\n\r\nGET"),
        get.clone().with(":scheme", ""),
        get.clone().with(":scheme", "1"),
        get.clone().with(":scheme", "+http"),
        get.clone().with(":scheme", "http://b/?"),
        get.clone().with(":path", "/a b"),
        get.clone().with(":path", "/a\r\nx: y"),
        get.clone().with(":path", "/a\0"),
        get.clone().with(":path", "?a"),
        get.clone().with(":path", "http://b/"),
        get.clone().with(":authority", "a/b"),
        get.clone().with(":authority", "a b"),
        get.clone().with(":authority", "a, b"),
        get.clone().with(":authority", "a\0"),
        get.clone().with(":authority", "a:b"),
        get.clone().with(":authority", "a#b"),
        get.with(":authority", ":80"),
    ]);
}

#[test]
#[ignore = "h2 drops the fragment silently"]
fn a_fragment_in_a_path_is_malformed() {
    expect_all_malformed(&[Request::get("/a#b")]);
}

#[test]
fn each_pseudo_header_may_come_only_once_even_with_the_same_value() {
    let get = Request::get("/");
    let names = [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "a"),
        (":path", "/"),
    ];
    expect_all_malformed(&names.map(|(name, value)| get.clone().header(name, value)));
}

#[test]
fn each_pseudo_header_comes_before_all_headers() {
    let early = |name: &str, value: &str| {
        let request = Request::get("/").without(name).header("x", "y");
        request.header(name, value)
    };
    expect_all_malformed(&[
        early(":method", "GET"),
        early(":scheme", "http"),
        early(":authority", "a"),
        early(":path", "/"),
    ]);
}

#[test]
fn every_form_of_connect_without_its_authority_or_with_a_target_is_malformed() {
    let connect = Request::empty().header(":method", "CONNECT");
    let with_authority = connect.clone().header(":authority", "a:1");
    expect_all_malformed(&[
        connect.clone(),
        with_authority.clone().header(":scheme", "http"),
        with_authority.clone().header(":path", "/"),
        connect
            .clone()
            .header(":scheme", "http")
            .header(":path", "/"),
        // RFC 8441 §4: with a :protocol, the two are required.
        with_authority
            .clone()
            .header(":protocol", "websocket")
            .header(":scheme", "http"),
        with_authority
            .header(":protocol", "websocket")
            .header(":path", "/"),
        connect
            .header(":protocol", "websocket")
            .header(":scheme", "http")
            .header(":path", "/"),
    ]);
}

#[test]
fn a_host_that_is_no_host_is_malformed() {
    let get = Request::get("/");
    let without = get.clone().without(":authority");
    expect_all_malformed(&[
        get.clone().header("host", "a/b"),
        get.clone().header("host", ""),
        get.header("host", "a, a"),
        without.clone().header("host", "a/b"),
        without.clone().header("host", "u@a"),
        without.clone().header("host", ""),
        without.header("host", "a").header("host", "a"),
    ]);
}

#[test]
fn connection_specific_headers_in_every_spelling_are_malformed() {
    let get = Request::get("/");
    expect_all_malformed(&[
        get.clone().header("connection", ""),
        get.clone().header("connection", "x"),
        get.clone().header("transfer-encoding", "identity"),
        get.clone().header("transfer-encoding", ""),
        get.clone().header("upgrade", "h2c"),
        get.clone().header("keep-alive", "timeout=5"),
        get.clone().header("proxy-connection", "close"),
        get.clone().header("te", "trailers, gzip"),
        get.clone().header("te", "gzip"),
        get.clone().header("te", ""),
        get.header("te", "trailers").header("te", "gzip"),
    ]);
}

#[test]
fn a_content_length_in_every_invalid_spelling_is_malformed() {
    let post = Request::post("/");
    let values = [
        "+1",
        "-1",
        "0x1",
        "1_0",
        "1 1",
        "1,1",
        "",
        "1.0",
        "1e0",
        "18446744073709551617",
        "x",
    ];
    for value in values {
        let request = post.clone().header("content-length", value);
        expect_malformed_body(&request, |peer| peer.last(1, "x"));
    }
}

#[test]
fn a_body_that_trailers_end_too_early_is_malformed() {
    let request = Request::post("/").header("content-length", "5");
    expect_malformed_body(&request, |peer| {
        peer.data(1, "abc");
        peer.send(headers(1, &Request::empty().header("t", "u")).end_stream());
    });
}

#[test]
fn a_body_in_many_frames_that_is_longer_than_its_content_length_is_malformed() {
    let request = Request::post("/").header("content-length", "3");
    expect_malformed_body(&request, |peer| {
        peer.data(1, "ab");
        peer.data(1, "");
        peer.last(1, "cd");
    });
}

#[test]
fn padding_does_not_count_for_the_content_length() {
    let request = Request::post("/").header("content-length", "3");
    expect_malformed_body(&request, |peer| {
        peer.send(Frame::data(1, "a").padded(2).end_stream());
    });
}

#[test]
fn trailers_obey_the_rules_for_headers() {
    let trailers = [
        ("X", "y"),
        ("x y", "z"),
        ("x", "y\n"),
        ("x", " y"),
        ("connection", "close"),
        ("transfer-encoding", "chunked"),
    ];
    for (name, value) in trailers {
        expect_malformed_body(&Request::post("/"), |peer| {
            let trailers = Request::empty().header(name, value);
            peer.send(headers(1, &trailers).end_stream());
        });
    }
}

#[test]
fn malformed_field_blocks_end_the_connection() {
    let blocks: [&[u8]; 8] = [
        // Index 0.
        &[0x80],
        // An index above both tables.
        &[0xff, 0x00],
        // An integer without an end.
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
        // A string that is longer than its block.
        &[0x00, 0x7f, 0x01],
        // A name without a value.
        &[0x00, 0x01, b'x'],
        // Huffman coding with padding of eight bits.
        &[0x00, 0x01, b'x', 0x82, 0x1f, 0xff],
        // Huffman coding with padding of zeros.
        &[0x00, 0x01, b'x', 0x81, 0x18],
        // A table above SETTINGS_HEADER_TABLE_SIZE.
        &[0x3f, 0xe1, 0xff, 0x7f],
    ];
    for block in blocks {
        let (reports, app) = reporting();
        let server = Server::start(app);
        let mut peer = server.connect();
        let mut request = Request::get("/").block();
        match block {
            [0x3f, ..] => request.splice(0..0, block.iter().copied()).for_each(drop),
            _ => request.extend(block),
        }
        let frame = Frame::new(kind::HEADERS, 1, request).end_headers();
        peer.send(frame.end_stream());
        // h2 says PROTOCOL_ERROR instead of COMPRESSION_ERROR.
        while peer.next_or_close(0).is_some() {}
        drop((peer, server));
        assert!(reports.try_recv().is_err(), "{block:?} reached the app");
    }
}

#[test]
fn a_table_size_after_a_header_ends_the_connection() {
    // RFC 7541 §4.2: a size update "MUST occur at the beginning of the first header block".
    let (reports, app) = reporting();
    let server = Server::start(app);
    let mut peer = server.connect();
    let mut block = Request::get("/").block();
    block.push(0x20);
    let frame = Frame::new(kind::HEADERS, 1, block).end_headers();
    peer.send(frame.end_stream());
    while peer.next_or_close(0).is_some() {}
    drop((peer, server));
    assert!(reports.try_recv().is_err());
}

#[test]
fn headers_on_a_tunnel_are_a_stream_error() {
    // RFC 9113 §8.5: other frames than DATA and stream management "MUST be treated as a stream error".
    let trailers = headers(1, &Request::empty().header("t", "u"));
    for frame in [trailers.clone(), trailers.end_stream()] {
        let server = Server::start(websocket(async |mut socket| {
            socket.accept().await?;
            socket.echo().await?;
            Ok(())
        }));
        let mut peer = server.connect();
        let handshake = Request::new("CONNECT", "/")
            .header(":protocol", "websocket")
            .header("sec-websocket-version", "13");
        peer.send(headers(1, &handshake));
        peer.expect_status(1, 200);
        peer.send(frame);
        // RFC 9113 names no code.
        match peer.next(1) {
            Event::Reset(code::PROTOCOL_ERROR | code::CANCEL) => {}
            other => peer.fail(format_args!("expected a reset, got {other:?}")),
        }
        peer.get(3, "/");
        peer.expect_response(3, 200);
    }
}
