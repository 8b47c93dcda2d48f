//! The access log over HTTP/1.1: one line for each request, which says what happened.

use std::time::Duration;

use asgi::{App, AppError, Receiver, Scope, Sender};
use ferricorn::Config;
use http::StatusCode;

use test_support::websocket_client::over_both;
use test_support::{Http, Server, WebSocket, eventually, http, logs, run, websocket};

fn logged() -> Config {
    let mut config = Config::default();
    config.access_log = true;
    config.header_timeout = Duration::from_millis(200);
    config
}

/// Waits until the access log has as many lines, and compares them.
#[track_caller]
fn expect_lines(lines: &[&str]) -> impl Future<Output = ()> {
    let count = lines.len();
    let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    let logged = eventually("the lines are logged", move || {
        logs::accesses().len() >= count
    });
    async move {
        logged.await;
        assert_eq!(logs::accesses(), lines);
    }
}

/// Gives up, or fails, or answers once its client has left.
fn waits() -> impl App {
    http(
        async |mut http: Http| match http.scope.path().into_owned().as_str() {
            "/return" => {
                http.disconnect().await;
                Ok(())
            }
            "/fail" => Err(http.disconnect().await.into()),
            "/answer" => {
                http.disconnect().await;
                http.respond("late").await
            }
            "/body" => match http.body().await {
                Ok(_) => http.respond("thanks").await,
                Err(reason) => Err(reason.into()),
            },
            "/half" => {
                http.begin().await?;
                http.more("half").await?;
                http.disconnect().await;
                Ok(())
            }
            "/fault" => Err("out of order".into()),
            _ => http.respond("hello").await,
        },
    )
}

async fn serves_nothing(scope: Scope, _: Receiver, _: Sender) -> Result<(), AppError> {
    Err(AppError::unsupported(&scope))
}

#[test]
fn a_client_that_closes_before_the_answer_is_logged_as_499() {
    run(async {
        let server = Server::start_with(logged(), waits()).await;
        for path in ["/return", "/fail"] {
            let mut client = server.connect().await;
            client.get(path).await;
            server.wait_for_exchanges(1).await;
            drop(client);
            server.wait_for_exchanges(0).await;
        }
        expect_lines(&[
            "\"GET /return HTTP/1.1\" 499 0",
            "\"GET /fail HTTP/1.1\" 499 0",
        ])
        .await;
    });
}

#[test]
fn a_client_that_resets_before_the_answer_is_logged_as_499() {
    run(async {
        let server = Server::start_with(logged(), waits()).await;
        for path in ["/return", "/fail", "/answer"] {
            let mut client = server.connect().await;
            client.get(path).await;
            server.wait_for_exchanges(1).await;
            client.reset();
            server.wait_for_exchanges(0).await;
        }
        expect_lines(&[
            "\"GET /return HTTP/1.1\" 499 0",
            "\"GET /fail HTTP/1.1\" 499 0",
            "\"GET /answer HTTP/1.1\" 499 0",
        ])
        .await;
    });
}

#[test]
fn a_client_that_leaves_during_its_upload_is_logged_as_499() {
    run(async {
        let server = Server::start_with(logged(), waits()).await;
        let mut client = server.connect().await;
        client
            .write("POST /body HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhalf")
            .await;
        server.wait_for_exchanges(1).await;
        client.reset();
        expect_lines(&["\"POST /body HTTP/1.1\" 499 0"]).await;
    });
}

#[test]
fn a_client_that_closes_its_side_and_reads_on_is_logged_with_the_apps_answer() {
    run(async {
        let server = Server::start_with(logged(), waits()).await;
        let mut client = server.connect().await;
        client.get("/answer").await;
        server.wait_for_exchanges(1).await;
        client.half_close().await;
        client.expect_response(200).await;
        expect_lines(&["\"GET /answer HTTP/1.1\" 200 4"]).await;
    });
}

#[test]
fn a_client_that_leaves_during_the_answer_is_logged_with_its_status() {
    run(async {
        let server = Server::start_with(logged(), waits()).await;
        let mut client = server.connect().await;
        client.get("/half").await;
        client.expect_head(200).await;
        client.reset();
        expect_lines(&["\"GET /half HTTP/1.1\" 200 4"]).await;
    });
}

#[test]
fn a_fault_of_the_app_is_logged_as_500_while_its_client_waits() {
    run(async {
        let server = Server::start_with(logged(), waits()).await;
        let mut client = server.connect().await;
        client.get("/fault").await;
        client.expect_response(500).await;
        expect_lines(&["\"GET /fault HTTP/1.1\" 500 22"]).await;
        logs::expect_error(&["out of order"]);
    });
}

#[test]
fn an_app_that_breaks_off_before_the_head_is_logged_without_a_status() {
    run(async {
        let app = http(async |_| Err(AppError::aborted()));
        let server = Server::start_with(logged(), app).await;
        let mut client = server.connect().await;
        client.get("/").await;
        client.expect_end().await;
        expect_lines(&["\"GET / HTTP/1.1\" - 0"]).await;
    });
}

#[test]
fn an_incomplete_head_is_logged_with_its_408() {
    run(async {
        let server = Server::start_with(logged(), waits()).await;
        let mut client = server.connect().await;
        client.write("GET / HT").await;
        client.expect_response(408).await;
        expect_lines(&["\"-\" 408 0"]).await;
    });
}

#[test]
fn a_client_cannot_end_the_quotes_of_its_line() {
    run(async {
        let server = Server::start_with(logged(), waits()).await;
        let mut client = server.connect().await;
        client.get("/a?c\\d").await;
        client.expect_response(200).await;
        expect_lines(&["\"GET /a?c\\\\d HTTP/1.1\" 200 5"]).await;
        // A quote is not valid in a target.
        let mut client = server.connect().await;
        client.get("/a\"b").await;
        client.expect_response(400).await;
        expect_lines(&["\"GET /a\\\"b HTTP/1.1\" 400 0"]).await;
    });
}

#[test]
fn a_client_that_leaves_during_its_handshake_is_logged_as_499() {
    over_both(async |over| {
        let app = websocket(async |mut socket: WebSocket| {
            socket.receive.receive().await;
            socket.send.closed().await;
            Ok(())
        });
        let server = Server::start_with(logged(), app).await;
        let asking = over.ask(&server, "/", &[]);
        let waiting = server.wait_for_exchanges(1);
        tokio::select! {
            _ = asking => panic!("the app does not answer"),
            () = waiting => {}
        }
        // The client was dropped with its question.
        eventually("the line is logged", || !logs::accesses().is_empty()).await;
        let line = &logs::accesses()[0];
        assert!(line.ends_with(" 499 0"), "{line}");
    });
}

/// CORE-020, CORE-031: a scanner that tries everything does not fill the log.
#[test]
fn a_handshake_for_an_app_without_websockets_gets_403_and_no_error_in_the_log() {
    over_both(async |over| {
        let app = http(async |mut http: Http| http.respond("hello").await);
        let server = Server::start_with(logged(), app).await;
        for _ in 0..3 {
            let answer = over.ask(&server, "/", &[]).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN);
        }
        logs::expect_info(&["the app does not serve WebSockets", "403"]);
        let lines = logs::at_level(tracing::Level::INFO);
        let told = lines
            .iter()
            .filter(|line| line.text.contains("does not serve"));
        assert_eq!(told.count(), 1);
        logs::expect_no_warnings();
    });
}

/// CORE-020, CORE-031
#[test]
fn a_request_for_an_app_without_http_gets_404_and_no_error_in_the_log() {
    run(async {
        let server = Server::start(serves_nothing).await;
        let mut client = server.connect().await;
        for _ in 0..3 {
            client.get("/").await;
            client.expect_response(404).await;
        }
        logs::expect_info(&["the app does not serve HTTP requests", "404"]);
        logs::expect_no_warnings();
    });
}

/// Each connection would be a line that a client can write, so only the first one is a warning.
#[test]
fn a_header_of_the_proxy_protocol_is_named_in_the_log_and_warned_of_once() {
    run(async {
        let server = Server::start(waits()).await;
        let v1 = "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n";
        let v2 = "\r\n\r\n\0\r\nQUIT\n\u{21}\u{11}\0\u{c}abcdefghijkl";
        for header in [v1, v2] {
            let mut client = server.connect().await;
            client
                .write(format!("{header}GET / HTTP/1.1\r\nhost: a\r\n\r\n"))
                .await;
            client.expect_response(400).await;
        }
        let names = |line: &logs::Line| line.text.contains("PROXY protocol header");
        let warnings = logs::at_level(tracing::Level::WARN);
        assert_eq!(warnings.iter().filter(|line| names(line)).count(), 1);
        let lines = logs::at_level(tracing::Level::DEBUG);
        assert_eq!(lines.iter().filter(|line| names(line)).count(), 2);
    });
}
