//! Exchanges step by step: who waits for whom, and clients that leave at a chosen moment.

use std::time::{Duration, Instant};

use ::http::{HeaderMap, HeaderValue};
use asgi::{
    AppError, DisconnectReason, Extension, Extensions, HttpResponseBody, HttpResponseEarlyHint,
    HttpResponsePush, HttpResponseStart, HttpResponseTrailers, ReceiveEvent, Receiver, Scope,
    Sender,
};
use asgi_testing::{AppWait, Client, Event, Exchange};
use tokio::sync::oneshot;

/// Sends each part of the request body back.
async fn echo(_: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
    send.send(HttpResponseStart::ok()).await?;
    loop {
        let ReceiveEvent::HttpRequest(part) = receive.receive().await else {
            return Ok(());
        };
        let more_body = part.more_body;
        send.send(HttpResponseBody::new(part.body, more_body))
            .await?;
        if !more_body {
            return Ok(());
        }
    }
}

/// Sends four parts.
async fn four(_: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
    send.send(HttpResponseStart::ok()).await?;
    for number in 0..3 {
        let part = HttpResponseBody::more(number.to_string());
        send.send(part).await?;
    }
    Ok(send.send(HttpResponseBody::last("3")).await?)
}

#[tokio::test]
async fn the_test_sees_when_the_app_waits_for_a_part() {
    let mut exchange = Client::new(echo).post("/").open_body().start();
    assert_eq!(exchange.until_app_waits().await, AppWait::Input);
    exchange.send_body("a");
    assert_eq!(exchange.data().await.unwrap(), "a");
    assert_eq!(exchange.until_app_waits().await, AppWait::Input);
    exchange.end_body("b");
    assert_eq!(exchange.until_app_waits().await, AppWait::Ended);
    assert!(exchange.is_body_received());
    let response = exchange.finish().await.unwrap();
    assert_eq!(response.chunks(), ["a", "b"]);
}

/// How many parts of the body the app has sent.
fn sent(exchange: &Exchange) -> usize {
    let events = exchange.history().events();
    let sends = events
        .iter()
        .filter(|event| event.contains("response.body"));
    sends.count()
}

#[tokio::test]
async fn each_send_waits_until_the_test_has_taken_the_event_before() {
    let mut exchange = Client::new(four).get("/").start();
    for number in 0..3 {
        assert_eq!(exchange.until_app_waits().await, AppWait::Room);
        assert_eq!(sent(&exchange), number + 1);
        assert_eq!(exchange.data().await.unwrap(), number.to_string());
    }
    assert_eq!(exchange.until_app_waits().await, AppWait::Ended);
    assert_eq!(sent(&exchange), 4);
    exchange.finish().await.unwrap();
}

#[tokio::test]
async fn more_room_lets_the_app_go_on() {
    // The head and the first part are one event of two bytes, and each other part is one more.
    let mut exchange = Client::new(four).get("/").room(4).start();
    assert_eq!(exchange.until_app_waits().await, AppWait::Room);
    let events = exchange.history().events();
    assert_eq!(
        events.last().unwrap(),
        "app sends http.response.body: 1 byte \"1\", more follows"
    );
    let mut exchange = Client::new(four).get("/").room(100).start();
    assert_eq!(exchange.until_app_waits().await, AppWait::Ended);
    assert_eq!(exchange.parts(4).await, ["0", "1", "2", "3"]);
}

#[tokio::test]
async fn a_wait_of_another_task_of_the_app_counts_too() {
    async fn app(scope: Scope, receive: Receiver, send: Sender) -> Result<(), AppError> {
        tokio::spawn(four(scope, receive, send)).await?
    }
    let mut exchange = Client::new(app).get("/").start();
    let began = Instant::now();
    for number in 0..3 {
        assert_eq!(exchange.until_app_waits().await, AppWait::Room);
        // The other task has woken the test. It does not poll again only because its limit is near.
        assert!(began.elapsed() < Duration::from_secs(5));
        assert_eq!(sent(&exchange), number + 1);
        assert_eq!(exchange.data().await.unwrap(), number.to_string());
    }
    exchange.finish().await.unwrap();
}

/// While the app waits for a timer, it does not wait for the client.
#[tokio::test]
async fn a_wait_for_something_else_is_no_wait_for_the_client() {
    let (go, wait) = oneshot::channel::<()>();
    let wait = std::sync::Mutex::new(Some(wait));
    let app = move |scope: Scope, receive: Receiver, send: Sender| {
        let wait = wait.lock().unwrap().take().unwrap();
        async move {
            wait.await?;
            four(scope, receive, send).await
        }
    };
    let mut exchange = Client::new(app).get("/").start();
    tokio::select! {
        biased;
        wait = exchange.until_app_waits() => panic!("{wait:?}"),
        () = tokio::task::yield_now() => {}
    }
    go.send(()).unwrap();
    assert_eq!(exchange.until_app_waits().await, AppWait::Room);
    exchange.finish().await.unwrap();
}

#[tokio::test]
async fn a_client_that_leaves_before_the_head_is_gone_for_the_app() {
    let mut exchange = Client::new(four).get("/").start();
    exchange.disconnect(DisconnectReason::Lost);
    let broken = exchange.finish().await.unwrap_err();
    assert_eq!((broken.status(), broken.fault()), (None, None));
    assert!(broken.app_error().unwrap().is_disconnected());
    assert_eq!(
        broken.history().events(),
        [
            "client sends GET / HTTP/1.1",
            "client leaves: the connection was lost",
            "app tries to send http.response.start: 200 (error: the client is gone: the connection was lost)",
            "app returns an error: the client is gone: the connection was lost",
        ]
    );
}

#[tokio::test]
async fn a_client_that_leaves_after_some_parts_has_received_those() {
    for count in 0..4 {
        let mut exchange = Client::new(four).get("/").start();
        exchange.head().await;
        assert_eq!(exchange.parts(count).await.len(), count);
        exchange.disconnect(DisconnectReason::Reset(8));
        let broken = exchange.finish().await.unwrap_err();
        assert_eq!(broken.status().unwrap(), 200);
        // The first part comes with the head.
        let expected = ["0", "1", "2"];
        assert_eq!(broken.chunks(), &expected[..count.max(1)], "{count}");
        assert_eq!(broken.fault(), None);
    }
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_its_body_ends_the_apps_wait() {
    let mut exchange = Client::new(echo).post("/").open_body().start();
    exchange.send_body("half");
    assert_eq!(exchange.data().await.unwrap(), "half");
    assert_eq!(exchange.until_app_waits().await, AppWait::Input);
    exchange.disconnect(DisconnectReason::TimedOut);
    let broken = exchange.finish().await.unwrap_err();
    assert_eq!(broken.fault(), None);
    let events = broken.history().events();
    assert!(
        events.contains(&"app receives http.disconnect: it was too slow".to_owned()),
        "{events:#?}"
    );
}

#[tokio::test]
async fn an_app_that_answers_before_it_has_read_the_body_is_seen() {
    async fn app(_: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
        receive.receive().await;
        Ok(send.respond(HttpResponseStart::ok(), "enough").await?)
    }
    let client = Client::new(app);
    let mut exchange = client.post("/").body("a").open_body().start();
    exchange.send_body("b");
    assert_eq!(exchange.until_app_waits().await, AppWait::Ended);
    assert!(!exchange.is_body_received());
    exchange.finish().await.unwrap().assert_text("enough");
}

#[tokio::test]
#[should_panic(expected = "expected 5 parts of the body, got 4\n  the test waits at ")]
async fn fewer_parts_than_expected_panic() {
    Client::new(four).get("/").start().parts(5).await;
}

#[tokio::test]
#[should_panic(expected = "expected the head of a response, got Some(Aborted)")]
async fn a_missing_head_panics() {
    async fn app(_: Scope, _: Receiver, _: Sender) -> Result<(), AppError> {
        Err(AppError::aborted())
    }
    Client::new(app).get("/").start().head().await;
}

fn field(name: &'static str, value: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static(value))])
}

#[tokio::test]
async fn trailers_go_both_ways() {
    async fn app(_: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
        send.send(HttpResponseStart::ok().with_trailers()).await?;
        let trailers = loop {
            let ReceiveEvent::HttpRequest(part) = receive.receive().await else {
                return Ok(());
            };
            if !part.more_body {
                break *part.trailers.unwrap();
            }
        };
        send.send(HttpResponseBody::last("body")).await?;
        Ok(send.send(HttpResponseTrailers::new(trailers)).await?)
    }
    let client = Client::new(app);
    let request = client.post("/").body("x").trailers(field("x-sum", "7"));
    let response = request.await.unwrap();
    assert_eq!(response.trailers().unwrap()["x-sum"], "7");

    let mut exchange = client.post("/").open_body().start();
    exchange.end_body_with_trailers(field("x-sum", "8"));
    assert_eq!(exchange.data().await.unwrap(), "body");
    let Some(Event::Trailers(trailers)) = exchange.next_event().await else {
        panic!("no trailers");
    };
    assert_eq!(trailers["x-sum"], "8");
    assert!(matches!(exchange.next_event().await, Some(Event::Complete)));
    assert!(exchange.next_event().await.is_none());
}

#[tokio::test]
async fn hints_and_pushes_are_values_in_their_order() {
    async fn app(scope: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
        if scope.path().unwrap() == "/style.css" {
            return Ok(send.respond(HttpResponseStart::ok(), "p {}").await?);
        }
        let link = HeaderValue::from_static("</style.css>; rel=preload");
        send.send(HttpResponseEarlyHint::new([link])).await?;
        send.send(HttpResponsePush::new("/style.css".parse()?))
            .await?;
        Ok(send.respond(HttpResponseStart::ok(), "page").await?)
    }
    let extensions = Extensions::new()
        .with(Extension::EarlyHint)
        .with(Extension::Push);
    let client = Client::new(app).extensions(extensions);
    let mut exchange = client.get("/").start();
    let Some(Event::EarlyHint(hint)) = exchange.next_event().await else {
        panic!("no hint");
    };
    assert_eq!(hint.links, ["</style.css>; rel=preload"]);
    let Some(Event::Push(push)) = exchange.next_event().await else {
        panic!("no push");
    };
    assert_eq!(push.path, "/style.css");
    assert_eq!(exchange.data().await.unwrap(), "page");
    let response = exchange.finish().await.unwrap();
    let pushed = response.pushes()[0].response().unwrap();
    pushed.assert_text("p {}");
    assert!(
        pushed
            .history()
            .to_string()
            .starts_with("history of the pushed GET /style.css:")
    );
}
