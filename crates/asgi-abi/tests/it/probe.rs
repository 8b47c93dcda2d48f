//! Passes every scope and every event to two apps, one in Rust and one in C (`probe.c`). Both describe
//! every field of their input in response bodies, then send one event of each kind.

use std::ffi::OsStr;
use std::fmt::Write;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;

use asgi::{
    Address, AppError, DisconnectReason, Extension, Extensions, HttpDisconnect, HttpRequest,
    HttpResponseBody, HttpResponseEarlyHint, HttpResponsePathSend, HttpResponsePush,
    HttpResponseStart, HttpResponseTrailers, HttpResponseZeroCopySend, LifespanScope,
    LifespanShutdown, LifespanShutdownComplete, LifespanShutdownFailed, LifespanStartup,
    LifespanStartupComplete, LifespanStartupFailed, Message, ReceiveEvent, Receiver, Scope,
    SendEvent, Sender, WebSocketAccept, WebSocketClose, WebSocketConnect, WebSocketDisconnect,
    WebSocketHttpResponseBody, WebSocketHttpResponseStart, WebSocketReceive, WebSocketScope,
    WebSocketSend,
};
use asgi_abi::{Library, abi};
use http::{HeaderMap, HeaderValue, StatusCode, Version};
use tempfile::TempDir;

use crate::load::compiled;
use crate::scope::full;
use crate::support::{Exchange, get, run, start};

/// The description of a scope or an event: one line for each field.
#[derive(Default)]
struct Description(String);

impl Description {
    fn bytes(&mut self, name: &str, value: Option<&[u8]>) {
        write!(self.0, "{name}: ").unwrap();
        for byte in value.unwrap_or(b"(none)") {
            match byte {
                b' '..=b'~' if *byte != b'\\' => self.0.push(char::from(*byte)),
                _ => write!(self.0, "\\x{byte:02x}").unwrap(),
            }
        }
        self.0.push('\n');
    }

    fn text(&mut self, name: &str, value: &str) {
        self.bytes(name, Some(value.as_bytes()));
    }

    fn number(&mut self, name: &str, value: impl Into<u64>) {
        writeln!(self.0, "{name}: {}", value.into()).unwrap();
    }

    fn headers(&mut self, headers: &HeaderMap) {
        for (name, value) in headers {
            self.text("name", name.as_str());
            self.bytes("value", Some(value.as_bytes()));
            self.number("sensitive", value.is_sensitive());
        }
    }

    fn address(&mut self, address: Option<&Address>) {
        match address {
            None => self.number("address", abi::ADDRESS_NONE),
            Some(Address::Ip(address)) => {
                let (kind, ip, flow, scope_id) = match address {
                    std::net::SocketAddr::V4(v4) => {
                        (abi::ADDRESS_IPV4, v4.ip().octets().to_vec(), 0, 0)
                    }
                    std::net::SocketAddr::V6(v6) => {
                        let ip = v6.ip().octets().to_vec();
                        (abi::ADDRESS_IPV6, ip, v6.flowinfo(), v6.scope_id())
                    }
                };
                self.number("address", kind);
                self.bytes("ip", Some(&ip));
                self.number("port", address.port());
                self.number("flow", flow);
                self.number("scope_id", scope_id);
            }
            Some(Address::Unix(path)) => {
                self.number("address", abi::ADDRESS_UNIX);
                let path = path.as_ref().map(|path| path.as_os_str().as_bytes());
                self.bytes("path", path);
            }
            Some(other) => panic!("another address: {other:?}"),
        }
    }

    fn scope(&mut self, scope: &Scope) {
        match scope {
            Scope::Http(http) => {
                self.number("scope", abi::SCOPE_HTTP);
                self.version(http.version);
                self.text("method", http.method.as_str());
                self.text("scheme", &http.scheme);
                self.text("target", http.target.as_str());
                self.text("path", &http.path());
                self.text("root_path", &http.root_path);
                self.headers(&http.headers);
                self.address(http.client.as_ref());
                self.address(http.server.as_ref());
                self.extensions(&http.extensions);
            }
            Scope::WebSocket(websocket) => {
                self.number("scope", abi::SCOPE_WEBSOCKET);
                self.version(websocket.version);
                self.bytes("method", None);
                self.text("scheme", &websocket.scheme);
                self.text("target", websocket.target.as_str());
                self.text("path", &websocket.path());
                self.text("root_path", &websocket.root_path);
                self.headers(&websocket.headers);
                for one in &websocket.subprotocols {
                    self.text("subprotocol", one);
                }
                self.address(websocket.client.as_ref());
                self.address(websocket.server.as_ref());
                self.extensions(&websocket.extensions);
            }
            Scope::Lifespan(_) => self.number("scope", abi::SCOPE_LIFESPAN),
            other => panic!("another scope: {other:?}"),
        }
    }

    fn version(&mut self, version: Version) {
        let number = match version {
            Version::HTTP_10 => abi::HTTP_10,
            Version::HTTP_11 => abi::HTTP_11,
            _ => abi::HTTP_2,
        };
        self.number("version", number);
    }

    fn extensions(&mut self, extensions: &Extensions) {
        let bits = extensions.iter().map(|one| match one {
            Extension::Push => abi::EXTENSION_PUSH,
            Extension::EarlyHint => abi::EXTENSION_EARLY_HINT,
            Extension::Trailers => abi::EXTENSION_TRAILERS,
            Extension::PathSend => abi::EXTENSION_PATH_SEND,
            Extension::ZeroCopySend => abi::EXTENSION_ZERO_COPY_SEND,
            Extension::WebSocketHttpResponse => abi::EXTENSION_WEBSOCKET_HTTP_RESPONSE,
            other => panic!("another extension: {other:?}"),
        });
        self.number("extensions", bits.fold(0, |all, bit| all | bit));
        let Some(tls) = &extensions.tls else {
            return;
        };
        let bytes = |text: &Option<String>| text.clone().map(String::into_bytes);
        self.number("tls", tls.version.unwrap_or(0));
        self.number("cipher_suite", tls.cipher_suite.unwrap_or(0));
        self.bytes("server_cert", bytes(&tls.server_cert).as_deref());
        for one in &tls.client_cert_chain {
            self.text("client_cert", one);
        }
        self.bytes("client_cert_name", bytes(&tls.client_cert_name).as_deref());
        let error = bytes(&tls.client_cert_error);
        self.bytes("client_cert_error", error.as_deref());
        self.bytes("server_name", bytes(&tls.server_name).as_deref());
    }

    fn disconnect(&mut self, reason: DisconnectReason) {
        let abi::Disconnect { reason, code, .. } = reason.into();
        self.number("reason", reason);
        self.number("code", code);
    }

    fn event(&mut self, event: &ReceiveEvent) {
        match event {
            ReceiveEvent::HttpRequest(part) => {
                self.number("event", abi::RECEIVE_HTTP_REQUEST);
                let more = u32::from(part.more_body) * abi::FLAG_MORE;
                let trailers = u32::from(part.trailers.is_some()) * abi::FLAG_TRAILERS;
                self.number("flags", more | trailers);
                self.bytes("body", Some(&part.body));
                if let Some(trailers) = &part.trailers {
                    self.headers(trailers);
                }
            }
            ReceiveEvent::HttpDisconnect(end) => {
                self.number("event", abi::RECEIVE_HTTP_DISCONNECT);
                self.disconnect(end.reason);
            }
            ReceiveEvent::WebSocketConnect(_) => {
                self.number("event", abi::RECEIVE_WEBSOCKET_CONNECT);
            }
            ReceiveEvent::WebSocketReceive(received) => {
                self.number("event", abi::RECEIVE_WEBSOCKET_RECEIVE);
                let is_text = matches!(received.message, Message::Text(_));
                self.number("flags", u32::from(is_text) * abi::FLAG_TEXT);
                self.bytes("body", Some(received.message.as_bytes()));
            }
            ReceiveEvent::WebSocketDisconnect(end) => {
                self.number("event", abi::RECEIVE_WEBSOCKET_DISCONNECT);
                self.number("code", end.code);
                self.text("reason", &end.reason);
            }
            ReceiveEvent::LifespanStartup(_) => {
                self.number("event", abi::RECEIVE_LIFESPAN_STARTUP);
            }
            ReceiveEvent::LifespanShutdown(_) => {
                self.number("event", abi::RECEIVE_LIFESPAN_SHUTDOWN);
            }
            other => panic!("another event: {other:?}"),
        }
    }
}

/// Describes its input in response bodies, whatever the kind of the scope: nothing checks the protocol
/// here.
async fn app(scope: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
    let mut description = Description::default();
    description.scope(&scope);
    send.send(HttpResponseBody::more(description.0)).await?;
    loop {
        let event = receive.receive().await;
        let mut description = Description::default();
        description.event(&event);
        send.send(HttpResponseBody::more(description.0)).await?;
        if let ReceiveEvent::HttpDisconnect(_)
        | ReceiveEvent::WebSocketDisconnect(_)
        | ReceiveEvent::LifespanShutdown(_) = event
        {
            break;
        }
    }
    let mut description = Description::default();
    description.disconnect(send.closed().await);
    send.send(HttpResponseBody::more(description.0)).await?;
    for event in events()? {
        send.send(event).await?;
    }
    Ok(())
}

/// One event of each kind: the same as `EVENTS` in `probe.c`.
fn events() -> Result<Vec<SendEvent>, AppError> {
    let mut headers = HeaderMap::new();
    headers.append("set-cookie", HeaderValue::from_static("a=1"));
    let mut secret = HeaderValue::from_static("b=2");
    secret.set_sensitive(true);
    headers.append("set-cookie", secret);
    headers.append("x-latin-1", HeaderValue::from_bytes(b"caf\xe9")?);

    let mut response = HttpResponseStart::new(StatusCode::from_u16(299)?).with_trailers();
    response.headers = headers.clone();
    let mut push = HttpResponsePush::new("/style.css?v=%31".parse()?);
    push.headers = headers.clone();
    let mut part = HttpResponseZeroCopySend::new(File::open("/dev/null")?);
    (part.offset, part.count, part.more_body) = (Some(3), Some(5), true);
    let mut accept = WebSocketAccept::new().subprotocol("chat");
    accept.headers = headers.clone();
    let mut refusal = WebSocketHttpResponseStart::new(StatusCode::UNAUTHORIZED);
    refusal.headers = headers.clone();
    Ok(vec![
        response.into(),
        HttpResponseBody::more("part").into(),
        HttpResponseBody::last("").into(),
        HttpResponseTrailers::more(headers).into(),
        push.into(),
        HttpResponseEarlyHint::new([
            HeaderValue::from_static("</a.css>; rel=preload"),
            HeaderValue::from_static("</b.js>; rel=preload"),
        ])
        .into(),
        HttpResponsePathSend::new(OsStr::from_bytes(b"/srv/caf\xe9")).into(),
        part.into(),
        HttpResponseZeroCopySend::new(File::open("/dev/null")?).into(),
        accept.into(),
        WebSocketAccept::new().into(),
        WebSocketSend::text("grüß").into(),
        WebSocketSend::binary(&b"\xff"[..]).into(),
        WebSocketClose::new(4999).reason("bye").into(),
        refusal.into(),
        WebSocketHttpResponseBody::new("part", true).into(),
        LifespanStartupComplete::new().into(),
        LifespanStartupFailed::new("no database").into(),
        LifespanShutdownComplete::new().into(),
        LifespanShutdownFailed::new("still running").into(),
    ])
}

/// The sent events as text. For a file, it has the device: the descriptor differs in each run.
fn sent(exchange: &Exchange) -> Vec<String> {
    let mut words = exchange.sent();
    for (event, words) in exchange.lock().sent.iter().zip(&mut words) {
        if let SendEvent::HttpResponseZeroCopySend(part) = event {
            use std::os::unix::fs::MetadataExt;
            let device = part.file.metadata().unwrap().rdev();
            let (offset, count, more) = (part.offset, part.count, part.more_body);
            *words = format!("file of device {device}, {offset:?}, {count:?}, {more}");
        }
    }
    words
}

type Case = (fn() -> Scope, Vec<ReceiveEvent>, DisconnectReason);

/// Every scope and every event, with as many and with as few fields as possible.
fn cases() -> Vec<Case> {
    let websocket: fn() -> Scope = || {
        let http = full();
        let mut scope = WebSocketScope::new(http.target);
        scope.root_path = "/api".into();
        (scope.version, scope.scheme) = (Version::HTTP_2, "wss".into());
        (scope.headers, scope.extensions) = (http.headers, http.extensions);
        (scope.client, scope.server) = (http.client, http.server);
        scope.subprotocols = vec!["chat".into(), "superchat".into()];
        scope.into()
    };
    let unix: fn() -> Scope = || {
        let mut scope = get("/");
        scope.version = Version::HTTP_10;
        scope.client = Some(Address::Unix(None));
        scope.server = Some(Address::Unix(Some(std::path::Path::new("/run/a").into())));
        for one in [Extension::PathSend, Extension::ZeroCopySend] {
            scope.extensions = scope.extensions.with(one);
        }
        scope.into()
    };
    let request = || {
        let mut trailers = HttpRequest::last("end \u{fc}\n");
        trailers.trailers = Some(Box::new(full().headers));
        let mut empty = HttpRequest::last("");
        empty.trailers = Some(Box::default());
        vec![
            ReceiveEvent::from(HttpRequest::more("part")),
            HttpRequest::last("").into(),
            trailers.into(),
            empty.into(),
        ]
    };
    let mut cases = Vec::new();
    for (n, reason) in [
        DisconnectReason::Complete,
        DisconnectReason::Closed,
        DisconnectReason::Lost,
        DisconnectReason::Reset(8),
        DisconnectReason::TimedOut,
        DisconnectReason::ProtocolError,
        DisconnectReason::Shutdown,
    ]
    .into_iter()
    .enumerate()
    {
        let scopes: [fn() -> Scope; 3] = [|| full().into(), || get("/").into(), unix];
        let mut events = request();
        events.push(HttpDisconnect::new(reason).into());
        cases.push((scopes[n % 3], events, reason));
    }
    let little: fn() -> Scope = || WebSocketScope::new("/".parse().unwrap()).into();
    for (scope, code, reason) in [(websocket, 4999, "bye \u{fc}"), (little, 1005, "")] {
        let events = vec![
            WebSocketConnect::new().into(),
            WebSocketReceive::new(Message::text("grüß")).into(),
            WebSocketReceive::new(Message::text("")).into(),
            WebSocketReceive::new(Message::binary(&b"\xff\x00"[..])).into(),
            WebSocketReceive::new(Message::binary("")).into(),
            WebSocketDisconnect::new(code, reason).into(),
        ];
        cases.push((scope, events, DisconnectReason::Closed));
    }
    let lifespan: fn() -> Scope = || LifespanScope::new().into();
    let events = vec![
        LifespanStartup::new().into(),
        LifespanShutdown::new().into(),
    ];
    cases.push((lifespan, events, DisconnectReason::Shutdown));
    cases
}

#[test]
fn apps_in_c_and_in_rust_receive_and_send_the_same() {
    let directory = TempDir::new().unwrap();
    let in_c = Library::load(compiled(&directory, include_str!("probe.c"))).unwrap();
    for ((scope, given, closed), (_, again, _)) in cases().into_iter().zip(cases()) {
        let how_many = 1 + given.len() + 1 + events().unwrap().len();
        let exchange = |given: Vec<ReceiveEvent>| {
            let exchange = Exchange::of(given);
            exchange.lock().closed = Some(closed);
            exchange
        };
        let (rust, c) = (exchange(given), exchange(again));
        run(app, scope(), &rust).unwrap();
        start(&in_c, scope(), &c).end().unwrap();
        let (rust, c) = (sent(&rust), sent(&c));
        assert_eq!(rust.len(), how_many);
        assert_eq!(rust, c);
    }
}
