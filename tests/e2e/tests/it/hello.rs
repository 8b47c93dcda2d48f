//! `examples/hello`: the same responses if it is linked in, loaded as a library, or loaded as a library
//! with other dependencies (`tests/foreign`, which `tests/clients/foreign.py` builds).

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use asgi::DynApp;
use asgi_abi::Library;
use asgi_spec::Lint;
use serde_json::Value;

use test_support::server::Server;
use test_support::{library, logs, run};

#[path = "../../../../examples/hello/src/app.rs"]
mod app;

/// The environment variable with the path of the library of `tests/foreign`.
const FOREIGN: &str = "FOREIGN_APP";

/// Runs the test with the linked app, with the loaded library, and with the foreign library if there
/// is one.
fn in_each_form(test: impl AsyncFn(&'static str, Server)) {
    run(async {
        test("linked in", Server::start(Lint::new(app::app)).await).await;
        test("loaded", Server::start(Lint::new(loaded())).await).await;
        if let Some(foreign) = foreign() {
            test("foreign", Server::start(Lint::new(foreign)).await).await;
        }
    });
}

/// The loaded app. A library is loaded once in a process.
pub(crate) fn loaded() -> DynApp {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    let library = LIBRARY.get_or_init(|| library::load("hello"));
    DynApp::new(library.app())
}

fn foreign() -> Option<DynApp> {
    static LIBRARY: OnceLock<Option<Library>> = OnceLock::new();
    let library = LIBRARY
        .get_or_init(|| std::env::var_os(FOREIGN).map(|path| Library::load(path).unwrap()))
        .as_ref()?;
    Some(DynApp::new(library.app()))
}

async fn get(server: &Server, target: &str, status: u16) -> Vec<u8> {
    let mut client = server.connect().await;
    client.get(target).await;
    client.expect_response(status).await.body.to_vec()
}

#[test]
fn each_path_has_its_response() {
    in_each_form(async |form, server| {
        for (target, status, body) in [
            ("/", 200, "Hello, world!\n"),
            ("/stream?n=2", 200, "line 1\nline 2\n"),
            ("/sleep?ms=1", 200, "slept 1 ms\n"),
            ("/nothing", 404, "Not found\n"),
        ] {
            let answer = get(&server, target, status).await;
            assert_eq!(String::from_utf8_lossy(&answer), body, "{target}, {form}");
        }
    });
}

#[test]
fn tasks_timers_sockets_and_blocking_work_run_in_the_app() {
    in_each_form(async |form, server| {
        let answer: Value = serde_json::from_slice(&get(&server, "/io", 200).await).unwrap();
        let expected = serde_json::json!({
            "spawn": 42,
            "sleep": true,
            "tcp": "ping",
            "spawn_blocking": "worked on a thread of its own",
        });
        assert_eq!(answer, expected, "{form}");
    });
}

#[test]
fn the_scope_has_the_request_and_the_state_of_the_startup() {
    in_each_form(async |form, server| {
        let target = "/info?a=%20b";
        let scope: Value = serde_json::from_slice(&get(&server, target, 200).await).unwrap();
        for (key, value) in [
            ("method", "GET"),
            ("version", "HTTP/1.1"),
            ("scheme", "http"),
            ("path", "/info"),
            ("raw_path", "/info"),
            ("query_string", "a=%20b"),
            ("root_path", ""),
        ] {
            assert_eq!(scope[key], value, "{key}, {form}");
        }
        let address = server.address().to_string();
        assert_eq!(scope["server"], Value::String(address), "{form}");
        assert_eq!(
            scope["headers"],
            serde_json::json!([["host", "a"]]),
            "{form}"
        );
        assert_eq!(scope["state"]["requests"], 1, "{form}");
    });
}

#[test]
fn a_body_of_a_megabyte_is_echoed_unchanged() {
    in_each_form(async |form, server| {
        let body: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
        let mut client = server.connect().await;
        let head = format!(
            "PUT /echo HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        client.write(head).await;
        client.expect_head(200).await;
        for part in body.chunks(50_000) {
            client.write(part).await;
            let mut echoed = Vec::new();
            while echoed.len() < part.len() {
                echoed.extend_from_slice(&client.read_chunk().await.expect(form));
            }
            assert!(echoed == part, "the echo differs, {form}");
        }
    });
}

#[test]
fn a_panic_and_an_error_are_500_and_logged_with_their_cause() {
    in_each_form(async |_, server| {
        get(&server, "/panic", 500).await;
        logs::expect_error(&["panicked", "the client asked for a panic"]);
        get(&server, "/error", 500).await;
        logs::expect_error(&["failed", "the client asked for an error"]);
    });
}

#[test]
fn a_sleeping_app_stops_when_its_client_leaves() {
    in_each_form(async |form, server| {
        let mut client = server.connect().await;
        client.get("/sleep?ms=600000").await;
        server.wait_for_exchanges(1).await;
        let left = Instant::now();
        client.reset();
        server.wait_for_exchanges(0).await;
        assert!(left.elapsed() < Duration::from_secs(2), "{form}");
    });
}
