//! Tests of `HttpRules`.

mod ends;
mod framing;
mod precedence;
pub(crate) mod random;
mod respond;

use std::fs::File;

use asgi::{
    DisconnectReason, Extension, Extensions, HttpResponseBody, HttpResponseDebug,
    HttpResponseEarlyHint, HttpResponsePathSend, HttpResponsePush, HttpResponseStart,
    HttpResponseTrailers, HttpResponseZeroCopySend, SendError, SendEvent, State, WebSocketSend,
};
use asgi_rules::{AppEnd, HttpRules, WireEvent};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::support::{Make, assert_text, show, wire};

fn all() -> Extensions {
    Extensions::new()
        .with(Extension::Push)
        .with(Extension::EarlyHint)
        .with(Extension::Trailers)
        .with(Extension::PathSend)
        .with(Extension::ZeroCopySend)
        .with(Extension::Debug)
}

fn get() -> HttpRules {
    HttpRules::new(&Method::GET, all())
}

fn head() -> HttpRules {
    HttpRules::new(&Method::HEAD, all())
}

fn start(status: u16, headers: &[(&'static str, &'static str)]) -> HttpResponseStart {
    let mut start = HttpResponseStart::new(StatusCode::from_u16(status).unwrap());
    for (name, value) in headers {
        start = start.header(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    start
}

fn headers(headers: &[(&'static str, &'static str)]) -> HeaderMap {
    start(200, headers).headers
}

fn more(body: &'static str) -> SendEvent {
    HttpResponseBody::more(body).into()
}

fn last(body: &'static str) -> SendEvent {
    HttpResponseBody::last(body).into()
}

/// Sends the events, which the rules must take, and returns what goes to the client.
#[track_caller]
fn sent(rules: &mut HttpRules, events: impl IntoIterator<Item = SendEvent>) -> String {
    let mut shown = String::new();
    for event in events {
        let name = event.name();
        match rules.send(event) {
            Ok(WireEvent::Nothing) => {}
            Ok(event) => shown += &(wire(&event) + "\n"),
            Err(error) => panic!("{name}: {error}"),
        }
    }
    shown
}

/// Sends an event that the rules must not take, and checks that nothing changes. (CORE-012)
#[track_caller]
fn rejected(rules: &mut HttpRules, event: impl Into<SendEvent>) -> SendError {
    let before = format!("{rules:?}");
    let error = rules.send(event.into()).unwrap_err();
    assert_eq!(format!("{rules:?}"), before);
    error
}

type NamedPhase = (&'static str, fn() -> HttpRules);

const PHASES: [NamedPhase; 6] = [
    ("begin", get),
    ("held", || {
        let mut rules = get();
        sent(&mut rules, [start(200, &[]).into()]);
        rules
    }),
    ("body", || {
        let mut rules = get();
        sent(&mut rules, [start(200, &[]).into(), more("a")]);
        rules
    }),
    ("trailers", || {
        let mut rules = get();
        let start = start(200, &[]).with_trailers();
        sent(&mut rules, [start.into(), last("a")]);
        rules
    }),
    ("complete", || {
        let mut rules = get();
        sent(&mut rules, [start(200, &[]).into(), last("a")]);
        rules
    }),
    ("more trailers", || {
        let mut rules = get();
        let start = start(200, &[]).with_trailers();
        let trailers = HttpResponseTrailers::more(headers(&[("s", "0")]));
        sent(&mut rules, [start.into(), last("a"), trailers.into()]);
        rules
    }),
];

const EVENTS: [(&str, Make); 13] = [
    ("start", || start(200, &[("x", "y")]).into()),
    ("more", || more("b")),
    ("more, empty", || more("")),
    ("last", || last("b")),
    ("trailers", || {
        HttpResponseTrailers::new(headers(&[("t", "1")])).into()
    }),
    ("more trailers", || {
        HttpResponseTrailers::more(headers(&[("t", "1")])).into()
    }),
    ("push", || {
        HttpResponsePush::new("/p?q".parse().unwrap()).into()
    }),
    ("hint", || {
        HttpResponseEarlyHint::new([HeaderValue::from_static("</s>")]).into()
    }),
    ("pathsend", || HttpResponsePathSend::new("/f").into()),
    ("zerocopysend", || {
        let file = File::open(env!("CARGO_MANIFEST_DIR")).unwrap();
        HttpResponseZeroCopySend::new(file).into()
    }),
    ("debug", || {
        let mut info = State::new();
        info.insert(7_u8);
        HttpResponseDebug::new(info).into()
    }),
    ("websocket", || WebSocketSend::text("a").into()),
    ("lifespan", || asgi::LifespanStartupComplete::new().into()),
];

/// HTTP-021, HTTP-082, DEBUG-002, TRAIL-004
#[test]
fn every_event_in_every_phase() {
    let mut table = String::new();
    for (phase, make) in PHASES {
        for (name, event) in EVENTS {
            let mut rules = make();
            let before = format!("{rules:?}");
            let result = rules.send(event());
            if result.is_err() {
                assert_eq!(format!("{rules:?}"), before, "{name} in {phase}");
            }
            table += &format!("{phase} | {name} | {}\n", show(result, wire));
        }
    }
    assert_text(&table, include_str!("../tables/http_events.txt"));
}

#[test]
fn an_extension_that_is_not_offered_is_refused_and_changes_nothing() {
    for (name, event) in &EVENTS[4..11] {
        let mut rules = HttpRules::new(&Method::GET, Extensions::new());
        assert!(rejected(&mut rules, event()).is_refused(), "{name}");
        sent(&mut rules, [start(200, &[]).into(), more("a")]);
        assert!(rejected(&mut rules, event()).is_refused(), "{name}");
        sent(&mut rules, [last("")]);
        assert!(rejected(&mut rules, event()).is_misuse(), "{name}");
    }
    let mut rules = HttpRules::new(&Method::GET, Extensions::new());
    assert!(rejected(&mut rules, start(200, &[]).with_trailers()).is_refused());
}

/// HTTP-022, HTTP-062
#[test]
fn a_status_below_200_is_misuse() {
    for status in [100, 101, 103, 199] {
        let error = rejected(&mut get(), start(status, &[]));
        assert_eq!(
            error.to_string(),
            format!(
                "the app sent a response with status {status}, expected a final status, 200 or \
                 above"
            )
        );
        assert!(error.is_misuse());
    }
    for status in [200, 299, 600, 999] {
        sent(&mut get(), [start(status, &[]).into()]);
    }
}

#[test]
fn a_held_head_is_sent_once_when_the_app_waits() {
    let mut rules = get();
    assert_eq!(wire(&rules.waiting()), "nothing");
    assert!(!rules.is_held());
    sent(&mut rules, [start(200, &[("x", "y")]).into()]);
    assert!(rules.is_held() && !rules.is_complete());
    assert_eq!(wire(&rules.waiting()), r#"head 200 Stream {"x": "y"} """#);
    assert!(!rules.is_held());
    assert_eq!(wire(&rules.waiting()), "nothing");
    assert_text(&sent(&mut rules, [last("a")]), r#"last "a""#);
    assert_eq!(wire(&rules.waiting()), "nothing");
    assert!(rules.is_complete());

    let mut rules = get();
    sent(&mut rules, [start(200, &[("content-length", "1")]).into()]);
    assert_eq!(
        wire(&rules.waiting()),
        r#"head 200 Length(1) {"content-length": "1"} """#
    );
}

#[test]
fn a_held_head_is_not_sent_after_the_client_is_gone_or_the_app_has_ended() {
    let (_, held) = PHASES[1];
    let mut gone = held();
    gone.disconnected(DisconnectReason::Lost);
    assert_eq!(wire(&gone.waiting()), "nothing");
    let mut over = held();
    over.ended(AppEnd::Failed);
    assert_eq!(wire(&over.waiting()), "nothing");
    let mut closed = held();
    closed.disconnected(DisconnectReason::Closed);
    assert_eq!(wire(&closed.waiting()), r#"head 200 Stream {} """#);
}

#[test]
fn an_empty_part_sends_a_held_head() {
    let shown = sent(&mut get(), [start(200, &[]).into(), more(""), more("")]);
    assert_text(&shown, r#"head 200 Stream {} """#);
}

#[test]
fn a_push_after_the_head_of_a_response_without_content_is_refused() {
    let push = || HttpResponsePush::new("/p".parse().unwrap());
    let mut rules = head();
    sent(
        &mut rules,
        [
            push().into(),
            start(200, &[]).into(),
            push().into(),
            more(""),
        ],
    );
    assert!(rejected(&mut rules, push()).is_refused());
    assert_text(&sent(&mut rules, [last("")]), r#"last """#);
}
