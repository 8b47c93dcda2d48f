//! The traps of the first version of the interface, one test for each.
//!
//! Each test performs on the code of today what went wrong, and prints a row. `before` is what the
//! first version did, as it was found when programs were written against it: that code is gone, so no
//! test can observe it. `after` is what the test has just observed, and the test compares it. Other
//! tests check the rules around each trap, each in the package of its rule.

use std::fmt::Display;
use std::future::Future;
use std::io::{self, Write};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use asgi::{
    AppError, DisconnectReason, HttpResponseBody, HttpResponseStart, HttpScope, Message, Receiver,
    Scope, SendError, SendEvent, Sender, WebSocketAccept,
};
use asgi_rules::{AppEnd, Fault, HttpRules};
use asgi_testing::Client;
use http::Method;
use tokio::net::TcpStream;

use test_support::app::channel;
use test_support::{Http, Server, http, http_with, logs, run, within};

use crate::hello;

/// Prints a row of the table, and checks what was observed.
#[track_caller]
fn row(trap: &str, before: &str, after: impl Display, expected: &str) {
    let after = after.to_string();
    let row = format!("{trap}\n  before (stated): {before}\n  after (observed): {after}\n");
    // Not `println!`, which the lints keep out. If it fails, no one reads the table.
    let _ = io::stdout().write_all(row.as_bytes());
    assert_eq!(after, expected, "{trap}");
}

/// Polls a future once.
fn once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn the_body_can_be_read_once_and_passed_on() {
    async fn app(_: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
        let body = receive.body(100).await?;
        let again = match once(receive.body(100)) {
            Poll::Pending => "waits",
            Poll::Ready(Err(error)) if error.is_already_read() => "is_already_read",
            Poll::Ready(_) => "something else",
        };
        let mut inner = receive.with_body(body);
        let inner = String::from_utf8_lossy(&inner.body(100).await?).into_owned();
        let text = format!("again: {again}, the inner app: {inner}");
        Ok(send.respond(HttpResponseStart::ok(), text).await?)
    }
    run(async {
        let response = Client::new(app).post("/").body("signed").await.unwrap();
        row(
            "a second receive.body()",
            "waits until the client leaves",
            response.text(),
            "again: is_already_read, the inner app: signed",
        );
    });
}

#[test]
fn the_body_of_a_websocket_is_an_error_and_loses_no_event() {
    async fn app(_: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
        let body = match receive.body(100).await {
            Err(error) if error.is_not_http() => "is_not_http",
            _ => "something else",
        };
        let next = receive.receive().await;
        send.send(WebSocketAccept::new()).await?;
        let text = format!("{body}, then {}", next.name());
        Ok(send.send(Message::text(text)).await?)
    }
    run(async {
        let client = Client::new(app);
        let mut socket = client.websocket("/").connect().await.unwrap();
        let message = socket.receive().await.unwrap();
        row(
            "receive.body() on a WebSocket",
            "Ok(b\"\"), and the event websocket.connect is lost",
            message.as_text().unwrap(),
            "is_not_http, then websocket.connect",
        );
    });
}

/// An error type like eyre's: it hides the type of the error, but not its source.
#[derive(Debug)]
struct Wrapper(Box<dyn std::error::Error + Send + Sync>);

impl Display for Wrapper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Wrapper {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

#[test]
fn an_error_is_recognised_through_wrappers() {
    let gone = || SendError::disconnected(DisconnectReason::Lost);
    let scope = Scope::from(HttpScope::new(Method::GET, "/".parse().unwrap()));
    let unsupported = || AppError::unsupported(&scope).into_error();
    let wrap: [fn(Box<dyn std::error::Error + Send + Sync>) -> AppError; 3] = [
        |error| anyhow::Error::from_boxed(error).into(),
        |error| io::Error::other(error).into(),
        |error| Wrapper(error).into(),
    ];
    let disconnected = wrap.map(|wrap| wrap(gone().into()).is_disconnected());
    let unsupported = wrap.map(|wrap| wrap(unsupported()).is_unsupported());
    row(
        "is_disconnected and is_unsupported in anyhow::Error, io::Error and a wrapper",
        "[false, false, false]: a client that left is logged as the app's fault",
        format!("{disconnected:?} {unsupported:?}"),
        "[true, true, true] [true, true, true]",
    );
}

#[test]
fn an_app_can_break_off_without_a_fault() {
    run(async {
        let app = http(async |mut http: Http| {
            http.begin().await?;
            http.more("half").await?;
            Err(AppError::aborted_by("the upstream is gone"))
        });
        let server = Server::start(app).await;
        let mut client = server.connect().await;
        client.get("/").await;
        client.expect_head(200).await;
        let part = client.read_chunk().await.unwrap();
        // Fails if the server has sent the last chunk.
        client.expect_end().await;
        let debug = logs::at_level(tracing::Level::DEBUG);
        let lines = debug
            .iter()
            .filter(|line| line.text.contains("the upstream is gone"));
        let after = format!(
            "{:?}, no last chunk, lines of the log: {} error, {} debug",
            part,
            logs::unexpected_errors().len(),
            lines.count()
        );
        row(
            "a proxy whose upstream dies",
            "can only fail: one line at ERROR",
            after,
            "b\"half\", no last chunk, lines of the log: 0 error, 1 debug",
        );
    });
}

#[test]
fn an_app_can_end_a_websocket_without_a_close_frame() {
    async fn app(_: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
        receive.receive().await;
        send.send(WebSocketAccept::new()).await?;
        Err(AppError::aborted())
    }
    run(async {
        let client = Client::new(app);
        let mut socket = client.websocket("/").connect().await.unwrap();
        row(
            "a WebSocket whose app breaks off",
            "1011: cannot end without a close frame",
            socket.receive().await.unwrap_err().code,
            "1006",
        );
    });
}

#[test]
fn a_question_of_the_server_tells_the_app_nothing() {
    let fault = |ask: fn(&mut HttpRules)| {
        let mut rules = HttpRules::new(&Method::GET, asgi::Extensions::new());
        rules.disconnected(DisconnectReason::Lost);
        ask(&mut rules);
        rules.ended(AppEnd::Failed).fault
    };
    let asked = fault(|rules| assert!(rules.is_gone() && rules.has_left()));
    let told = fault(|rules| assert!(rules.report_disconnect().is_some()));
    assert_eq!(asked, Some(Fault::Failed));
    row(
        "the fault of an app that fails after its server has asked whether the client is gone",
        "None: disconnect() and ready() mark the app as told",
        format!("is_gone: {asked:?}, report_disconnect: {told:?}"),
        "is_gone: Some(Failed), report_disconnect: None",
    );
}

#[test]
fn an_app_at_two_mounts_sees_both() {
    let mut scope = HttpScope::new(Method::GET, "/a/b/c%20d?q".parse().unwrap());
    assert!(scope.nest("/a") && scope.nest("/b"));
    assert!(!scope.nest("/c"), "only whole segments");
    row(
        "an app mounted at /a, then at /b",
        "mounted_at prepends: root_path is /b",
        format!("root_path={} path={}", scope.root_path, scope.local_path()),
        "root_path=/a/b path=/c d",
    );
}

#[test]
fn one_task_sends_while_another_waits_for_the_close() {
    run(async {
        let (report, mut reasons) = channel();
        let app = http_with(report, async |report, mut http: Http| {
            let closed = http.send.closed_handle();
            let waits = tokio::spawn(async move { report.send(closed.await) });
            http.begin().await?;
            http.more("sent").await?;
            http.send.closed().await;
            Ok(waits.await??)
        });
        let server = Server::start(app).await;
        let mut client = server.connect().await;
        client.get("/").await;
        client.expect_head(200).await;
        let part = client.read_chunk().await.unwrap();
        client.half_close().await;
        let reason = within("the reason", reasons.recv()).await.unwrap();
        row(
            "a task that waits for the close while another one sends",
            "closed() borrows the sender, so the other task cannot send",
            format!("{part:?}, then {reason:?}"),
            "b\"sent\", then Closed",
        );
    });
}

#[test]
fn after_closed_the_client_reads_on() {
    run(async {
        let (report, mut reports) = channel();
        let app = http_with(report, async |report, mut http: Http| {
            let reason = http.send.closed().await;
            let sent = http.respond("still here").await.is_ok();
            Ok(report.send(format!(
                "{reason:?}, is_gone: {}, sent: {sent}",
                reason.is_gone()
            ))?)
        });
        let server = Server::start(app).await;
        let mut client = server.connect().await;
        client.get("/").await;
        client.half_close().await;
        let body = client.expect_response(200).await.body;
        let report = within("the report", reports.recv()).await.unwrap();
        row(
            "what the app may do after the reason Closed",
            "the docs say that nothing reaches the client, the spec (HTTP-042) says that it does",
            format!("{report}, the client has {body:?}"),
            "Closed, is_gone: false, sent: true, the client has b\"still here\"",
        );
    });
}

#[test]
fn the_text_of_an_error_can_be_made_across_an_await() {
    async fn save(line: String) -> String {
        line
    }
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let error = AppError::from(io::Error::other("no disk"));
    // That this compiles is what the test observes: the future has the chain while it waits.
    let saved = is_send(async move { save(error.chain().to_string()).await });
    let Poll::Ready(line) = once(saved) else {
        panic!("the future waits");
    };
    row(
        "save(error.chain().to_string()).await in a future that is Send",
        "does not compile: Chain is not Send",
        line,
        "no disk",
    );
}

#[test]
fn a_middleware_can_count_the_events_that_were_taken() {
    async fn app(_: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
        send.respond(HttpResponseStart::ok(), "all").await?;
        // The response is complete.
        assert!(send.send(HttpResponseBody::last("late")).await.is_err());
        Ok(())
    }
    let counts = Arc::new(Mutex::new((0, 0)));
    let seen = Arc::clone(&counts);
    let counting = move |scope: Scope, receive: Receiver, send: Sender| {
        let (mapped, taken) = (Arc::clone(&counts), Arc::clone(&counts));
        let send = send.observe(|_: &SendEvent| (), move |()| taken.lock().unwrap().1 += 1);
        let send = send.map(move |event| {
            mapped.lock().unwrap().0 += 1;
            event
        });
        app(scope, receive, send)
    };
    run(async {
        let client = Client::new(counting).allow_faults();
        let response = client.get("/").await.unwrap();
        assert_eq!(response.text(), "all");
        let (mapped, taken) = *seen.lock().unwrap();
        row(
            "events that a middleware counts if the server takes two and refuses one",
            "map: 3, and nothing else is there",
            format!("map: {mapped}, observe: {taken}"),
            "map: 3, observe: 2",
        );
    });
}

#[test]
fn a_flush_does_nothing_where_there_is_nothing_to_flush() {
    async fn app(scope: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
        let first = send.flush().await;
        if let Scope::WebSocket(_) = scope {
            receive.receive().await;
            send.send(WebSocketAccept::new()).await?;
            let open = send.flush().await;
            return Ok(send
                .send(Message::text(format!("{first:?} {open:?}")))
                .await?);
        }
        Ok(send
            .respond(HttpResponseStart::ok(), format!("{first:?}"))
            .await?)
    }
    run(async {
        let client = Client::new(app);
        let response = client.get("/").await.unwrap();
        let mut socket = client.websocket("/").connect().await.unwrap();
        let message = socket.receive().await.unwrap();
        let message = message.as_text().unwrap();
        row(
            "flush() before the start and on a WebSocket",
            "misuse",
            format!(
                "before the start: {}, on a WebSocket: {message}",
                response.text()
            ),
            "before the start: Ok(()), on a WebSocket: Ok(()) Ok(())",
        );
    });
}

/// HTTP-024, HTTP-027
#[test]
fn a_loaded_app_that_waited_answers_with_the_same_framing_each_time() {
    const REQUESTS: usize = 90;
    /// The app waits for a timer, a socket and a blocking thread of its runtime, then sends the start
    /// and the last body.
    const TARGET: &str = "/io";
    run(async {
        let server = Server::start(hello::loaded()).await;
        let mut without_length = [0, 0];
        let mut client = server.connect().await;
        for _ in 0..REQUESTS {
            client.get(TARGET).await;
            let response = client.expect_response(200).await;
            without_length[0] += usize::from(response.header("content-length").is_none());
        }
        let stream = within("a connection", TcpStream::connect(server.address())).await;
        let handshake = h2::client::handshake(stream.unwrap());
        let (mut requests, connection) = within("HTTP/2", handshake).await.unwrap();
        let connection = tokio::spawn(connection);
        for _ in 0..REQUESTS {
            requests = within("a stream", requests.ready()).await.unwrap();
            let request = http::Request::get(format!("http://a{TARGET}"))
                .body(())
                .unwrap();
            let (response, _) = requests.send_request(request, true).unwrap();
            let response = within("a response", response).await.unwrap();
            assert_eq!(response.status(), 200);
            let length = response.headers().get("content-length");
            without_length[1] += usize::from(length.is_none());
        }
        drop(requests);
        connection.abort();
        let [http1, http2] = without_length;
        row(
            "responses without a length, of 90, if a loaded app has waited for its own I/O",
            "10, chunked, over HTTP/1.1",
            format!("{http1} over HTTP/1.1, {http2} over HTTP/2"),
            "0 over HTTP/1.1, 0 over HTTP/2",
        );
    });
}
