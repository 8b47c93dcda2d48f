//! The traps of the first version of the interface that need a server to be seen.
//!
//! Each test prints what happened in the first version ("before") and asserts what happens now.

use std::fmt::Debug;
use std::io::Write;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use asgi::{
    App, AppError, DisconnectReason, DynApp, HttpResponseBody, HttpResponseStart,
    HttpResponseTrailers, Message, Receiver, Scope, Sender, WebSocketAccept,
};
use asgi_testing::{Client, Event, Fault};
use http::HeaderMap;

fn change(before: &str, after: impl Debug) {
    let _ = writeln!(std::io::stdout(), "before: {before}\nafter:  {after:?}");
}

/// Answers with the body of the request.
async fn echo(_: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
    let body = receive.body(1024).await?;
    send.respond(HttpResponseStart::ok(), body).await?;
    Ok(())
}

/// Reads the body first, as a middleware that checks a signature does.
struct Signed<A>(A);

impl<A: App> App for Signed<A> {
    async fn call(
        &self,
        scope: Scope,
        mut receive: Receiver,
        send: Sender,
    ) -> Result<(), AppError> {
        let body = receive.body(1024).await?;
        self.0.call(scope, receive.with_body(body), send).await
    }
}

#[tokio::test]
async fn a_middleware_can_read_the_body_first() {
    let client = Client::new(Signed(echo));
    let mut exchange = client.post("/").body("one, ").open_body().start();
    exchange.end_body("two");
    let response = exchange.finish().await.unwrap();
    change(
        "the app waits for a body until the client leaves",
        response.text(),
    );
    assert_eq!(response.text(), "one, two");
}

#[tokio::test]
async fn an_app_that_aborts_has_no_fault_and_sends_no_500() {
    async fn app(_: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
        let upstream = std::io::Error::other(AppError::aborted_by("upstream").into_error());
        send.send(HttpResponseStart::ok()).await?;
        Err(upstream.into())
    }
    let broken = Client::new(app).get("/").await.unwrap_err();
    change("a 500, or an ERROR line", (broken.status(), broken.fault()));
    assert_eq!((broken.status(), broken.fault()), (None, None));
    assert!(broken.app_error().unwrap().is_aborted());
}

#[tokio::test]
async fn an_app_that_aborts_a_websocket_sends_no_close_frame() {
    async fn app(_: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
        receive.receive().await;
        send.send(WebSocketAccept::new()).await?;
        send.send(Message::text("a")).await?;
        Err(AppError::aborted())
    }
    let client = Client::new(app);
    let mut socket = client.websocket("/").connect().await.unwrap();
    assert_eq!(socket.receive().await, Ok(Message::text("a")));
    let closed = socket.receive().await.unwrap_err();
    change("1011", closed.code);
    assert_eq!(closed.code, 1006);
}

fn with_trailers() -> HttpResponseStart {
    HttpResponseStart::ok().with_trailers()
}

#[tokio::test]
async fn an_app_may_promise_trailers_and_send_none() {
    async fn app(_: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
        send.respond(with_trailers(), "all").await?;
        Ok(())
    }
    let response = Client::new(app).get("/").await.unwrap();
    change("an incomplete response", response.text());
    assert_eq!((&*response.text(), response.trailers()), ("all", None));
    assert_eq!(response.fault(), None);

    let mut exchange = Client::new(app).get("/").start();
    let mut last = None;
    while let Some(event) = exchange.next_event().await {
        last = Some(event);
    }
    assert!(matches!(last, Some(Event::Complete)), "{last:?}");

    async fn half(_: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
        send.respond(with_trailers(), "all").await?;
        send.send(HttpResponseTrailers::more(HeaderMap::new()))
            .await?;
        Ok(())
    }
    let broken = Client::new(half).get("/").await.unwrap_err();
    assert_eq!(broken.fault(), Some(Fault::Incomplete));
}

#[tokio::test]
async fn flush_does_nothing_where_there_is_nothing_to_flush() {
    async fn app(scope: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
        send.flush().await?;
        if let Scope::WebSocket(_) = scope {
            receive.receive().await;
            send.send(WebSocketAccept::new()).await?;
            send.flush().await?;
            return Ok(());
        }
        send.send(HttpResponseStart::ok()).await?;
        send.flush().await?;
        send.send(HttpResponseBody::last("a")).await?;
        send.flush().await?;
        Ok(())
    }
    let client = Client::new(app);
    let response = client.get("/").await.unwrap();
    change("misuse", response.app_error());
    assert!(response.app_error().is_none());
    // The flush after the start ended the wait for the body, so its length was not known.
    assert_eq!(response.header("content-length"), None);
    let socket = client.websocket("/").connect().await.unwrap();
    socket.finish().await.unwrap();
}

#[tokio::test]
async fn several_tasks_wait_for_the_close_while_one_sends() {
    let reasons = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&reasons);
    let app = move |_: Scope, _: Receiver, mut send: Sender| {
        let reasons = Arc::clone(&reasons);
        async move {
            let tasks: Vec<_> = (0..3)
                .map(|_| {
                    let closed = send.closed_handle();
                    let reasons = Arc::clone(&reasons);
                    tokio::spawn(async move {
                        let reason = closed.await;
                        reasons.lock().unwrap().push(reason);
                    })
                })
                .collect();
            // A handle that is dropped while it waits does not disturb the others.
            let mut dropped = send.closed_handle();
            let polled = pin!(&mut dropped).poll(&mut Context::from_waker(Waker::noop()));
            assert_eq!(polled, Poll::Pending);
            drop(dropped);
            send.send(HttpResponseStart::ok()).await?;
            send.send(HttpResponseBody::more("a")).await?;
            send.closed().await;
            for task in tasks {
                task.await?;
            }
            Ok(())
        }
    };
    let mut exchange = Client::new(app).get("/").start();
    assert_eq!(exchange.data().await.unwrap(), "a");
    // Every handle waits now.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    exchange.disconnect(DisconnectReason::Lost);
    let broken = exchange.finish().await.unwrap_err();
    change("one waiter, and it cannot send", &seen);
    assert_eq!(*seen.lock().unwrap(), [DisconnectReason::Lost; 3]);
    assert_eq!(broken.fault(), None);
}

#[tokio::test]
async fn a_handle_resolves_after_a_complete_response_and_on_a_websocket() {
    async fn app(scope: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
        let closed = send.closed_handle();
        match scope {
            Scope::WebSocket(_) => send.send(WebSocketAccept::new()).await?,
            _ => send.respond(HttpResponseStart::ok(), "").await?,
        }
        let reason = closed.await;
        assert!(matches!(
            reason,
            DisconnectReason::Complete | DisconnectReason::Closed
        ));
        Ok(())
    }
    let client = Client::new(app);
    assert_eq!(client.get("/").await.unwrap().status(), 200);
    let socket = client.websocket("/").connect().await.unwrap();
    socket.close(1000, "").await.unwrap();
}

#[tokio::test]
async fn an_app_at_two_mounts_sees_both() {
    struct Mount(&'static str, DynApp);
    impl App for Mount {
        async fn call(
            &self,
            mut scope: Scope,
            receive: Receiver,
            send: Sender,
        ) -> Result<(), AppError> {
            let Scope::Http(http) = &mut scope else {
                return Err(AppError::unsupported(&scope));
            };
            if !http.nest(self.0) {
                return Err("not found".into());
            }
            self.1.call(scope, receive, send).await
        }
    }
    async fn app(scope: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
        let Scope::Http(http) = scope else {
            return Err(AppError::unsupported(&scope));
        };
        let text = format!("{} {} {}", http.root_path, http.local_path(), http.path());
        send.respond(HttpResponseStart::ok(), text).await?;
        Ok(())
    }
    let app = Mount("/a", DynApp::new(Mount("/b", DynApp::new(app))));
    let client = Client::new(app).mounted_at("/api");
    let response = client.get("/a/b/c%20d").await.unwrap();
    change("/b /a/b/c d /b/a/a/b/c d", response.text());
    assert_eq!(response.text(), "/api/a/b /c d /api/a/b/c d");
}

#[tokio::test]
async fn a_request_with_a_body_looks_like_the_servers() {
    async fn app(scope: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
        let Scope::Http(http) = scope else {
            return Err(AppError::unsupported(&scope));
        };
        let coding = http.headers.get("transfer-encoding");
        let text = format!(
            "{:?} {:?} {}",
            http.content_length(),
            coding,
            http.has_body()
        );
        send.respond(HttpResponseStart::ok(), text).await?;
        Ok(())
    }
    let client = Client::new(app);
    let response = client.get("/").await.unwrap();
    assert_eq!(response.text(), "None None false");
    let response = client.post("/").body("abc").await.unwrap();
    assert_eq!(response.text(), "Some(3) None true");
    let open = client.post("/").open_body().start().finish().await.unwrap();
    change("None None", open.text());
    assert_eq!(open.text(), r#"None Some("chunked") true"#);
    let http2 = client
        .get("/")
        .scope(|scope| scope.version = http::Version::HTTP_2);
    assert_eq!(http2.await.unwrap().text(), "None None false");
}
