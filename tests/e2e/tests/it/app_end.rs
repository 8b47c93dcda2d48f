//! What a client gets for each way in which an app can end. If the app is at fault, the server logs
//! one error.

use asgi::{AppError, HttpResponseStart, ReceiveEvent, Receiver, Sender};
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, StatusCode};

use test_support::app::channel;
use test_support::raw::Closed;
use test_support::{Http, Server, eventually, http, http_with, logs, run, within};

/// An error with a cause.
fn broken() -> AppError {
    #[derive(Debug)]
    struct Outer(std::io::Error);
    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("the template is broken")
        }
    }
    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    AppError::from(Outer(std::io::Error::other("no such file as x.html")))
}

const BROKEN: &[&str] = &["the template is broken", "no such file as x.html", "/it"];

fn start_with_length(length: u64) -> HttpResponseStart {
    HttpResponseStart::ok().header(CONTENT_LENGTH, HeaderValue::from(length))
}

/// HTTP-038, CORE-018, CORE-021
#[test]
fn an_app_that_fails_is_a_500_logged_once_with_its_cause() {
    run(async {
        let server = Server::start(http(async |_: Http| Err(broken()))).await;
        let mut client = server.connect().await;
        client.get("/it").await;
        let response = client.expect_response(500).await;
        let body = String::from_utf8_lossy(&response.body).into_owned();
        assert!(
            !body.contains("template"),
            "the response has the error: {body}"
        );
        logs::expect_error(BROKEN);
    });
}

/// HTTP-038
#[test]
fn an_unsent_head_is_replaced_by_the_500() {
    run(async {
        let server = Server::start(http(async |mut http: Http| {
            http.send.send(start_with_length(5)).await?;
            Err(broken())
        }))
        .await;
        let mut client = server.connect().await;
        client.get("/it").await;
        let response = client.expect_response(500).await;
        assert_ne!(response.header("content-length"), Some("5"));
        logs::expect_error(BROKEN);
    });
}

/// HTTP-035
#[test]
fn a_connection_stays_open_after_a_500() {
    run(async {
        let server = Server::start(http(async |mut http: Http| {
            match http.scope.path().into_owned().as_str() {
                "/it" => Err(broken()),
                _ => http.respond("fine").await,
            }
        }))
        .await;
        let mut client = server.connect().await;
        client.get("/it").await;
        client.expect_response(500).await;
        client.get("/").await;
        assert_eq!(client.expect_response(200).await.body, "fine");
        logs::expect_error(BROKEN);
    });
}

/// HTTP-036, CORE-019
#[test]
fn an_app_that_panics_is_a_500_and_the_server_goes_on() {
    run(async {
        let server = Server::start(http(async |mut http: Http| {
            if http.scope.path() == "/it" {
                panic!("the app's message");
            }
            http.respond("fine").await
        }))
        .await;
        let mut client = server.connect().await;
        client.get("/it").await;
        client.expect_response(500).await;
        logs::expect_error(&["the app's message", "/it"]);
        let mut client = server.connect().await;
        client.get("/").await;
        client.expect_response(200).await;
    });
}

/// HTTP-036
#[test]
fn an_app_that_panics_before_it_returns_a_future_is_a_500() {
    run(async {
        fn app(http: Http) -> std::future::Ready<Result<(), AppError>> {
            assert_ne!(http.scope.path(), "/it", "the app's message");
            std::future::ready(Ok(()))
        }
        let server = Server::start(http(app)).await;
        let mut client = server.connect().await;
        client.get("/it").await;
        client.expect_response(500).await;
        logs::expect_error(&["the app's message"]);
    });
}

/// HTTP-038
#[test]
fn an_app_that_returns_without_a_response_is_a_500() {
    run(async {
        let server = Server::start(http(async |_: Http| Ok(()))).await;
        let mut client = server.connect().await;
        client.get("/it").await;
        client.expect_response(500).await;
        logs::expect_error(&["without a response", "/it"]);
    });
}

/// Ends in the middle of its response, in the way that the query names.
async fn in_the_middle(mut http: Http) -> Result<(), AppError> {
    let has_length = http.scope.path().contains("length");
    let start = if has_length {
        start_with_length(1000)
    } else {
        HttpResponseStart::ok()
    };
    http.send.send(start).await?;
    http.more("half").await?;
    match http.scope.query_string() {
        "returns" => Ok(()),
        "panics" => panic!("in the middle"),
        _ => Err(broken()),
    }
}

const ENDS: [(&str, &str); 3] = [
    ("fails", "the template is broken"),
    ("panics", "in the middle"),
    ("returns", "before its response was complete"),
];

/// HTTP-039
#[test]
fn a_chunked_body_that_is_broken_off_has_no_last_chunk() {
    run(async {
        let server = Server::start(http(in_the_middle)).await;
        for (end, words) in ENDS {
            let mut client = server.connect().await;
            client.get(&format!("/chunked?{end}")).await;
            let head = client.expect_head(200).await;
            assert_eq!(head.header("transfer-encoding"), Some("chunked"));
            assert_eq!(client.read_chunk().await.unwrap(), "half");
            client.expect_end().await;
            logs::expect_error(&[words, "/chunked"]);
        }
    });
}

/// HTTP-039
#[test]
fn a_body_with_a_content_length_that_is_broken_off_is_too_short() {
    run(async {
        let server = Server::start(http(in_the_middle)).await;
        for (end, words) in ENDS {
            let mut client = server.connect().await;
            client.get(&format!("/length?{end}")).await;
            client.expect_head(200).await;
            let (body, _) = client.read_until_closed().await;
            assert_eq!(body, "half");
            logs::expect_error(&[words]);
        }
    });
}

/// HTTP-039
#[test]
fn a_close_delimited_body_is_broken_off_with_a_reset() {
    run(async {
        let server = Server::start(http(in_the_middle)).await;
        for (end, words) in ENDS {
            let mut client = server.connect().await;
            client
                .write(format!("GET /close?{end} HTTP/1.0\r\n\r\n"))
                .await;
            // The reset may discard the received bytes.
            let (_, closed) = client.read_until_closed().await;
            assert_eq!(closed, Closed::Reset);
            logs::expect_error(&[words]);
        }
    });
}

/// HTTP-039
#[test]
fn an_empty_close_delimited_body_is_broken_off_with_a_reset() {
    run(async {
        let (go, gate) = tokio::sync::watch::channel(false);
        let app = http_with(gate, async |mut gate, mut http: Http| {
            http.begin().await?;
            gate.wait_for(|open| *open).await?;
            Err(broken())
        });
        let server = Server::start(app).await;
        let mut client = server.connect().await;
        client.write("GET /it HTTP/1.0\r\n\r\n").await;
        client.expect_head(200).await;
        go.send(true).unwrap();
        client.expect_reset().await;
        logs::expect_error(BROKEN);
    });
}

/// HTTP-030
#[test]
fn a_body_longer_than_its_content_length_is_misuse_and_broken_off() {
    run(async {
        let server = Server::start(http(async |mut http: Http| {
            http.send.send(start_with_length(4)).await?;
            http.more("on").await?;
            http.last("etwo").await
        }))
        .await;
        let mut client = server.connect().await;
        client.get("/it").await;
        let head = client.expect_head(200).await;
        assert_eq!(head.header("content-length"), Some("4"));
        let (body, _) = client.read_until_closed().await;
        assert_eq!(body, "on");
        logs::expect_error(&["content-length"]);
    });
}

/// HTTP-031
#[test]
fn a_body_shorter_than_its_content_length_is_misuse_and_broken_off() {
    run(async {
        let server = Server::start(http(async |mut http: Http| {
            http.send.send(start_with_length(4)).await?;
            http.more("o").await?;
            http.last("ne").await
        }))
        .await;
        let mut client = server.connect().await;
        client.get("/it").await;
        client.expect_head(200).await;
        let (body, _) = client.read_until_closed().await;
        assert_eq!(body, "o");
        logs::expect_error(&["content-length"]);
    });
}

/// HTTP-030, CORE-012
#[test]
fn an_event_that_is_refused_changes_nothing() {
    run(async {
        let server = Server::start(http(async |mut http: Http| {
            assert!(http.last("no start").await.is_err());
            http.send.send(start_with_length(4)).await?;
            assert!(http.begin().await.is_err());
            assert!(http.last("longer").await.is_err());
            http.last("four").await
        }))
        .await;
        let mut client = server.connect().await;
        for _ in 0..2 {
            client.get("/it").await;
            assert_eq!(client.expect_response(200).await.body, "four");
        }
    });
}

/// HTTP-045
#[test]
fn after_the_response_the_app_receives_a_disconnect_and_may_not_send() {
    run(async {
        let (results, mut received) = channel();
        let app = http_with(results, async |results, mut http: Http| {
            http.respond("done").await?;
            let closed = http.send.closed().await;
            let first = http.disconnect().await;
            let ReceiveEvent::HttpDisconnect(again) = http.receive.receive().await else {
                return Err("another event after the last".into());
            };
            let error = http.send.send(HttpResponseStart::ok()).await.unwrap_err();
            results.send((closed, first, again.reason, error.is_misuse()))?;
            Ok(())
        });
        let server = Server::start(app).await;
        let mut client = server.connect().await;
        client.get("/it").await;
        client.expect_response(200).await;
        let complete = asgi::DisconnectReason::Complete;
        let result = within("the app's report", received.recv()).await.unwrap();
        assert_eq!(result, (complete, complete, complete, true));
    });
}

/// HTTP-049
#[test]
fn an_app_that_fails_after_its_response_is_only_logged() {
    run(async {
        let server = Server::start(http(async |mut http: Http| {
            http.respond("whole").await?;
            tokio::task::yield_now().await;
            match http.scope.path().into_owned().as_str() {
                "/it" => Err(broken()),
                "/panic" => panic!("the app's message"),
                _ => Ok(()),
            }
        }))
        .await;
        let mut client = server.connect().await;
        for (path, words) in [
            ("/it", "the template is broken"),
            ("/panic", "the app's message"),
        ] {
            client.get(path).await;
            assert_eq!(client.expect_response(200).await.body, "whole");
            eventually("the error is logged", || {
                !logs::unexpected_errors().is_empty()
            })
            .await;
            logs::expect_error(&[words]);
        }
        client.get("/").await;
        client.expect_response(200).await;
    });
}

#[test]
fn an_app_that_runs_on_does_not_delay_the_next_request() {
    run(async {
        let (go, gate) = tokio::sync::watch::channel(false);
        let app = http_with(gate, async |mut gate, mut http: Http| {
            http.respond("done").await?;
            if http.scope.path() == "/it" {
                gate.wait_for(|open| *open).await?;
            }
            Ok(())
        });
        let server = Server::start(app).await;
        let mut client = server.connect().await;
        client.get("/it").await;
        client.expect_response(200).await;
        client.get("/").await;
        client.expect_response(200).await;
        assert_eq!(server.handle().statistics().detached, 1);
        go.send(true).unwrap();
        server.wait_for_exchanges(0).await;
        assert_eq!(server.handle().statistics().detached, 0);
    });
}

/// CORE-004
#[test]
fn halves_that_outlive_their_app_learn_that_it_has_ended() {
    run(async {
        let (halves, mut received) = channel::<(Receiver, Sender)>();
        let app = http_with(halves, async |halves, http: Http| {
            halves
                .send((http.receive, http.send))
                .map_err(|_| "the test has ended")?;
            Err(broken())
        });
        let server = Server::start(app).await;
        let mut client = server.connect().await;
        client.get("/it").await;
        client.expect_response(500).await;
        let (mut receive, mut send) = received.recv().await.unwrap();
        let event = within("the last event", receive.receive()).await;
        assert!(
            matches!(event, ReceiveEvent::HttpDisconnect(_)),
            "{event:?}"
        );
        within("the close", send.closed()).await;
        let error = within("the refusal", send.send(HttpResponseStart::ok()))
            .await
            .unwrap_err();
        assert!(error.is_over(), "{error}");
        logs::expect_error(BROKEN);
    });
}

#[test]
fn a_response_can_be_sent_by_another_task() {
    run(async {
        let server = Server::start(http(async |mut http: Http| {
            let sending = tokio::spawn(async move {
                tokio::task::yield_now().await;
                http.send
                    .send(HttpResponseStart::new(StatusCode::CREATED))
                    .await?;
                for _ in 0..3 {
                    tokio::task::yield_now().await;
                    http.more("x").await?;
                }
                http.last("").await
            });
            sending.await?
        }))
        .await;
        let mut client = server.connect().await;
        for _ in 0..2 {
            client.get("/it").await;
            assert_eq!(client.expect_response(201).await.body, "xxx");
        }
    });
}

#[test]
fn both_halves_can_be_used_at_once_in_two_tasks() {
    run(async {
        let server = Server::start(http(async |mut http: Http| {
            http.begin().await?;
            let (mut receive, mut send) = (http.receive, http.send);
            let (parts, mut received) = channel();
            let receiving = tokio::spawn(async move {
                while let ReceiveEvent::HttpRequest(part) = receive.receive().await {
                    let last = !part.more_body;
                    let _ = parts.send(part);
                    if last {
                        break;
                    }
                }
            });
            let sending = tokio::spawn(async move {
                while let Some(part) = received.recv().await {
                    let echo = asgi::HttpResponseBody::new(part.body, part.more_body);
                    send.send(echo).await?;
                }
                Ok::<_, asgi::SendError>(())
            });
            receiving.await?;
            sending.await??;
            Ok(())
        }))
        .await;
        let mut client = server.connect().await;
        client
            .write("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
            .await;
        client.expect_head(200).await;
        for round in ["one", "two", "six"] {
            client.write(format!("3\r\n{round}\r\n")).await;
            assert_eq!(client.read_chunk().await.unwrap(), round);
        }
        client.write("0\r\n\r\n").await;
        assert_eq!(client.read_chunk().await, None);
    });
}

/// CORE-028, CORE-029
#[test]
fn an_app_that_aborts_breaks_its_response_off_without_an_error() {
    run(async {
        let server = Server::start(http(async |mut http: Http| {
            if http.scope.path() == "/head" {
                http.begin().await?;
            }
            if http.scope.path() == "/part" {
                http.begin().await?;
                http.more("half").await?;
            }
            // The server sees the abort through a wrapper.
            let abort = AppError::aborted_by("the upstream is gone").into_error();
            Err(std::io::Error::other(abort).into())
        }))
        .await;
        for path in ["/none", "/head"] {
            let mut client = server.connect().await;
            client.get(path).await;
            client.expect_end().await;
        }
        let mut client = server.connect().await;
        client.get("/part").await;
        client.expect_head(200).await;
        assert_eq!(client.read_chunk().await.unwrap(), "half");
        client.expect_end().await;
        logs::expect_no_warnings();
        let aborts = logs::at_level(tracing::Level::DEBUG)
            .into_iter()
            .filter(|line| {
                let text = "aborted: the app breaks off its exchange: the upstream is gone";
                line.text.contains(text)
            })
            .count();
        assert_eq!(aborts, 3);
    });
}
