//! What a client gets for each way in which an app can end.

use asgi::{AppError, HttpResponseBody, HttpResponseStart};
use http::HeaderValue;
use http::header::CONTENT_LENGTH;
use http2::frame::code;

use crate::connect::Connect as _;
use test_support::blocking::Server;
use test_support::{Http, http};

/// Checks that the server resets the stream of an app that sends "some", waits for the end of the
/// request and fails. Another stream still works.
#[track_caller]
fn expect_reset_after_part(server: &Server) {
    let mut peer = server.connect();
    peer.post(1, "/bad");
    peer.expect_status(1, 200);
    assert_eq!(peer.expect_bytes(1, 4), b"some");
    peer.last(1, "");
    peer.expect_reset(1, code::INTERNAL_ERROR);
    peer.get(3, "/good");
    assert_eq!(peer.expect_response(3, 200).text(), "good");
}

/// Checks that the server responds with 500. Another stream still works.
#[track_caller]
fn expect_500(server: &Server) {
    let mut peer = server.connect();
    peer.get(1, "/bad");
    let response = peer.expect_response(1, 500);
    assert_eq!(response.text(), "Internal Server Error\n");
    peer.get(3, "/good");
    assert_eq!(peer.expect_response(3, 200).text(), "good");
}

/// An app that runs `bad` for the path "/bad" and responds with "good" to the others.
macro_rules! app {
    (|$http:ident| $bad:expr) => {
        http(async |mut $http: Http| {
            if $http.scope.path() != "/bad" {
                return $http.respond("good").await;
            }
            $bad
        })
    };
}

fn start_with_length(length: u64) -> HttpResponseStart {
    HttpResponseStart::ok().header(CONTENT_LENGTH, HeaderValue::from(length))
}

#[test]
fn an_error_before_the_start_is_a_500() {
    let server = Server::start(app!(|_http| Err(AppError::from("no database"))));
    expect_500(&server);
    server.expect_error(&["no database", "/bad"]);
}

#[test]
fn a_panic_before_the_start_is_a_500() {
    let server = Server::start(app!(|_http| panic!("out of luck")));
    expect_500(&server);
    server.expect_error(&["out of luck", "/bad"]);
}

#[test]
fn an_error_after_an_unsent_start_is_a_500() {
    let server = Server::start(app!(|http| {
        http.begin().await?;
        Err(AppError::from("no template"))
    }));
    expect_500(&server);
    server.expect_error(&["no template"]);
}

#[test]
fn an_error_after_the_start_resets_the_stream() {
    let server = Server::start(app!(|http| {
        http.begin().await?;
        http.more("some").await?;
        http.body().await.unwrap();
        Err(AppError::from("no more"))
    }));
    expect_reset_after_part(&server);
    server.expect_error(&["no more"]);
}

#[test]
fn an_error_right_after_the_first_part_resets_the_stream() {
    let server = Server::start(app!(|http| {
        http.begin().await?;
        http.more("some").await?;
        Err(AppError::from("no more"))
    }));
    let mut peer = server.connect();
    peer.get(1, "/bad");
    // h2 drops unwritten frames of a stream that is reset.
    peer.expect_broken_or_reset(1, code::INTERNAL_ERROR);
    server.expect_error(&["no more"]);
}

#[test]
fn a_panic_after_the_start_resets_the_stream() {
    let server = Server::start(app!(|http| {
        http.begin().await?;
        http.more("some").await?;
        http.body().await.unwrap();
        panic!("out of luck")
    }));
    expect_reset_after_part(&server);
    server.expect_error(&["out of luck"]);
}

#[test]
fn a_return_without_a_response_is_a_500() {
    let server = Server::start(app!(|_http| Ok(())));
    expect_500(&server);
    server.expect_error(&["without a response"]);
}

#[test]
fn a_return_in_the_middle_of_a_response_resets_the_stream() {
    let server = Server::start(app!(|http| {
        http.begin().await?;
        http.more("some").await?;
        http.body().await.unwrap();
        Ok(())
    }));
    expect_reset_after_part(&server);
    server.expect_error(&["before its response was complete"]);
}

#[test]
fn a_body_longer_than_its_content_length_is_reset() {
    let server = Server::start(app!(|http| {
        http.send.send(start_with_length(4)).await?;
        http.more("some").await?;
        http.body().await.unwrap();
        http.last("more").await
    }));
    expect_reset_after_part(&server);
    server.expect_error(&["/bad"]);
}

#[test]
fn a_body_shorter_than_its_content_length_is_reset() {
    let server = Server::start(app!(|http| {
        http.send.send(start_with_length(9)).await?;
        http.more("some").await?;
        http.body().await.unwrap();
        http.last("").await
    }));
    expect_reset_after_part(&server);
    server.expect_error(&["/bad"]);
}

#[test]
fn a_body_in_one_part_with_a_wrong_content_length_is_a_500() {
    let server = Server::start(app!(|http| {
        http.send.send(start_with_length(9)).await?;
        http.last("four").await
    }));
    expect_500(&server);
    server.expect_error(&["/bad"]);
}

#[test]
fn a_second_start_is_misuse() {
    let server = Server::start(app!(|http| {
        http.begin().await?;
        let second = http.send.send(HttpResponseStart::ok()).await;
        assert!(second.unwrap_err().is_misuse());
        http.last("good").await
    }));
    let mut peer = server.connect();
    peer.get(1, "/bad");
    assert_eq!(peer.expect_response(1, 200).text(), "good");
}

#[test]
fn a_body_before_the_start_is_misuse() {
    let server = Server::start(app!(|http| {
        let body = http.send.send(HttpResponseBody::last("body")).await;
        assert!(body.unwrap_err().is_misuse());
        http.respond("good").await
    }));
    let mut peer = server.connect();
    peer.get(1, "/bad");
    assert_eq!(peer.expect_response(1, 200).text(), "good");
}

#[test]
fn a_part_after_the_last_one_is_misuse() {
    let server = Server::start(app!(|http| {
        http.respond("good").await?;
        let late = http.send.send(HttpResponseBody::last("late")).await;
        assert!(late.unwrap_err().is_misuse());
        Ok(())
    }));
    let mut peer = server.connect();
    peer.get(1, "/bad");
    assert_eq!(peer.expect_response(1, 200).text(), "good");
    peer.expect_nothing(1);
}

#[test]
fn an_error_after_a_complete_response_is_only_logged() {
    let server = Server::start(app!(|http| {
        http.respond("good").await?;
        Err(AppError::from("too late"))
    }));
    let mut peer = server.connect();
    peer.get(1, "/bad");
    assert_eq!(peer.expect_response(1, 200).text(), "good");
    peer.expect_nothing(1);
    server.expect_error(&["too late"]);
}

#[test]
fn a_panic_of_one_stream_does_not_affect_the_others() {
    let server = Server::start(app!(|http| {
        let _ = http.body().await;
        panic!("out of luck")
    }));
    let mut peer = server.connect();
    for stream in (1..40).step_by(2) {
        peer.post(stream, if stream == 21 { "/bad" } else { "/good" });
    }
    peer.last(21, "");
    for stream in (1..40).step_by(2) {
        let status = if stream == 21 { 500 } else { 200 };
        peer.expect_response(stream, status);
    }
    server.expect_error(&["out of luck"]);
}

/// CORE-028, CORE-029
#[test]
fn an_app_that_aborts_resets_its_stream_without_an_error() {
    let server = Server::start(app!(|http| {
        if http.scope.query_string() == "part" {
            http.begin().await?;
            http.more("some").await?;
            http.body().await.unwrap();
        }
        Err(AppError::aborted())
    }));
    let mut peer = server.connect();
    peer.get(1, "/bad");
    peer.expect_reset(1, code::INTERNAL_ERROR);
    peer.post(3, "/bad?part");
    peer.expect_status(3, 200);
    assert_eq!(peer.expect_bytes(3, 4), b"some");
    peer.last(3, "");
    peer.expect_reset(3, code::INTERNAL_ERROR);
    peer.get(5, "/good");
    assert_eq!(peer.expect_response(5, 200).text(), "good");
}
