use super::{FramingError, LineLimits, Position, RequestFraming, SeenHeaders};

const MAX: usize = 1024;

fn framing() -> RequestFraming {
    RequestFraming::new(LineLimits::new(MAX, 2 * MAX))
}

/// Feeds the bytes in one piece and split in two at every place: the result must be the same.
#[track_caller]
fn check(bytes: &str, heads: u64, refused: Option<FramingError>, position: Position) {
    for split in 0..bytes.len() {
        let mut framing = framing();
        let (first, second) = bytes.as_bytes().split_at(split);
        let read = framing.read(first).and_then(|()| framing.read(second));
        assert_eq!(read.is_err(), refused.is_some(), "split at {split}");
        assert_eq!(framing.heads, heads, "heads, split at {split}");
        assert_eq!(
            framing.refused.map(|(_, why)| why),
            refused,
            "split at {split}"
        );
        if refused.is_none() {
            assert_eq!(framing.position(), position, "split at {split}");
            assert_eq!(read, Ok(()));
        }
    }
}

#[test]
fn heads_are_counted_with_every_kind_of_body() {
    use Position::{Between, Body, Head};
    for (bytes, heads, position) in [
        ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", 1, Between),
        ("\r\n\r\nGET / HTTP/1.1\r\n\r\n", 1, Between),
        ("GET / HTTP/1.1\r\nhost: a\r\n", 0, Head),
        ("GET / HT", 0, Head),
        ("GET / HTTP/1.1\r\n\r\nGET / HTTP/1.0\r\n\r\n", 2, Between),
        (
            "POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc",
            1,
            Between,
        ),
        ("POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nab", 1, Body),
        ("POST / HTTP/1.1\r\nContent-Length:0\r\n\r\n", 1, Between),
        (
            "POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\n\r\n\r\nxGET / HTTP/1.1\r\n\r\n",
            2,
            Between,
        ),
        (
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
            1,
            Body,
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na\r\n\r\n0\r\n\r\n",
            1,
            Between,
        ),
        (
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nA;x=y\r\n0123456789\r\n0\r\nt: v\r\n\r\nG",
            1,
            Head,
        ),
    ] {
        check(bytes, heads, None, position);
    }
}

#[test]
fn framing_that_two_parsers_could_read_differently_is_refused() {
    let head = |headers: &str| format!("POST / HTTP/1.1\r\n{headers}\r\n");
    let chunked = |body: &str| head("transfer-encoding: chunked\r\n") + body;
    for (bytes, heads, error) in [
        (
            "GET / HTTP/1.1\nhost: a\r\n\r\n".into(),
            0,
            FramingError::BareLineFeed,
        ),
        (head("host: a\n"), 0, FramingError::BareLineFeed),
        (
            "GET / HTTP/1.1\r\nhost: a\r\n\n".into(),
            0,
            FramingError::BareLineFeed,
        ),
        (head("a: b\r\n c\r\n"), 0, FramingError::FoldedLine),
        (head("a: b\r\n\tc\r\n"), 0, FramingError::FoldedLine),
        (
            head("content-length: 1\r\nContent-Length: 1\r\n"),
            0,
            FramingError::RepeatedContentLength,
        ),
        (
            head("content-length: 1, 1\r\n"),
            0,
            FramingError::MalformedContentLength,
        ),
        (
            head("content-length: +1\r\n"),
            0,
            FramingError::MalformedContentLength,
        ),
        (
            head("content-length:\r\n"),
            0,
            FramingError::MalformedContentLength,
        ),
        (
            head("content-length: 99999999999999999999\r\n"),
            0,
            FramingError::MalformedContentLength,
        ),
        (
            head("content-length: 1\r\ntransfer-encoding: chunked\r\n"),
            0,
            FramingError::ContentLengthAndTransferEncoding,
        ),
        (
            head("TRANSFER-ENCODING: x\r\nCONTENT-LENGTH: 0\r\n"),
            0,
            FramingError::ContentLengthAndTransferEncoding,
        ),
        (
            "POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n".into(),
            0,
            FramingError::TransferEncodingInHttp10,
        ),
        (
            "GET / HTTP/1.1\r\nhost: a\r\nHost: a\r\n\r\n".into(),
            0,
            FramingError::RepeatedHost,
        ),
        (
            "GET /\r\n\r\n".into(),
            0,
            FramingError::MalformedRequestLine,
        ),
        (
            "GET  / HTTP/1.1\r\n\r\n".into(),
            0,
            FramingError::MalformedRequestLine,
        ),
        (
            "G[T / HTTP/1.1\r\n".into(),
            0,
            FramingError::MalformedRequestLine,
        ),
        (
            " / HTTP/1.1\r\n".into(),
            0,
            FramingError::MalformedRequestLine,
        ),
        (
            "GET / HTTP/1.10\r\n".into(),
            0,
            FramingError::MalformedRequestLine,
        ),
        (
            "GET /#x HTTP/1.1\r\n\r\n".into(),
            0,
            FramingError::MalformedRequestLine,
        ),
        (
            "GET /\u{e9} HTTP/1.1\r\n\r\n".into(),
            0,
            FramingError::MalformedRequestLine,
        ),
        (
            "GET /?\" HTTP/1.1\r\n\r\n".into(),
            0,
            FramingError::MalformedRequestLine,
        ),
        (
            "GET / HTTP/2.0\r\n\r\n".into(),
            0,
            FramingError::UnsupportedVersion,
        ),
        (
            "GET / HTTP/0.9\r\n\r\n".into(),
            0,
            FramingError::UnsupportedVersion,
        ),
        (
            format!("GET /{} HTTP/1.1\r\n", "a".repeat(3 * MAX)),
            0,
            FramingError::TargetTooLong,
        ),
        ("A".repeat(MAX + 2), 0, FramingError::MethodTooLong),
        (
            format!("{} / HTTP/1.1\r\n", "A".repeat(MAX + 2)),
            0,
            FramingError::MethodTooLong,
        ),
        (
            format!("G[T /{} HTTP/1.1\r\n", "a".repeat(3 * MAX)),
            0,
            FramingError::MalformedRequestLine,
        ),
        (
            "G[T / HTTP/1.1\n\r\n".into(),
            0,
            FramingError::MalformedRequestLine,
        ),
        (
            "GET /\u{1} HTTP/2.0\r\n\r\n".into(),
            0,
            FramingError::MalformedRequestLine,
        ),
        (
            head(&format!("a: {}\r\n", "b".repeat(2 * MAX))),
            0,
            FramingError::TooLong,
        ),
        (
            head("content-length: 9223372036854775808\r\n"),
            0,
            FramingError::MalformedContentLength,
        ),
        (chunked("+1\r\na\r\n"), 1, FramingError::MalformedChunk),
        (chunked("0_2e\r\n"), 1, FramingError::MalformedChunk),
        (chunked("\r\n"), 1, FramingError::MalformedChunk),
        (chunked("1;\r\na\r\n"), 1, FramingError::MalformedChunk),
        (chunked("1 \r\na\r\n"), 1, FramingError::MalformedChunk),
        (chunked("1 x\r\na\r\n"), 1, FramingError::MalformedChunk),
        (
            chunked("10000000000000000\r\n"),
            1,
            FramingError::MalformedChunk,
        ),
        (chunked("1\r\nab\r\n"), 1, FramingError::MalformedChunk),
        (chunked("1\na\r\n"), 1, FramingError::BareLineFeed),
        (chunked("1\r\na\n"), 1, FramingError::BareLineFeed),
        (chunked("0\r\na: b\n\r\n"), 1, FramingError::BareLineFeed),
    ] {
        let mut framing = framing();
        assert!(framing.read(bytes.as_bytes()).is_err(), "{bytes:?}");
        assert_eq!(framing.refused, Some((heads, error)), "{bytes:?}");
        assert_eq!(framing.body_fault.is_some(), heads == 1, "{bytes:?}");
        assert_eq!(framing.refused_head().is_some(), heads == 0, "{bytes:?}");
        assert_eq!(framing.check_request(heads), Err(error));
        check(&bytes, heads, Some(error), Position::Head);
    }
}

#[test]
fn a_request_that_did_not_come_through_is_refused() {
    let mut framing = framing();
    framing.read(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(framing.check_request(0), Ok(SeenHeaders::default()));
    assert_eq!(framing.check_request(1), Err(FramingError::OutOfStep));
}

#[test]
fn rare_headers_are_noted_for_the_rest_of_the_connection() {
    let mut framing = framing();
    for (headers, seen) in [
        ("host: a\r\ntex: a\r\nexpect-ct: a\r\n", [false; 4]),
        (
            "TE: trailers\r\nupgrade-insecure-requests: 1\r\n",
            [false, true, false, false],
        ),
        ("Expect: 100-continue\r\n", [true, true, false, false]),
        ("Upgrade: websocket\r\n", [true, true, false, true]),
        ("transfer-encoding: chunked\r\n", [true; 4]),
    ] {
        let head = format!("GET / HTTP/1.1\r\n{headers}\r\n");
        framing.read(head.as_bytes()).unwrap();
        let [expect, te, transfer_encoding, upgrade] = seen;
        let seen = SeenHeaders {
            expect,
            te,
            transfer_encoding,
            upgrade,
        };
        assert_eq!(framing.check_request(0), Ok(seen), "{headers}");
    }
}

#[test]
fn requests_before_a_refused_one_pass() {
    let mut framing = framing();
    let sound = b"GET / HTTP/1.1\r\n\r\n";
    let all = [sound, &b"GET / HTTP/1.1\n\r\n"[..]].concat();
    assert_eq!(framing.read(&all), Err(sound.len()));
    assert_eq!(framing.check_request(0), Ok(SeenHeaders::default()));
    assert_eq!(framing.check_request(1), Err(FramingError::BareLineFeed));
    assert_eq!(
        framing.refused_head(),
        Some((1, FramingError::BareLineFeed))
    );
    assert_eq!(framing.request_line(), b"GET / HTTP/1.1");
}

#[test]
fn a_header_of_a_split_head_is_checked_because_hyper_looks_only_at_its_end() {
    for line in ["x y: z\r\n", "xy\r\n", ": y\r\n", "x: \0\r\n", "x:\x7f\r\n"] {
        let mut framing = framing();
        framing.read(b"GET /a HTTP/1.1\r\nhost: a\r\n").unwrap();
        assert_eq!(framing.read(line.as_bytes()), Err(0), "{line:?}");
        assert_eq!(
            framing.refused_head(),
            Some((0, FramingError::MalformedHeader))
        );
        assert_eq!(framing.request_line(), b"GET /a HTTP/1.1");
    }
}

#[test]
fn the_request_line_of_a_refused_head_is_known_however_it_is_split() {
    let all = b"\r\nGET /a HTTP/1.1\r\nhost: a\r\n b\r\n";
    for split in 0..all.len() {
        let mut framing = framing();
        let (first, second) = all.split_at(split);
        assert!(
            framing
                .read(first)
                .and_then(|()| framing.read(second))
                .is_err()
        );
        assert_eq!(framing.request_line(), b"GET /a HTTP/1.1", "{split}");
    }
}

/// RFC 9110 §6.2
#[test]
fn a_newer_minor_version_becomes_1_however_it_is_split() {
    let all = b"GET / HTTP/1.2\r\n\r\nGET HTTP/1.3 HTTP/1.9\r\n\r\nGET /3 HTTP/1.1\r\n\r\n";
    let expected = b"GET / HTTP/1.1\r\n\r\nGET HTTP/1.3 HTTP/1.1\r\n\r\nGET /3 HTTP/1.1\r\n\r\n";
    for split in 0..all.len() {
        let mut framing = framing();
        let mut all = *all;
        let (first, second) = all.split_at_mut(split);
        for part in [first, second] {
            framing.read(part).unwrap();
            while let Some(place) = framing.take_newer_minor() {
                part[place] = b'1';
            }
        }
        assert_eq!(
            String::from_utf8_lossy(&all),
            String::from_utf8_lossy(expected),
            "{split}"
        );
        assert_eq!(framing.heads, 3);
    }
}
