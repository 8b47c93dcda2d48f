use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use asgi::{
    App, AppError, DisconnectReason, DynApp, Extension, Extensions, HttpRequest, HttpResponseBody,
    HttpResponseEarlyHint, HttpResponseStart, HttpScope, Receiver, Scope, SendEvent, Sender,
};
use asgi_rules::exchange::{HttpExchange, RunningApp};
use asgi_rules::{
    AppEnd, ClosedWaiter, ClosedWakers, Ending, Fault, HttpRules, Verdict, WireEvent,
};
use http::Method;

use super::{Task, once, receive, send};
use crate::support::wire;

fn exchange() -> (HttpExchange, Receiver, Sender) {
    let extensions = Extensions::new().with(Extension::EarlyHint);
    let exchange = HttpExchange::new(HttpRules::new(&Method::GET, extensions));
    let (receive, send) = exchange.halves();
    (exchange, receive, send)
}

fn outputs(exchange: &HttpExchange) -> Vec<String> {
    std::iter::from_fn(|| exchange.take_output())
        .map(|event| wire(&event))
        .collect()
}

/// HTTP-014, HTTP-016
#[test]
fn the_app_receives_the_parts_in_order() {
    let (exchange, mut receiver, _send) = exchange();
    exchange.push_body(HttpRequest::more("a"));
    exchange.push_body(HttpRequest::last("b"));
    exchange.push_body(HttpRequest::last("too late"));
    assert_eq!(receive(&mut receiver), "a more");
    assert!(!exchange.is_body_received());
    assert_eq!(receive(&mut receiver), "b last");
    assert!(exchange.is_body_received());
    assert_eq!(receive(&mut receiver), "waits");
}

/// HTTP-014, HTTP-045, CORE-008
#[test]
fn after_a_complete_response_the_app_receives_complete_instead_of_the_body() {
    let (exchange, mut receiver, mut sender) = exchange();
    exchange.push_body(HttpRequest::more("unread"));
    send(&mut sender, HttpResponseStart::ok()).unwrap();
    send(&mut sender, HttpResponseBody::last("")).unwrap();
    for _ in 0..2 {
        assert_eq!(receive(&mut receiver), "Complete");
    }
    exchange.disconnected(DisconnectReason::Lost);
    assert_eq!(receive(&mut receiver), "Complete");
    assert!(!exchange.is_body_received());
}

/// HTTP-019
#[test]
fn the_app_wants_the_body_only_while_it_waits_for_it() {
    let (exchange, mut receiver, mut sender) = exchange();
    let server = Task::new();
    assert!(server.poll(|cx| exchange.poll_wants_body(cx)).is_pending());
    assert_eq!(receive(&mut receiver), "waits");
    assert_eq!(server.take_wakes(), 1);
    assert!(server.poll(|cx| exchange.poll_wants_body(cx)).is_ready());

    exchange.push_body(HttpRequest::more("a"));
    assert!(!exchange.wants_body());
    assert_eq!(receive(&mut receiver), "a more");
    assert!(!exchange.wants_body());
    assert_eq!(receive(&mut receiver), "waits");
    assert!(exchange.wants_body());

    send(&mut sender, HttpResponseStart::ok()).unwrap();
    send(&mut sender, HttpResponseBody::last("")).unwrap();
    assert!(!exchange.wants_body(), "after the response");
}

#[test]
fn the_app_does_not_want_more_than_the_last_part() {
    let (exchange, mut receiver, _send) = exchange();
    exchange.push_body(HttpRequest::last(""));
    assert_eq!(receive(&mut receiver), " last");
    assert_eq!(receive(&mut receiver), "waits");
    assert!(!exchange.wants_body());
}

/// HTTP-020
#[test]
fn a_body_that_ends_early_ends_in_a_disconnect() {
    let (exchange, mut receiver, mut sender) = exchange();
    exchange.push_body(HttpRequest::more("half"));
    assert_eq!(receive(&mut receiver), "half more");
    exchange.disconnected(DisconnectReason::TimedOut);
    exchange.push_body(HttpRequest::last("too late"));
    assert_eq!(receive(&mut receiver), "TimedOut");
    let error = send(&mut sender, HttpResponseStart::ok()).unwrap_err();
    assert_eq!(error.disconnect_reason(), Some(DisconnectReason::TimedOut));
    assert_eq!(exchange.ended(AppEnd::Failed).fault, None);
}

/// HTTP-041, HTTP-042
#[test]
fn a_client_that_closes_its_side_loses_neither_its_body_nor_the_response() {
    let (exchange, mut receiver, mut sender) = exchange();
    exchange.push_body(HttpRequest::more("a"));
    exchange.half_closed();
    let closed = once(|cx| sender.poll_closed(cx));
    assert_eq!(closed, Poll::Ready(DisconnectReason::Closed));
    assert_eq!(receive(&mut receiver), "a more");
    assert_eq!(receive(&mut receiver), "waits");
    assert!(exchange.wants_body());
    exchange.push_body(HttpRequest::last("b"));
    assert_eq!(receive(&mut receiver), "b last");
    assert_eq!(receive(&mut receiver), "Closed");
    send(&mut sender, HttpResponseStart::ok()).unwrap();
    send(&mut sender, HttpResponseBody::last("x")).unwrap();
    assert_eq!(outputs(&exchange).len(), 1);
    assert_eq!(exchange.ended(AppEnd::Returned).ending, Ending::Complete);
}

/// HTTP-041
#[test]
fn a_half_close_before_the_end_of_the_body_ends_in_a_disconnect() {
    let (exchange, mut receiver, _send) = exchange();
    exchange.half_closed();
    assert_eq!(receive(&mut receiver), "waits");
    exchange.disconnected(DisconnectReason::ProtocolError);
    assert_eq!(receive(&mut receiver), "ProtocolError");
}

/// HTTP-041
#[test]
fn after_a_close_the_parts_before_it_are_received_and_none_after_it() {
    let (exchange, mut receiver, _send) = exchange();
    exchange.push_body(HttpRequest::more("a"));
    exchange.disconnected(DisconnectReason::Closed);
    exchange.push_body(HttpRequest::more("b"));
    assert_eq!(receive(&mut receiver), "a more");
    for _ in 0..2 {
        assert_eq!(receive(&mut receiver), "Closed");
    }
}

/// HTTP-046
#[test]
fn the_reason_stays_the_one_that_the_app_learned_first() {
    let (exchange, mut receiver, mut sender) = exchange();
    exchange.disconnected(DisconnectReason::Closed);
    assert_eq!(receive(&mut receiver), "Closed");
    exchange.disconnected(DisconnectReason::Lost);
    let closed = once(|cx| sender.poll_closed(cx));
    assert_eq!(closed, Poll::Ready(DisconnectReason::Closed));
}

/// CORE-009
#[test]
fn a_wait_wakes_the_task_that_polled_last() {
    let (exchange, mut receiver, mut sender) = exchange();
    let (first, second) = (Task::new(), Task::new());
    for task in [&first, &second] {
        assert!(task.poll(|cx| receiver.poll_receive(cx)).is_pending());
    }
    exchange.push_body(HttpRequest::more("a"));
    assert_eq!((first.take_wakes(), second.take_wakes()), (0, 1));

    send(&mut sender, HttpResponseEarlyHint::new([])).unwrap();
    for task in [&first, &second] {
        assert!(task.poll(|cx| sender.poll_ready(cx)).is_pending());
    }
    assert_eq!(outputs(&exchange).len(), 1);
    assert_eq!((first.take_wakes(), second.take_wakes()), (0, 1));
}

/// CORE-017, CORE-030
#[test]
fn every_task_that_waits_for_the_close_is_woken_once() {
    let (exchange, _receive, mut sender) = exchange();
    let app = Task::new();
    assert!(app.poll(|cx| sender.poll_closed(cx)).is_pending());
    let mut handles = [(); 3].map(|()| (Task::new(), Box::pin(sender.closed_handle())));
    for _ in 0..2 {
        for (task, handle) in &mut handles {
            assert!(task.poll(|cx| handle.as_mut().poll(cx)).is_pending());
        }
    }
    let dropped = Task::new();
    let mut handle = Box::pin(sender.closed_handle());
    assert!(dropped.poll(|cx| handle.as_mut().poll(cx)).is_pending());
    drop(handle);
    exchange.half_closed();
    assert_eq!((app.take_wakes(), dropped.take_wakes()), (1, 0));
    for (task, handle) in &mut handles {
        assert_eq!(task.take_wakes(), 1);
        let closed = task.poll(|cx| handle.as_mut().poll(cx));
        assert_eq!(closed, Poll::Ready(DisconnectReason::Closed));
    }
}

/// CORE-017: `closed` takes no part of the body.
#[test]
fn a_wait_for_the_close_does_not_ask_for_the_body() {
    let (exchange, mut receiver, mut sender) = exchange();
    assert!(once(|cx| sender.poll_closed(cx)).is_pending());
    assert!(!exchange.wants_body());
    exchange.push_body(HttpRequest::last("a"));
    assert!(once(|cx| sender.poll_closed(cx)).is_pending());
    assert_eq!(receive(&mut receiver), "a last");
}

/// CORE-011, CORE-010
#[test]
fn there_is_room_for_one_event() {
    let (exchange, _receive, mut sender) = exchange();
    send(&mut sender, HttpResponseStart::ok()).unwrap();
    send(&mut sender, HttpResponseBody::more("a")).unwrap();
    assert!(once(|cx| sender.poll_ready(cx)).is_pending());
    assert_eq!(outputs(&exchange), [r#"head 200 Stream {} "a""#]);
    send(&mut sender, HttpResponseBody::more("b")).unwrap();
    assert!(once(|cx| sender.poll_ready(cx)).is_pending());
}

/// CORE-011
#[test]
fn with_more_room_the_app_waits_at_the_bound() {
    let (exchange, _receive, mut sender) = exchange();
    let exchange = exchange.with_room(10);
    send(&mut sender, HttpResponseStart::ok()).unwrap();
    for _ in 0..3 {
        send(&mut sender, HttpResponseBody::more("abc")).unwrap();
    }
    let app = Task::new();
    assert!(app.poll(|cx| sender.poll_ready(cx)).is_pending());
    assert!(exchange.take_output().is_some());
    assert_eq!(app.take_wakes(), 1);
    assert!(app.poll(|cx| sender.poll_ready(cx)).is_ready());
}

/// CORE-015, CORE-016
#[test]
fn a_send_that_waits_for_room_fails_once_the_client_is_gone() {
    let (exchange, _receive, mut sender) = exchange();
    send(&mut sender, HttpResponseEarlyHint::new([])).unwrap();
    let app = Task::new();
    let mut event: Option<SendEvent> = Some(HttpResponseStart::ok().into());
    let waits = app.poll(|cx| sender.poll_send(cx, &mut event));
    assert!(waits.is_pending() && event.is_some());
    exchange.disconnected(DisconnectReason::Lost);
    assert_eq!(app.take_wakes(), 1);
    let Poll::Ready(Err(error)) = app.poll(|cx| sender.poll_send(cx, &mut event)) else {
        panic!("still waits");
    };
    assert_eq!(error.disconnect_reason(), Some(DisconnectReason::Lost));
}

#[test]
fn each_promise_of_room_allows_one_event() {
    let (exchange, _receive, mut sender) = exchange();
    let error = sender.start_send(HttpResponseStart::ok().into());
    assert!(error.unwrap_err().is_misuse());
    assert!(once(|cx| sender.poll_ready(cx)).is_ready());
    // An error changes nothing, so the promise stays. (CORE-012)
    let error = sender.start_send(HttpResponseBody::last("").into());
    assert!(error.unwrap_err().is_misuse());
    sender.start_send(HttpResponseStart::ok().into()).unwrap();
    assert!(once(|cx| sender.poll_ready(cx)).is_ready());
    // The head takes no room from a promise.
    exchange.app_is_waiting();
    sender
        .start_send(HttpResponseBody::last("a").into())
        .unwrap();
    assert_eq!(
        outputs(&exchange),
        [r#"head 200 Stream {} """#, r#"last "a""#]
    );
}

/// HTTP-023, HTTP-024
#[test]
fn a_head_that_another_task_sends_wakes_the_server() {
    let (exchange, _receive, mut sender) = exchange();
    let server = Task::new();
    assert!(server.poll(|cx| exchange.poll_output(cx)).is_pending());
    send(&mut sender, HttpResponseStart::ok()).unwrap();
    assert_eq!(server.take_wakes(), 1);
    assert!(server.poll(|cx| exchange.poll_output(cx)).is_pending());
    exchange.app_is_waiting();
    let Poll::Ready(head) = server.poll(|cx| exchange.poll_output(cx)) else {
        panic!("the head is still held back");
    };
    assert_eq!(wire(&head), r#"head 200 Stream {} """#);
}

/// CORE-004
#[test]
fn the_end_of_the_app_ends_every_wait_of_its_other_tasks() {
    let (exchange, mut receiver, mut sender) = exchange();
    send(&mut sender, HttpResponseEarlyHint::new([])).unwrap();
    let tasks = [Task::new(), Task::new(), Task::new()];
    let [receives, sends, closes] = &tasks;
    assert!(receives.poll(|cx| receiver.poll_receive(cx)).is_pending());
    assert!(sends.poll(|cx| sender.poll_ready(cx)).is_pending());
    assert!(closes.poll(|cx| sender.poll_closed(cx)).is_pending());
    let verdict = exchange.ended(&Ok(()));
    assert_eq!(verdict.ending, Ending::ServerError);
    assert_eq!(verdict.fault, Some(Fault::NoResponse));
    for task in &tasks {
        assert_eq!(task.take_wakes(), 1);
    }
    exchange.push_body(HttpRequest::last("too late"));
    assert_eq!(receive(&mut receiver), "Complete");
    let error = send(&mut sender, HttpResponseStart::ok()).unwrap_err();
    assert!(error.is_over());
    assert_eq!(outputs(&exchange), ["hint []"], "what was sent before");
}

/// A waker may use the exchange: nothing is locked while it runs.
#[test]
fn a_waker_may_use_the_exchange() {
    struct Uses(HttpExchange, Mutex<Vec<bool>>);
    impl Wake for Uses {
        fn wake(self: Arc<Self>) {
            self.1.lock().unwrap().push(self.0.wants_body());
        }
    }
    let (exchange, mut receiver, mut sender) = exchange();
    let uses = Arc::new(Uses(exchange.clone(), Mutex::default()));
    let waker = Waker::from(Arc::clone(&uses));
    let mut cx = Context::from_waker(&waker);
    assert!(exchange.poll_wants_body(&mut cx).is_pending());
    assert!(receiver.poll_receive(&mut cx).is_pending());
    assert!(sender.poll_closed(&mut cx).is_pending());
    exchange.disconnected(DisconnectReason::Lost);
    assert_eq!(*uses.1.lock().unwrap(), [true, false, false]);
}

/// Dropping a waker may use the exchange, too: the state of a task is dropped with its last waker.
#[test]
fn a_waker_that_a_handle_drops_may_use_the_exchange() {
    struct Uses(HttpExchange, mpsc::Sender<bool>);
    impl Wake for Uses {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Uses {
        fn drop(&mut self) {
            let _ = self.1.send(self.0.is_complete());
        }
    }
    let (exchange, _receive, sender) = exchange();
    let (dropped, drops) = mpsc::channel();
    // A deadlock stays in this thread, and the test fails.
    std::thread::spawn(move || {
        let waker = || Waker::from(Arc::new(Uses(exchange.clone(), dropped.clone())));
        let mut handle = Box::pin(sender.closed_handle());
        for _ in 0..2 {
            let polled = handle.as_mut().poll(&mut Context::from_waker(&waker()));
            assert!(polled.is_pending());
        }
        drop(handle);
    });
    for _ in 0..2 {
        let used = drops.recv_timeout(Duration::from_secs(10));
        assert_eq!(used, Ok(false), "the exchange was locked");
    }
}

/// CORE-030
#[test]
fn a_server_gets_the_wakers_of_handles_back_to_drop_them() {
    let mut wakers = ClosedWakers::default();
    let mut waiter = ClosedWaiter::default();
    let [first, second] = [Task::new(), Task::new()].map(Waker::from);
    let mut register = |waker| wakers.register(&mut waiter, &Context::from_waker(waker));
    assert!(register(&first).is_none());
    assert!(register(&first).is_none(), "it stays");
    assert!(register(&second).is_some_and(|old| old.will_wake(&first)));
    assert!(
        wakers
            .remove(&mut waiter)
            .is_some_and(|old| old.will_wake(&second))
    );
    assert!(wakers.remove(&mut waiter).is_none());
    assert!(wakers.take().is_empty());
}

fn post(length: &str, expect: &str, app: impl App) -> (HttpExchange, RunningApp) {
    let mut scope = HttpScope::new(Method::POST, "/".parse().unwrap());
    for (name, value) in [("content-length", length), ("expect", expect)] {
        scope.headers.insert(name, value.parse().unwrap());
    }
    HttpExchange::start(&DynApp::new(app), scope)
}

/// Polls an app that must have ended. Returns the end of its exchange, and the line for the log.
fn end(exchange: &HttpExchange, app: &mut RunningApp) -> (Verdict, String) {
    match once(|cx| exchange.poll_app(app, cx)) {
        Poll::Ready((verdict, outcome)) => {
            let line = verdict
                .fault
                .map(|fault| outcome.describe(fault).to_string());
            (verdict, line.unwrap_or_default())
        }
        Poll::Pending => panic!("the app waits"),
    }
}

/// Answers with the request's body.
async fn echo(_: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
    let body = receive.body(1024).await?;
    Ok(send.respond(HttpResponseStart::ok(), body).await?)
}

/// HTTP-014, HTTP-016, HTTP-018
#[test]
fn the_length_of_the_request_says_which_part_is_the_last() {
    let (exchange, mut app) = post("8", "100-Continue, a", echo);
    exchange.push_content("");
    assert!(
        !exchange.take_continue(),
        "the app has not asked for the body"
    );
    assert!(once(|cx| exchange.poll_app(&mut app, cx)).is_pending());
    assert!(exchange.take_continue());
    assert!(!exchange.take_continue());
    exchange.read_content(&b"four"[..]);
    assert_eq!(exchange.unread(), 4);
    assert!(once(|cx| exchange.poll_app(&mut app, cx)).is_pending());
    exchange.push_content("more, and the next request");
    assert_eq!(exchange.unread(), 0);
    assert_eq!(end(&exchange, &mut app).0.ending, Ending::Complete);
    let output = exchange.take_output();
    assert!(matches!(output, Some(WireEvent::Response(_, body)) if body == "fourmore"));

    let (exchange, mut app) = post("0", "100-continue", echo);
    exchange.push_content("");
    assert!(!exchange.take_continue());
    assert_eq!(end(&exchange, &mut app).0.ending, Ending::Complete);
}

/// HTTP-018
#[test]
fn no_100_comes_after_the_head_or_after_a_part_of_the_body() {
    async fn head_first(_: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
        send.send(HttpResponseStart::ok()).await?;
        send.flush().await?;
        receive.receive().await;
        Ok(())
    }
    let (exchange, mut app) = post("8", "100-continue", head_first);
    assert!(once(|cx| exchange.poll_app(&mut app, cx)).is_pending());
    assert!(exchange.wants_body());
    assert!(!exchange.take_continue());

    let (exchange, mut app) = post("8", "100-continue", echo);
    exchange.push_content("part");
    assert!(once(|cx| exchange.poll_app(&mut app, cx)).is_pending());
    assert!(exchange.wants_body());
    assert!(!exchange.take_continue());
}

/// HTTP-020, HTTP-038, HTTP-069
#[test]
fn the_verdict_has_the_status_of_the_servers_own_answer() {
    struct Fails(io::ErrorKind);
    impl io::Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
    }
    type Read = fn(&HttpExchange);
    let reads: [(Read, Option<u16>); 4] = [
        (|exchange| exchange.read_content(io::empty()), Some(400)),
        (
            |exchange| exchange.read_content(Fails(io::ErrorKind::WouldBlock)),
            Some(408),
        ),
        (
            |exchange| exchange.read_content(Fails(io::ErrorKind::BrokenPipe)),
            None,
        ),
        (
            |exchange| exchange.read_content(&b"not text"[..]),
            Some(500),
        ),
    ];
    for (read, status) in reads {
        let text = async |_: Scope, mut receive: Receiver, _: Sender| {
            receive.body(1024).await?;
            Err("not text".into())
        };
        let (exchange, mut app) = post("8", "", text);
        assert!(once(|cx| exchange.poll_app(&mut app, cx)).is_pending());
        read(&exchange);
        assert_eq!(exchange.has_left(), status != Some(500));
        let (verdict, line) = end(&exchange, &mut app);
        assert_eq!(verdict.answer.map(|status| status.as_u16()), status);
        let expected = if status == Some(500) {
            "the app failed: not text"
        } else {
            ""
        };
        assert_eq!(line, expected);
    }
}

/// CORE-028
#[test]
fn the_server_has_no_answer_of_its_own_after_a_head_or_an_abort() {
    async fn half(_: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
        send.send(HttpResponseStart::ok()).await?;
        send.flush().await?;
        Ok(())
    }
    let (exchange, mut app) = post("8", "", half);
    let (verdict, line) = end(&exchange, &mut app);
    assert_eq!((verdict.ending, verdict.answer), (Ending::Abort, None));
    assert_eq!(line, "the app's response is incomplete");

    let aborts = async |_: Scope, _: Receiver, _: Sender| Err(AppError::aborted());
    let (exchange, mut app) = post("8", "", aborts);
    let (verdict, line) = end(&exchange, &mut app);
    assert_eq!((verdict.ending, verdict.answer), (Ending::Abort, None));
    assert_eq!(line, "");
}

/// CORE-019: also if the app's future panics when it is dropped.
#[test]
fn a_panic_of_the_app_is_its_end() {
    async fn panics(_: Scope, _: Receiver, _: Sender) -> Result<(), AppError> {
        panic!("a first panic");
    }
    let (exchange, mut app) = post("0", "", panics);
    let (verdict, line) = end(&exchange, &mut app);
    assert_eq!(verdict.ending, Ending::ServerError);
    assert_eq!(line, "the app panicked");

    struct Bomb;
    impl Future for Bomb {
        type Output = Result<(), AppError>;
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
            Poll::Ready(Ok(()))
        }
    }
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("it would end the server's task");
        }
    }
    let mut app = RunningApp::new(Box::pin(Bomb));
    let outcome = once(|cx| Pin::new(&mut app).poll(cx));
    assert!(matches!(outcome, Poll::Ready(outcome) if outcome.end == AppEnd::Panicked));
}
