//! Requests and their responses.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ::http::header::{CONTENT_LENGTH, HOST, LINK, TRANSFER_ENCODING};
use ::http::{HeaderMap, HeaderValue, Method, StatusCode};
use asgi::{
    AppError, DisconnectReason, Extension, Extensions, HttpResponseBody, HttpResponseDebug,
    HttpResponseEarlyHint, HttpResponsePush, HttpResponseStart, HttpResponseTrailers, HttpScope,
    ReceiveEvent, Receiver, Scope, Sender, State,
};
use asgi_testing::{Client, Event, Fault};
use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::timeout;

fn http(scope: Scope) -> HttpScope {
    match scope {
        Scope::Http(http) => *http,
        other => panic!("expected an http scope, got {}", other.kind()),
    }
}

async fn respond(send: &mut Sender, body: impl Into<Bytes>) -> Result<(), AppError> {
    send.send(HttpResponseStart::ok()).await?;
    send.send(HttpResponseBody::last(body)).await?;
    Ok(())
}

async fn echo(_: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
    let body = receive.body(usize::MAX).await?;
    respond(&mut send, body).await
}

#[tokio::test]
async fn the_scope_describes_the_request() {
    let client = Client::new(async |scope: Scope, _: Receiver, mut send: Sender| {
        let http = http(scope);
        assert_eq!(http.method, Method::PATCH);
        assert_eq!(http.path(), "/api/ä");
        assert_eq!(http.local_path(), "/ä");
        assert_eq!(http.raw_path(), "/%C3%A4");
        assert_eq!(http.query_string(), "a=%20");
        assert_eq!(http.scheme, "https");
        assert_eq!(http.headers[HOST], "example.org");
        assert_eq!(http.headers[CONTENT_LENGTH], "4");
        assert_eq!(http.headers.get_all("x-a").iter().count(), 2);
        assert!(http.client.is_some());
        respond(&mut send, "").await
    })
    .mounted_at("/api");
    client
        .request(Method::PATCH, "/%C3%A4?a=%20")
        .header("host", "example.org")
        .header("x-a", "1")
        .header("x-a", "2")
        .scope(|scope| scope.scheme = "https".into())
        .body("four")
        .await
        .unwrap();
}

#[tokio::test]
async fn a_body_in_one_part_gets_a_content_length() {
    let response = Client::new(echo).post("/").body("ping").await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.header("content-length"), Some("4"));
    assert_eq!(response.text(), "ping");
    assert_eq!(response.fault(), None);
}

#[tokio::test]
async fn a_request_can_run_on_another_task() {
    let request = Client::new(echo).post("/").body("ping").send();
    let response = tokio::spawn(request).await.unwrap().unwrap();
    assert_eq!(response.text(), "ping");
}

#[tokio::test]
async fn chunks_are_the_parts_that_the_app_sent() {
    let client = Client::new(async |_: Scope, _: Receiver, mut send: Sender| {
        send.send(HttpResponseStart::ok()).await?;
        for part in ["a", "", "b"] {
            send.send(HttpResponseBody::more(part)).await?;
        }
        send.send(HttpResponseBody::last("")).await?;
        Ok::<_, AppError>(())
    });
    let response = client.get("/").await.unwrap();
    assert_eq!(response.chunks(), ["a", "b"]);
    assert_eq!(response.body(), "ab");
    assert_eq!(response.header("content-length"), None);
}

#[tokio::test]
async fn a_response_to_head_has_no_body_but_a_length() {
    let client = Client::new(async |_: Scope, _: Receiver, mut send: Sender| {
        respond(&mut send, "four").await
    });
    let response = client.head("/").await.unwrap();
    assert_eq!(response.header("content-length"), Some("4"));
    assert_eq!(response.body(), "");
}

#[tokio::test]
async fn the_apps_transfer_encoding_is_ignored() {
    let client = Client::new(async |_: Scope, _: Receiver, mut send: Sender| {
        let chunked = HeaderValue::from_static("chunked");
        send.send(HttpResponseStart::ok().header(TRANSFER_ENCODING, chunked))
            .await?;
        send.send(HttpResponseBody::last("x")).await?;
        Ok::<_, AppError>(())
    });
    let response = client.get("/").await.unwrap();
    assert_eq!(response.header("transfer-encoding"), None);
}

#[tokio::test]
async fn the_start_is_held_back_until_the_body() {
    let (go, wait) = oneshot::channel::<()>();
    let wait = Mutex::new(Some(wait));
    let client = Client::new(move |_: Scope, _: Receiver, mut send: Sender| {
        let wait = wait.lock().unwrap().take().unwrap();
        async move {
            send.send(HttpResponseStart::ok()).await?;
            send.send(HttpResponseBody::last("whole")).await?;
            wait.await?;
            Ok::<_, AppError>(())
        }
    });
    let mut exchange = client.get("/").start();
    let (_, headers) = exchange.head().await;
    assert_eq!(headers[CONTENT_LENGTH], "5");
    go.send(()).unwrap();
    exchange.finish().await.unwrap();
}

#[tokio::test]
async fn the_start_is_sent_when_the_app_waits() {
    let (go, wait) = oneshot::channel::<()>();
    let wait = Mutex::new(Some(wait));
    let client = Client::new(move |_: Scope, _: Receiver, mut send: Sender| {
        let wait = wait.lock().unwrap().take().unwrap();
        async move {
            send.send(HttpResponseStart::ok()).await?;
            wait.await?;
            send.send(HttpResponseBody::last("late")).await?;
            Ok::<_, AppError>(())
        }
    });
    let mut exchange = client.get("/").start();
    let (status, headers) = exchange.head().await;
    assert_eq!(status, 200);
    assert!(!headers.contains_key(CONTENT_LENGTH));
    go.send(()).unwrap();
    assert_eq!(exchange.data().await.unwrap(), "late");
    exchange.finish().await.unwrap();
}

#[tokio::test]
async fn the_start_is_sent_when_another_task_sends_it_while_the_app_waits() {
    let client = Client::new(async |_: Scope, _: Receiver, mut send: Sender| {
        let (finished, wait) = oneshot::channel::<()>();
        tokio::spawn(async move {
            tokio::task::yield_now().await;
            send.send(HttpResponseStart::ok()).await.unwrap();
            // This task runs until the client has received the head and left.
            send.closed().await;
            finished.send(()).unwrap();
        });
        wait.await?;
        Ok::<_, AppError>(())
    });
    let mut exchange = client.get("/").start();
    let (status, _) = timeout(Duration::from_secs(5), exchange.head())
        .await
        .unwrap();
    assert_eq!(status, 200);
    exchange.disconnect(DisconnectReason::Lost);
    let broken = exchange.finish().await.unwrap_err();
    assert_eq!(broken.fault(), None);
}

#[tokio::test]
async fn the_app_receives_the_body_part_by_part_and_then_the_trailers() {
    let client = Client::new(async |_: Scope, mut receive: Receiver, mut send: Sender| {
        send.send(HttpResponseStart::ok()).await?;
        loop {
            let ReceiveEvent::HttpRequest(part) = receive.receive().await else {
                return Err("the client left".into());
            };
            if let Some(trailers) = &part.trailers {
                assert_eq!(trailers["x-sum"], "7");
            }
            send.send(HttpResponseBody::new(part.body, part.more_body))
                .await?;
            if !part.more_body {
                return Ok(());
            }
        }
    });
    let mut exchange = client.post("/").body("first").open_body().start();
    assert_eq!(exchange.data().await.unwrap(), "first");
    exchange.send_body("second");
    assert_eq!(exchange.data().await.unwrap(), "second");
    let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), HeaderValue::from(7))]);
    exchange.end_body_with_trailers(trailers);
    assert_eq!(exchange.data().await, None);
    let response = exchange.finish().await.unwrap();
    assert_eq!(response.body(), "firstsecond");
}

#[tokio::test]
async fn there_is_room_for_one_event_between_app_and_test() {
    let sent = Arc::new(Mutex::new(0));
    let client = Client::new({
        let sent = Arc::clone(&sent);
        move |_: Scope, _: Receiver, mut send: Sender| {
            let sent = Arc::clone(&sent);
            async move {
                send.send(HttpResponseStart::ok()).await?;
                loop {
                    send.send(HttpResponseBody::more("x")).await?;
                    *sent.lock().unwrap() += 1;
                }
            }
        }
    });
    let mut exchange = client.get("/").start();
    exchange.head().await;
    assert_eq!(*sent.lock().unwrap(), 1);
    exchange.data().await;
    assert_eq!(*sent.lock().unwrap(), 1);
    exchange.data().await;
    assert_eq!(*sent.lock().unwrap(), 2);
}

#[tokio::test]
async fn an_event_without_room_is_misuse() {
    let client = Client::new(async |_: Scope, _: Receiver, mut send: Sender| {
        poll_fn(|cx| send.poll_ready(cx)).await?;
        send.start_send(HttpResponseStart::ok().into())?;
        let error = send
            .start_send(HttpResponseBody::last("").into())
            .unwrap_err();
        assert!(error.is_misuse(), "{error}");
        // The error has changed nothing.
        send.send(HttpResponseBody::last("fine")).await?;
        Ok::<_, AppError>(())
    });
    assert_eq!(client.allow_faults().get("/").await.unwrap().text(), "fine");
}

#[tokio::test]
async fn promised_room_stays_when_a_held_head_is_sent() {
    let client = Client::new(async |_: Scope, _: Receiver, mut send: Sender| {
        send.send(HttpResponseStart::ok()).await?;
        poll_fn(|cx| send.poll_ready(cx)).await?;
        tokio::task::yield_now().await;
        send.start_send(HttpResponseBody::last("x").into())?;
        Ok::<_, AppError>(())
    });
    assert_eq!(client.get("/").await.unwrap().text(), "x");
}

#[tokio::test]
async fn an_app_that_fails_before_its_response_gives_a_500() {
    let client = Client::new(async |_: Scope, _: Receiver, mut send: Sender| {
        // The head is held back, so the client has not received it.
        send.send(HttpResponseStart::ok()).await?;
        Err::<(), AppError>("out of order".into())
    });
    let response = client.get("/").await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(response.app_error().unwrap().to_string(), "out of order");
    assert_eq!(response.fault(), Some(Fault::Failed));
}

#[tokio::test]
async fn an_app_that_returns_without_a_response_gives_a_500() {
    let client = Client::new(async |_: Scope, _: Receiver, _: Sender| Ok::<_, AppError>(()));
    let response = client.get("/").await.unwrap();
    assert_eq!(response.status(), 500);
    assert_eq!(response.fault(), Some(Fault::NoResponse));
}

#[tokio::test]
async fn an_app_that_fails_after_its_head_aborts_the_response() {
    let client = Client::new(async |_: Scope, _: Receiver, mut send: Sender| {
        send.send(HttpResponseStart::ok()).await?;
        send.send(HttpResponseBody::more("half")).await?;
        Err::<(), AppError>("out of order".into())
    });
    let mut exchange = client.get("/").start();
    let mut events = Vec::new();
    while let Some(event) = exchange.next_event().await {
        events.push(event);
    }
    assert!(
        matches!(
            &events[..],
            [Event::Head(..), Event::Data(_), Event::Aborted]
        ),
        "{events:?}"
    );
    let broken = exchange.finish().await.unwrap_err();
    assert_eq!(broken.status(), Some(StatusCode::OK));
    assert_eq!(broken.body(), "half");
    assert_eq!(broken.app_error().unwrap().to_string(), "out of order");
    assert_eq!(broken.fault(), Some(Fault::Failed));
}

#[tokio::test]
async fn an_app_that_returns_too_early_aborts_the_response() {
    let client = Client::new(async |_: Scope, _: Receiver, mut send: Sender| {
        send.send(HttpResponseStart::ok()).await?;
        send.send(HttpResponseBody::more("half")).await?;
        Ok::<_, AppError>(())
    });
    let broken = client.get("/").await.unwrap_err();
    assert_eq!(broken.fault(), Some(Fault::Incomplete));
}

#[tokio::test]
#[should_panic(expected = "the app panics")]
async fn a_panic_of_the_app_panics_in_the_test() {
    async fn app(_: Scope, _: Receiver, _: Sender) -> Result<(), AppError> {
        panic!("the app panics")
    }
    let _ = Client::new(app).get("/").await;
}

#[tokio::test]
async fn misuse_is_an_error_and_changes_nothing() {
    let client = Client::new(async |_: Scope, _: Receiver, mut send: Sender| {
        let error = send.send(HttpResponseBody::last("")).await.unwrap_err();
        assert!(error.is_misuse());
        respond(&mut send, "right").await?;
        let error = send.send(HttpResponseBody::last("")).await.unwrap_err();
        assert!(error.is_misuse());
        Ok::<_, AppError>(())
    });
    assert_eq!(
        client.allow_faults().get("/").await.unwrap().text(),
        "right"
    );
}

#[tokio::test]
async fn after_the_response_each_receive_returns_a_disconnect() {
    let client = Client::new(async |_: Scope, mut receive: Receiver, mut send: Sender| {
        respond(&mut send, "").await?;
        assert_eq!(send.closed().await, DisconnectReason::Complete);
        for _ in 0..2 {
            let event = receive.receive().await;
            assert!(
                matches!(&event, ReceiveEvent::HttpDisconnect(disconnect)
                    if disconnect.reason == DisconnectReason::Complete),
                "{event:?}"
            );
        }
        Ok::<_, AppError>(())
    });
    client.post("/").body("unread").await.unwrap();
}

#[tokio::test]
async fn a_client_that_closed_its_side_still_gets_the_response() {
    let client = Client::new(async |_: Scope, mut receive: Receiver, mut send: Sender| {
        assert_eq!(send.closed().await, DisconnectReason::Closed);
        // The app still receives what the client sent before that.
        assert_eq!(receive.body(100).await?, "all of it");
        assert!(matches!(
            receive.receive().await,
            ReceiveEvent::HttpDisconnect(_)
        ));
        respond(&mut send, "still here").await
    });
    let mut exchange = client.post("/").body("all of it").start();
    exchange.disconnect(DisconnectReason::Closed);
    assert_eq!(exchange.finish().await.unwrap().text(), "still here");
}

#[tokio::test]
async fn after_a_reset_the_send_fails_without_a_fault() {
    let client = Client::new(async |_: Scope, _: Receiver, mut send: Sender| {
        send.send(HttpResponseStart::ok()).await?;
        loop {
            send.send(HttpResponseBody::more("x")).await?;
        }
    });
    let mut exchange = client.get("/").start();
    exchange.data().await;
    exchange.disconnect(DisconnectReason::Reset(8));
    let broken = exchange.finish().await.unwrap_err();
    assert!(broken.app_error().unwrap().is_disconnected());
    assert_eq!(broken.fault(), None);
}

#[tokio::test]
async fn a_disconnect_wakes_an_app_that_waits_in_another_task() {
    let client = Client::new(async |_: Scope, mut receive: Receiver, mut send: Sender| {
        let receiving = tokio::spawn(async move { receive.receive().await });
        let closing = tokio::spawn(async move { send.closed().await });
        assert!(matches!(receiving.await?, ReceiveEvent::HttpDisconnect(_)));
        assert_eq!(closing.await?, DisconnectReason::Lost);
        Ok::<_, AppError>(())
    });
    let mut exchange = client.post("/").open_body().start();
    let first = timeout(Duration::from_millis(20), async {
        exchange.next_event().await
    });
    assert!(first.await.is_err());
    exchange.disconnect(DisconnectReason::Lost);
    let finished = timeout(Duration::from_secs(5), exchange.finish())
        .await
        .unwrap();
    assert!(finished.is_err());
}

#[tokio::test]
async fn after_the_app_has_returned_each_send_fails_with_over() {
    let (hand_over, halves) = oneshot::channel();
    let hand_over = Mutex::new(Some(hand_over));
    let client = Client::new(move |_: Scope, receive: Receiver, send: Sender| {
        let hand_over = hand_over.lock().unwrap().take().unwrap();
        async move {
            hand_over.send((receive, send)).unwrap();
            Ok::<_, AppError>(())
        }
    });
    client.allow_faults().get("/").await.unwrap();
    let (mut receive, mut send) = halves.await.unwrap();
    assert!(matches!(
        receive.receive().await,
        ReceiveEvent::HttpDisconnect(_)
    ));
    assert!(
        send.send(HttpResponseStart::ok())
            .await
            .unwrap_err()
            .is_over()
    );
}

#[tokio::test]
async fn after_the_exchange_is_dropped_each_send_fails_with_over() {
    let (hand_over, halves) = oneshot::channel();
    let hand_over = Mutex::new(Some(hand_over));
    let client = Client::new(move |_: Scope, _: Receiver, send: Sender| {
        let hand_over = hand_over.lock().unwrap().take().unwrap();
        async move {
            hand_over.send(send).unwrap();
            std::future::pending::<Result<(), AppError>>().await
        }
    });
    let mut exchange = client.get("/").start();
    let waiting = timeout(Duration::from_millis(20), exchange.next_event()).await;
    assert!(waiting.is_err());
    drop(exchange);
    let error = halves
        .await
        .unwrap()
        .send(HttpResponseStart::ok())
        .await
        .unwrap_err();
    assert!(error.is_over());
}

#[tokio::test]
async fn an_app_that_was_not_woken_is_not_polled() {
    let polls = Arc::new(Mutex::new(0));
    let client = Client::new({
        let polls = Arc::clone(&polls);
        move |_: Scope, _: Receiver, _: Sender| {
            let polls = Arc::clone(&polls);
            poll_fn(move |_| {
                *polls.lock().unwrap() += 1;
                Poll::<Result<(), AppError>>::Pending
            })
        }
    });
    let mut exchange = client.get("/").start();
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..3 {
        let mut next = Box::pin(exchange.next_event());
        assert!(next.as_mut().poll(&mut cx).is_pending());
    }
    assert_eq!(*polls.lock().unwrap(), 1);
}

#[tokio::test]
async fn trailers_come_after_the_body() {
    let client = Client::new(async |scope: Scope, _: Receiver, mut send: Sender| {
        assert!(http(scope).extensions.has(Extension::Trailers));
        send.send(HttpResponseStart::ok().with_trailers()).await?;
        send.send(HttpResponseBody::last("x")).await?;
        let trailers = HeaderMap::from_iter([("x-sum".parse()?, HeaderValue::from(1))]);
        send.send(HttpResponseTrailers::new(trailers)).await?;
        Ok::<_, AppError>(())
    });
    let response = client.get("/").await.unwrap();
    assert_eq!(response.trailers().unwrap()["x-sum"], "1");
}

#[tokio::test]
async fn early_hints_come_before_the_head() {
    let client = Client::new(async |_: Scope, _: Receiver, mut send: Sender| {
        let link = HeaderValue::from_static("</a.css>; rel=preload");
        send.send(HttpResponseEarlyHint::new([link.clone()]))
            .await?;
        send.send(HttpResponseStart::ok()).await?;
        send.send(HttpResponseEarlyHint::new([link])).await?;
        send.send(HttpResponseBody::last("x")).await?;
        Ok::<_, AppError>(())
    });
    let response = client.get("/").await.unwrap();
    assert_eq!(response.early_hints().len(), 2);
    assert_eq!(response.header(LINK.as_str()), None);
    // Two events are queued here, and the head still comes after the hint.
    let mut exchange = client.get("/").start();
    for _ in 0..2 {
        assert!(matches!(
            exchange.next_event().await,
            Some(Event::EarlyHint(_))
        ));
    }
    assert!(matches!(exchange.next_event().await, Some(Event::Head(..))));
}

#[tokio::test]
async fn each_common_method_has_its_own_function() {
    let client = Client::new(async |scope: Scope, _: Receiver, mut send: Sender| {
        respond(&mut send, http(scope).method.to_string()).await
    });
    let requests = [
        (client.get("/"), "GET"),
        (client.post("/"), "POST"),
        (client.put("/"), "PUT"),
        (client.patch("/"), "PATCH"),
        (client.delete("/"), "DELETE"),
        (client.options("/"), "OPTIONS"),
    ];
    for (request, method) in requests {
        assert_eq!(request.send().await.unwrap().text(), method);
    }
    assert_eq!(client.head("/").await.unwrap().text(), "");
}

/// The `Debug` output once contained everything twice: filled, and as an empty record.
#[tokio::test]
async fn debug_output_contains_only_what_the_client_received() {
    let response = Client::new(echo).post("/").body("hi").await.unwrap();
    assert_eq!(
        format!("{response:?}"),
        r#"Response { status: 200, headers: {"content-length": "2"}, body: b"hi" }"#
    );
    let client = Client::new(async |_: Scope, _: Receiver, mut send: Sender| {
        send.send(HttpResponseStart::ok()).await?;
        send.send(HttpResponseBody::more("half")).await?;
        Ok(())
    });
    let broken = client.get("/").await.unwrap_err();
    let text = format!("{broken:?}");
    let expected =
        "the app stopped its response after 4 bytes: the app's response is incomplete\nhistory";
    assert!(text.starts_with(expected), "{text}");
}

/// DEBUG-001
#[tokio::test]
async fn debug_values_reach_the_test() {
    let client = Client::new(async |_: Scope, _: Receiver, mut send: Sender| {
        let mut state = State::new();
        state.insert(String::from("the template"));
        send.send(HttpResponseDebug::new(state)).await?;
        respond(&mut send, "").await
    });
    let response = client.get("/").await.unwrap();
    let debug = response.debug().unwrap().get::<String>().unwrap();
    assert_eq!(*debug, "the template");
}

async fn pushing(scope: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
    let http = http(scope);
    if http.path() == "/style.css" {
        assert_eq!(http.method, Method::GET);
        assert_eq!(http.query_string(), "v=1");
        assert_eq!(http.headers[HOST], "example.org");
        assert_eq!(http.headers["accept"], "text/css");
        assert!(!http.extensions.has(Extension::Push));
        return respond(&mut send, "p {}").await;
    }
    let mut push = HttpResponsePush::new("/style.css?v=1".parse()?);
    push.headers
        .insert("accept", HeaderValue::from_static("text/css"));
    match send.send(push).await {
        Ok(()) => {}
        Err(error) if error.is_refused() => {}
        Err(error) => return Err(error.into()),
    }
    respond(&mut send, "<html>").await
}

#[tokio::test]
async fn a_client_that_accepts_pushes_gets_their_responses() {
    let client = Client::new(pushing).extensions(Extensions::new().with(Extension::Push));
    let response = client.get("/").header("host", "example.org").await.unwrap();
    assert_eq!(response.text(), "<html>");
    let [pushed] = response.pushes() else {
        panic!("expected one push, got {:?}", response.pushes());
    };
    assert_eq!(pushed.path(), "/style.css?v=1");
    assert_eq!(pushed.response().unwrap().text(), "p {}");
}

#[tokio::test]
async fn without_the_extension_the_app_cannot_push() {
    let response = Client::new(pushing).get("/").await.unwrap();
    assert_eq!(response.text(), "<html>");
    assert!(response.pushes().is_empty());
}

#[tokio::test]
async fn an_extension_that_is_not_offered_is_refused() {
    let client = Client::new(async |_: Scope, _: Receiver, mut send: Sender| {
        let hint = HttpResponseEarlyHint::new([]);
        assert!(send.send(hint).await.unwrap_err().is_refused());
        let debug = HttpResponseDebug::new(State::new());
        assert!(send.send(debug).await.unwrap_err().is_refused());
        respond(&mut send, "").await
    })
    .extensions(Extensions::new());
    client.get("/").await.unwrap();
}

#[tokio::test]
async fn the_state_of_the_client_is_in_each_scope() {
    let mut state = State::new();
    state.insert(7_u8);
    let client = Client::new(async |scope: Scope, _: Receiver, mut send: Sender| {
        let seven = http(scope).state.get::<u8>().unwrap();
        respond(&mut send, seven.to_string()).await
    })
    .state(state);
    assert_eq!(client.get("/").await.unwrap().text(), "7");
}

#[tokio::test]
#[should_panic(expected = "already complete")]
async fn send_body_after_the_last_part_panics() {
    Client::new(echo).get("/").start().send_body("x");
}
