//! Proof that the cases over HTTP/2 and TLS can fail: this server with a layer between it and the
//! probe. A switch breaks one sentence, and the case of that sentence must fail.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::thread;

use asgi::http::{HeaderValue, StatusCode};
use asgi::{
    App, AppError, Closed, DisconnectReason, DynApp, Extension, HttpResponseBody, Message,
    ReceiveEvent, ReceiveHalf, Receiver, Scope, SendError, SendEvent, SendHalf, Sender, Tls,
};
use asgi_spec::{Grade, Suite, SuiteTls};

use ferricorn::ClientCertificates;
use test_support::certificates::Authority;

use crate::linked::{Linked, test_tls};

/// The requirements about HTTP/2 that the layer can break.
const OVER_HTTP_2: &[&str] = &[
    "CORE-019", "HTTP-009", "HTTP-040", "HTTP-043", "HTTP-044", "HTTP-046", "HTTP-057", "HTTP-058",
    "HTTP-081", "HTTP-088", "PUSH-001", "PUSH-002", "PUSH-004", "PUSH-005", "PUSH-006", "PUSH-007",
    "PUSH-008", "PUSH-010", "PUSH-011", "PUSH-012", "PUSH-013", "PUSH-014", "PUSH-017", "PUSH-018",
    "PUSH-019", "PUSH-021", "PUSH-023",
];

/// Those about WebSockets.
const OVER_WEBSOCKETS: &[&str] = &["WS-035", "WS-043"];

/// Those about TLS.
const OVER_TLS: &[&str] = &[
    "CORE-026", "HTTP-003", "TLS-001", "TLS-002", "TLS-003", "TLS-004", "TLS-005", "TLS-006",
    "TLS-007", "TLS-008", "WS-002",
];

/// A layer that breaks one requirement.
#[derive(Clone)]
struct StreamLayer {
    app: DynApp,
    id: &'static str,
}

impl App for StreamLayer {
    async fn call(
        &self,
        mut scope: Scope,
        receive: Receiver,
        send: Sender,
    ) -> Result<(), AppError> {
        let path = scope.path().unwrap_or_default().into_owned();
        if !path.starts_with("/run") {
            return self.app.call(scope, receive, send).await;
        }
        break_scope(self.id, &mut scope);
        let receive = Receiver::new(StreamReceive {
            id: self.id,
            receive,
        });
        let closed_sender = Arc::new(Mutex::new(Some(send)));
        let send = Sender::new(StreamSend {
            id: self.id,
            send: Arc::clone(&closed_sender),
            held: None,
        });
        let result = self.app.call(scope, receive, send).await;
        let send = closed_sender.lock().unwrap().take();
        match (self.id, send) {
            // An incomplete response looks like a whole one.
            ("HTTP-040" | "PUSH-023", Some(mut send)) => {
                Ok(send.send(HttpResponseBody::last("")).await?)
            }
            ("WS-043", _) => Ok(()),
            _ => result,
        }
    }
}

fn break_scope(id: &str, scope: &mut Scope) {
    match scope {
        Scope::Http(http) => match id {
            "HTTP-003" => http.scheme = "http".into(),
            "HTTP-009" => drop(http.headers.append("host", HeaderValue::from_static("b"))),
            "HTTP-058" | "PUSH-001" | "PUSH-002" => {
                http.extensions = http.extensions.clone().with(Extension::Push);
            }
            "PUSH-017" => http.target = format!("{}&more", http.target).parse().unwrap(),
            "CORE-026" => http.extensions.tls = None,
            _ => {
                let tls = http.extensions.tls.take();
                http.extensions.tls = tls.map(|tls| Arc::new(break_tls(id, (*tls).clone())));
            }
        },
        Scope::WebSocket(socket) if id == "WS-002" => socket.scheme = "ws".into(),
        _ => {}
    }
}

fn break_tls(id: &str, mut tls: Tls) -> Tls {
    match id {
        "TLS-001" => tls.version = Some(0x0302),
        "TLS-002" => tls.cipher_suite = Some(0),
        "TLS-003" => tls.server_cert = Some(Authority::new("another").pem),
        "TLS-004" => tls.server_name = Some("other".into()),
        "TLS-005" => tls.client_cert_chain.clear(),
        "TLS-006" => tls.client_cert_name = tls.client_cert_name.map(|name| name + ",C=CH"),
        "TLS-007" => tls.client_cert_error = Some("none".into()),
        "TLS-008" => {
            use std::sync::atomic::{AtomicU16, Ordering};
            static NUMBER: AtomicU16 = AtomicU16::new(0);
            tls.version = Some(NUMBER.fetch_add(1, Ordering::Relaxed));
        }
        _ => {}
    }
    tls
}

struct StreamReceive {
    id: &'static str,
    receive: Receiver,
}

impl ReceiveHalf for StreamReceive {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<ReceiveEvent> {
        let event = self.receive.poll_receive(cx);
        event.map(|mut event| {
            match (self.id, &mut event) {
                ("PUSH-018", ReceiveEvent::HttpRequest(part)) => part.body = "body".into(),
                ("WS-035", ReceiveEvent::WebSocketReceive(receive)) => {
                    receive.message = Message::text("compressed");
                }
                (_, ReceiveEvent::HttpDisconnect(end)) => {
                    end.reason = break_reason(self.id, end.reason);
                }
                _ => {}
            }
            event
        })
    }
}

fn break_reason(id: &str, reason: DisconnectReason) -> DisconnectReason {
    match (id, reason) {
        ("HTTP-044" | "HTTP-046" | "PUSH-021", DisconnectReason::Reset(_)) => {
            DisconnectReason::Lost
        }
        ("HTTP-043", DisconnectReason::Lost) => DisconnectReason::TimedOut,
        ("HTTP-081", DisconnectReason::Reset(_)) => DisconnectReason::Reset(8),
        _ => reason,
    }
}

/// A sender that the layer takes back once the app has ended.
type TakenBack = Arc<Mutex<Option<Sender>>>;

struct StreamSend {
    id: &'static str,
    send: TakenBack,
    held: Option<SendEvent>,
}

impl StreamSend {
    fn with<T>(&self, call: impl FnOnce(&mut Sender) -> T) -> Option<T> {
        self.send.lock().unwrap().as_mut().map(call)
    }

    fn pass(&self, event: SendEvent) -> Result<(), SendError> {
        let sent = self.with(|send| send.start_send(event));
        sent.unwrap_or_else(|| Err(SendError::over()))
    }
}

impl SendHalf for StreamSend {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let ready = self.with(|send| send.poll_ready(cx));
        ready.unwrap_or_else(|| Poll::Ready(Err(SendError::over())))
    }

    fn start_send(&mut self, mut event: SendEvent) -> Result<(), SendError> {
        match (self.id, &mut event) {
            ("HTTP-057", SendEvent::HttpResponsePush(_)) => return Ok(()),
            ("PUSH-004", SendEvent::HttpResponsePush(_)) => {
                self.held = Some(event);
                return Ok(());
            }
            ("PUSH-005", SendEvent::HttpResponsePush(push)) => {
                push.path = format!("{}&more", push.path).parse().unwrap();
            }
            ("PUSH-006", SendEvent::HttpResponsePush(push)) => push.headers.clear(),
            (id, SendEvent::HttpResponsePush(push)) => {
                let more = match id {
                    "PUSH-007" => Some(("accept-language", "fr")),
                    "PUSH-008" => Some(("range", "bytes=0-1")),
                    "PUSH-010" => Some(("date", "today")),
                    _ => None,
                };
                if let Some((name, value)) = more {
                    push.headers.insert(name, HeaderValue::from_static(value));
                }
            }
            ("PUSH-019", SendEvent::HttpResponseStart(start)) => start.status = StatusCode::OK,
            // Another response than that of the request.
            ("HTTP-088", SendEvent::HttpResponseStart(start)) => {
                start
                    .headers
                    .insert("x-number", HeaderValue::from_static("0"));
            }
            ("CORE-019", SendEvent::HttpResponseBody(part)) if part.body == "b" => {
                return Err(SendError::over());
            }
            _ => {}
        }
        let is_push = matches!(event, SendEvent::HttpResponsePush(_));
        let result = self.pass(event);
        // The layer sends the held push too late, so it may be refused.
        if let Some(held) = self.held.take_if(|_| result.is_ok()) {
            self.pass(held).ok();
        }
        let takes_all = ["PUSH-011", "PUSH-012", "PUSH-013", "PUSH-014"].contains(&self.id);
        if takes_all && is_push {
            return Ok(());
        }
        result
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<DisconnectReason> {
        let closed = self.with(|send| send.poll_closed(cx));
        let closed = closed.unwrap_or(Poll::Ready(DisconnectReason::Complete));
        closed.map(|reason| break_reason(self.id, reason))
    }

    fn closed_handle(&self) -> Closed {
        let handle = self.with(|send| send.closed_handle());
        handle.unwrap_or_else(|| Closed::new(std::future::pending()))
    }
}

/// Says which switches no case of these transports has found.
fn missed(switches: &[&'static str], transports: &[&str], suite: fn(&'static str) -> Suite) {
    let missed = Mutex::new(Vec::new());
    let check = |id: &'static str| {
        let results = suite(id).only(id).run();
        for transport in transports {
            let mut over = results.iter().filter(|one| one.transport == *transport);
            if !over.any(|one| matches!(one.grade, Grade::Failed(_))) {
                let what = format!("{id} over {transport}");
                missed.lock().unwrap().push(what);
            }
        }
    };
    thread::scope(|scope| {
        for part in switches.chunks(switches.len().div_ceil(4)) {
            scope.spawn(|| part.iter().for_each(|id| check(id)));
        }
    });
    let missed = missed.into_inner().unwrap();
    assert!(missed.is_empty(), "broken and not found: {missed:#?}");
}

fn plain(id: &'static str) -> Suite {
    Suite::new(move |app| Linked::start(DynApp::new(StreamLayer { app, id })))
}

fn over_tls(id: &'static str) -> Suite {
    let (server, clients): (_, SuiteTls) = test_tls(ClientCertificates::DangerouslyUnverified);
    let start = move |app| {
        let app = DynApp::new(StreamLayer { app, id });
        Linked::start_tls(app, &server)
    };
    Suite::new(start).tls(clients)
}

#[test]
fn each_broken_server_fails_over_http_2() {
    missed(OVER_HTTP_2, &["http2"], plain);
}

#[test]
fn each_broken_server_fails_over_both_kinds_of_websocket() {
    missed(OVER_WEBSOCKETS, &["websocket", "websocket-http2"], plain);
}

#[test]
fn each_broken_server_fails_over_tls() {
    let (sockets, http): (Vec<&str>, Vec<&str>) =
        OVER_TLS.iter().partition(|id| id.starts_with("WS"));
    missed(&http, &["http1-tls", "http2-tls"], over_tls);
    missed(
        &sockets,
        &["websocket-tls", "websocket-http2-tls"],
        over_tls,
    );
}

#[test]
fn a_layer_that_breaks_nothing_passes_over_http_2() {
    let results = plain("none").only("PUSH-*").only("HTTP-04*").run();
    results.assert();
}
