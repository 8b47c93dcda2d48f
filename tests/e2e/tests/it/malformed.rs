//! Requests that two parsers can read differently are refused.
//!
//! A good request follows each bad one. A server that answers it has misread the end of the bad one, or
//! has kept a connection that it cannot trust.

use std::time::Duration;

use asgi::AppError;
use ferricorn::Config;

use test_support::app::gated;
use test_support::{Http, Server, http, run};

const GOOD: &str = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";

/// Reads the whole body and responds with the path, which shows the request that reached the app.
async fn app(mut http: Http) -> Result<(), AppError> {
    let path = http.scope.path().into_owned();
    http.receive.body(1 << 20).await?;
    http.respond(path).await
}

/// Sends a request and a good one after it. Returns the statuses of the responses, then "closed" or
/// "open".
async fn answer(server: &Server, request: &str) -> String {
    let mut client = server.connect().await;
    // The server may close before it has read everything.
    let _ = client.try_write(format!("{request}{GOOD}")).await;
    let (bytes, closed) = client.read_for(PATIENCE).await;
    let text = String::from_utf8_lossy(&bytes);
    let mut answer = String::new();
    for (at, _) in text.match_indices("HTTP/1.") {
        let status = text
            .get(at + "HTTP/1.1 ".len()..)
            .and_then(|rest| rest.get(..3));
        answer.push_str(status.unwrap_or("?"));
        answer.push_str(", ");
    }
    answer + if closed { "closed" } else { "open" }
}

/// How long the server may take to close the connection.
const PATIENCE: Duration = Duration::from_secs(3);

/// Checks that each of `requests` gets one of `answers`.
async fn expect_answers(config: Config, answers: &[&str], requests: &[(&str, String)]) {
    let server = Server::start_with(config, http(app)).await;
    let mut wrong = Vec::new();
    for (what, request) in requests {
        let answer = answer(&server, request).await;
        if !answers.contains(&answer.as_str()) {
            wrong.push(format!("{what}: {answer}"));
        }
    }
    assert!(wrong.is_empty(), "expected {answers:?}, but {wrong:#?}");
}

/// Checks that each of `requests` gets only `status`, and then a close.
async fn expect_refused(config: Config, status: u16, requests: &[(&str, String)]) {
    expect_answers(config, &[&format!("{status}, closed")], requests).await;
}

#[test]
fn a_400_announces_the_close() {
    run(async {
        let server = Server::start(http(app)).await;
        for request in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\nhost: a\r\n\r\n",
            "G[T / HTTP/1.1\r\n\r\n",
        ] {
            let mut client = server.connect().await;
            client.write(request).await;
            let response = client.expect_response(400).await;
            assert!(response.head.connection_has("close"), "{response:#?}");
            client.expect_eof().await;
        }
    });
}

fn table(rows: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    rows.iter()
        .map(|(what, request)| (*what, (*request).to_owned()))
        .collect()
}

/// HTTP-013
#[test]
fn malformed_heads_are_answered_with_400_and_closed() {
    run(async {
        let rows = [
            (
                "a bare LF after the request line",
                "GET / HTTP/1.1\nhost: a\r\n\r\n",
            ),
            (
                "a bare LF after a header",
                "GET / HTTP/1.1\r\nhost: a\nx: y\r\n\r\n",
            ),
            ("a bare LF at the end", "GET / HTTP/1.1\r\nhost: a\r\n\n"),
            ("only bare LFs", "GET / HTTP/1.1\nhost: a\n\n"),
            (
                "a bare CR in a header",
                "GET / HTTP/1.1\r\nhost: a\r\nx: y\rz\r\n\r\n",
            ),
            ("no host", "GET / HTTP/1.1\r\n\r\n"),
            ("an empty host", "GET / HTTP/1.1\r\nhost:\r\n\r\n"),
            ("two hosts", "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n"),
            (
                "the same host twice",
                "GET / HTTP/1.1\r\nhost: a\r\nHost: a\r\n\r\n",
            ),
            (
                "two hosts on HTTP/1.0",
                "GET / HTTP/1.0\r\nhost: a\r\nhost: a\r\n\r\n",
            ),
            (
                "a host with userinfo",
                "GET / HTTP/1.1\r\nhost: u@a\r\n\r\n",
            ),
            ("a host with a path", "GET / HTTP/1.1\r\nhost: a/b\r\n\r\n"),
            ("a host with a space", "GET / HTTP/1.1\r\nhost: a b\r\n\r\n"),
            (
                "a host with a comma",
                "GET / HTTP/1.1\r\nhost: a, b\r\n\r\n",
            ),
            (
                "a host with a port that is no number",
                "GET / HTTP/1.1\r\nhost: a:b\r\n\r\n",
            ),
            (
                "a host with two ports",
                "GET / HTTP/1.1\r\nhost: a:1:2\r\n\r\n",
            ),
            (
                "a malformed host with an absolute target",
                "GET http://a/ HTTP/1.1\r\nhost: b/c\r\n\r\n",
            ),
            (
                "no host with an absolute target",
                "GET http://a/ HTTP/1.1\r\n\r\n",
            ),
            ("the asterisk for GET", "GET * HTTP/1.1\r\nhost: a\r\n\r\n"),
            (
                "a target without its slash",
                "GET a HTTP/1.1\r\nhost: a\r\n\r\n",
            ),
            (
                "an authority for GET",
                "GET a:80 HTTP/1.1\r\nhost: a\r\n\r\n",
            ),
            ("a fragment", "GET /a#b HTTP/1.1\r\nhost: a\r\n\r\n"),
            (
                "a space in the target",
                "GET /a b HTTP/1.1\r\nhost: a\r\n\r\n",
            ),
            ("no version", "GET /\r\nhost: a\r\n\r\n"),
            ("two spaces", "GET  / HTTP/1.1\r\nhost: a\r\n\r\n"),
            (
                "a space at the end of the request line",
                "GET / HTTP/1.1 \r\nhost: a\r\n\r\n",
            ),
            ("no HTTP", "GET / HTCPCP/1.1\r\nhost: a\r\n\r\n"),
            (
                "a method that is no token",
                "G[T / HTTP/1.1\r\nhost: a\r\n\r\n",
            ),
            (
                "a folded line",
                "GET / HTTP/1.1\r\nhost: a\r\nx: y\r\n z\r\n\r\n",
            ),
            (
                "a fold before the first header",
                "GET / HTTP/1.1\r\n host: a\r\nhost: a\r\n\r\n",
            ),
            (
                "a space after a name",
                "GET / HTTP/1.1\r\nhost: a\r\nx : y\r\n\r\n",
            ),
            ("no name", "GET / HTTP/1.1\r\nhost: a\r\n: y\r\n\r\n"),
            ("no colon", "GET / HTTP/1.1\r\nhost: a\r\nxy\r\n\r\n"),
            (
                "a name that is no token",
                "GET / HTTP/1.1\r\nhost: a\r\nx(y): z\r\n\r\n",
            ),
            (
                "a NUL in a value",
                "GET / HTTP/1.1\r\nhost: a\r\nx: \0\r\n\r\n",
            ),
            (
                "a control character in a value",
                "GET / HTTP/1.1\r\nhost: a\r\nx: \x01\r\n\r\n",
            ),
            (
                "DEL in a value",
                "GET / HTTP/1.1\r\nhost: a\r\nx: \x7f\r\n\r\n",
            ),
            (
                "a target in UTF-8",
                "GET /caf\u{e9} HTTP/1.1\r\nhost: a\r\n\r\n",
            ),
            ("a quote in the path", "GET /\" HTTP/1.1\r\nhost: a\r\n\r\n"),
            (
                "a quote in the query",
                "GET /?\" HTTP/1.1\r\nhost: a\r\n\r\n",
            ),
            (
                "a host with a malformed IP literal",
                "GET / HTTP/1.1\r\nhost: [zz]\r\n\r\n",
            ),
            (
                "a host with a port above 65535",
                "GET / HTTP/1.1\r\nhost: a:65536\r\n\r\n",
            ),
            (
                "a control character in the target",
                "GET /\x01 HTTP/1.1\r\nhost: a\r\n\r\n",
            ),
        ];
        expect_refused(Config::default(), 400, &table(&rows)).await;
    });
}

/// HTTP-013
#[test]
fn ambiguous_framing_is_answered_with_400_and_closed() {
    run(async {
        let rows = [
            (
                "a length and a coding",
                "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            ),
            (
                "a coding and a length",
                "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
            ),
            (
                "the same length twice",
                "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\nx",
            ),
            (
                "two lengths",
                "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxy",
            ),
            (
                "a list of lengths",
                "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1, 1\r\n\r\nx",
            ),
            (
                "a length with a sign",
                "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +1\r\n\r\nx",
            ),
            (
                "a length below 0",
                "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\nx",
            ),
            (
                "a length in hexadecimal",
                "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0x1\r\n\r\nx",
            ),
            (
                "an empty length",
                "POST / HTTP/1.1\r\nhost: a\r\ncontent-length:\r\n\r\nx",
            ),
            (
                "a length beyond 64 bits",
                "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 18446744073709551617\r\n\r\nx",
            ),
            (
                "a length beyond 63 bits",
                "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9223372036854775808\r\n\r\nx",
            ),
            (
                "the largest length of 64 bits",
                "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 18446744073709551615\r\n\r\nx",
            ),
            (
                "chunked twice",
                "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
            ),
            (
                "chunked twice in two headers",
                "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            ),
            (
                "a coding on HTTP/1.0",
                "POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            ),
        ];
        expect_refused(Config::default(), 400, &table(&rows)).await;
    });
}

/// HTTP-020: the app gets no last part, so it does not respond.
#[test]
fn malformed_chunks_are_answered_with_400_and_closed() {
    run(async {
        let bodies = [
            ("an underscore in the size", "0_2e\r\n"),
            ("a sign", "+1\r\nx\r\n0\r\n\r\n"),
            ("0x", "0x1\r\nx\r\n0\r\n\r\n"),
            ("no size", "\r\nx\r\n0\r\n\r\n"),
            (
                "a size beyond 64 bits",
                "10000000000000000\r\nx\r\n0\r\n\r\n",
            ),
            ("a bare LF after the size", "1\nx\r\n0\r\n\r\n"),
            ("a bare LF after the data", "1\r\nx\n0\r\n\r\n"),
            ("more data than the size says", "1\r\nxy\r\n0\r\n\r\n"),
            ("a space in the size", "1 1\r\nx\r\n0\r\n\r\n"),
            ("a space after the size", "1 \r\nx\r\n0\r\n\r\n"),
            ("a tab after the size", "1\t\r\nx\r\n0\r\n\r\n"),
            ("a space after the last size", "1\r\nx\r\n0 \r\n\r\n"),
            ("an extension without a name", "1;\r\nx\r\n0\r\n\r\n"),
            ("a malformed value", "1;bad[=x\r\nx\r\n0\r\n\r\n"),
            ("a NUL in an extension", "1;\0ext\r\nx\r\n0\r\n\r\n"),
            ("an open quote", "1;a=\"b\r\nx\r\n0\r\n\r\n"),
            ("a bare LF in an extension", "1;a\nb\r\nx\r\n0\r\n\r\n"),
            ("a bare LF after a trailer", "0\r\nx: y\n\r\n"),
        ];
        let head = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
        let rows: Vec<_> = bodies
            .map(|(what, body)| (what, format!("{head}{body}")))
            .into();
        expect_refused(Config::default(), 400, &rows).await;
    });
}

/// RFC 9110 §15.6.6
#[test]
fn another_major_version_is_answered_with_505_and_closed() {
    run(async {
        let versions = ["HTTP/9.9", "HTTP/2.0", "HTTP/3.0", "HTTP/0.9"];
        let rows = versions.map(|version| (version, format!("GET / {version}\r\nhost: a\r\n\r\n")));
        expect_refused(Config::default(), 505, &rows).await;
    });
}

/// RFC 9112 §2.3
#[test]
fn a_malformed_version_is_answered_with_400_and_closed() {
    run(async {
        let versions = ["HTTP/1", "http/1.1", "HTTP/1.10", "HTTP/1,1", "HTTP/11.1"];
        let rows = versions.map(|version| (version, format!("GET / {version}\r\nhost: a\r\n\r\n")));
        expect_refused(Config::default(), 400, &rows).await;
    });
}

/// RFC 9112 §6.1, and §6.3 if `chunked` is not the last coding: then 400 is right.
#[test]
fn an_unknown_transfer_coding_is_answered_with_501_or_400() {
    run(async {
        let codings = [
            "gzip, chunked",
            "x",
            "identity",
            "xchunked",
            "chunked, gzip",
            "chunked;q=1",
        ];
        let rows = codings.map(|coding| {
            let head = format!("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: {coding}\r\n\r\n");
            (coding, head + "0\r\n\r\n")
        });
        expect_answers(Config::default(), &["400, closed", "501, closed"], &rows).await;
    });
}

#[test]
fn an_unknown_transfer_coding_before_chunked_is_answered_with_501() {
    run(async {
        let request =
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n";
        expect_refused(Config::default(), 501, &table(&[("gzip", request)])).await;
    });
}

/// RFC 6585 §5
#[test]
fn a_head_that_is_too_large_is_answered_with_431() {
    run(async {
        let mut config = Config::default();
        config.max_head_size = 8 * 1024;
        let large = format!(
            "GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
            "y".repeat(16 * 1024)
        );
        let many = format!(
            "GET / HTTP/1.1\r\nhost: a\r\n{}\r\n",
            "x: y\r\n".repeat(4 * 1024)
        );
        expect_refused(
            config,
            431,
            &[("one large header", large), ("many small ones", many)],
        )
        .await;
    });
}

/// RFC 6585 §5
#[test]
fn too_many_headers_are_answered_with_431() {
    run(async {
        for (limit, headers) in [(100, 100), (10, 10)] {
            let mut config = Config::default();
            config.max_headers = limit;
            // With the host, this is one too many.
            let request = format!(
                "GET / HTTP/1.1\r\nhost: a\r\n{}\r\n",
                "x: y\r\n".repeat(headers)
            );
            expect_refused(config, 431, &[("one too many", request)]).await;
        }
    });
}

#[test]
fn as_many_headers_as_the_limit_allows_are_served() {
    run(async {
        for limit in [100, 10, 300] {
            let mut config = Config::default();
            config.max_headers = limit;
            let server = Server::start_with(config, http(app)).await;
            let mut client = server.connect().await;
            let headers = "x: y\r\n".repeat(limit - 1);
            client
                .write(format!("GET / HTTP/1.1\r\nhost: a\r\n{headers}\r\n"))
                .await;
            client.expect_response(200).await;
        }
    });
}

/// RFC 9112 §3
#[test]
fn a_target_that_is_too_long_is_answered_with_414_and_a_method_with_501() {
    run(async {
        for (max_request_line, max_head_size) in
            [(1 << 10, 8 << 10), (64 << 10, 8 << 10), (300, 64 << 10)]
        {
            let mut config = Config::default();
            config.max_request_line = max_request_line;
            config.max_head_size = max_head_size;
            let target = "y".repeat(70_000);
            let request = format!("GET /{target} HTTP/1.1\r\nhost: a\r\n\r\n");
            let no_end = request[..60_000].to_owned();
            let rows = [("a target", request), ("one without an end", no_end)];
            expect_refused(config.clone(), 414, &rows).await;
            let request = format!("{target} / HTTP/1.1\r\nhost: a\r\n\r\n");
            expect_refused(config, 501, &[("a method", request)]).await;
        }
    });
}

#[test]
fn a_request_line_as_long_as_the_limit_is_served() {
    run(async {
        let mut config = Config::default();
        config.max_request_line = 1_000;
        let server = Server::start_with(config, http(app)).await;
        let mut client = server.connect().await;
        let mut request = format!(
            "GET /{} HTTP/1.1",
            "y".repeat(1_000 - "GET / HTTP/1.1".len())
        );
        client.write(format!("{request}\r\nhost: a\r\n\r\n")).await;
        client.expect_response(200).await;
        request.insert(5, 'y');
        client.write(format!("{request}\r\nhost: a\r\n\r\n")).await;
        client.expect_response(414).await;
        client.expect_eof().await;
    });
}

/// HTTP-012
#[test]
fn a_connect_is_answered_with_501_or_405() {
    run(async {
        let server = Server::start(http(app)).await;
        let mut client = server.connect().await;
        client
            .write("CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n")
            .await;
        let head = client.expect_any_head().await;
        assert!(matches!(head.status, 501 | 405), "{head:#?}");
    });
}

/// RFC 9110 §10.1.1
#[test]
fn an_unknown_expectation_is_answered_with_417() {
    run(async {
        let server = Server::start(http(app)).await;
        let mut client = server.connect().await;
        client
            .write("GET / HTTP/1.1\r\nhost: a\r\nexpect: a-miracle\r\n\r\n")
            .await;
        client.expect_response(417).await;
    });
}

#[test]
fn unusual_but_well_formed_requests_are_served() {
    run(async {
        let server = Server::start(http(app)).await;
        for (request, path) in [
            ("OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n", "*"),
            ("GET http://a/b HTTP/1.1\r\nhost: a\r\n\r\n", "/b"),
            ("GET http://a HTTP/1.1\r\nhost: a\r\n\r\n", "/"),
            ("GET http://a?b HTTP/1.1\r\nhost: a\r\n\r\n", "/"),
            ("GET / HTTP/1.2\r\nhost: a\r\n\r\n", "/"),
            ("GET / HTTP/1.9\r\nhost: a\r\n\r\n", "/"),
            ("GET /[]{|}\\^ HTTP/1.1\r\nhost: a\r\n\r\n", "/[]{|}\\^"),
            ("GET / HTTP/1.1\r\nhost: a%41b:65535\r\n\r\n", "/"),
            ("GET / HTTP/1.1\r\nhost: [::1]:80\r\n\r\n", "/"),
            ("GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n", "/"),
            ("GET / HTTP/1.1\r\nhost: a_b.example:\r\n\r\n", "/"),
            ("GET / HTTP/1.1\r\nHOST:a\r\n\r\n", "/"),
            (
                "GET / HTTP/1.1\r\nhost: a\r\n!#$%&'*+-.^_`|~: y\r\n\r\n",
                "/",
            ),
            ("M-SEARCH / HTTP/1.1\r\nhost: a\r\n\r\n", "/"),
            ("GET /?a=b?c HTTP/1.1\r\nhost: a\r\n\r\n", "/"),
            (
                "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0001\r\n\r\nx",
                "/",
            ),
            (
                "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0001;x\r\ny\r\n00\r\n\r\n",
                "/",
            ),
        ] {
            let mut client = server.connect().await;
            client.write(format!("{request}{GOOD}")).await;
            assert_eq!(client.expect_response(200).await.body, path);
            assert_eq!(client.expect_response(200).await.body, "/smuggled");
        }
    });
}

/// A request line is complete before its head is. hyper alone would look at it only when it comes
/// in one piece.
#[test]
fn a_malformed_line_is_answered_before_the_end_of_the_head_however_it_is_split() {
    run(async {
        let server = Server::start(http(app)).await;
        for (lines, status) in [
            ("G[T / HTTP/1.1\r\n", 400),
            ("GET /\r\n", 400),
            ("GET / HTTP/3.0\r\n", 505),
            ("GET / HTTP/1.1\r\nhost: a\r\nx y: z\r\n", 400),
            ("GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n", 400),
        ] {
            for split in 0..lines.len() {
                let mut client = server.connect().await;
                client.write(&lines[..split]).await;
                client.write(&lines[split..]).await;
                client.expect_response(status).await;
                client.expect_eof().await;
            }
        }
    });
}

#[test]
fn a_refused_head_waits_for_the_responses_before_it() {
    run(async {
        let (go, gated) = gated();
        let server = Server::start(gated).await;
        let mut client = server.connect().await;
        client
            .write("GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/3.0\r\n\r\n")
            .await;
        server.wait_for_exchanges(1).await;
        go.send(true).unwrap();
        client.expect_response(200).await;
        client.expect_response(505).await;
        client.expect_eof().await;
    });
}

#[test]
fn a_refusal_of_a_head_request_has_no_body() {
    run(async {
        let server = Server::start(http(app)).await;
        let mut client = server.connect().await;
        client.write("HEAD / HTTP/3.0\r\n").await;
        let head = client.expect_head(505).await;
        assert_eq!(head.header("content-length"), Some("27"));
        client.expect_eof().await;
    });
}

#[test]
fn requests_before_a_malformed_one_are_answered() {
    run(async {
        let server = Server::start(http(app)).await;
        let mut client = server.connect().await;
        client
            .write("GET /good HTTP/1.1\r\nhost: a\r\n\r\nGET /bad HTTP/1.1\r\n\r\n")
            .await;
        assert_eq!(client.expect_response(200).await.body, "/good");
        client.expect_response(400).await;
        client.expect_end().await;
    });
}
