//! Heads of HTTP/1.

use asgi_rules::http1::{encode_http10, request_scope};
use asgi_rules::{Framing, ResponseHead, WireEvent};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Version};

/// Returns the status of a refusal, or how many bytes of body follow.
fn answer(method: &str, target: &str, version: Version, fields: &[(&str, &str)]) -> u64 {
    let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
    match request_scope(method, target, version, fields) {
        Ok(scope) => scope.content_length().unwrap_or(0),
        Err(status) => status.as_u16().into(),
    }
}

/// HTTP-013, HTTP-063, HTTP-066
#[test]
fn a_malformed_or_ambiguous_head_is_refused() {
    let (old, new) = (Version::HTTP_10, Version::HTTP_11);
    let host = ("host", "a");
    for (method, target, version, fields, expected) in [
        ("GET", "/", old, &[][..], 0),
        ("GET", "/", new, &[host], 0),
        ("POST", "/", new, &[host, ("content-length", "007")], 7),
        ("GET", "/", new, &[], 400),
        ("GET", "/", new, &[host, host], 400),
        ("GET", "http://b/", new, &[host, host], 400),
        ("GET", "http://b/", new, &[], 400),
        ("G T", "/", old, &[], 400),
        ("GET", "/ /", old, &[], 400),
        ("GET", "", old, &[], 400),
        ("GET", "/", old, &[("a b", "c")], 400),
        ("GET", "/", old, &[("a", "\0")], 400),
        ("POST", "/", old, &[("content-length", "+1")], 400),
        ("POST", "/", old, &[("content-length", "1,1")], 400),
        ("POST", "/", old, &[("content-length", ""), host], 400),
        (
            "POST",
            "/",
            old,
            &[("content-length", "1"), ("content-length", "1")],
            400,
        ),
        (
            "POST",
            "/",
            new,
            &[host, ("transfer-encoding", "chunked")],
            501,
        ),
        ("CONNECT", "a:80", new, &[host], 501),
    ] {
        let answer = answer(method, target, version, fields);
        assert_eq!(answer, expected, "{method} {target} {version:?} {fields:?}");
    }
}

/// HTTP-010, HTTP-073
#[test]
fn the_authority_of_the_target_replaces_the_host() {
    let scope = |target| {
        let scope = request_scope("OPTIONS", target, Version::HTTP_10, [("host", &b"a"[..])]);
        let scope = scope.unwrap();
        let host = scope.headers["host"].to_str().unwrap().to_owned();
        (scope.target.to_string(), host)
    };
    assert_eq!(scope("/b?c"), ("/b?c".into(), "a".into()));
    assert_eq!(scope("http://user:pass@b:80"), ("/".into(), "b:80".into()));
    assert_eq!(scope("http://b/c?d"), ("/c?d".into(), "b".into()));
    assert_eq!(scope("*"), ("*".into(), "a".into()));
}

/// HTTP-033, HTTP-070, HTTP-072
#[test]
fn a_response_of_http_1_0_ends_with_its_connection() {
    let head = |status: u16, headers: &[(&'static str, &str)]| {
        let headers = headers.iter().map(|(name, value)| {
            let name = http::HeaderName::from_static(name);
            (name, value.parse().unwrap())
        });
        let status = StatusCode::from_u16(status).unwrap();
        ResponseHead::new(status, HeaderMap::from_iter(headers), Framing::Stream)
    };
    let text = |output: WireEvent| String::from_utf8(encode_http10(&output, "now")).unwrap();
    let body = || Bytes::from_static(b"body");
    assert_eq!(
        text(WireEvent::Head(head(200, &[("a", "b")]), body())),
        "HTTP/1.0 200 OK\r\na: b\r\ndate: now\r\nconnection: close\r\n\r\nbody"
    );
    assert_eq!(
        text(WireEvent::Response(head(799, &[("date", "then")]), body())),
        "HTTP/1.0 799 \r\ndate: then\r\nconnection: close\r\n\r\nbody"
    );
    assert_eq!(text(WireEvent::Data(body())), "body");
    assert_eq!(text(WireEvent::Last(Bytes::new())), "");
    assert_eq!(text(WireEvent::Trailers(HeaderMap::new())), "");
}
