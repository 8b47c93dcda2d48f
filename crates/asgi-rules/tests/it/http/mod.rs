//! What an app may send when, over HTTP, and what becomes of its end.

mod ends;
mod framing;
mod precedence;
mod random;

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

fn start(status: u16, fields: &[(&'static str, &'static str)]) -> HttpResponseStart {
    let mut start = HttpResponseStart::new(StatusCode::from_u16(status).unwrap());
    for (name, value) in fields {
        start = start.header(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    start
}

fn fields(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    start(200, fields).headers
}

fn more(body: &'static str) -> SendEvent {
    HttpResponseBody::more(body).into()
}

fn last(body: &'static str) -> SendEvent {
    HttpResponseBody::last(body).into()
}

/// Sends the events, which must all be taken, and shows what went on the wire.
#[track_caller]
fn sent(exchange: &mut HttpRules, events: impl IntoIterator<Item = SendEvent>) -> String {
    let mut shown = String::new();
    for event in events {
        let name = event.name();
        match exchange.send(event) {
            Ok(WireEvent::Nothing) => {}
            Ok(event) => shown += &(wire(&event) + "\n"),
            Err(error) => panic!("{name}: {error}"),
        }
    }
    shown
}

/// Sends an event that must not be taken; the exchange must stay as it was. (CORE-012)
#[track_caller]
fn rejected(exchange: &mut HttpRules, event: impl Into<SendEvent>) -> SendError {
    let before = format!("{exchange:?}");
    let error = exchange.send(event.into()).unwrap_err();
    assert_eq!(format!("{exchange:?}"), before);
    error
}

type Phase = (&'static str, fn() -> HttpRules);

const PHASES: [Phase; 5] = [
    ("begin", get),
    ("held", || {
        let mut exchange = get();
        sent(&mut exchange, [start(200, &[]).into()]);
        exchange
    }),
    ("body", || {
        let mut exchange = get();
        sent(&mut exchange, [start(200, &[]).into(), more("a")]);
        exchange
    }),
    ("trailers", || {
        let mut exchange = get();
        let start = start(200, &[]).with_trailers();
        sent(&mut exchange, [start.into(), last("a")]);
        exchange
    }),
    ("complete", || {
        let mut exchange = get();
        sent(&mut exchange, [start(200, &[]).into(), last("a")]);
        exchange
    }),
];

const EVENTS: [(&str, Make); 13] = [
    ("start", || start(200, &[("x", "y")]).into()),
    ("more", || more("b")),
    ("more, empty", || more("")),
    ("last", || last("b")),
    ("trailers", || {
        HttpResponseTrailers::new(fields(&[("t", "1")])).into()
    }),
    ("more trailers", || {
        HttpResponseTrailers::more(fields(&[("t", "1")])).into()
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

#[test]
fn every_event_in_every_phase() {
    let mut table = String::new();
    for (phase, make) in PHASES {
        for (name, event) in EVENTS {
            let mut exchange = make();
            let before = format!("{exchange:?}");
            let result = exchange.send(event());
            if result.is_err() {
                assert_eq!(format!("{exchange:?}"), before, "{name} in {phase}");
            }
            table += &format!("{phase} | {name} | {}\n", show(result, wire));
        }
    }
    assert_text(&table, include_str!("../tables/http_events.txt"));
}

#[test]
fn an_extension_that_is_not_offered_is_refused_and_changes_nothing() {
    for (name, event) in &EVENTS[4..11] {
        let mut exchange = HttpRules::new(&Method::GET, Extensions::new());
        assert!(rejected(&mut exchange, event()).is_refused(), "{name}");
        sent(&mut exchange, [start(200, &[]).into(), more("a")]);
        assert!(rejected(&mut exchange, event()).is_refused(), "{name}");
        sent(&mut exchange, [last("")]);
        assert!(rejected(&mut exchange, event()).is_misuse(), "{name}");
    }
    let mut exchange = HttpRules::new(&Method::GET, Extensions::new());
    assert!(rejected(&mut exchange, start(200, &[]).with_trailers()).is_refused());
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
fn a_held_head_goes_out_when_the_app_waits_and_only_once() {
    let mut exchange = get();
    assert_eq!(wire(&exchange.waiting()), "nothing");
    assert!(!exchange.is_held());
    sent(&mut exchange, [start(200, &[("x", "y")]).into()]);
    assert!(exchange.is_held() && !exchange.is_complete());
    assert_eq!(
        wire(&exchange.waiting()),
        r#"head 200 Stream {"x": "y"} """#
    );
    assert!(!exchange.is_held());
    assert_eq!(wire(&exchange.waiting()), "nothing");
    assert_text(&sent(&mut exchange, [last("a")]), r#"last "a""#);
    assert_eq!(wire(&exchange.waiting()), "nothing");
    assert!(exchange.is_complete());

    let mut exchange = get();
    sent(
        &mut exchange,
        [start(200, &[("content-length", "1")]).into()],
    );
    assert_eq!(
        wire(&exchange.waiting()),
        r#"head 200 Length(1) {"content-length": "1"} """#
    );
}

#[test]
fn a_held_head_stays_in_once_nobody_will_see_it() {
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
    let mut exchange = head();
    sent(
        &mut exchange,
        [
            push().into(),
            start(200, &[]).into(),
            push().into(),
            more(""),
        ],
    );
    assert!(rejected(&mut exchange, push()).is_refused());
    assert_text(&sent(&mut exchange, [last("")]), r#"last """#);
}
