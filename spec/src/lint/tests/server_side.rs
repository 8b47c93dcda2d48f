//! Servers that break a rule, with apps that break none.

use std::sync::Arc;
use std::task::Poll;

use asgi::http::{Method, Version};
use asgi::{
    DisconnectReason, Extension, Extensions, HttpRequest, HttpResponseEarlyHint, HttpResponsePush,
    HttpScope, LifespanShutdown, LifespanStartup, LifespanStartupComplete, Message, SendError,
    State, Tls, WebSocketAccept, WebSocketConnect, WebSocketReceive, WebSocketScope,
};

use super::script::*;
use crate::Side;

/// A server that breaks a rule, in one call or in several ones that run together.
pub(super) struct Row {
    pub(super) id: &'static str,
    scripts: fn() -> Vec<Script>,
}

fn row(id: &'static str, scripts: fn() -> Vec<Script>) -> Row {
    Row { id, scripts }
}

fn one(script: Script) -> Vec<Script> {
    vec![script]
}

fn with(change: fn(&mut HttpScope)) -> Vec<Script> {
    let mut scope = http();
    change(&mut scope);
    one(Script::new(scope, []))
}

fn socket_with(change: fn(&mut WebSocketScope)) -> Vec<Script> {
    let mut scope = socket();
    change(&mut scope);
    one(Script::new(scope, []))
}

fn tls_with(change: fn(&mut Tls)) -> Vec<Script> {
    let mut scope = http();
    scope.scheme = "https".into();
    let mut tls = Tls::new();
    change(&mut tls);
    scope.extensions.tls = Some(Arc::new(tls));
    one(Script::new(scope, []))
}

fn post(length: &'static str) -> HttpScope {
    let mut scope = http();
    scope.method = Method::POST;
    scope
        .headers
        .insert("content-length", length.parse().unwrap());
    scope
}

fn offer(extension: Extension) -> Extensions {
    Extensions::new().with(extension)
}

fn text() -> WebSocketReceive {
    WebSocketReceive::new(Message::text("hello"))
}

fn ready_state() -> LifespanStartupComplete {
    let mut state = State::new();
    state.insert(1_u8);
    LifespanStartupComplete::with_state(state)
}

pub(super) fn scopes() -> Vec<Row> {
    vec![
        row("HTTP-001", || {
            with(|scope| scope.version = Version::HTTP_09)
        }),
        row("HTTP-003", || with(|scope| scope.scheme = "ws".into())),
        row("CORE-026", || {
            with(|scope| scope.extensions.tls = Some(Arc::default()))
        }),
        row("CORE-026", || with(|scope| scope.scheme = "https".into())),
        row("HTTP-005", || {
            with(|scope| scope.root_path = "/api/".into())
        }),
        row("HTTP-009", || {
            with(|scope| scope.headers = headers(&[("host", "a"), ("host", "b")]))
        }),
        row("HTTP-012", || with(|scope| scope.method = Method::CONNECT)),
        row("HTTP-013", || {
            with(|scope| {
                scope.headers = headers(&[("content-length", "1"), ("content-length", "2")]);
            })
        }),
        row("HTTP-013", || {
            with(|scope| {
                let list = [("content-length", "1"), ("transfer-encoding", "chunked")];
                scope.headers = headers(&list);
            })
        }),
        row("HTTP-073", || {
            with(|scope| scope.target = "*".parse().unwrap())
        }),
        row("CORE-024", || {
            with(|scope| scope.extensions = offer(Extension::WebSocketHttpResponse))
        }),
        row("CORE-024", || {
            socket_with(|scope| scope.extensions = offer(Extension::Push))
        }),
        row("HTTP-056", || {
            with(|scope| {
                scope.version = Version::HTTP_10;
                scope.extensions = offer(Extension::EarlyHint);
            })
        }),
        row("PUSH-001", || {
            with(|scope| scope.extensions = offer(Extension::Push))
        }),
        row("TRAIL-001", || {
            with(|scope| scope.extensions = offer(Extension::Trailers))
        }),
        row("TRAIL-001", || {
            with(|scope| {
                scope.headers.insert("te", "trailers".parse().unwrap());
                scope.version = Version::HTTP_10;
                scope.extensions = offer(Extension::Trailers);
            })
        }),
        row("WS-001", || {
            socket_with(|scope| scope.version = Version::HTTP_10)
        }),
        row("WS-002", || {
            socket_with(|scope| scope.scheme = "http".into())
        }),
        row("WS-003", || {
            socket_with(|scope| {
                let value = "chat, other".parse().unwrap();
                scope.headers.insert("sec-websocket-protocol", value);
            })
        }),
        row("TLS-001", || tls_with(|tls| tls.version = Some(12))),
        row("TLS-003", || {
            tls_with(|tls| tls.server_cert = Some("0x30".into()))
        }),
        row("TLS-005", || {
            tls_with(|tls| tls.client_cert_chain = vec!["0x30".into()])
        }),
        row("TLS-006", || {
            tls_with(|tls| tls.client_cert_name = Some("CN=a".into()))
        }),
        row("TLS-007", || {
            tls_with(|tls| tls.client_cert_error = Some("old".into()))
        }),
    ]
}

pub(super) fn events() -> Vec<Row> {
    use DisconnectReason::{Closed, Complete, Lost, TimedOut};

    vec![
        row("CORE-008", || {
            one(Script::new(
                http(),
                [receive(left(Lost)), Step::Receive(Poll::Pending)],
            ))
        }),
        row("CORE-008", || {
            one(Script::new(
                http(),
                [receive(left(Lost)), receive(part("", false))],
            ))
        }),
        row("CORE-008", || {
            let steps = [
                receive(WebSocketConnect::new()),
                receive(disconnect(1001)),
                receive(disconnect(1002)),
            ];
            one(Script::new(socket(), steps))
        }),
        row("HTTP-014", || {
            one(Script::new(http(), [receive(part("body", false))]))
        }),
        row("HTTP-014", || {
            one(Script::new(http(), [receive(WebSocketConnect::new())]))
        }),
        row("HTTP-015", || {
            one(Script::new(post("2"), [receive(part("abc", true))]))
        }),
        row("HTTP-016", || {
            let steps = [receive(part("ab", false)), receive(part("", false))];
            one(Script::new(post("2"), steps))
        }),
        row("HTTP-017", || {
            let mut part = HttpRequest::more("a");
            part.trailers = Some(Box::default());
            one(Script::new(post("2"), [receive(part)]))
        }),
        row("HTTP-020", || {
            one(Script::new(post("2"), [receive(part("a", false))]))
        }),
        row("HTTP-045", || {
            one(Script::new(http(), [receive(left(Complete))]))
        }),
        row("HTTP-045", || {
            let steps = [
                taken(start()),
                taken(last("")),
                Step::Receive(Poll::Pending),
            ];
            one(Script::new(http(), steps))
        }),
        row("HTTP-045", || {
            let steps = [taken(start()), taken(last("")), receive(part("", false))];
            one(Script::new(http(), steps))
        }),
        row("HTTP-046", || {
            one(Script::new(http(), [closed(Lost), receive(left(TimedOut))]))
        }),
        row("HTTP-046", || {
            one(Script::new(http(), [receive(left(Closed)), closed(Lost)]))
        }),
        row("HTTP-046", || {
            one(Script::new(http(), [closed(Lost), gone(start(), TimedOut)]))
        }),
        row("HTTP-042", || {
            one(Script::new(http(), [gone(start(), Closed)]))
        }),
        row("CORE-015", || {
            one(Script::new(http(), [receive(left(Lost)), taken(start())]))
        }),
        row("CORE-015", || {
            let ready = Step::Ready(Poll::Ready(Ok(())));
            one(Script::new(http(), [closed(Lost), ready]))
        }),
        row("CORE-015", || {
            let steps = [closed(Closed), taken(WebSocketAccept::new())];
            one(Script::new(socket(), steps))
        }),
        row("CORE-015", || {
            let steps = [
                receive(WebSocketConnect::new()),
                receive(disconnect(1001)),
                taken(WebSocketAccept::new()),
            ];
            one(Script::new(socket(), steps))
        }),
        row("CORE-016", || {
            one(Script::new(
                http(),
                [closed(Lost), Step::Ready(Poll::Pending)],
            ))
        }),
        row("CORE-016", || {
            let waits = Step::SendWaits(start().into());
            one(Script::new(http(), [closed(Lost), waits]))
        }),
        row("CORE-017", || one(Script::new(http(), [closed(Complete)]))),
        row("CORE-017", || {
            let steps = [taken(start()), taken(last("")), Step::Closed(Poll::Pending)];
            one(Script::new(http(), steps))
        }),
        row("CORE-017", || {
            one(Script::new(
                http(),
                [receive(left(Lost)), Step::Closed(Poll::Pending)],
            ))
        }),
        row("CORE-013", || {
            one(Script::new(http(), [taken(start()), misuse(more("a"))]))
        }),
        row("HTTP-054", || {
            let hint = HttpResponseEarlyHint::new([]);
            one(Script::new(
                offering(&[Extension::EarlyHint]),
                [refused(hint)],
            ))
        }),
        row("HTTP-059", || {
            let push = HttpResponsePush::new("/a".parse().unwrap());
            one(Script::new(offering(&[Extension::Push]), [misuse(push)]))
        }),
        row("PUSH-013", || {
            let push = HttpResponsePush::new("/a".parse().unwrap());
            let steps = [taken(push.clone()), taken(push)];
            one(Script::new(offering(&[Extension::Push]), steps))
        }),
        row("HTTP-062", || {
            one(Script::new(http(), [misuse(status(799))]))
        }),
        row("HTTP-062", || {
            one(Script::new(http(), [refused(status(799))]))
        }),
        row("WS-006", || {
            one(Script::new(socket(), [refused(WebSocketAccept::new())]))
        }),
        row("WS-004", || {
            one(Script::new(socket(), [receive(disconnect(1006))]))
        }),
        row("WS-004", || {
            let connect = || receive(WebSocketConnect::new());
            one(Script::new(socket(), [connect(), connect()]))
        }),
        row("WS-045", || {
            let steps = [receive(WebSocketConnect::new()), receive(text())];
            one(Script::new(socket(), steps))
        }),
        row("WS-020", || {
            let steps = [receive(WebSocketConnect::new()), receive(disconnect(1004))];
            one(Script::new(socket(), steps))
        }),
        row("WS-022", || {
            let steps = [
                receive(WebSocketConnect::new()),
                taken(WebSocketAccept::new()),
                taken(close(1001)),
                receive(disconnect(1000)),
            ];
            one(Script::new(socket(), steps))
        }),
        row("WS-022", || {
            let steps = [
                receive(WebSocketConnect::new()),
                taken(close(1001)),
                receive(disconnect(1001)),
            ];
            one(Script::new(socket(), steps))
        }),
        row("LIFE-004", || {
            one(Script::new(lifespan(), [receive(LifespanShutdown::new())]))
        }),
        row("LIFE-004", || {
            let startup = || receive(LifespanStartup::new());
            one(Script::new(lifespan(), [startup(), startup()]))
        }),
    ]
}

/// Several calls, of which all but the last one go on.
pub(super) fn calls() -> Vec<Row> {
    vec![
        row("LIFE-001", || {
            vec![
                Script::waiting(lifespan(), []),
                Script::waiting(lifespan(), []),
            ]
        }),
        row("LIFE-003", || {
            vec![Script::waiting(lifespan(), []), Script::new(http(), [])]
        }),
        row("LIFE-003", || {
            vec![Script::waiting(lifespan(), []), Script::new(socket(), [])]
        }),
        row("LIFE-003", || {
            // The server has not taken the event, so the startup is not complete.
            let over = Step::Send(ready_state().into(), Err(SendError::over()));
            vec![Script::waiting(lifespan(), [over]), Script::new(http(), [])]
        }),
        row("CORE-022", || {
            let ready = [taken(ready_state())];
            vec![Script::waiting(lifespan(), ready), Script::new(http(), [])]
        }),
        row("LIFE-012", || {
            let steps = [
                receive(LifespanStartup::new()),
                receive(LifespanShutdown::new()),
            ];
            vec![Script::waiting(http(), []), Script::new(lifespan(), steps)]
        }),
    ]
}

#[test]
fn a_server_that_breaks_a_rule_is_told_its_id() {
    for row in scopes().into_iter().chain(events()).chain(calls()) {
        assert_eq!(
            run_all((row.scripts)()),
            [(Side::Server, row.id)],
            "{}",
            row.id
        );
    }
}

#[test]
fn a_server_that_says_over_or_gone_is_right() {
    let over = || Step::Send(start().into(), Err(SendError::over()));
    for step in [over(), gone(start(), DisconnectReason::Lost)] {
        assert_eq!(run(Script::new(http(), [step])), []);
    }
}
