//! Each request has one line in the access log, however it ended.

use std::time::Duration;

use asgi::App;
use ferricorn::Config;
use http2::frame::code;
use http2::{Request, headers};

use crate::connect::Connect as _;
use test_support::blocking::{Server, eventually};
use test_support::{Http, http};

fn logged(config: &mut Config) {
    config.access_log = true;
    config.max_headers = 4;
    config.body_timeout = Duration::from_millis(200);
    config.write_timeout = Duration::from_millis(200);
}

fn app() -> impl App {
    http(
        async |mut http: Http| match http.scope.path().into_owned().as_str() {
            "/fail" => Err("out of order".into()),
            "/break" => {
                http.begin().await?;
                http.more("half").await?;
                let _ = http.body().await;
                Err("out of order".into())
            }
            "/body" => match http.body().await {
                Ok(_) => http.respond("thanks").await,
                Err(_) => Ok(()),
            },
            "/wait" => {
                http.disconnect().await;
                Ok(())
            }
            "/long" => http.respond(vec![b'x'; 100_000]).await,
            _ => http.respond("hello").await,
        },
    )
}

#[track_caller]
fn expect_lines(server: &Server, lines: &[&str]) {
    eventually("the lines are logged", || {
        server.log().accesses().len() >= lines.len()
    });
    assert_eq!(server.log().accesses(), lines);
}

#[test]
fn a_response_is_logged_with_its_status_and_its_length() {
    let server = Server::start_set(logged, app());
    let mut peer = server.connect();
    peer.get(1, "/a?b=c");
    peer.expect_response(1, 200);
    expect_lines(&server, &["\"GET /a?b=c HTTP/2.0\" 200 5"]);
}

#[test]
fn a_failure_of_the_app_is_logged_with_its_500() {
    let server = Server::start_set(logged, app());
    let mut peer = server.connect();
    peer.get(1, "/fail");
    peer.expect_response(1, 500);
    expect_lines(&server, &["\"GET /fail HTTP/2.0\" 500 22"]);
    server.expect_error(&["out of order"]);
}

#[test]
fn a_broken_response_is_logged_with_its_sent_bytes() {
    let server = Server::start_set(logged, app());
    let mut peer = server.connect();
    peer.post(1, "/break");
    peer.expect_status(1, 200);
    peer.expect_bytes(1, 4);
    peer.last(1, "");
    peer.expect_reset(1, code::INTERNAL_ERROR);
    expect_lines(&server, &["\"POST /break HTTP/2.0\" 200 4"]);
    server.expect_error(&["out of order"]);
}

#[test]
fn a_client_that_leaves_before_the_head_is_logged_as_499() {
    let server = Server::start_set(logged, app());
    let mut peer = server.connect();
    peer.get(1, "/wait");
    server.wait_for_exchanges(1);
    peer.reset(1, code::CANCEL);
    expect_lines(&server, &["\"GET /wait HTTP/2.0\" 499 0"]);
}

#[test]
fn a_lost_connection_has_a_line_for_each_request() {
    let server = Server::start_set(logged, app());
    let mut peer = server.connect();
    peer.get(1, "/wait");
    peer.get(3, "/wait");
    server.wait_for_exchanges(2);
    drop(peer);
    let line = "\"GET /wait HTTP/2.0\" 499 0";
    expect_lines(&server, &[line, line]);
}

#[test]
fn a_client_that_is_too_slow_to_read_is_logged_with_its_status() {
    let server = Server::start_set(logged, app());
    let mut peer = server.connect();
    peer.get(1, "/long");
    peer.expect_status(1, 200);
    peer.expect_bytes(1, 65_535);
    peer.expect_reset(1, code::CANCEL);
    eventually("the line is logged", || server.log().accesses().len() == 1);
    let line = &server.log().accesses()[0];
    assert!(line.starts_with("\"GET /long HTTP/2.0\" 200 "), "{line}");
}

#[test]
fn a_client_that_is_too_slow_to_write_is_logged_with_its_408() {
    let server = Server::start_set(logged, app());
    let mut peer = server.connect();
    peer.post(1, "/body");
    peer.expect_response(1, 408);
    expect_lines(&server, &["\"POST /body HTTP/2.0\" 408 16"]);
}

#[test]
fn a_malformed_request_is_logged_as_a_400() {
    let server = Server::start_set(logged, app());
    let mut peer = server.connect();
    peer.request(1, &Request::get("/").header("host", "b"));
    peer.expect_reset(1, code::PROTOCOL_ERROR);
    expect_lines(&server, &["\"GET / HTTP/2.0\" 400 0"]);
}

#[test]
fn a_request_that_is_refused_is_logged_with_its_status() {
    let server = Server::start_set(logged, app());
    let mut peer = server.connect();
    let mut many = Request::get("/many");
    for name in ["a", "b", "c", "d", "e"] {
        many = many.header(name, "1");
    }
    peer.request(1, &many);
    peer.expect_response(1, 431);
    expect_lines(&server, &["\"GET /many HTTP/2.0\" 431 32"]);
}

#[test]
fn an_early_response_is_logged_once() {
    let server = Server::start_set(logged, app());
    let mut peer = server.connect();
    peer.send(headers(1, &Request::post("/")));
    peer.expect_response(1, 200);
    peer.expect_reset(1, code::NO_ERROR);
    peer.last(1, "late");
    peer.settle();
    expect_lines(&server, &["\"POST / HTTP/2.0\" 200 5"]);
}

#[test]
fn a_request_that_an_abort_ends_is_logged() {
    let server = Server::start_set(logged, app());
    let mut peer = server.connect();
    peer.get(1, "/wait");
    server.wait_for_exchanges(1);
    server.handle().abort();
    peer.expect_closed();
    expect_lines(&server, &["\"GET /wait HTTP/2.0\" - 0"]);
}
