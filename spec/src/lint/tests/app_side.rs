//! Apps that break a rule. The server answers as it must, so that only the app is at fault.
//! Then the same with a server that takes the event: it is at fault too.

use asgi::{
    Extension, HttpResponseDebug, HttpResponseEarlyHint, HttpResponsePathSend, HttpResponsePush,
    HttpResponseZeroCopySend, LifespanShutdown, LifespanShutdownComplete, LifespanStartup,
    LifespanStartupComplete, State, WebSocketAccept, WebSocketConnect, WebSocketSend,
};

use super::script::*;
use crate::Side;

/// An app that breaks a rule with its last step, and the rule.
pub(super) struct Row {
    pub(super) id: &'static str,
    script: fn() -> Script,
}

fn row(id: &'static str, script: fn() -> Script) -> Row {
    Row { id, script }
}

/// Events that break a rule.
pub(super) fn events() -> Vec<Row> {
    use Extension::{Debug, EarlyHint, PathSend, Push, Trailers, ZeroCopySend};

    vec![
        row("CORE-013", || {
            Script::new(http(), [misuse(WebSocketAccept::new())])
        }),
        row("CORE-013", || {
            Script::new(socket(), [misuse(WebSocketSend::text("early"))])
        }),
        row("CORE-013", || {
            let accept = WebSocketAccept::new;
            Script::new(socket(), [taken(accept()), misuse(accept())])
        }),
        row("CORE-013", || {
            Script::new(lifespan(), [misuse(LifespanShutdownComplete::new())])
        }),
        row("CORE-014", || {
            Script::new(http(), [taken(start()), taken(last("")), misuse(last(""))])
        }),
        row("CORE-014", || {
            Script::new(socket(), [taken(close(1000)), misuse(close(1000))])
        }),
        row("CORE-014", || {
            let steps = [
                taken(LifespanStartupComplete::new()),
                receive(LifespanStartup::new()),
                receive(LifespanShutdown::new()),
                taken(LifespanShutdownComplete::new()),
                misuse(LifespanShutdownComplete::new()),
            ];
            Script::new(lifespan(), steps)
        }),
        row("CORE-025", || Script::new(http(), [refused(push("/a"))])),
        row("CORE-025", || Script::new(http(), [refused(hint())])),
        row("CORE-025", || Script::new(http(), [refused(trailers())])),
        row("CORE-025", || {
            let mut scope = socket();
            scope.extensions = Default::default();
            Script::new(scope, [refused(deny(401))])
        }),
        row("HTTP-021", || Script::new(http(), [misuse(last("early"))])),
        row("HTTP-021", || {
            Script::new(http(), [taken(start()), misuse(start())])
        }),
        row("HTTP-022", || Script::new(http(), [misuse(status(103))])),
        row("HTTP-029", || {
            let start = start().header("content-length", "+4");
            Script::new(http(), [misuse(start)])
        }),
        row("HTTP-029", || {
            let start = start()
                .header("content-length", 4)
                .header("content-length", 4);
            Script::new(http(), [misuse(start)])
        }),
        row("HTTP-030", || {
            let start = start().header("content-length", 4);
            Script::new(
                http(),
                [taken(start), taken(more("abc")), misuse(more("de"))],
            )
        }),
        row("HTTP-031", || {
            let start = start().header("content-length", 4);
            Script::new(http(), [taken(start), misuse(last("abc"))])
        }),
        row("HTTP-055", || {
            let scope = offering(&[EarlyHint]);
            Script::new(scope, [taken(start()), taken(more("a")), refused(hint())])
        }),
        row("TRAIL-002", || {
            Script::new(http(), [refused(start().with_trailers())])
        }),
        row("TRAIL-004", || {
            let scope = offering(&[Trailers]);
            Script::new(scope, [taken(start().with_trailers()), misuse(trailers())])
        }),
        row("PUSH-014", || {
            Script::new(offering(&[Push]), [refused(push("*"))])
        }),
        row("PATH-001", || {
            Script::new(offering(&[PathSend]), [misuse(file("/tmp/a"))])
        }),
        row("PATH-002", || {
            let scope = offering(&[PathSend]);
            Script::new(
                scope,
                [taken(start()), taken(more("a")), misuse(file("/tmp/a"))],
            )
        }),
        row("PATH-003", || {
            Script::new(
                offering(&[PathSend]),
                [taken(start()), misuse(file("tmp/a"))],
            )
        }),
        row("ZERO-001", || {
            let file = std::fs::File::open("/dev/null").unwrap();
            let event = HttpResponseZeroCopySend::new(file);
            Script::new(offering(&[ZeroCopySend]), [misuse(event)])
        }),
        row("DEBUG-002", || {
            let debug = HttpResponseDebug::new(State::new());
            Script::new(offering(&[Debug]), [taken(start()), misuse(debug)])
        }),
        row("WS-008", || Script::new(socket(), [misuse(deny(200))])),
        row("HTTP-022", || Script::new(socket(), [misuse(deny(103))])),
        row("WS-009", || {
            let accept = WebSocketAccept::new().subprotocol("other");
            Script::new(socket(), [misuse(accept)])
        }),
        row("WS-010", || {
            let accept = WebSocketAccept::new().header("sec-websocket-accept", "x");
            Script::new(socket(), [misuse(accept)])
        }),
        row("WS-018", || Script::new(socket(), [misuse(close(1005))])),
        row("WS-019", || {
            let close = close(1000).reason("a".repeat(124));
            Script::new(socket(), [taken(WebSocketAccept::new()), misuse(close)])
        }),
        row("DENY-002", || {
            Script::new(socket(), [taken(deny(401)), misuse(WebSocketAccept::new())])
        }),
        row("DENY-003", || {
            Script::new(socket(), [taken(WebSocketAccept::new()), misuse(deny(401))])
        }),
        row("HTTP-021", || {
            Script::new(socket(), [misuse(deny_last(""))])
        }),
    ]
}

/// Apps that end too early.
pub(super) fn ends() -> Vec<Row> {
    vec![
        row("HTTP-021", || Script::new(http(), []).returns()),
        row("HTTP-021", || {
            Script::new(http(), [taken(start()), taken(more("half"))]).returns()
        }),
        row("HTTP-021", || {
            let more = asgi::HttpResponseTrailers::more(Default::default());
            let steps = [taken(start().with_trailers()), taken(last("")), taken(more)];
            Script::new(offering(&[Extension::Trailers]), steps).returns()
        }),
        row("WS-011", || {
            Script::new(socket(), [receive(WebSocketConnect::new())]).returns()
        }),
        row("DENY-004", || {
            Script::new(socket(), [taken(deny(401))]).returns()
        }),
    ]
}

fn push(path: &str) -> HttpResponsePush {
    HttpResponsePush::new(path.parse().unwrap())
}

fn hint() -> HttpResponseEarlyHint {
    HttpResponseEarlyHint::new([])
}

fn file(path: &str) -> HttpResponsePathSend {
    HttpResponsePathSend::new(path)
}

#[test]
fn an_app_that_breaks_a_rule_is_told_its_id() {
    for row in events().into_iter().chain(ends()) {
        assert_eq!(run((row.script)()), [(Side::App, row.id)], "{}", row.id);
    }
}

#[test]
fn a_server_that_takes_such_an_event_is_told_the_same_id() {
    for row in events() {
        let mut script = (row.script)();
        let Some(Step::Send(event, Err(_))) = script.steps.pop() else {
            panic!("{} does not end with an event", row.id);
        };
        script.steps.push(Step::Send(event, Ok(())));
        let both = [(Side::App, row.id), (Side::Server, row.id)];
        assert_eq!(run(script), both, "{}", row.id);
    }
}

#[test]
fn a_shutdown_that_the_app_has_not_received_is_only_the_apps_fault() {
    let shutdown = LifespanShutdownComplete::new;
    for answer in [taken(shutdown()), misuse(shutdown())] {
        let script = Script::new(lifespan(), [taken(LifespanStartupComplete::new()), answer]);
        assert_eq!(run(script), [(Side::App, "CORE-013")]);
    }
}

#[test]
fn a_server_that_confuses_misuse_and_refused_breaks_core_027() {
    for row in events() {
        let mut script = (row.script)();
        let Some(Step::Send(event, Err(right))) = script.steps.pop() else {
            panic!("{} does not end with an event", row.id);
        };
        script.steps.push(match right.is_misuse() {
            true => refused(event),
            false => misuse(event),
        });
        let found = run(script);
        assert_eq!(
            found,
            [(Side::App, row.id), (Side::Server, "CORE-027")],
            "{}",
            row.id
        );
    }
}
