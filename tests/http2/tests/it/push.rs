//! Server push (spec/extensions/push.md).

use std::sync::mpsc::{Sender as Tell, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use asgi::{App, AppError, DisconnectReason, Extension, HttpResponsePush, SendError};
use http::{HeaderName, HeaderValue};
use http2::frame::{Frame, code, setting};
use http2::{Peer, Request};

use crate::connect::Connect as _;
use test_support::blocking::{Server, next_report};
use test_support::{Http, http, http_with};

/// Pushes a path.
async fn push(http: &mut Http, path: &str) -> Result<(), SendError> {
    let push = HttpResponsePush::new(path.parse().unwrap());
    http.send.send(push).await
}

/// Pushes each path in the query of "/push", and responds with the results. Responds to any other path
/// with its name. Reads the whole request body first.
fn pushing() -> impl App {
    http(async |mut http: Http| {
        if http.scope.path() != "/push" {
            let name = http.scope.target.to_string();
            return http.respond(format!("this is {name}")).await;
        }
        http.body().await.unwrap();
        let answer = push_all(&mut http).await;
        http.respond(answer).await
    })
}

async fn push_all(http: &mut Http) -> String {
    let paths = http.scope.query_string().to_owned();
    let mut answer = String::new();
    for path in paths.split(',') {
        answer += &match push(http, path).await {
            Ok(()) => "taken\n".to_owned(),
            Err(error) => format!("{}\n", error.as_refused().unwrap_or("not refused")),
        };
    }
    answer
}

#[track_caller]
fn expect_text(peer: &mut Peer, stream: u32, text: &str) {
    let response = peer.expect_response(stream, 200);
    assert_eq!(response.text(), text);
}

/// Checks that the response gives this reason for a refused push.
#[track_caller]
fn expect_no_push(peer: &mut Peer, stream: u32, why: &str) {
    // A promise would come before the head.
    let text = peer.expect_response(stream, 200).text();
    assert!(text.contains(why), "{text:?} does not contain {why:?}");
}

fn headers(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(own).collect()
}

// The content of a promise, and its place.

/// PUSH-004, PUSH-019
#[test]
fn a_promise_is_sent_before_the_head_and_its_response_on_its_own_stream() {
    let server = Server::start(pushing());
    let mut peer = server.connect();
    peer.get(1, "/push?/a,/b");
    assert_eq!(peer.expect_promise(1).0, 2);
    assert_eq!(peer.expect_promise(1).0, 4);
    expect_text(&mut peer, 1, "taken\ntaken\n");
    expect_text(&mut peer, 2, "this is /a");
    expect_text(&mut peer, 4, "this is /b");
}

/// PUSH-005, PUSH-007, PUSH-008, PUSH-010, HTTP-057
#[test]
fn a_promise_is_a_get_with_the_authority_and_some_headers_of_the_request() {
    let server = Server::start(pushing());
    let mut peer = server.connect();
    let request = Request::new("POST", "/push?/a%20b?c")
        .with(":authority", "example.org:1")
        .header("accept", "text/html")
        .header("accept-encoding", "gzip")
        .header("accept-language", "de")
        .header("authorization", "Basic x")
        .header("cookie", "a=1")
        .header("content-type", "text/plain")
        .header("if-none-match", "\"1\"")
        .header("range", "bytes=0-1")
        .header("user-agent", "peer");
    peer.request(1, &request);
    let (stream, mut promised) = peer.expect_promise(1);
    promised.sort();
    let expected = headers(&[
        (":authority", "example.org:1"),
        (":method", "GET"),
        (":path", "/a%20b?c"),
        (":scheme", "http"),
        ("accept-encoding", "gzip"),
        ("accept-language", "de"),
        ("authorization", "Basic x"),
        ("cookie", "a=1"),
        ("user-agent", "peer"),
    ]);
    assert_eq!((stream, promised), (2, expected));
    expect_text(&mut peer, 2, "this is /a%20b?c");
}

/// PUSH-006, PUSH-009, PUSH-017
#[test]
fn the_apps_headers_are_in_the_promise_and_in_its_scope() {
    let server = Server::start(http(async |mut http: Http| {
        if http.scope.path() == "/" {
            let mut push = HttpResponsePush::new("/a".parse()?);
            for (name, value) in [
                ("accept", "text/css"),
                ("cookie", "mine=1"),
                ("x-one", "1"),
                // The server drops these.
                ("host", "evil"),
                ("connection", "close"),
                ("content-length", "5"),
                ("transfer-encoding", "chunked"),
            ] {
                let name = HeaderName::from_static(name);
                push.headers.append(name, HeaderValue::from_static(value));
            }
            http.send.send(push).await?;
            return http.respond("page").await;
        }
        let headers = http.scope.headers.iter();
        let mut lines: Vec<_> = headers
            .map(|(name, value)| format!("{name}: {value:?}"))
            .collect();
        lines.sort();
        http.respond(lines.join("\n")).await
    }));
    let mut peer = server.connect();
    peer.request(1, &Request::get("/").header("cookie", "its=1"));
    let (_, mut promised) = peer.expect_promise(1);
    promised.sort();
    let expected = headers(&[
        (":authority", "a"),
        (":method", "GET"),
        (":path", "/a"),
        (":scheme", "http"),
        ("accept", "text/css"),
        ("cookie", "mine=1"),
        ("x-one", "1"),
    ]);
    assert_eq!(promised, expected);
    let scope = "accept: \"text/css\"\ncookie: \"mine=1\"\nhost: \"a\"\nx-one: \"1\"";
    expect_text(&mut peer, 2, scope);
}

/// PUSH-004
#[test]
fn a_push_between_two_parts_is_sent_between_them() {
    let server = Server::start(http(async |mut http: Http| {
        if http.scope.path() == "/" {
            http.begin().await?;
            http.more("first").await?;
            push(&mut http, "/a").await?;
            return http.last("second").await;
        }
        http.respond("pushed").await
    }));
    let mut peer = server.connect();
    peer.get(1, "/");
    peer.expect_status(1, 200);
    assert_eq!(peer.expect_bytes(1, 5), b"first");
    assert_eq!(peer.expect_promise(1).0, 2);
    assert_eq!(peer.expect_bytes(1, 6), b"second");
    expect_text(&mut peer, 2, "pushed");
}

#[test]
fn a_response_to_head_may_push() {
    let server = Server::start(pushing());
    let mut peer = server.connect();
    peer.request(1, &Request::new("HEAD", "/push?/a"));
    assert_eq!(
        peer.expect_promise(1).1[0],
        (":method".into(), "GET".into())
    );
    assert!(peer.expect_status(1, 200).end);
    expect_text(&mut peer, 2, "this is /a");
}

// When pushes are offered, and when they are refused.

/// PUSH-001
#[test]
fn a_client_that_disables_push_gets_none() {
    let server = Server::start(pushing());
    let mut peer = server.connect_with(&[(setting::ENABLE_PUSH, 0)]);
    peer.get(1, "/push?/a");
    expect_no_push(&mut peer, 1, "not offered");
}

/// PUSH-001, PUSH-011
#[test]
fn a_client_that_disables_push_later_gets_no_more() {
    let server = Server::start(pushing());
    let mut peer = server.connect();
    peer.post(1, "/push?/a");
    peer.post(3, "/push?/a");
    peer.last(1, "");
    peer.expect_promise(1);
    expect_text(&mut peer, 1, "taken\n");
    peer.send(Frame::settings(&[(setting::ENABLE_PUSH, 0)]));
    peer.expect_settings_ack();
    // The app of this stream saw the extension before the change.
    peer.last(3, "");
    expect_text(&mut peer, 3, "the client takes no pushes any more\n");
    peer.get(5, "/push?/a");
    expect_no_push(&mut peer, 5, "not offered");
    peer.send(Frame::settings(&[(setting::ENABLE_PUSH, 1)]));
    peer.expect_settings_ack();
    peer.get(7, "/push?/a");
    peer.expect_promise(7);
}

/// PUSH-011
#[test]
fn a_client_that_has_sent_a_goaway_gets_no_more_pushes() {
    let server = Server::start(pushing());
    let mut peer = server.connect();
    peer.post(1, "/push?/a");
    peer.settle();
    peer.send(Frame::goaway(0, code::NO_ERROR));
    peer.last(1, "");
    expect_text(&mut peer, 1, "the client takes no pushes any more\n");
}

/// PUSH-002
#[test]
fn a_client_that_allows_no_streams_gets_no_pushes() {
    let server = Server::start(pushing());
    let mut peer = server.connect_with(&[(setting::MAX_CONCURRENT_STREAMS, 0)]);
    peer.get(1, "/push?/a");
    expect_no_push(&mut peer, 1, "not offered");
}

/// PUSH-003
#[test]
fn pushes_can_be_turned_off() {
    let server = Server::start_set(|config| config.h2_push = false, pushing());
    let mut peer = server.connect();
    peer.get(1, "/push?/a");
    expect_no_push(&mut peer, 1, "not offered");
}

/// PUSH-012
#[test]
fn a_push_above_the_clients_stream_limit_is_refused() {
    let (report, reports) = channel();
    let app = http_with(report, async |report, mut http: Http| {
        match http.scope.path().into_owned().as_str() {
            "/push" => {
                let answer = push_all(&mut http).await;
                http.respond(answer).await
            }
            _ => report_disconnect(report, http).await,
        }
    });
    let server = Server::start(app);
    let mut peer = server.connect_with(&[(setting::MAX_CONCURRENT_STREAMS, 1)]);
    peer.get(1, "/push?/a,/b");
    peer.expect_promise(1);
    let text = "taken\nthe client has no room for a further push now\n";
    expect_text(&mut peer, 1, text);
    peer.reset(2, code::CANCEL);
    assert_eq!(
        next_report(&reports),
        DisconnectReason::Reset(code::CANCEL.into())
    );
    // Its place is free again, also for the same path.
    server.wait_for_exchanges(0);
    peer.get(3, "/push?/a");
    assert_eq!(peer.expect_promise(3).0, 4);
    expect_text(&mut peer, 3, "taken\n");
}

/// PUSH-013
#[test]
fn a_response_pushes_a_path_only_once() {
    let server = Server::start(pushing());
    let mut peer = server.connect();
    peer.get(1, "/push?/a,/a,/a?b");
    peer.expect_promise(1);
    peer.expect_promise(1);
    let text = "taken\nthis path was pushed before with the same response\ntaken\n";
    expect_text(&mut peer, 1, text);
    expect_text(&mut peer, 4, "this is /a?b");
    peer.get(3, "/push?/a");
    assert_eq!(peer.expect_promise(3).0, 6);
}

/// PUSH-015, PUSH-016
#[test]
fn a_response_has_no_more_pushes_than_the_configured_limit() {
    let server = Server::start_set(|config| config.h2_max_pushes = 2, pushing());
    let mut peer = server.connect();
    for stream in [1, 3] {
        peer.get(stream, "/push?/a,/b,/c");
        peer.expect_promise(stream);
        peer.expect_promise(stream);
        let text = "taken\ntaken\nthe response has as many pushes as the server allows\n";
        expect_text(&mut peer, stream, text);
    }
}

/// PUSH-014
#[test]
fn a_push_without_a_path_is_refused() {
    let server = Server::start(pushing());
    let mut peer = server.connect();
    peer.get(1, "/push?*");
    expect_text(
        &mut peer,
        1,
        "a push needs a path that begins with a slash\n",
    );
}

/// HTTP-059
#[test]
fn a_push_after_the_end_is_misuse() {
    let (report, reports) = channel();
    let server = Server::start(http_with(report, async |report, mut http: Http| {
        http.respond("whole").await?;
        report.send(push(&mut http, "/a").await.unwrap_err().is_misuse())?;
        Ok(())
    }));
    let mut peer = server.connect();
    peer.get(1, "/");
    expect_text(&mut peer, 1, "whole");
    assert!(next_report(&reports));
    peer.expect_nothing(1);
}

/// HTTP-058
#[test]
fn a_pushed_request_cannot_push() {
    let server = Server::start(http(async |mut http: Http| {
        let offered = http.scope.extensions.has(Extension::Push);
        let sent = push(&mut http, "/again").await;
        let refused = sent.is_err_and(|error| error.is_refused());
        http.respond(format!("offered {offered}, refused {refused}"))
            .await
    }));
    let mut peer = server.connect();
    peer.get(1, "/");
    peer.expect_promise(1);
    expect_text(&mut peer, 1, "offered true, refused false");
    expect_text(&mut peer, 2, "offered false, refused true");
}

/// PUSH-015
#[test]
fn a_push_above_the_limit_of_exchanges_is_refused() {
    let server = Server::start_set(|config| config.max_exchanges = 1, pushing());
    let mut peer = server.connect();
    peer.get(1, "/push?/a");
    expect_text(
        &mut peer,
        1,
        "the server runs as many exchanges as it may\n",
    );
}

// How a pushed exchange ends.

/// Sends no response, and reports how its client left.
async fn report_disconnect(report: Tell<DisconnectReason>, mut http: Http) -> Result<(), AppError> {
    report.send(http.disconnect().await)?;
    Ok(())
}

/// Pushes "/a", for which `pushed` runs.
macro_rules! with_push {
    (|$report:ident, $http:ident| $pushed:expr) => {
        async |$report, mut $http: Http| {
            if $http.scope.path() == "/" {
                push(&mut $http, "/a").await?;
                return $http.respond("page").await;
            }
            $pushed
        }
    };
}

#[track_caller]
fn expect_page_with_promise(peer: &mut Peer, stream: u32) -> u32 {
    peer.get(stream, "/");
    let (promised, _) = peer.expect_promise(stream);
    expect_text(peer, stream, "page");
    promised
}

#[track_caller]
fn expect_no_exchange(server: &Server) {
    server.wait_for_exchanges(0);
}

/// PUSH-021
#[test]
fn a_reset_before_the_pushed_response_is_a_disconnect() {
    for code in [code::CANCEL, code::REFUSED_STREAM] {
        let (report, reports) = channel();
        let app = with_push!(|report, http| report_disconnect(report, http).await);
        let server = Server::start(http_with(report, app));
        let mut peer = server.connect();
        assert_eq!(expect_page_with_promise(&mut peer, 1), 2);
        peer.reset(2, code);
        assert_eq!(next_report(&reports), DisconnectReason::Reset(code.into()));
        peer.expect_nothing(2);
        assert_eq!(expect_page_with_promise(&mut peer, 3), 4);
        peer.reset(4, code);
        expect_no_exchange(&server);
    }
}

/// PUSH-021
#[test]
fn a_reset_during_the_pushed_response_is_a_disconnect() {
    let (report, reports) = channel();
    let app = with_push!(|report, http| {
        http.begin().await?;
        http.more("some").await?;
        report_disconnect(report, http).await
    });
    let server = Server::start(http_with(report, app));
    let mut peer = server.connect();
    assert_eq!(expect_page_with_promise(&mut peer, 1), 2);
    peer.expect_status(2, 200);
    assert_eq!(peer.expect_bytes(2, 4), b"some");
    peer.reset(2, code::CANCEL);
    assert_eq!(
        next_report(&reports),
        DisconnectReason::Reset(code::CANCEL.into())
    );
    assert_eq!(expect_page_with_promise(&mut peer, 3), 4);
    peer.reset(4, code::CANCEL);
    expect_no_exchange(&server);
}

#[test]
fn a_reset_after_the_pushed_response_changes_nothing() {
    let server = Server::start(pushing());
    let mut peer = server.connect_with(&[(setting::MAX_CONCURRENT_STREAMS, 1)]);
    for round in 0..20 {
        let stream = 2 * round + 1;
        peer.get(stream, "/push?/a");
        let (promised, _) = peer.expect_promise(stream);
        expect_text(&mut peer, stream, "taken\n");
        expect_text(&mut peer, promised, "this is /a");
        peer.reset(promised, code::CANCEL);
    }
    peer.settle();
    expect_no_exchange(&server);
}

/// PUSH-021: h2 ends the connection if the client resets a stream whose response is not yet written.
#[test]
fn an_immediate_reset_of_a_promise_does_not_end_the_connection() {
    let server = Server::start(pushing());
    let mut peer = server.connect_with(&[(setting::MAX_CONCURRENT_STREAMS, 3)]);
    for round in 0..50 {
        let stream = 2 * round + 1;
        peer.get(stream, "/push?/a,/b,/c,/d,/e");
        while let Some((promised, _)) = next_promise(&mut peer, stream) {
            peer.reset(promised, code::REFUSED_STREAM);
        }
    }
    peer.settle();
    peer.get(101, "/fine");
    expect_text(&mut peer, 101, "this is /fine");
    expect_no_exchange(&server);
}

/// The next promise on a stream, `None` if the response starts.
#[track_caller]
fn next_promise(peer: &mut Peer, stream: u32) -> Option<(u32, Vec<(String, String)>)> {
    match peer.next(stream) {
        http2::Event::Promise(promised, headers) => Some((promised, headers)),
        http2::Event::Head(_) => None,
        other => peer.fail(format_args!("got {other:?}")),
    }
}

/// HTTP-038
#[test]
fn a_pushed_app_that_fails_before_its_head_is_a_500() {
    let (report, _reports) = channel::<()>();
    let app = with_push!(|_report, http| Err(AppError::from("no style")));
    let server = Server::start(http_with(report, app));
    let mut peer = server.connect();
    let promised = expect_page_with_promise(&mut peer, 1);
    peer.expect_response(promised, 500);
    server.expect_error(&["no style", "/a"]);
}

/// PUSH-022
#[test]
fn a_reset_of_a_page_does_not_end_its_pushes() {
    let (report, reports) = channel();
    let app = http_with(report, async |report, mut http: Http| {
        if http.scope.path() == "/" {
            push(&mut http, "/a").await?;
            http.begin().await?;
            http.more("some").await?;
            return report_disconnect(report, http).await;
        }
        http.begin().await?;
        http.more("x".repeat(20)).await?;
        http.last("y").await
    });
    let server = Server::start(app);
    let mut peer = server.connect_with(&[(setting::INITIAL_WINDOW_SIZE, 10)]);
    peer.get(1, "/");
    assert_eq!(peer.expect_promise(1).0, 2);
    peer.expect_status(1, 200);
    assert_eq!(peer.expect_bytes(1, 4), b"some");
    peer.expect_status(2, 200);
    peer.reset(1, code::CANCEL);
    assert_eq!(
        next_report(&reports),
        DisconnectReason::Reset(code::CANCEL.into())
    );
    assert_eq!(peer.expect_bytes(2, 10), b"xxxxxxxxxx");
    peer.credit(2, 100);
    assert_eq!(peer.expect_bytes(2, 10), b"xxxxxxxxxx");
    assert_eq!(peer.expect_data(2).0, b"y");
    expect_no_exchange(&server);
}

/// PUSH-018
#[test]
fn a_pushed_request_has_no_body() {
    let (report, _reports) = channel::<()>();
    let app = with_push!(|_report, http| {
        let (body, trailers) = http.body().await.unwrap();
        http.respond(format!("{} bytes, {trailers:?}", body.len()))
            .await
    });
    let server = Server::start(http_with(report, app));
    let mut peer = server.connect();
    let promised = expect_page_with_promise(&mut peer, 1);
    expect_text(&mut peer, promised, "0 bytes, None");
}

/// PUSH-023
#[test]
fn a_pushed_app_that_fails_after_its_head_resets_only_its_stream() {
    let (report, _reports) = channel::<()>();
    let app = with_push!(|_report, http| {
        http.begin().await?;
        http.more("some").await?;
        Err(AppError::from("no more style"))
    });
    let server = Server::start(http_with(report, app));
    let mut peer = server.connect();
    for stream in [1, 3] {
        let promised = expect_page_with_promise(&mut peer, stream);
        peer.expect_broken_or_reset(promised, code::INTERNAL_ERROR);
        server.expect_error(&["no more style", "/a"]);
    }
    expect_no_exchange(&server);
}

#[test]
fn a_pushed_app_that_never_responds_learns_that_its_client_left() {
    let (report, reports) = channel();
    let app = with_push!(|report, http| report_disconnect(report, http).await);
    let server = Server::start(http_with(report, app));
    let mut peer = server.connect();
    let promised = expect_page_with_promise(&mut peer, 1);
    peer.expect_nothing(promised);
    drop(peer);
    assert_eq!(next_report(&reports), DisconnectReason::Lost);
    expect_no_exchange(&server);
}

// Flow control of pushed responses.

/// PUSH-024
#[test]
fn a_window_of_zero_only_blocks_the_body_of_a_push() {
    let server = Server::start(pushing());
    let mut peer = server.connect_with(&[(setting::INITIAL_WINDOW_SIZE, 0)]);
    peer.get(1, "/push?/a,/b");
    assert_eq!(peer.expect_promise(1).0, 2);
    assert_eq!(peer.expect_promise(1).0, 4);
    for stream in [1, 2, 4] {
        peer.expect_status(stream, 200);
        peer.expect_nothing(stream);
    }
    peer.credit(4, 100);
    assert_eq!(peer.expect_data(4), (b"this is /b".to_vec(), true));
    peer.expect_nothing(2);
    peer.credit(1, 100);
    assert_eq!(peer.expect_data(1), (b"taken\ntaken\n".to_vec(), true));
    peer.credit(2, 100);
    assert_eq!(peer.expect_data(2), (b"this is /a".to_vec(), true));
}

#[test]
fn an_unread_push_is_reset_after_the_write_timeout() {
    let set = |config: &mut ferricorn::Config| config.write_timeout = Duration::from_millis(10);
    let server = Server::start_set(set, pushing());
    let mut peer = server.connect_with(&[(setting::INITIAL_WINDOW_SIZE, 0)]);
    peer.get(1, "/push?/a");
    peer.expect_promise(1);
    peer.expect_broken(2, code::CANCEL);
    expect_no_exchange(&server);
}

/// PUSH-012
#[test]
fn ten_thousand_pushes_leave_nothing_behind() {
    const ROUNDS: u32 = 100;
    const PUSHES: u32 = 100;
    let server = Server::start(pushing());
    // A round uses all of them, so a lost place shows at once.
    let mut peer = server.connect_with(&[(setting::MAX_CONCURRENT_STREAMS, PUSHES)]);
    let paths: Vec<_> = (0..PUSHES).map(|n| format!("/{n}")).collect();
    for round in 0..ROUNDS {
        let stream = 2 * round + 1;
        peer.get(stream, &format!("/push?{}", paths.join(",")));
        let mut length = 0;
        for path in &paths {
            let (promised, _) = peer.expect_promise(stream);
            let text = peer.expect_response(promised, 200).text();
            assert_eq!(text, format!("this is {path}"));
            length += text.len();
        }
        let text = peer.expect_response(stream, 200).text();
        assert_eq!(text, "taken\n".repeat(PUSHES as usize));
        peer.credit(0, u32::try_from(length + text.len()).unwrap());
    }
    peer.settle();
    expect_no_exchange(&server);
    assert_eq!(server.handle().statistics().connections, 1);
}

// Pushes together with other events.

/// PUSH-020
#[test]
fn a_page_does_not_wait_for_what_it_pushes() {
    let (release, released) = channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let app = http_with(released, async |released, mut http: Http| {
        if http.scope.path() == "/" {
            push(&mut http, "/a").await?;
            return http.respond("page").await;
        }
        // It blocks its thread, which no app should do.
        let _ = released.lock().unwrap().recv();
        http.respond("at last").await
    });
    let server = Server::start(app);
    let mut peer = server.connect();
    let promised = expect_page_with_promise(&mut peer, 1);
    release.send(()).unwrap();
    expect_text(&mut peer, promised, "at last");
}

/// PUSH-012
#[test]
fn a_push_that_is_never_promised_frees_its_place() {
    let (report, reports) = channel();
    let app = http_with(report, async |report, mut http: Http| {
        if http.scope.path() == "/" {
            http.begin().await?;
            http.more("more than the client has room for").await?;
            push(&mut http, "/a").await?;
            report.send(http.disconnect().await)?;
            // The app does not end while its push waits.
            std::future::pending::<()>().await;
        }
        if http.scope.path() == "/push" {
            push(&mut http, "/b").await?;
        }
        http.respond("fine").await
    });
    let server = Server::start(app);
    let settings = [
        (setting::INITIAL_WINDOW_SIZE, 10),
        (setting::MAX_CONCURRENT_STREAMS, 1),
    ];
    let mut peer = server.connect_with(&settings);
    peer.get(1, "/");
    peer.expect_status(1, 200);
    assert_eq!(peer.expect_bytes(1, 10), b"more than ");
    peer.expect_nothing(1);
    peer.reset(1, code::CANCEL);
    assert_eq!(
        next_report(&reports),
        DisconnectReason::Reset(code::CANCEL.into())
    );
    peer.get(3, "/push");
    assert_eq!(peer.expect_promise(3).0, 2);
}

/// PUSH-025
#[test]
fn a_connection_with_a_promise_is_not_idle() {
    let (release, released) = channel::<()>();
    let released = Arc::new(Mutex::new(Some(released)));
    let app = http_with(released, async |released, mut http: Http| {
        if http.scope.path() == "/" {
            push(&mut http, "/a").await?;
            return http.respond("page").await;
        }
        let released = released.lock().unwrap().take().unwrap();
        tokio::task::spawn_blocking(move || released.recv()).await??;
        http.respond("at last").await
    });
    let set = |config: &mut ferricorn::Config| {
        config.keep_alive_timeout = Duration::ZERO;
        // A ping shows that the server has checked its timers.
        config.h2_keep_alive_interval = Some(Duration::from_millis(1));
    };
    let server = Server::start_set(set, app);
    let mut peer = server.connect();
    peer.ignore_pings();
    let promised = expect_page_with_promise(&mut peer, 1);
    let ping = peer.expect_ping();
    peer.send(Frame::ping(ping).ack());
    // No GOAWAY either.
    peer.expect_nothing(0);
    release.send(()).unwrap();
    expect_text(&mut peer, promised, "at last");
}

/// PUSH-026
#[test]
fn a_drain_finishes_started_pushed_responses() {
    let (release, released) = channel::<()>();
    let released = Arc::new(Mutex::new(Some(released)));
    let app = http_with(released, async |released, mut http: Http| {
        if http.scope.path() == "/" {
            push(&mut http, "/a").await?;
            return http.respond("page").await;
        }
        http.begin().await?;
        http.more("started").await?;
        let released = released.lock().unwrap().take().unwrap();
        tokio::task::spawn_blocking(move || released.recv()).await??;
        http.last(" and done").await
    });
    let server = Server::start(app);
    let mut peer = server.connect();
    let promised = expect_page_with_promise(&mut peer, 1);
    peer.expect_status(promised, 200);
    assert_eq!(peer.expect_bytes(promised, 7), b"started");
    server.handle().drain();
    peer.expect_graceful_goaway(code::NO_ERROR);
    release.send(()).unwrap();
    assert_eq!(peer.expect_data(promised).0, b" and done");
    peer.expect_eof();
    server.expect_end();
}

/// PUSH-028: h2 would keep these responses back, and end the connection when one is reset.
#[test]
fn a_promise_above_a_lowered_stream_limit_is_reset() {
    let (release, released) = tokio::sync::watch::channel(false);
    let app = http_with(released, async |mut released, mut http: Http| {
        if http.scope.path() == "/push" {
            let answer = push_all(&mut http).await;
            return http.respond(answer).await;
        }
        released.wait_for(|released| *released).await?;
        http.respond("at last").await
    });
    let server = Server::start(app);
    let mut peer = server.connect();
    peer.get(1, "/push?/a,/b,/c");
    let promised = [2, 4, 6];
    for stream in promised {
        assert_eq!(peer.expect_promise(1).0, stream);
    }
    expect_text(&mut peer, 1, "taken\ntaken\ntaken\n");
    peer.send(Frame::settings(&[(setting::MAX_CONCURRENT_STREAMS, 0)]));
    peer.expect_settings_ack();
    release.send(true).unwrap();
    for stream in promised {
        peer.expect_reset(stream, code::CANCEL);
        peer.reset(stream, code::CANCEL);
    }
    peer.send(Frame::settings(&[(setting::MAX_CONCURRENT_STREAMS, 3)]));
    peer.expect_settings_ack();
    expect_no_exchange(&server);
    peer.get(3, "/push?/a,/b,/c");
    for stream in [8, 10, 12] {
        assert_eq!(peer.expect_promise(3).0, stream);
        expect_text(&mut peer, stream, "at last");
    }
}

/// RFC 9113 §5.1: the frames that a client may send on a reserved stream.
#[test]
fn a_client_may_send_a_window_update_for_a_promise_before_its_response() {
    let (release, released) = tokio::sync::watch::channel(false);
    let app = http_with(released, async |mut released, mut http: Http| {
        if http.scope.path() == "/" {
            push(&mut http, "/a").await?;
            return http.respond("page").await;
        }
        released.wait_for(|released| *released).await?;
        http.respond("at last").await
    });
    let server = Server::start(app);
    let mut peer = server.connect_with(&[(setting::INITIAL_WINDOW_SIZE, 4)]);
    let promised = expect_page_with_promise(&mut peer, 1);
    peer.credit(promised, 3);
    peer.send(Frame::priority(promised, 1));
    peer.settle();
    release.send(true).unwrap();
    expect_text(&mut peer, promised, "at last");
}

/// RFC 9113 §5.1
#[test]
fn data_of_the_client_on_a_promised_stream_ends_the_connection() {
    let (release, released) = tokio::sync::watch::channel(false);
    let app = http_with(released, async |mut released, mut http: Http| {
        if http.scope.path() == "/" {
            push(&mut http, "/a").await?;
            return http.respond("page").await;
        }
        released.wait_for(|released| *released).await?;
        http.respond("at last").await
    });
    let server = Server::start(app);
    let mut peer = server.connect();
    let promised = expect_page_with_promise(&mut peer, 1);
    peer.data(promised, "mine");
    peer.expect_connection_error(code::PROTOCOL_ERROR);
    release.send(true).unwrap();
}
