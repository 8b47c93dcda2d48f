//! A middleware with a loop of its own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use asgi::{
    App, AppError, DisconnectReason, HttpResponseBody, HttpResponseStart, Message, Receiver, Scope,
    SendError, SendEvent, Sender, WebSocketAccept,
};
use asgi_testing::{Client, Fault};
use asgi_util::WebSocket;
use asgi_util::middleware::{PipeEvents, Reply, pipe};
use tokio::time::sleep;

/// Passes everything on.
pub(crate) struct PassThrough<A>(pub(crate) A);

impl<A: App> App for PassThrough<A> {
    async fn call(&self, scope: Scope, receive: Receiver, send: Sender) -> Result<(), AppError> {
        let (send, pipe) = pipe(send, async |mut events: PipeEvents| {
            while let Some((event, reply)) = events.next().await {
                events.forward(event, reply).await;
            }
            Ok(())
        });
        pipe.drive(self.0.call(scope, receive, send)).await
    }
}

/// Passes each event to a function that sends it and answers.
struct Each<A, F>(A, F);

impl<A, F, Fut> App for Each<A, F>
where
    A: App,
    F: Fn(PipeEvents, SendEvent, Reply) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<PipeEvents, AppError>> + Send,
{
    async fn call(&self, scope: Scope, receive: Receiver, send: Sender) -> Result<(), AppError> {
        let each = self.1.clone();
        let (send, pipe) = pipe(send, |mut events: PipeEvents| async move {
            while let Some((event, reply)) = events.next().await {
                events = each(events, event, reply).await?;
            }
            Ok(())
        });
        pipe.drive(self.0.call(scope, receive, send)).await
    }
}

/// Waits a little before each event.
fn delayed<A: App>(app: A) -> impl App {
    Each(app, |mut events: PipeEvents, event, reply| async move {
        sleep(Duration::from_millis(5)).await;
        events.forward(event, reply).await;
        Ok(events)
    })
}

/// Changes nothing. It uses `poll_ready` and `start_send` of its sender.
fn mapped<A: App>(app: A) -> impl App {
    let app = Arc::new(app);
    move |scope, receive, send: Sender| {
        let app = Arc::clone(&app);
        async move { app.call(scope, receive, send.map(|event| event)).await }
    }
}

async fn one_part(_: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
    Ok(send.respond(HttpResponseStart::ok(), "hello").await?)
}

async fn misuse_first(_: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
    let error = send
        .send(HttpResponseBody::last("early"))
        .await
        .unwrap_err();
    assert!(error.is_misuse(), "{error}");
    Ok(send.respond(HttpResponseStart::ok(), "hello").await?)
}

#[tokio::test]
async fn a_body_in_one_part_keeps_its_length() {
    let response = Client::new(PassThrough(one_part)).get("/").await.unwrap();
    assert_eq!(response.header("content-length"), Some("5"));
}

#[tokio::test]
async fn the_head_is_held_back_so_that_an_app_can_still_fail() {
    let app = async |_: Scope, _: Receiver, mut send: Sender| {
        send.send(HttpResponseStart::ok()).await?;
        Err::<(), AppError>("no body".into())
    };
    let response = Client::new(PassThrough(app)).get("/").await.unwrap();
    assert_eq!(response.status(), 500);
}

#[tokio::test]
async fn misuse_is_an_error_of_its_event() {
    let response = Client::new(PassThrough(misuse_first))
        .allow_faults()
        .get("/")
        .await
        .unwrap();
    assert_eq!(response.text(), "hello");
    let response = Client::new(PassThrough(mapped(misuse_first)))
        .allow_faults()
        .get("/")
        .await;
    assert_eq!(response.unwrap().text(), "hello");
    let response = Client::new(delayed(misuse_first))
        .allow_faults()
        .get("/")
        .await
        .unwrap();
    assert_eq!(response.text(), "hello");
}

#[tokio::test]
async fn send_waits_while_the_server_has_no_room() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    let app = move |_: Scope, _: Receiver, mut send: Sender| {
        let counter = Arc::clone(&counter);
        async move {
            send.send(HttpResponseStart::ok()).await?;
            loop {
                send.send(HttpResponseBody::more("x")).await?;
                counter.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    let mut exchange = Client::new(PassThrough(app)).get("/").start();
    exchange.head().await;
    for _ in 0..10 {
        exchange.data().await;
    }
    assert!(sent.load(Ordering::Relaxed) <= 11);
    exchange.disconnect(DisconnectReason::Lost);
    assert_eq!(exchange.finish().await.unwrap_err().fault(), None);
}

#[tokio::test]
async fn closed_resolves_while_the_loop_waits_for_something_else() {
    let app = async |_: Scope, _: Receiver, mut send: Sender| {
        send.send(HttpResponseStart::ok()).await?;
        send.send(HttpResponseBody::more("x")).await?;
        assert_eq!(send.closed().await, DisconnectReason::Lost);
        let error = send.send(HttpResponseBody::last("")).await.unwrap_err();
        assert!(error.is_disconnected());
        Ok::<(), AppError>(())
    };
    // The loop answers at once and then is busy.
    let app = Each(app, |mut events: PipeEvents, event, reply| async move {
        let is_body = matches!(event, SendEvent::HttpResponseBody(_));
        events.forward(event, reply).await;
        if is_body {
            sleep(Duration::from_secs(3600)).await;
        }
        Ok(events)
    });
    let mut exchange = Client::new(app).get("/").start();
    assert_eq!(exchange.data().await.unwrap(), "x");
    exchange.disconnect(DisconnectReason::Lost);
    // The app ends, and its loop would sleep on. So the test must not wait for both.
    let finish = tokio::time::timeout(Duration::from_millis(50), exchange.finish());
    assert!(finish.await.is_err());
}

#[tokio::test]
async fn a_send_that_the_loop_delays_ends_when_the_client_is_gone() {
    let app = async |_: Scope, _: Receiver, mut send: Sender| {
        let error = send.send(HttpResponseStart::ok()).await.unwrap_err();
        assert!(error.is_disconnected());
        Err::<(), AppError>(error.into())
    };
    let app = Each(app, |mut events: PipeEvents, event, reply| async move {
        sleep(Duration::from_secs(3600)).await;
        events.forward(event, reply).await;
        Ok(events)
    });
    let mut exchange = Client::new(app).get("/").start();
    let wait = tokio::time::timeout(Duration::from_millis(5), exchange.next_event());
    assert!(wait.await.is_err());
    exchange.disconnect(DisconnectReason::Lost);
    let broken = exchange.finish().await.unwrap_err();
    assert!(broken.app_error().unwrap().is_disconnected());
}

#[tokio::test]
async fn the_exchange_lasts_until_the_loop_has_sent_the_last_events_of_the_app() {
    // With `map`, the app does not wait for the answers of the loop.
    let response = Client::new(delayed(mapped(one_part)))
        .get("/")
        .await
        .unwrap();
    assert_eq!(response.text(), "hello");
    assert!(response.app_error().is_none());
}

#[tokio::test]
async fn an_error_that_comes_too_late_for_its_event_is_not_lost() {
    let app = async |_: Scope, _: Receiver, mut send: Sender| {
        send.send(HttpResponseBody::last("early")).await?;
        // The error of the first event.
        let error = send.send(HttpResponseStart::ok()).await.unwrap_err();
        assert!(error.is_misuse());
        send.respond(HttpResponseStart::ok(), "hello").await?;
        send.send(HttpResponseBody::last("late")).await?;
        Ok::<(), AppError>(())
    };
    let response = Client::new(delayed(mapped(app)))
        .allow_faults()
        .get("/")
        .await
        .unwrap();
    assert_eq!(response.text(), "hello");
    // The error of the last event, which the app has not waited for.
    let error = response.app_error().unwrap().as_error();
    assert!(error.downcast_ref::<SendError>().unwrap().is_misuse());
}

#[tokio::test]
async fn a_dropped_reply_says_that_the_event_was_taken() {
    let app = Each(
        one_part,
        |mut events: PipeEvents, event, reply| async move {
            drop(reply);
            events.send(event).await?;
            Ok(events)
        },
    );
    assert_eq!(Client::new(app).get("/").await.unwrap().text(), "hello");
}

#[tokio::test]
async fn an_error_of_the_loop_ends_the_exchange() {
    let seen = Arc::new(Mutex::new(None));
    let slot = Arc::clone(&seen);
    let app = move |_: Scope, _: Receiver, mut send: Sender| {
        let slot = Arc::clone(&slot);
        async move {
            send.send(HttpResponseStart::ok()).await?;
            let result = send.send(HttpResponseBody::last("x")).await;
            *slot.lock().unwrap() = Some(result);
            Ok(())
        }
    };
    let app = Each(app, |mut events: PipeEvents, event, reply| async move {
        if let SendEvent::HttpResponseBody(_) = event {
            return Err("the encoder failed".into());
        }
        events.forward(event, reply).await;
        Ok(events)
    });
    let response = Client::new(app).get("/").await.unwrap();
    assert_eq!(response.status(), 500);
    assert_eq!(
        response.app_error().unwrap().to_string(),
        "the encoder failed"
    );
    let result = seen.lock().unwrap().take();
    assert!(result.unwrap().unwrap_err().is_over());
}

#[tokio::test]
async fn the_app_sees_the_send_error_that_ended_the_loop() {
    let app = Each(
        misuse_first,
        |mut events: PipeEvents, event, reply: Reply| async move {
            events.send(event).await?;
            reply.taken();
            Ok(events)
        },
    );
    let response = Client::new(app).get("/").await.unwrap();
    assert_eq!(response.status(), 500);
    assert_eq!(response.fault(), Some(Fault::Failed));
}

#[tokio::test]
async fn a_loop_may_end_early_and_answer_in_place_of_the_app() {
    let app = async |_: Scope, _: Receiver, mut send: Sender| {
        let error = send.send(HttpResponseStart::ok()).await.unwrap_err();
        assert!(error.is_over(), "{error}");
        Ok::<(), AppError>(())
    };
    let outer = move |scope: Scope, receive: Receiver, send: Sender| async move {
        let (send, pipe) = pipe(send, async |mut events: PipeEvents| {
            events.send(HttpResponseStart::ok()).await?;
            events.send(HttpResponseBody::last("in place")).await?;
            Ok(())
        });
        pipe.drive(app(scope, receive, send)).await
    };
    let response = Client::new(outer).get("/").await.unwrap();
    assert_eq!((&*response.text(), response.fault()), ("in place", None));
}

#[tokio::test]
async fn the_app_may_send_from_another_task() {
    let app = async |scope: Scope, receive: Receiver, send: Sender| -> Result<(), AppError> {
        tokio::spawn(misuse_first(scope, receive, send)).await?
    };
    let response = Client::new(PassThrough(app))
        .allow_faults()
        .get("/")
        .await
        .unwrap();
    assert_eq!(response.text(), "hello");
    let response = Client::new(delayed(app))
        .allow_faults()
        .get("/")
        .await
        .unwrap();
    assert_eq!(response.text(), "hello");
    let response = Client::new(PassThrough(mapped(app)))
        .allow_faults()
        .get("/")
        .await;
    assert_eq!(response.unwrap().text(), "hello");
}

#[tokio::test]
async fn after_the_app_has_returned_its_sender_is_over() {
    let kept = Arc::new(Mutex::new(None));
    let slot = Arc::clone(&kept);
    let app = move |_: Scope, _: Receiver, mut send: Sender| {
        let slot = Arc::clone(&slot);
        async move {
            send.respond(HttpResponseStart::ok(), "hello").await?;
            *slot.lock().unwrap() = Some(send);
            Ok::<(), AppError>(())
        }
    };
    Client::new(PassThrough(app))
        .allow_faults()
        .get("/")
        .await
        .unwrap();
    let mut send = kept.lock().unwrap().take().unwrap();
    let error = send.send(HttpResponseBody::last("")).await.unwrap_err();
    assert!(error.is_over());
    assert_eq!(send.closed().await, DisconnectReason::Complete);
}

#[tokio::test]
async fn a_loop_may_send_while_the_app_is_silent() {
    let app = async |_: Scope, _: Receiver, mut send: Sender| {
        send.send(HttpResponseStart::ok()).await?;
        sleep(Duration::from_millis(30)).await;
        send.send(HttpResponseBody::last("data\n\n")).await?;
        Ok::<(), AppError>(())
    };
    let beating = move |scope: Scope, receive: Receiver, send: Sender| async move {
        let (send, pipe) = pipe(send, async |mut events: PipeEvents| {
            let mut started = false;
            loop {
                tokio::select! {
                    next = events.next() => {
                        let Some((event, reply)) = next else { return Ok(()) };
                        started |= events.forward(event, reply).await;
                    }
                    () = sleep(Duration::from_millis(10)), if started => {
                        events.send(HttpResponseBody::more(":\n\n")).await?;
                    }
                }
            }
        });
        pipe.drive(app(scope, receive, send)).await
    };
    let response = Client::new(beating).get("/").await.unwrap();
    assert!(response.text().starts_with(":\n\n"), "{response:?}");
    assert!(response.text().ends_with("data\n\n"), "{response:?}");
}

#[tokio::test]
async fn nothing_of_a_pipe_outlives_its_exchange() {
    let token = Arc::new(());
    for complete in [true, false] {
        let inner = Arc::clone(&token);
        let app = Each(one_part, move |mut events: PipeEvents, event, reply| {
            let inner = Arc::clone(&inner);
            async move {
                if !complete && matches!(event, SendEvent::HttpResponseBody(_)) {
                    sleep(Duration::from_secs(3600)).await;
                }
                events.forward(event, reply).await;
                drop(inner);
                Ok(events)
            }
        });
        let mut exchange = Client::new(app).get("/").start();
        exchange.head().await;
        // The app waits for the loop, unless it has ended.
        assert_eq!(Arc::strong_count(&token) == 1, complete);
        drop(exchange);
        assert_eq!(Arc::strong_count(&token), 1);
    }
}

#[tokio::test]
async fn a_pipe_carries_websockets() {
    let echo = async |_: Scope, receive: Receiver, send: Sender| {
        let mut socket = WebSocket::accept(receive, send, WebSocketAccept::new()).await?;
        while let Some(message) = socket.receive().await {
            socket.send(message).await?;
        }
        Ok::<(), AppError>(())
    };
    let client = Client::new(delayed(PassThrough(echo)));
    let mut socket = client.websocket("/").connect().await.unwrap();
    socket.send_text("hello").await;
    assert_eq!(socket.receive().await.unwrap(), Message::text("hello"));
    socket.close(1000, "").await.unwrap();
}

#[tokio::test]
async fn a_pipe_carries_the_lifespan() {
    let lifespan = asgi_util::lifespan(
        || async { Ok(asgi::State::new()) },
        |_| async { Err("stuck".into()) },
    );
    let client = Client::new(delayed(PassThrough(lifespan.with(one_part))));
    let client = client.startup().await.unwrap();
    assert_eq!(client.get("/").await.unwrap().text(), "hello");
    assert_eq!(client.shutdown().await.unwrap_err().message(), "stuck");
}
