//! What the builder of a request puts into the scope and the body.

use std::net::SocketAddr;

use ::http::Version;
use asgi::{
    Address, AppError, Extension, Extensions, HttpResponseStart, HttpScope, Receiver, Scope,
    Sender, WebSocketAccept, WebSocketScope,
};
use asgi_testing::{Client, Multipart, Request, Response};

/// Answers with the scope and the body in words.
async fn describe(scope: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
    let Scope::Http(http) = scope else {
        return Err(AppError::unsupported(&scope));
    };
    let body = receive.body(10_000).await?;
    let text = format!("{}\n{}", head(&http), String::from_utf8_lossy(&body));
    Ok(send.respond(HttpResponseStart::ok(), text).await?)
}

fn head(http: &HttpScope) -> String {
    let mut lines = vec![format!(
        "{} {} {:?} {}",
        http.method, http.target, http.version, http.scheme
    )];
    for (name, value) in &http.headers {
        lines.push(format!("{name}: {}", value.to_str().unwrap()));
    }
    lines.join("\n")
}

/// What the app receives for a request.
async fn seen(request: impl FnOnce(&Client) -> Request) -> String {
    let response = request(&Client::new(describe)).await.unwrap();
    response.text().into_owned()
}

#[tokio::test]
async fn pairs_are_added_to_the_query() {
    let seen = seen(|client| {
        client
            .get("/a?b=c")
            .query([("q", "black cat"), ("ä", "&=")])
            .query([("n", 7)])
            .query::<&str, &str>([])
    });
    let first = seen.await;
    let expected = "GET /a?b=c&q=black+cat&%C3%A4=%26%3D&n=7 HTTP/1.1 http\n";
    assert!(first.starts_with(expected), "{first}");
}

#[tokio::test]
async fn a_query_without_one_before_begins_with_a_question_mark() {
    for target in ["/a", "/a?"] {
        let seen = seen(|client| client.get(target).query([("q", "1")])).await;
        assert!(seen.starts_with("GET /a?q=1 HTTP/1.1"), "{seen}");
    }
}

#[tokio::test]
async fn a_form_is_urlencoded() {
    let seen = seen(|client| client.post("/").form([("name", "Zoë Smith"), ("age", "7")]));
    assert_eq!(
        seen.await,
        "POST / HTTP/1.1 http
host: localhost
content-type: application/x-www-form-urlencoded
content-length: 25
name=Zo%C3%AB+Smith&age=7"
    );
}

#[tokio::test]
async fn a_multipart_form_has_texts_and_files_in_order() {
    let form = Multipart::new()
        .text("a \"quoted\"\r\nname", "first")
        .file("picture", "cät.png", "image/png", &b"\x01\r\n\x02"[..])
        .text("empty", "");
    let seen = seen(|client| client.post("/").multipart(form)).await;
    let (head, body) = seen.split_once("content-length: ").unwrap();
    assert!(
        head.contains("content-type: multipart/form-data; boundary=asgi-testing-boundary-0\n"),
        "{head}"
    );
    let (length, body) = body.split_once('\n').unwrap();
    assert_eq!(length, body.len().to_string());
    assert_eq!(
        body,
        "--asgi-testing-boundary-0\r
content-disposition: form-data; name=\"a %22quoted%22%0D%0Aname\"\r
\r
first\r
--asgi-testing-boundary-0\r
content-disposition: form-data; name=\"picture\"; filename=\"cät.png\"\r
content-type: image/png\r
\r
\u{1}\r\n\u{2}\r
--asgi-testing-boundary-0\r
content-disposition: form-data; name=\"empty\"\r
\r
\r
--asgi-testing-boundary-0--\r
"
    );
}

#[tokio::test]
async fn the_boundary_is_not_in_a_part() {
    let form = Multipart::new().text("a", "--asgi-testing-boundary-0--");
    let seen = seen(|client| client.post("/").multipart(form)).await;
    assert!(
        seen.contains("boundary=asgi-testing-boundary-1\n"),
        "{seen}"
    );
}

#[cfg(feature = "json")]
#[tokio::test]
async fn json_is_written_and_read() {
    async fn app(_: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
        let body = receive.body(1_000).await?;
        Ok(send.respond(HttpResponseStart::ok(), body).await?)
    }
    let value = serde_json::json!({ "name": "Zoë", "ages": [1, 2] });
    let response = Client::new(app).post("/").json(&value).await.unwrap();
    assert_eq!(response.json::<serde_json::Value>(), value);
    response.assert_json(&value);
    let seen = seen(|client| client.post("/").json(&value)).await;
    assert!(seen.contains("content-type: application/json\n"), "{seen}");
}

#[cfg(feature = "json")]
#[tokio::test]
#[should_panic(expected = "the body is not the expected JSON: expected value at line 1 column 1")]
async fn a_body_that_is_not_json_panics_with_the_history() {
    let response = Client::new(describe).get("/").await.unwrap();
    response.json::<serde_json::Value>();
}

#[tokio::test]
async fn a_content_type_of_the_test_stays() {
    let seen = seen(|client| {
        let request = client.post("/").header("content-type", "text/x");
        request.form([("a", "b")])
    });
    let seen = seen.await;
    assert!(seen.contains("content-type: text/x\n"), "{seen}");
    assert!(!seen.contains("urlencoded"), "{seen}");
}

#[tokio::test]
async fn credentials_are_in_the_authorization() {
    let seen_basic = seen(|client| client.get("/").basic("Aladdin", "open sesame")).await;
    // The example of RFC 7617 §2.
    let expected = "authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\n";
    assert!(seen_basic.contains(expected), "{seen_basic}");
    let seen_bearer = seen(|client| client.get("/").bearer("mF_9.B5f-4.1JqM")).await;
    let expected = "authorization: Bearer mF_9.B5f-4.1JqM\n";
    assert!(seen_bearer.contains(expected), "{seen_bearer}");
}

#[tokio::test]
#[should_panic(expected = "contains a colon")]
async fn a_name_with_a_colon_has_no_basic_credentials() {
    let _ = Client::new(describe).get("/").basic("a:b", "");
}

#[tokio::test]
async fn all_cookies_are_in_one_header() {
    let seen = seen(|client| client.get("/").cookie("a", "1").cookie("b", "2")).await;
    assert!(seen.contains("\ncookie: a=1; b=2\n"), "{seen}");
    assert_eq!(seen.matches("cookie").count(), 1);
}

#[tokio::test]
async fn the_scope_has_the_version_the_scheme_and_the_address() {
    for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
        let seen = seen(|client| client.get("/").version(version).scheme("https")).await;
        let expected = format!("GET / {version:?} https\n");
        assert!(seen.starts_with(&expected), "{seen}");
    }
    let address = SocketAddr::from(([192, 0, 2, 7], 4_000));
    let app = move |scope: Scope, _: Receiver, mut send: Sender| async move {
        let Scope::Http(http) = scope else {
            return Err(AppError::unsupported(&scope));
        };
        assert_eq!(http.client, Some(Address::Ip(address)));
        Ok(send.respond(HttpResponseStart::ok(), "").await?)
    };
    let request = Client::new(app).get("/").client_address(address);
    request.await.unwrap().assert_status(200);
}

/// PUSH-001
#[tokio::test]
async fn a_client_that_accepts_pushes_speaks_http_2() {
    let client = Client::new(describe).extensions(Extensions::new().with(Extension::Push));
    let response = client.get("/").await.unwrap();
    response.assert_text("GET / HTTP/2.0 http\nhost: localhost\n");
}

#[tokio::test]
async fn a_streamed_body_is_chunked_on_http_1_1_only() {
    for (version, expected) in [
        (Version::HTTP_10, false),
        (Version::HTTP_11, true),
        (Version::HTTP_2, false),
    ] {
        let client = Client::new(describe);
        let mut exchange = client.post("/").version(version).open_body().start();
        exchange.end_body("x");
        let text = exchange.finish().await.unwrap().text().into_owned();
        let chunked = text.contains("transfer-encoding: chunked\n");
        assert_eq!(chunked, expected, "{text}");
    }
}

#[tokio::test]
async fn each_request_has_the_defaults_of_its_client() {
    let client = Client::new(describe)
        .default_header("host", "example.org")
        .default_header("x-a", "1")
        .scheme("https")
        .version(Version::HTTP_2);
    let response = client.get("/").header("x-a", "2").await.unwrap();
    response.assert_text("GET / HTTP/2.0 https\nhost: example.org\nx-a: 1\nx-a: 2\n");
}

#[tokio::test]
async fn a_handshake_has_what_a_request_has() {
    async fn app(scope: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
        let Scope::WebSocket(scope) = scope else {
            return Err(AppError::unsupported(&scope));
        };
        let WebSocketScope {
            version,
            scheme,
            target,
            headers,
            client,
            ..
        } = *scope;
        let text = format!(
            "{version:?} {scheme} {target} {}",
            client.unwrap().as_ip().unwrap()
        );
        let mut accept = WebSocketAccept::new().header("x-seen", text);
        accept.headers.extend(headers);
        Ok(send.send(accept).await?)
    }
    let address = SocketAddr::from(([192, 0, 2, 7], 4_000));
    let client = Client::new(app)
        .scheme("https")
        .version(Version::HTTP_2)
        .default_header("x-a", "1");
    let handshake = client
        .websocket("/chat")
        .query([("room", "a b")])
        .bearer("token")
        .cookie("a", "1")
        .client_address(address);
    let socket = handshake.connect().await.unwrap();
    let headers = socket.headers();
    assert_eq!(
        headers["x-seen"],
        "HTTP/2.0 wss /chat?room=a+b 192.0.2.7:4000"
    );
    assert_eq!(headers["authorization"], "Bearer token");
    assert_eq!(headers["cookie"], "a=1");
    assert_eq!(headers["x-a"], "1");
    socket.finish().await.unwrap();
}

#[tokio::test]
#[should_panic(
    expected = "expected the status 200, got 500\n  the app failed: out of order\nhistory of GET /:\n"
)]
async fn a_failed_assertion_prints_the_error_and_the_history() {
    async fn app(_: Scope, _: Receiver, _: Sender) -> Result<(), AppError> {
        Err("out of order".into())
    }
    Client::new(app).get("/").await.unwrap().assert_status(200);
}

#[tokio::test]
async fn each_assertion_can_fail() {
    let response = Client::new(describe).get("/").await.unwrap();
    let length = response.header("content-length").unwrap();
    response
        .assert_status(200)
        .assert_header("content-length", length)
        .assert_text(&response.text());
    type Assertion = fn(&Response) -> &Response;
    let wrong: [Assertion; 4] = [
        |response| response.assert_status(404),
        |response| response.assert_header("content-length", "x"),
        |response| response.assert_header("x-none", "x"),
        |response| response.assert_text("x"),
    ];
    for (number, assertion) in wrong.into_iter().enumerate() {
        let asserted = std::panic::AssertUnwindSafe(|| assertion(&response).status());
        assert!(std::panic::catch_unwind(asserted).is_err(), "{number}");
    }
}
