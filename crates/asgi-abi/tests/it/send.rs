//! The events that an app sends cross the boundary, and so do the errors of the server.

use std::ffi::OsStr;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use asgi::{
    AppError, Closed, DisconnectReason, HttpResponseBody, HttpResponseDebug, HttpResponseEarlyHint,
    HttpResponsePathSend, HttpResponsePush, HttpResponseStart, HttpResponseTrailers,
    HttpResponseZeroCopySend, LifespanShutdownComplete, LifespanShutdownFailed,
    LifespanStartupFailed, ReceiveEvent, Receiver, Scope, SendError, SendEvent, Sender,
    SharedHalves, State, WebSocketAccept, WebSocketClose, WebSocketHttpResponseBody,
    WebSocketHttpResponseStart, WebSocketSend,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::support::{Exchange, block_on, call, call_with, get, run};

type Events = Vec<SendEvent>;

/// An app that sends these events and returns the first error.
fn sending(
    make: fn() -> Events,
) -> impl Fn(Scope, Receiver, Sender) -> asgi::AppFuture<'static> + Send + Sync + 'static {
    move |_: Scope, _: Receiver, mut send: Sender| {
        Box::pin(async move {
            for event in make() {
                send.send(event).await?;
            }
            Ok(())
        })
    }
}

#[track_caller]
fn assert_cross(make: fn() -> Events) {
    let exchange = Exchange::default();
    run(sending(make), get("/"), &exchange).unwrap();
    let expected: Vec<_> = make().iter().map(|event| format!("{event:?}")).collect();
    assert_eq!(exchange.sent(), expected);
}

fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.append("set-cookie", HeaderValue::from_static("a=1"));
    headers.append("x-latin-1", HeaderValue::from_bytes(b"caf\xe9").unwrap());
    let mut secret = HeaderValue::from_static("b=2");
    secret.set_sensitive(true);
    headers.append("set-cookie", secret);
    headers
}

#[test]
fn every_field_of_a_start_crosses() {
    assert_cross(|| {
        let mut full = HttpResponseStart::new(StatusCode::from_u16(999).unwrap());
        full.headers = headers();
        vec![
            HttpResponseStart::ok().into(),
            full.with_trailers().into(),
            HttpResponseStart::new(StatusCode::NOT_FOUND).into(),
        ]
    });
}

#[test]
fn every_field_of_a_body_crosses() {
    assert_cross(|| {
        vec![
            HttpResponseBody::more("part").into(),
            HttpResponseBody::more("").into(),
            HttpResponseBody::last("end").into(),
            HttpResponseBody::last("").into(),
        ]
    });
}

#[test]
fn every_field_of_trailers_crosses() {
    assert_cross(|| {
        vec![
            HttpResponseTrailers::more(headers()).into(),
            HttpResponseTrailers::new(HeaderMap::new()).into(),
        ]
    });
}

#[test]
fn every_field_of_a_push_crosses() {
    assert_cross(|| {
        let mut push = HttpResponsePush::new("/style.css?v=%31".parse().unwrap());
        push.headers = headers();
        vec![push.into()]
    });
}

#[test]
fn every_link_of_an_early_hint_crosses() {
    assert_cross(|| {
        vec![
            HttpResponseEarlyHint::new([
                HeaderValue::from_static("</a.css>; rel=preload; as=style"),
                HeaderValue::from_static("</b.js>; rel=preload; as=script"),
            ])
            .into(),
            HttpResponseEarlyHint::new([]).into(),
        ]
    });
}

#[test]
fn every_event_of_a_lifespan_crosses() {
    assert_cross(|| {
        vec![
            asgi::LifespanStartupComplete::new().into(),
            LifespanStartupFailed::new("no database").into(),
            LifespanStartupFailed::new("").into(),
            LifespanShutdownComplete::new().into(),
            LifespanShutdownFailed::new("still running").into(),
        ]
    });
}

#[test]
fn every_field_of_a_path_send_crosses() {
    assert_cross(|| {
        let no_utf_8 = OsStr::from_bytes(b"/srv/caf\xe9");
        vec![
            HttpResponsePathSend::new("/etc/motd").into(),
            HttpResponsePathSend::new(no_utf_8).into(),
        ]
    });
}

// The server duplicates the descriptor: the app may close its own, and both share the position.
/// ABI-028
#[test]
fn every_field_of_a_zero_copy_send_crosses() {
    async fn app(_: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
        let mut file = tempfile::tempfile()?;
        file.write_all(b"0123456789")?;
        file.seek(SeekFrom::Start(2))?;
        let file = Arc::new(file);
        let mut part = HttpResponseZeroCopySend::new(Arc::clone(&file));
        part.offset = Some(0);
        part.count = Some(5);
        part.more_body = true;
        send.send(part).await?;
        send.send(HttpResponseZeroCopySend::new(file)).await?;
        Ok(())
    }
    let exchange = Exchange::default();
    run(app, get("/"), &exchange).unwrap();
    let parts: Vec<_> = std::mem::take(&mut exchange.lock().sent)
        .into_iter()
        .map(|event| match event {
            SendEvent::HttpResponseZeroCopySend(part) => part,
            other => panic!("another event: {other:?}"),
        })
        .collect();
    let fields = |part: &HttpResponseZeroCopySend| (part.offset, part.count, part.more_body);
    assert_eq!(fields(&parts[0]), (Some(0), Some(5), true));
    assert_eq!(fields(&parts[1]), (None, None, false));
    let mut rest = String::new();
    (&*parts[1].file).read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "23456789");
    assert_eq!((&*parts[0].file).stream_position().unwrap(), 10);
}

#[test]
fn every_event_of_a_websocket_crosses() {
    assert_cross(|| {
        let mut accept = WebSocketAccept::new().subprotocol("chat");
        accept.headers = headers();
        let mut start = WebSocketHttpResponseStart::new(StatusCode::UNAUTHORIZED);
        start.headers = headers();
        vec![
            WebSocketAccept::new().into(),
            WebSocketAccept::new().subprotocol("").into(),
            accept.into(),
            WebSocketSend::text("grüß dich").into(),
            WebSocketSend::text("").into(),
            WebSocketSend::binary(&b"\xff\x00"[..]).into(),
            WebSocketSend::binary("").into(),
            WebSocketClose::new(1000).into(),
            WebSocketClose::new(4999).reason("bye").into(),
            start.into(),
            WebSocketHttpResponseBody::new("part", true).into(),
            WebSocketHttpResponseBody::new("", false).into(),
        ]
    });
}

#[test]
fn a_body_is_not_copied() {
    let (give, take) = std::sync::mpsc::channel();
    let app = move |_: Scope, _: Receiver, mut send: Sender| {
        let give = give.clone();
        async move {
            let body = Bytes::from(vec![7; 100_000]);
            give.send(body.as_ptr() as usize)?;
            send.send(HttpResponseBody::last(body)).await?;
            Ok::<(), AppError>(())
        }
    };
    let exchange = Exchange::default();
    run(app, get("/"), &exchange).unwrap();
    let state = exchange.lock();
    let SendEvent::HttpResponseBody(sent) = &state.sent[0] else {
        panic!("another event");
    };
    assert_eq!(sent.body.as_ptr() as usize, take.recv().unwrap());
    assert_eq!(sent.body, vec![7; 100_000]);
}

#[test]
fn an_event_that_cannot_cross_is_refused_and_the_exchange_continues() {
    async fn app(_: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
        let events: Events = vec![HttpResponseDebug::new(State::new()).into()];
        for event in events {
            let name = event.name();
            let error = send.send(event).await.unwrap_err();
            assert!(error.is_refused(), "{error}");
            assert_eq!(
                error.to_string(),
                format!("refused: {name} cannot leave a compiled app")
            );
        }
        send.send(HttpResponseBody::last("still here")).await?;
        Ok(())
    }
    let exchange = Exchange::default();
    run(app, get("/"), &exchange).unwrap();
    assert_eq!(exchange.body(), b"still here");
}

fn errors() -> Vec<SendError> {
    vec![
        SendError::disconnected(DisconnectReason::Closed),
        SendError::disconnected(DisconnectReason::Reset(5)),
        SendError::misuse("http.response.body", "http.response.start"),
        SendError::misuse("", ""),
        SendError::refused("the client takes no push"),
        SendError::over(),
    ]
}

/// The error that an app's `send` returns if `set` has prepared the server's half.
fn error_crossed(set: impl FnOnce(&Exchange)) -> SendError {
    let (give, take) = std::sync::mpsc::channel();
    let app = move |_: Scope, _: Receiver, mut send: Sender| {
        let give = give.clone();
        async move {
            let error = send.send(HttpResponseStart::ok()).await.unwrap_err();
            Ok::<(), AppError>(give.send(error)?)
        }
    };
    let exchange = Exchange::default();
    set(&exchange);
    run(app, get("/"), &exchange).unwrap();
    take.recv().unwrap()
}

#[test]
fn every_error_of_a_send_crosses() {
    for error in errors() {
        let crossed = error_crossed(|exchange| exchange.lock().ready_error = Some(error.clone()));
        assert_eq!(crossed, error, "from poll_ready");
        let crossed = error_crossed(|exchange| exchange.lock().start_error = Some(error.clone()));
        assert_eq!(crossed, error, "from start_send");
    }
}

/// ABI-019
#[test]
fn send_waits_for_room() {
    let exchange = Exchange::default();
    exchange.lock().full = true;
    let mut running = call(
        sending(|| vec![HttpResponseBody::last("late").into()]),
        get("/"),
        &exchange,
    );
    assert!(running.poll().is_pending());
    assert!(exchange.sent().is_empty());
    let server = exchange.clone();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(20));
        server.make_room();
    });
    running.end().unwrap();
    thread.join().unwrap();
    assert_eq!(exchange.body(), b"late");
}

#[test]
fn an_app_can_wait_for_the_disconnect() {
    async fn app(_: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
        assert_eq!(send.closed().await, DisconnectReason::Reset(8));
        Ok(())
    }
    let exchange = Exchange::default();
    let mut running = call(app, get("/"), &exchange);
    assert!(running.poll().is_pending());
    exchange.close(DisconnectReason::Reset(8));
    running.end().unwrap();
}

#[test]
fn several_handles_wait_for_the_disconnect_while_the_app_sends() {
    async fn app(_: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
        let handles = [send.closed_handle(), send.closed_handle()];
        let [first, second] = handles.map(tokio::spawn);
        drop(send.closed_handle());
        send.send(HttpResponseStart::ok()).await?;
        let reason = DisconnectReason::Reset(1 << 61);
        assert_eq!((first.await?, second.await?), (reason, reason));
        Ok(())
    }
    let exchange = Exchange::default();
    let running = call(app, get("/"), &exchange);
    let server = exchange.clone();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(20));
        server.close(DisconnectReason::Reset(1 << 61));
    });
    running.end().unwrap();
    thread.join().unwrap();
    assert_eq!(exchange.status(), Some(200));
}

#[test]
fn an_app_that_always_finds_room_yields_sometimes() {
    async fn app(_: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
        for _ in 0..1000 {
            send.send(HttpResponseBody::more("x")).await?;
        }
        Ok(())
    }
    let mut running = call(app, get("/"), &Exchange::default());
    let polls = 1 + (0..100).take_while(|_| running.poll().is_pending()).count();
    assert_eq!(polls, 8);
}

#[test]
fn many_headers_cross() {
    assert_cross(|| {
        let mut start = HttpResponseStart::ok();
        for n in 0..1000 {
            start.headers.append(header::VARY, HeaderValue::from(n));
        }
        vec![start.into()]
    });
}

/// A server whose half takes complete responses, and has no room at first.
#[derive(Default)]
struct TakesResponses {
    polls: AtomicUsize,
    taken: Mutex<Vec<String>>,
}

impl SharedHalves for TakesResponses {
    fn poll_receive(&self, _: &mut Context<'_>) -> Poll<ReceiveEvent> {
        Poll::Pending
    }

    fn poll_ready(&self, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Poll::Ready(Ok(()))
    }

    fn start_send(&self, event: SendEvent) -> Result<(), SendError> {
        self.taken.lock().unwrap().push(format!("{event:?}"));
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
        cx: &mut Context<'_>,
        response: &mut Option<(HttpResponseStart, Bytes)>,
    ) -> Poll<Result<(), SendError>> {
        if self.polls.fetch_add(1, Ordering::SeqCst) == 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let (start, body) = response.take().unwrap();
        if start.status == StatusCode::IM_A_TEAPOT {
            return Poll::Ready(Err(SendError::misuse("a teapot", "a cup")));
        }
        let taken = format!("{} {:?} {body:?}", start.status, start.headers);
        self.taken.lock().unwrap().push(taken);
        Poll::Ready(Ok(()))
    }
}

fn respond_with(status: StatusCode, server: &Arc<TakesResponses>) -> Result<(), AppError> {
    let app = move |_: Scope, _: Receiver, mut send: Sender| async move {
        let start = HttpResponseStart::new(status).content_type("text/plain");
        Ok::<(), AppError>(
            send.respond(start, "a body longer than a buffer of copies")
                .await?,
        )
    };
    let (receive, send) = asgi::halves(Arc::clone(server));
    block_on(call_with(app, get("/"), receive, send))
}

/// ABI-029
#[test]
fn a_complete_response_crosses_in_one_step_and_waits_for_room() {
    let server = Arc::new(TakesResponses::default());
    respond_with(StatusCode::OK, &server).unwrap();
    let expected =
        r#"200 OK {"content-type": "text/plain"} b"a body longer than a buffer of copies""#;
    assert_eq!(*server.taken.lock().unwrap(), [expected]);
    assert_eq!(server.polls.load(Ordering::SeqCst), 2);
}

#[test]
fn the_error_of_a_complete_response_crosses() {
    let server = Arc::new(TakesResponses::default());
    let error = respond_with(StatusCode::IM_A_TEAPOT, &server).unwrap_err();
    let error = error.chain().to_string();
    assert!(
        error.contains("the app sent a teapot, expected a cup"),
        "{error}"
    );
    assert!(server.taken.lock().unwrap().is_empty());
}

/// ABI-029
#[test]
fn if_the_server_takes_no_complete_responses_two_events_cross() {
    let exchange = Exchange::default();
    let app = |_: Scope, _: Receiver, mut send: Sender| async move {
        let start = HttpResponseStart::ok().content_type("text/plain");
        Ok::<(), AppError>(send.respond(start, "hello").await?)
    };
    run(app, get("/"), &exchange).unwrap();
    let start = HttpResponseStart::ok().content_type("text/plain");
    let events: [SendEvent; 2] = [start.into(), HttpResponseBody::last("hello").into()];
    assert_eq!(exchange.sent(), events.map(|event| format!("{event:?}")));
}
