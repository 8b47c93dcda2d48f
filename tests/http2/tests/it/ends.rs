//! Every way in which an app ends has a sign on the wire.

use asgi::{AppError, HttpResponseBody, HttpResponseStart};
use http::HeaderValue;
use http::header::CONTENT_LENGTH;
use http2::frame::code;

use crate::connect::Connect as _;
use test_support::blocking::Server;
use test_support::{Http, http};

/// An app that says "some", waits for the end of the body and breaks off; the neighbour lives.
#[track_caller]
fn broken_off(server: &Server) {
    let mut peer = server.connect();
    peer.post(1, "/bad");
    peer.expect_status(1, 200);
    assert_eq!(peer.expect_bytes(1, 4), b"some");
    peer.last(1, "");
    peer.expect_reset(1, code::INTERNAL_ERROR);
    peer.get(3, "/good");
    assert_eq!(peer.expect_response(3, 200).text(), "good");
}

#[track_caller]
fn answered_500(server: &Server) {
    let mut peer = server.connect();
    peer.get(1, "/bad");
    let response = peer.expect_response(1, 500);
    assert_eq!(response.text(), "Internal Server Error\n");
    peer.get(3, "/good");
    assert_eq!(peer.expect_response(3, 200).text(), "good");
}

/// Runs `bad` for the one path and answers well on the others.
macro_rules! app {
    (|$http:ident| $bad:expr) => {
        http(async |mut $http: Http| {
            if $http.scope.path != "/bad" {
                return $http.respond("good").await;
            }
            $bad
        })
    };
}

fn announce(length: u64) -> HttpResponseStart {
    HttpResponseStart::ok().header(CONTENT_LENGTH, HeaderValue::from(length))
}

#[test]
fn an_error_before_the_start_is_a_500() {
    let server = Server::start(app!(|_http| Err(AppError::from("no database"))));
    answered_500(&server);
    server.expect_error(&["no database", "/bad"]);
}

#[test]
fn a_panic_before_the_start_is_a_500() {
    let server = Server::start(app!(|_http| panic!("out of luck")));
    answered_500(&server);
    server.expect_error(&["out of luck", "/bad"]);
}

#[test]
fn an_error_behind_a_start_that_was_held_back_is_a_500() {
    let server = Server::start(app!(|http| {
        http.begin().await?;
        Err(AppError::from("no template"))
    }));
    answered_500(&server);
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
    broken_off(&server);
    server.expect_error(&["no more"]);
}

#[test]
fn an_error_in_the_turn_of_the_first_part_does_not_pass_for_an_end() {
    let server = Server::start(app!(|http| {
        http.begin().await?;
        http.more("some").await?;
        Err(AppError::from("no more"))
    }));
    let mut peer = server.connect();
    peer.get(1, "/bad");
    // h2 drops what it has not written yet of a stream that is reset.
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
    broken_off(&server);
    server.expect_error(&["out of luck"]);
}

#[test]
fn a_return_without_a_response_is_a_500() {
    let server = Server::start(app!(|_http| Ok(())));
    answered_500(&server);
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
    broken_off(&server);
    server.expect_error(&["before its response was complete"]);
}

#[test]
fn a_body_longer_than_its_length_is_refused_to_the_app_and_reset() {
    let server = Server::start(app!(|http| {
        http.send.send(announce(4)).await?;
        http.more("some").await?;
        http.body().await.unwrap();
        http.last("more").await
    }));
    broken_off(&server);
    server.expect_error(&["/bad"]);
}

#[test]
fn a_body_shorter_than_its_length_is_refused_to_the_app_and_reset() {
    let server = Server::start(app!(|http| {
        http.send.send(announce(9)).await?;
        http.more("some").await?;
        http.body().await.unwrap();
        http.last("").await
    }));
    broken_off(&server);
    server.expect_error(&["/bad"]);
}

#[test]
fn a_whole_body_of_another_length_is_a_500() {
    let server = Server::start(app!(|http| {
        http.send.send(announce(9)).await?;
        http.last("four").await
    }));
    answered_500(&server);
    server.expect_error(&["/bad"]);
}

#[test]
fn a_second_start_is_refused_to_the_app() {
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
fn a_body_before_the_start_is_refused_to_the_app() {
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
fn a_part_behind_the_last_one_is_refused_to_the_app() {
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
fn an_error_behind_a_complete_response_is_logged_and_no_more() {
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
fn one_of_many_streams_that_panics_takes_no_other_with_it() {
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
