//! A real library: the tests build the example `hello` and load it.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use asgi::{
    DisconnectReason, HttpRequest, LifespanScope, LifespanShutdown, LifespanStartup, SendEvent,
    WebSocketScope,
};
use asgi_abi::{Library, LoadOptions};
use serde_json::Value;

use crate::support::{Exchange, Running, eventually, get, start};

/// Builds the example. The JSON output of cargo has the path of the library.
fn build() -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    // Build scripts would get the flags of a sanitizer too, and fail.
    if std::env::var("RUSTFLAGS").is_ok_and(|flags| flags.contains("sanitizer")) {
        cargo.env_remove("RUSTFLAGS");
    }
    let output = cargo
        .args([
            "build",
            "-p",
            "hello",
            "--message-format=json-render-diagnostics",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "the example does not build");
    let messages = String::from_utf8(output.stdout).unwrap();
    messages
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|message| message["reason"] == "compiler-artifact")
        .filter(|message| message["target"]["name"] == "hello")
        .find_map(|message| Some(PathBuf::from(message["filenames"][0].as_str()?)))
        .expect("cargo prints the path of the library")
}

fn hello() -> &'static Library {
    static HELLO: OnceLock<Library> = OnceLock::new();
    HELLO.get_or_init(|| {
        let options = LoadOptions::new().threads(2);
        Library::load_with(build(), &options).unwrap()
    })
}

fn call(target: &str, exchange: &Exchange) -> Running {
    start(hello(), get(target), exchange)
}

/// The body of the whole response.
#[track_caller]
fn body(target: &str) -> String {
    let exchange = Exchange::of([HttpRequest::last("")]);
    call(target, &exchange).end().unwrap();
    assert_eq!(exchange.status(), Some(200));
    String::from_utf8(exchange.body()).unwrap()
}

#[test]
fn it_has_a_name_a_version_and_a_toolchain() {
    let hello = hello();
    assert_eq!(
        (hello.name(), hello.version()),
        ("hello", env!("CARGO_PKG_VERSION"))
    );
    assert!(
        hello.toolchain().starts_with("rustc 1."),
        "{}",
        hello.toolchain()
    );
}

#[test]
fn it_says_hello() {
    let exchange = Exchange::of([HttpRequest::last("")]);
    call("/", &exchange).end().unwrap();
    assert_eq!(
        exchange.sent(),
        [
            "HttpResponseStart(HttpResponseStart { status: 200, headers: {\"content-type\": \
             \"text/plain; charset=utf-8\"}, trailers: false, \
             invalid: InvalidHeader(None) })",
            "HttpResponseBody(HttpResponseBody { body: b\"Hello, world!\\n\", more_body: false })",
        ]
    );
}

#[test]
fn an_unknown_path_is_404() {
    let exchange = Exchange::default();
    call("/nowhere", &exchange).end().unwrap();
    assert_eq!(exchange.status(), Some(404));
}

#[test]
fn it_echoes_without_a_copy() {
    let part = bytes::Bytes::from(vec![b'x'; 50_000]);
    let address = part.as_ptr();
    let exchange = Exchange::of([HttpRequest::more(part), HttpRequest::last("end")]);
    call("/echo", &exchange).end().unwrap();
    assert_eq!(exchange.body().len(), 50_003);
    let state = exchange.lock();
    let SendEvent::HttpResponseBody(first) = &state.sent[1] else {
        panic!("another event");
    };
    assert_eq!(
        first.body.as_ptr(),
        address,
        "the body is not copied in either direction"
    );
}

#[test]
fn it_echoes_a_body_that_comes_later() {
    let exchange = Exchange::default();
    let mut running = call("/echo", &exchange);
    assert!(running.poll().is_pending());
    let server = exchange.clone();
    let thread = std::thread::spawn(move || {
        server.push(HttpRequest::more("a"));
        eventually(|| server.body() == b"a");
        server.push(HttpRequest::last("b"));
    });
    running.end().unwrap();
    thread.join().unwrap();
    assert_eq!(exchange.body(), b"ab");
}

#[test]
fn it_streams() {
    let exchange = Exchange::default();
    call("/stream?n=3", &exchange).end().unwrap();
    assert_eq!(exchange.body(), b"line 1\nline 2\nline 3\n");
    assert_eq!(exchange.sent().len(), 5, "each line is an event");
}

#[test]
fn its_own_runtime_has_all_features_of_tokio() {
    let answer: Value = serde_json::from_str(&body("/io")).unwrap();
    assert_eq!(
        answer,
        serde_json::json!({
            "spawn": 42,
            "sleep": true,
            "tcp": "ping",
            "spawn_blocking": "worked on a thread of its own",
        })
    );
}

#[test]
fn it_sleeps() {
    assert_eq!(body("/sleep?ms=20"), "slept 20 ms\n");
}

#[test]
fn it_wakes_up_when_its_client_leaves() {
    let exchange = Exchange::default();
    let before = Instant::now();
    let mut running = call("/sleep?ms=3600000", &exchange);
    assert!(running.poll().is_pending());
    let server = exchange.clone();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        server.close(DisconnectReason::Closed);
    });
    running.end().unwrap();
    thread.join().unwrap();
    assert!(before.elapsed() < Duration::from_secs(60));
    assert!(exchange.sent().is_empty());
}

#[test]
fn it_may_be_dropped_during_a_sleep() {
    let exchange = Exchange::default();
    let mut running = call("/sleep?ms=3600000", &exchange);
    assert!(running.poll().is_pending());
    drop(running);
    assert!(exchange.lock().send_dropped);
}

#[test]
fn it_panics_on_request_and_still_works() {
    // A log that takes errors. Without one, the library prints its panic, which looks like a failure.
    let log = tracing_subscriber::fmt()
        .with_writer(std::io::sink)
        .finish();
    let _log = tracing::subscriber::set_default(log);
    let running = call("/panic", &Exchange::default());
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| running.end()));
    let message = caught.unwrap_err().downcast::<String>().unwrap();
    // The location follows: the message is the only place for it.
    let begin = "the client asked for a panic, at ";
    assert!(message.starts_with(begin), "{message}");
    assert_eq!(body("/"), "Hello, world!\n");
}

#[test]
fn it_fails_on_request() {
    let exchange = Exchange::default();
    let error = call("/error", &exchange).end().unwrap_err();
    assert_eq!(error.to_string(), "the client asked for an error");
    assert!(exchange.sent().is_empty());

    let error = call("/abort", &exchange).end().unwrap_err();
    assert!(error.is_aborted());
    assert_eq!(
        error.chain().to_string(),
        "aborted: the app breaks off its exchange: the client asked for half a response"
    );
    assert_eq!(exchange.body(), b"the first half\n");
}

#[test]
fn it_has_a_lifespan_with_a_state() {
    // Another library: `hello()` must not get a state.
    let library = Library::load(build()).unwrap();
    let info = || -> Value {
        let exchange = Exchange::default();
        let scope = get("/info?a=b");
        start(&library, scope, &exchange).end().unwrap();
        serde_json::from_slice(&exchange.body()).unwrap()
    };
    assert_eq!(info()["state"], Value::Null);

    let server = Exchange::of([LifespanStartup::new()]);
    let mut lifespan = start(&library, LifespanScope::new(), &server);
    assert!(lifespan.poll().is_pending());
    assert_eq!(info()["state"]["requests"], 1);
    let second = info();
    assert_eq!(second["state"]["requests"], 2);
    assert_eq!(second["query_string"], "a=b");
    assert_eq!(second["version"], "HTTP/1.1");

    server.push(LifespanShutdown::new());
    lifespan.end().unwrap();
    library.shutdown(Duration::from_secs(5));
}

#[test]
fn it_has_no_websockets() {
    let scope = WebSocketScope::new("/".parse().unwrap());
    let error = start(hello(), scope, &Exchange::default())
        .end()
        .unwrap_err();
    assert!(error.is_unsupported());
}
