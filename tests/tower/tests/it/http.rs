//! Requests and their answers, compared over both versions of HTTP.

use axum::Router;
use axum::routing::any;
use bytes::Bytes;
use http::{Method, Request};
use test_support::{logs, run};

use crate::answer::{Answer, BOTH, Protocol, begin, send};
use crate::hosts::Hosts;
use crate::router::router;

/// One row: a request, and what its answer must have so that two wrong answers are not equal.
struct Row {
    request: Request<Bytes>,
    status: u16,
    body: Option<&'static str>,
    /// What the middleware logs as an error.
    error: Option<&'static str>,
}

fn row(method: Method, target: &str, status: u16) -> Row {
    let request = Request::builder().method(method).uri(target);
    Row {
        request: request.body(Bytes::new()).unwrap(),
        status,
        body: None,
        error: None,
    }
}

fn get(target: &str, status: u16) -> Row {
    row(Method::GET, target, status)
}

fn post(target: &str, status: u16, body: impl Into<Bytes>) -> Row {
    let mut row = row(Method::POST, target, status);
    *row.request.body_mut() = body.into();
    row
}

impl Row {
    fn header(mut self, name: &'static str, value: &'static str) -> Self {
        let value = value.parse().unwrap();
        self.request.headers_mut().append(name, value);
        self
    }

    fn error(mut self, text: &'static str) -> Self {
        self.error = Some(text);
        self
    }

    fn body(mut self, body: &'static str) -> Self {
        self.body = Some(body);
        self
    }
}

/// Sends each row to all servers over both versions of HTTP. All answers must be equal.
fn compare(rows: Vec<Row>) {
    let files = tempfile::tempdir().unwrap();
    std::fs::write(files.path().join("page.html"), "<p>0123456789</p>").unwrap();
    std::fs::write(files.path().join("a b.txt"), "with a space").unwrap();
    let router: Router = router(files.path());
    run(async {
        let hosts = Hosts::start(router).await;
        for row in rows {
            let what = format!("{} {}", row.request.method(), row.request.uri());
            let mut answers: Vec<(String, Answer)> = Vec::new();
            for over in BOTH {
                for (host, address) in hosts.all() {
                    let answer = send(address, over, row.request.clone()).await;
                    if let Some(text) = row.error {
                        logs::expect_error(&[text]);
                    }
                    answers.push((format!("{what} on {host} over {over:?}"), answer));
                }
            }
            let (first, expected) = &answers[0];
            assert_eq!(expected.status, row.status, "{first}");
            if let Some(body) = row.body {
                assert_eq!(expected.text(), body, "{first}");
            }
            for (name, answer) in &answers[1..] {
                assert_eq!(answer, expected, "{name} (left) differs from {first}");
            }
        }
    });
}

#[test]
fn plain_responses_are_equal() {
    compare(vec![
        get("/", 200).body("Hello, world!\n"),
        get("/html", 200),
        get("/empty", 204).body(""),
        get("/redirect", 303),
        get("/cookies", 200).body("two cookies"),
        get("/large", 200),
        get("/nothing", 404).body(""),
        get("/error", 418).body("short and stout"),
        row(Method::POST, "/", 405),
        row(Method::OPTIONS, "/", 405),
        row(Method::DELETE, "/sockets/any-method", 200).body("any"),
    ]);
}

#[test]
fn responses_to_head_are_equal() {
    compare(vec![
        row(Method::HEAD, "/", 200).body(""),
        row(Method::HEAD, "/large", 200).body(""),
        row(Method::HEAD, "/empty", 204),
        row(Method::HEAD, "/events", 200).body(""),
        row(Method::HEAD, "/files/page.html", 200).body(""),
        row(Method::HEAD, "/nothing", 404),
        row(Method::HEAD, "/json", 405),
    ]);
}

#[test]
fn extractors_find_the_same() {
    compare(vec![
        get("/path/a%20b/c/d%2Fe", 200).body("a b c/d/e"),
        get("/query?a=1&b=x+y&a=%C3%A4", 200).body(r#"[("a", "1"), ("b", "x y"), ("a", "ä")]"#),
        get("/query?a=%ff", 200),
        get("/headers", 200)
            .header("x-b", "two")
            .header("x-a", "one")
            .header("x-b", "three")
            .body("x-a: one\nx-b: three\nx-b: two\n"),
        get("/host", 200).body("example.org"),
        get("/peer", 200).body("127.0.0.1"),
        get("/nested/7/uri?q", 200).body("/nested/7/uri /uri"),
    ]);
}

#[test]
fn request_bodies_arrive_equally() {
    const FORM: &str = "application/x-www-form-urlencoded";
    const PARTS: &str = "--X\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\none\r\n\
        --X\r\ncontent-disposition: form-data; name=\"f\"; filename=\"f.txt\"\r\n\
        content-type: text/plain\r\n\r\ntwo\r\nlines\r\n--X--\r\n";
    let multipart = "multipart/form-data; boundary=X";
    compare(vec![
        post("/json", 200, r#"{"a":[1]}"#)
            .header("content-type", "application/json")
            .body(r#"{"got":{"a":[1]}}"#),
        post("/json", 400, "{").header("content-type", "application/json"),
        post("/json", 415, "{}"),
        post("/form", 200, "a=1&b=x+y")
            .header("content-type", FORM)
            .body(r#"[("a", "1"), ("b", "x y")]"#),
        post("/multipart", 200, PARTS)
            .header("content-type", multipart)
            .body("a - 3\nf f.txt 10\n"),
        post("/multipart", 400, "--X\r\nbroken").header("content-type", multipart),
        post("/multipart", 400, "").header("content-type", "text/plain"),
        post("/length", 200, vec![b'x'; 300_000]).body("300000"),
        post("/length", 200, "").body("0"),
        post("/echo", 200, "echo").body("echo"),
        post("/echo", 200, vec![b'x'; 300_000]),
        post("/length", 413, vec![b'x'; 3 << 20]),
        post("/limited/extractor", 200, "0123456789").body("10"),
        post("/limited/extractor", 413, "0123456789a"),
        post("/limited/layer", 200, "0123456789").body("10"),
        post("/limited/layer", 413, "0123456789a"),
    ]);
}

#[test]
fn middleware_of_tower_http_does_the_same() {
    compare(vec![
        get("/compressed/text", 200).header("accept-encoding", "gzip"),
        get("/compressed/text", 200),
        get("/compressed/short", 200).header("accept-encoding", "gzip"),
        get("/cors", 200).header("origin", "https://example.com"),
        row(Method::OPTIONS, "/cors", 200)
            .header("origin", "https://example.com")
            .header("access-control-request-method", "GET"),
        get("/stamped", 200),
        get("/traced", 200).body("traced"),
        get("/timed/slow", 504),
        get("/panics", 500).error("Service panicked: on purpose"),
    ]);
}

#[test]
fn static_files_are_equal() {
    compare(vec![
        get("/files/page.html", 200).body("<p>0123456789</p>"),
        get("/files/a%20b.txt", 200).body("with a space"),
        get("/files/page.html", 206)
            .header("range", "bytes=3-6")
            .body("0123"),
        get("/files/page.html", 416).header("range", "bytes=100-"),
        get("/files/page.html", 304)
            .header("if-modified-since", "Fri, 31 Dec 2100 23:59:59 GMT")
            .body(""),
        get("/files/page.html", 412).header("if-unmodified-since", "Thu, 01 Jan 1970 00:00:00 GMT"),
        get("/files/nothing", 404),
        get("/files/%2e%2e/secret", 404),
        row(Method::POST, "/files/page.html", 405),
    ]);
}

#[test]
fn streams_are_equal() {
    compare(vec![
        get("/events", 200).body(
            "id: 1\ndata: a\ndata: b\n\nid: 2\ndata: a\ndata: b\n\nid: 3\ndata: a\ndata: b\n\n",
        ),
        get("/trailers", 200).header("te", "trailers").body("body"),
    ]);
}

#[test]
fn a_body_that_fails_is_incomplete_everywhere() {
    let files = tempfile::tempdir().unwrap();
    let router = router(files.path());
    run(async {
        let hosts = Hosts::start(router).await;
        for over in BOTH {
            for (host, address) in hosts.all() {
                let request = Request::get("/breaks").body(Bytes::new()).unwrap();
                let answer = send(address, over, request).await;
                assert_eq!(answer.status, 200);
                assert_eq!(answer.text(), "begun", "{host} {over:?}");
                assert!(!answer.complete, "{host} {over:?}");
                if host != "axum" {
                    logs::expect_error(&["GET", "on purpose"]);
                }
            }
        }
    });
}

#[test]
fn trailers_and_lengths_are_really_compared() {
    let files = tempfile::tempdir().unwrap();
    let router = router(files.path());
    run(async {
        let hosts = Hosts::start(router).await;
        for (_, address) in hosts.all() {
            for over in BOTH {
                let request = Request::get("/trailers").header("te", "trailers");
                let answer = send(address, over, request.body(Bytes::new()).unwrap()).await;
                assert_eq!(answer.trailers.unwrap()["x-sum"], ["9"]);
                let request = Request::head("/").body(Bytes::new()).unwrap();
                let answer = send(address, over, request).await;
                assert_eq!(answer.header("content-length"), Some("14"));
            }
            let request = Request::get("/compressed/text").header("accept-encoding", "gzip");
            let request = request.body(Bytes::new()).unwrap();
            let answer = send(address, Protocol::Http1, request).await;
            assert_eq!(answer.header("content-encoding"), Some("gzip"));
            assert!(answer.body.len() < 200);
        }
    });
}

#[test]
fn a_large_upload_does_not_wait_for_a_handler_that_answers_early() {
    run(async {
        let early = any(async || "early");
        let hosts = Hosts::start(Router::new().route("/", early)).await;
        for (_, address) in hosts.all() {
            for over in BOTH {
                let upload = Request::post("/").body(Bytes::from(vec![0; 4 << 20]));
                let (response, _connection) = begin(address, over, upload.unwrap()).await;
                assert_eq!(response.status(), 200);
            }
        }
    });
}
