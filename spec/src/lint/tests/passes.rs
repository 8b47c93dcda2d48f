//! What Lint lets pass: right exchanges, and everything as it is.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use asgi::bytes::Bytes;
use asgi::{
    App, AppError, AppFuture, Closed, DisconnectReason, DynApp, Extension, HttpResponseStart,
    LifespanShutdown, LifespanShutdownComplete, LifespanStartup, LifespanStartupComplete, Message,
    ReceiveEvent, Receiver, Scope, SendError, SendEvent, Sender, SharedHalves, WebSocketAccept,
    WebSocketConnect, WebSocketReceive, WebSocketSend,
};

use super::script::*;
use crate::Lint;

#[test]
fn a_right_exchange_has_no_violation() {
    use DisconnectReason::{Closed, Complete, Lost};

    let mut post = http();
    post.headers.insert("content-length", "3".parse().unwrap());
    let hint = || asgi::HttpResponseEarlyHint::new([]);
    let more_trailers = asgi::HttpResponseTrailers::more(Default::default());
    let scripts = [
        Script::new(
            post,
            [
                receive(part("ab", true)),
                receive(part("c", false)),
                taken(start()),
                Step::SendWaits(more("a").into()),
                taken(more("a")),
                taken(last("b")),
                receive(left(Complete)),
                receive(left(Complete)),
                closed(Complete),
            ],
        ),
        Script::new(
            offering(&[Extension::EarlyHint, Extension::Trailers]),
            [
                taken(hint()),
                taken(start().with_trailers()),
                // The head may be out.
                refused(hint()),
                taken(last("")),
                taken(more_trailers),
                taken(trailers()),
            ],
        ),
        // A client that has closed still reads.
        Script::new(
            http(),
            [
                receive(part("", false)),
                receive(left(Closed)),
                closed(Closed),
                taken(start()),
                gone(last(""), Lost),
                receive(left(Closed)),
            ],
        ),
        // The client is gone, so the app may end in any way.
        Script::new(http(), [closed(Lost)]),
        // HTTP-079
        Script::new(
            offering(&[Extension::Trailers]),
            [taken(start().with_trailers()), taken(last(""))],
        ),
        Script::new(
            socket(),
            [
                receive(WebSocketConnect::new()),
                taken(WebSocketAccept::new().subprotocol("chat")),
                receive(WebSocketReceive::new(Message::text("hello"))),
                taken(WebSocketSend::text("hi")),
                taken(close(3000)),
                receive(disconnect(3000)),
                receive(disconnect(3000)),
            ],
        ),
        Script::new(
            socket(),
            [
                taken(deny(401)),
                taken(deny_last("no")),
                receive(WebSocketConnect::new()),
                receive(disconnect(1006)),
            ],
        ),
        Script::new(
            lifespan(),
            [
                receive(LifespanStartup::new()),
                taken(LifespanStartupComplete::new()),
                receive(LifespanShutdown::new()),
                taken(LifespanShutdownComplete::new()),
                receive(LifespanShutdown::new()),
                closed(Complete),
            ],
        ),
    ];
    for script in scripts {
        assert_eq!(run(script.returns()), []);
    }
}

#[test]
fn the_empty_part_of_a_flush_is_no_fault() {
    let flush = || misuse(more(""));
    let steps = [flush(), taken(start()), taken(last("")), flush()];
    assert_eq!(run(Script::new(http(), steps)), []);
}

#[test]
fn a_part_of_a_body_that_is_not_sent_may_have_any_length() {
    let mut scope = http();
    scope.method = asgi::http::Method::HEAD;
    let start = start().header("content-length", 100);
    assert_eq!(run(Script::new(scope, [taken(start), taken(last(""))])), []);
}

/// What the halves of a server were asked for.
#[derive(Default)]
struct Asked {
    responded: AtomicUsize,
    wakers: Mutex<Vec<Waker>>,
    answer: Mutex<Option<SendError>>,
}

impl SharedHalves for Asked {
    fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<ReceiveEvent> {
        self.wakers.lock().unwrap().push(cx.waker().clone());
        Poll::Pending
    }

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.wakers.lock().unwrap().push(cx.waker().clone());
        Poll::Pending
    }

    fn start_send(&self, _: SendEvent) -> Result<(), SendError> {
        Ok(())
    }

    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<DisconnectReason> {
        self.wakers.lock().unwrap().push(cx.waker().clone());
        Poll::Pending
    }

    fn closed_handle(self: Arc<Self>) -> Closed {
        Closed::new(std::future::poll_fn(move |cx| self.poll_closed(cx)))
    }

    fn poll_respond(
        &self,
        _: &mut Context<'_>,
        response: &mut Option<(HttpResponseStart, Bytes)>,
    ) -> Poll<Result<(), SendError>> {
        *response = None;
        self.responded.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(self.answer.lock().unwrap().take().map_or(Ok(()), Err))
    }
}

fn call(app: impl App, asked: &Arc<Asked>) -> AppFuture<'static> {
    let (receive, send) = asgi::halves(Arc::clone(asked));
    DynApp::new(app).start(http().into(), receive, send)
}

fn poll(call: &mut AppFuture<'static>) -> Poll<Result<(), AppError>> {
    call.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_complete_response_reaches_the_server_in_one_step() {
    async fn app(_: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
        Ok(send.respond(HttpResponseStart::ok(), "all").await?)
    }
    let asked = Arc::new(Asked::default());
    assert!(matches!(
        poll(&mut call(Lint::new(app), &asked)),
        Poll::Ready(Ok(()))
    ));
    assert_eq!(asked.responded.load(Ordering::Relaxed), 1);
}

#[test]
fn a_complete_response_is_checked_like_its_two_events() {
    for (length, wrong) in [
        ("3", None),
        ("2", Some("HTTP-030")),
        ("4", Some("HTTP-031")),
    ] {
        for server_is_right in [true, false] {
            let found: Arc<Mutex<Vec<_>>> = Arc::default();
            let told = Arc::clone(&found);
            let app = move |_: Scope, _: Receiver, mut send: Sender| async move {
                let start = HttpResponseStart::ok().header("content-length", length);
                Ok(send.respond(start, "all").await?)
            };
            let asked = Arc::new(Asked::default());
            if server_is_right == wrong.is_some() {
                *asked.answer.lock().unwrap() = Some(SendError::misuse("this", "that"));
            }
            let lint =
                Lint::new(app).report(move |one| told.lock().unwrap().push((one.side, one.id)));
            let _ = poll(&mut call(lint, &asked));
            let mut expected: Vec<_> = wrong.map(|id| (crate::Side::App, id)).into_iter().collect();
            if !server_is_right {
                expected.push((crate::Side::Server, wrong.unwrap_or("CORE-013")));
            }
            assert_eq!(
                *found.lock().unwrap(),
                expected,
                "{length} {server_is_right}"
            );
        }
    }
}

/// Takes everything, but no complete responses. While it takes an event, another task of the app
/// receives.
#[derive(Default)]
struct Reentrant {
    receiver: Mutex<Option<Receiver>>,
    in_one_step: bool,
    complete: AtomicUsize,
}

impl Reentrant {
    fn receives(&self) {
        self.complete.store(1, Ordering::Relaxed);
        let mut cx = Context::from_waker(Waker::noop());
        if let Some(receiver) = &mut *self.receiver.lock().unwrap() {
            assert!(receiver.poll_receive(&mut cx).is_ready());
        }
    }
}

impl SharedHalves for Reentrant {
    fn poll_receive(&self, _: &mut Context<'_>) -> Poll<ReceiveEvent> {
        match self.complete.load(Ordering::Relaxed) {
            0 => Poll::Pending,
            _ => Poll::Ready(left(DisconnectReason::Complete).into()),
        }
    }

    fn poll_ready(&self, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Poll::Ready(Ok(()))
    }

    fn start_send(&self, event: SendEvent) -> Result<(), SendError> {
        if let SendEvent::HttpResponseBody(_) = event {
            self.receives();
        }
        Ok(())
    }

    fn poll_closed(&self, _: &mut Context<'_>) -> Poll<DisconnectReason> {
        Poll::Pending
    }

    fn closed_handle(self: Arc<Self>) -> Closed {
        Closed::new(std::future::pending())
    }

    fn poll_respond(
        &self,
        _: &mut Context<'_>,
        response: &mut Option<(HttpResponseStart, Bytes)>,
    ) -> Poll<Result<(), SendError>> {
        if self.in_one_step {
            *response = None;
            self.receives();
        }
        Poll::Ready(Ok(()))
    }
}

#[test]
fn another_task_may_learn_the_end_before_send_returns() {
    for in_one_step in [true, false] {
        let server = Arc::new(Reentrant {
            in_one_step,
            ..Reentrant::default()
        });
        let kept = Arc::clone(&server);
        let app = move |_: Scope, receive: Receiver, mut send: Sender| {
            *kept.receiver.lock().unwrap() = Some(receive);
            async move { Ok(send.respond(HttpResponseStart::ok(), "all").await?) }
        };
        let (receive, send) = asgi::halves(Arc::clone(&server));
        let mut call = DynApp::new(Lint::new(app)).start(http().into(), receive, send);
        assert!(matches!(poll(&mut call), Poll::Ready(Ok(()))));
        *server.receiver.lock().unwrap() = None;
    }
}

#[test]
fn the_wakers_of_the_app_reach_the_server() {
    struct Task(AtomicUsize);
    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    let task = Arc::new(Task(AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&task));
    let app = move |_: Scope, mut receive: Receiver, mut send: Sender| {
        let waker = waker.clone();
        async move {
            let mut cx = Context::from_waker(&waker);
            assert!(receive.poll_receive(&mut cx).is_pending());
            assert!(send.poll_ready(&mut cx).is_pending());
            assert!(send.poll_closed(&mut cx).is_pending());
            let mut handle = std::pin::pin!(send.closed_handle());
            assert!(handle.as_mut().poll(&mut cx).is_pending());
            Err("the end".into())
        }
    };
    let asked = Arc::new(Asked::default());
    let _ = poll(&mut call(Lint::new(app), &asked));
    let wakers = std::mem::take(&mut *asked.wakers.lock().unwrap());
    assert_eq!(wakers.len(), 4);
    wakers.into_iter().for_each(Waker::wake);
    assert_eq!(task.0.load(Ordering::Relaxed), 4);
}

#[test]
fn each_half_is_dropped_when_the_app_drops_it() {
    async fn app(_: Scope, receive: Receiver, send: Sender) -> Result<(), AppError> {
        drop(receive);
        let _send = send;
        std::future::pending().await
    }
    let asked = Arc::new(Asked::default());
    let mut call = call(Lint::new(app), &asked);
    // The test, the receiver and the sender.
    assert_eq!(Arc::strong_count(&asked), 3);
    assert!(poll(&mut call).is_pending());
    assert_eq!(Arc::strong_count(&asked), 2);
    drop(call);
    assert_eq!(Arc::strong_count(&asked), 1);
}

async fn too_early(_: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
    let _ = send.start_send(last("early").into());
    Err("the end".into())
}

fn panic_of(app: impl App) -> Option<String> {
    let asked = Arc::new(Asked::default());
    let mut call = call(app, &asked);
    let panic = catch_unwind(AssertUnwindSafe(|| drop(poll(&mut call)))).err()?;
    panic.downcast_ref::<String>().cloned()
}

#[test]
fn a_violation_is_a_panic_that_says_what_happened_and_what_the_spec_says() {
    // The server takes the event, so Lint reports both sides.
    let text = panic_of(Lint::new(too_early)).unwrap();
    let sentence = &crate::requirement("HTTP-021").unwrap().text;
    for part in [
        "the app breaks HTTP-021 in GET /: http.response.body before the start",
        "the server breaks HTTP-021 in GET /: http.response.body before the start, and is taken",
        &format!("  the spec: {sentence}"),
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn a_panic_that_somebody_catches_comes_once_more_at_the_end() {
    async fn app(scope: Scope, receive: Receiver, send: Sender) -> Result<(), AppError> {
        let mut inner = Box::pin(too_early(scope, receive, send));
        let poll = || drop(inner.as_mut().poll(&mut Context::from_waker(Waker::noop())));
        assert!(catch_unwind(AssertUnwindSafe(poll)).is_err());
        Err("caught".into())
    }
    assert!(panic_of(Lint::new(app)).unwrap().contains("HTTP-021"));
}

#[test]
fn a_requirement_that_is_skipped_is_not_told() {
    assert_eq!(panic_of(Lint::new(too_early).skip("HTTP-021")), None);
}

#[test]
fn each_requirement_is_told_once_in_a_call() {
    let steps = [misuse(last("a")), misuse(last("b")), misuse(last("c"))];
    assert_eq!(run(Script::new(http(), steps)).len(), 1);
}
