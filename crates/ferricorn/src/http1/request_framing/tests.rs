use super::{Position, Refusal, RequestFraming, Seen};

const MAX: usize = 1024;

/// Feeds the bytes whole and then in every split in two, which must make no difference.
#[track_caller]
fn check(bytes: &str, heads: u64, refused: Option<Refusal>, position: Position) {
    for split in 0..bytes.len() {
        let mut guard = RequestFraming::new(MAX);
        let (first, second) = bytes.as_bytes().split_at(split);
        let read = guard.read(first).and_then(|()| guard.read(second));
        assert_eq!(guard.heads, heads, "heads, split at {split}");
        assert_eq!(
            guard.refused.map(|(_, why)| why),
            refused,
            "split at {split}"
        );
        if refused.is_none() {
            assert_eq!(guard.position(), position, "split at {split}");
            assert_eq!(read, Ok(()));
        }
    }
}

#[test]
fn heads_are_counted_whatever_the_body() {
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
fn what_two_parsers_could_read_in_two_ways_is_refused() {
    let head = |fields: &str| format!("POST / HTTP/1.1\r\n{fields}\r\n");
    let chunked = |body: &str| head("transfer-encoding: chunked\r\n") + body;
    for (bytes, heads, refusal) in [
        (
            "GET / HTTP/1.1\nhost: a\r\n\r\n".into(),
            0,
            Refusal::BareLineFeed,
        ),
        (head("host: a\n"), 0, Refusal::BareLineFeed),
        (
            "GET / HTTP/1.1\r\nhost: a\r\n\n".into(),
            0,
            Refusal::BareLineFeed,
        ),
        (head("a: b\r\n c\r\n"), 0, Refusal::FoldedLine),
        (head("a: b\r\n\tc\r\n"), 0, Refusal::FoldedLine),
        (
            head("content-length: 1\r\nContent-Length: 1\r\n"),
            0,
            Refusal::RepeatedContentLength,
        ),
        (
            head("content-length: 1, 1\r\n"),
            0,
            Refusal::MalformedContentLength,
        ),
        (
            head("content-length: +1\r\n"),
            0,
            Refusal::MalformedContentLength,
        ),
        (
            head("content-length:\r\n"),
            0,
            Refusal::MalformedContentLength,
        ),
        (
            head("content-length: 99999999999999999999\r\n"),
            0,
            Refusal::MalformedContentLength,
        ),
        (
            head("content-length: 1\r\ntransfer-encoding: chunked\r\n"),
            0,
            Refusal::ContentLengthAndTransferEncoding,
        ),
        (
            head("TRANSFER-ENCODING: x\r\nCONTENT-LENGTH: 0\r\n"),
            0,
            Refusal::ContentLengthAndTransferEncoding,
        ),
        (
            "POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n".into(),
            0,
            Refusal::TransferEncodingInHttp10,
        ),
        (
            "GET / HTTP/1.1\r\nhost: a\r\nHost: a\r\n\r\n".into(),
            0,
            Refusal::RepeatedHost,
        ),
        ("GET /\r\n\r\n".into(), 0, Refusal::MalformedRequestLine),
        (
            "GET  / HTTP/1.1\r\n\r\n".into(),
            0,
            Refusal::MalformedRequestLine,
        ),
        (
            "GET /#x HTTP/1.1\r\n\r\n".into(),
            0,
            Refusal::MalformedRequestLine,
        ),
        (
            format!("GET /{} HTTP/1.1\r\n", "a".repeat(3 * MAX)),
            0,
            Refusal::TooLong,
        ),
        (chunked("+1\r\na\r\n"), 1, Refusal::MalformedChunk),
        (chunked("0_2e\r\n"), 1, Refusal::MalformedChunk),
        (chunked("\r\n"), 1, Refusal::MalformedChunk),
        (chunked("1 x\r\na\r\n"), 1, Refusal::MalformedChunk),
        (chunked("10000000000000000\r\n"), 1, Refusal::MalformedChunk),
        (chunked("1\r\nab\r\n"), 1, Refusal::MalformedChunk),
        (chunked("1\na\r\n"), 1, Refusal::BareLineFeed),
        (chunked("1\r\na\n"), 1, Refusal::BareLineFeed),
        (chunked("0\r\na: b\n\r\n"), 1, Refusal::BareLineFeed),
    ] {
        let mut guard = RequestFraming::new(MAX);
        let in_body = guard.read(bytes.as_bytes()).is_err();
        assert_eq!(guard.refused, Some((heads, refusal)), "{bytes:?}");
        assert_eq!(in_body, heads == 1, "{bytes:?}");
        assert_eq!(guard.check(heads), Err(refusal));
        check(&bytes, heads, Some(refusal), Position::Head);
    }
}

#[test]
fn a_request_that_the_guard_has_not_seen_is_refused() {
    let mut guard = RequestFraming::new(MAX);
    guard.read(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(guard.check(0), Ok(Seen::default()));
    assert_eq!(guard.check(1), Err(Refusal::OutOfStep));
}

#[test]
fn fields_that_few_have_are_noted_for_good() {
    let mut guard = RequestFraming::new(MAX);
    for (fields, seen) in [
        ("host: a\r\ntex: a\r\nexpect-ct: a\r\n", [false; 4]),
        (
            "TE: trailers\r\nupgrade-insecure-requests: 1\r\n",
            [false, true, false, false],
        ),
        ("Expect: 100-continue\r\n", [true, true, false, false]),
        ("Upgrade: websocket\r\n", [true, true, false, true]),
        ("transfer-encoding: chunked\r\n", [true; 4]),
    ] {
        let head = format!("GET / HTTP/1.1\r\n{fields}\r\n");
        guard.read(head.as_bytes()).unwrap();
        let [expect, te, transfer_encoding, upgrade] = seen;
        let seen = Seen {
            expect,
            te,
            transfer_encoding,
            upgrade,
        };
        assert_eq!(guard.check(0), Ok(seen), "{fields}");
    }
}

#[test]
fn requests_before_the_refused_one_are_served() {
    let mut guard = RequestFraming::new(MAX);
    guard
        .read(b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\n\r\n")
        .unwrap();
    assert_eq!(guard.check(0), Ok(Seen::default()));
    assert_eq!(guard.check(1), Err(Refusal::BareLineFeed));
}
