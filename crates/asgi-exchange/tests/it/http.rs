//! What an app may send when, over HTTP, and what becomes of its end.

use std::fs::File;

use asgi::{
    DisconnectReason, Extension, Extensions, HttpResponseBody, HttpResponseDebug,
    HttpResponseEarlyHint, HttpResponsePathSend, HttpResponsePush, HttpResponseStart,
    HttpResponseTrailers, HttpResponseZeroCopySend, SendError, SendEvent, State, WebSocketSend,
};
use asgi_exchange::{AppEnd, Ending, Fault, HttpExchange, Verdict, WireEvent};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::support::{ENDS, Make, assert_text, show, wire};

fn all() -> Extensions {
    Extensions::new()
        .with(Extension::Push)
        .with(Extension::EarlyHint)
        .with(Extension::Trailers)
        .with(Extension::PathSend)
        .with(Extension::ZeroCopySend)
        .with(Extension::Debug)
}

fn get() -> HttpExchange {
    HttpExchange::new(&Method::GET, all())
}

fn head() -> HttpExchange {
    HttpExchange::new(&Method::HEAD, all())
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
fn sent(exchange: &mut HttpExchange, events: impl IntoIterator<Item = SendEvent>) -> String {
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
fn rejected(exchange: &mut HttpExchange, event: impl Into<SendEvent>) -> SendError {
    let before = format!("{exchange:?}");
    let error = exchange.send(event.into()).unwrap_err();
    assert_eq!(format!("{exchange:?}"), before);
    error
}

type Phase = (&'static str, fn() -> HttpExchange);

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
    assert_text(&table, include_str!("http_events.txt"));
}

#[test]
fn every_end_in_every_phase() {
    type Leave = (&'static str, fn(&mut HttpExchange));
    const LEAVES: [Leave; 5] = [
        ("connected", |_| {}),
        ("closed", |exchange| {
            exchange.disconnected(DisconnectReason::Closed);
        }),
        ("closed and told", |exchange| {
            exchange.disconnected(DisconnectReason::Closed);
            exchange.disconnect();
        }),
        ("lost", |exchange| {
            exchange.disconnected(DisconnectReason::Lost);
        }),
        ("lost and told", |exchange| {
            exchange.disconnected(DisconnectReason::Lost);
            let _ = exchange.ready();
        }),
    ];
    let mut table = String::new();
    for (phase, make) in PHASES {
        for (leave, apply) in LEAVES {
            let mut line = format!("{phase} | {leave}");
            for end in ENDS {
                let mut exchange = make();
                apply(&mut exchange);
                let Verdict { ending, fault } = exchange.ended(end);
                line += &format!(" | {ending:?}");
                line += &fault.map_or(String::new(), |fault| format!(", {fault:?}"));
            }
            table += &(line + "\n");
        }
    }
    assert_text(&table, include_str!("http_ends.txt"));
}

#[test]
fn an_extension_that_is_not_offered_is_refused_and_changes_nothing() {
    for (name, event) in &EVENTS[4..11] {
        let mut exchange = HttpExchange::new(&Method::GET, Extensions::new());
        assert!(rejected(&mut exchange, event()).is_refused(), "{name}");
        sent(&mut exchange, [start(200, &[]).into(), more("a")]);
        assert!(rejected(&mut exchange, event()).is_refused(), "{name}");
        sent(&mut exchange, [last("")]);
        assert!(rejected(&mut exchange, event()).is_misuse(), "{name}");
    }
    let mut exchange = HttpExchange::new(&Method::GET, Extensions::new());
    assert!(rejected(&mut exchange, start(200, &[]).with_trailers()).is_refused());
}

#[test]
fn a_body_in_one_part_gets_its_length() {
    let one = |exchange: &mut HttpExchange, status, body| {
        sent(exchange, [start(status, &[]).into(), last(body)])
    };
    assert_text(
        &[
            one(&mut get(), 200, "hello"),
            one(&mut get(), 200, ""),
            one(&mut get(), 404, "no"),
            one(&mut head(), 200, "hello"),
        ]
        .concat(),
        r#"
        response 200 Length(5) {"content-length": "5"} "hello"
        response 200 Length(0) {"content-length": "0"} ""
        response 404 Length(2) {"content-length": "2"} "no"
        response 200 Empty {"content-length": "5"} ""
        "#,
    );
}

#[test]
fn an_empty_answer_to_head_has_no_length_of_its_own() {
    let shown = sent(&mut head(), [start(200, &[]).into(), last("")]);
    assert_text(&shown, r#"response 200 Empty {} """#);
}

#[test]
fn the_length_that_the_app_set_stays() {
    let length = || start(200, &[("content-length", "5")]).into();
    assert_text(
        &[
            sent(&mut get(), [length(), last("hello")]),
            sent(&mut get(), [length(), more("he"), more("llo"), last("")]),
            sent(&mut head(), [length(), last("")]),
            sent(
                &mut get(),
                [start(304, &[("content-length", "5")]).into(), last("")],
            ),
        ]
        .concat(),
        r#"
        response 200 Length(5) {"content-length": "5"} "hello"
        head 200 Length(5) {"content-length": "5"} "he"
        data "llo"
        last ""
        response 200 Empty {"content-length": "5"} ""
        response 304 Empty {"content-length": "5"} ""
        "#,
    );
}

#[test]
fn a_response_without_content_swallows_its_body() {
    let length = [("content-length", "9")];
    let two = || [more("a"), last("bc")];
    let mut shown = String::new();
    for status in [204, 205, 304] {
        shown += &sent(
            &mut get(),
            [start(status, &[]).into()].into_iter().chain(two()),
        );
        shown += &sent(&mut get(), [start(status, &length).into(), last("abc")]);
    }
    shown += &sent(
        &mut head(),
        [start(200, &[]).into()].into_iter().chain(two()),
    );
    assert_text(
        &shown,
        r#"
        head 204 Empty {} ""
        last ""
        response 204 Empty {} ""
        head 205 Empty {"content-length": "0"} ""
        last ""
        response 205 Empty {"content-length": "0"} ""
        head 304 Empty {} ""
        last ""
        response 304 Empty {"content-length": "9"} ""
        head 200 Empty {} ""
        last ""
        "#,
    );
}

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
    for status in [200, 999] {
        sent(&mut get(), [start(status, &[]).into()]);
    }
}

#[test]
fn the_connection_is_the_servers_and_its_fields_do_not_go_out() {
    let start = start(
        200,
        &[
            ("connection", "keep-alive, x"),
            ("keep-alive", "timeout=1"),
            ("proxy-connection", "close"),
            ("te", "gzip"),
            ("transfer-encoding", "chunked"),
            ("transfer-encoding", "gzip"),
            ("upgrade", "h2c"),
            ("x", "1"),
            ("x", "2"),
        ],
    );
    assert_text(
        &sent(&mut get(), [start.into(), last("a")]),
        r#"response 200 Length(1) {"x": "1", "x": "2", "content-length": "1"} "a""#,
    );
}

#[test]
fn connection_close_asks_to_close() {
    for (value, closes) in [
        ("close", true),
        ("x,  Close ", true),
        ("closed", false),
        ("keep-alive", false),
        ("", false),
    ] {
        let mut exchange = get();
        let mut start = start(200, &[("connection", "x")]);
        start
            .headers
            .append("connection", HeaderValue::from_static(value));
        let shown = sent(&mut exchange, [start.into(), last("")]);
        assert_eq!(shown.contains(" close "), closes, "{value}: {shown}");
    }
}

#[test]
fn a_content_length_is_one_number_of_digits() {
    for value in [
        "",
        "+1",
        "-1",
        "1 ",
        "0x1",
        "1,1",
        "a",
        "18446744073709551616",
    ] {
        let error = rejected(&mut get(), start(200, &[("content-length", value)]));
        assert!(error.is_misuse(), "{value}");
        assert!(error.to_string().contains(&format!("{value:?}")), "{error}");
    }
    let twice = [("content-length", "1"), ("content-length", "1")];
    assert!(rejected(&mut get(), start(200, &twice)).is_misuse());
    let longest = start(200, &[("content-length", "18446744073709551615")]);
    sent(&mut get(), [longest.into()]);
}

#[test]
fn a_body_beyond_its_length_is_misuse_and_can_be_mended() {
    for part in [more("abcd"), last("abcd")] {
        let mut exchange = get();
        sent(
            &mut exchange,
            [start(200, &[("content-length", "5")]).into(), more("ab")],
        );
        assert_eq!(
            rejected(&mut exchange, part).to_string(),
            "the app sent a body part of 4 bytes, expected at most 3: that is left of the \
             content-length"
        );
        assert_text(&sent(&mut exchange, [last("cde")]), r#"last "cde""#);
    }
}

#[test]
fn a_body_short_of_its_length_is_misuse_and_can_be_mended() {
    let mut exchange = get();
    sent(
        &mut exchange,
        [start(200, &[("content-length", "5")]).into(), more("ab")],
    );
    assert_eq!(
        rejected(&mut exchange, last("cd")).to_string(),
        "the app sent a last body part of 2 bytes, expected 3: that is left of the content-length"
    );
    assert_text(
        &sent(&mut exchange, [more("cd"), last("e")]),
        "data \"cd\"\nlast \"e\"",
    );
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
fn trailers_go_out_as_one_section_behind_a_body_without_length() {
    let mut exchange = get();
    let start = start(200, &[("content-length", "1"), ("trailer", "a, b")]).with_trailers();
    let first = HttpResponseTrailers::more(fields(&[("a", "1"), ("a", "2"), ("te", "x")]));
    let rest = HttpResponseTrailers::new(fields(&[
        ("a", "3"),
        ("b", "4"),
        ("content-length", "1"),
        ("trailer", "a"),
        ("connection", "close"),
    ]));
    let shown = sent(
        &mut exchange,
        [start.into(), last("x"), first.into(), rest.into()],
    );
    assert_text(
        &shown,
        r#"
        head 200 Stream trailers {"trailer": "a, b"} "x"
        trailers {"a": "1", "a": "2", "a": "3", "b": "4"}
        "#,
    );
    assert!(exchange.is_complete());
}

#[test]
fn the_length_of_a_body_before_trailers_is_still_checked() {
    let mut exchange = get();
    let start = start(200, &[("content-length", "1")]).with_trailers();
    sent(&mut exchange, [start.into()]);
    assert!(rejected(&mut exchange, last("ab")).is_misuse());
    assert!(rejected(&mut exchange, last("")).is_misuse());
}

#[test]
fn trailers_of_a_response_without_content_are_swallowed() {
    let mut exchange = head();
    let start = start(200, &[("content-length", "1")]).with_trailers();
    let trailers = HttpResponseTrailers::new(fields(&[("a", "1")]));
    assert_text(
        &sent(&mut exchange, [start.into(), last("x"), trailers.into()]),
        r#"
        head 200 Empty {"content-length": "1"} ""
        last ""
        "#,
    );
    assert!(exchange.is_complete());
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

#[test]
fn a_client_that_closed_its_side_still_gets_its_response() {
    let mut exchange = get();
    exchange.disconnected(DisconnectReason::Closed);
    assert_eq!(exchange.disconnect(), Some(DisconnectReason::Closed));
    assert_text(
        &sent(&mut exchange, [start(200, &[]).into(), last("a")]),
        r#"response 200 Length(1) {"content-length": "1"} "a""#,
    );
    assert_eq!(
        exchange.disconnect(),
        Some(DisconnectReason::Closed),
        "the reason stays"
    );
}

#[test]
fn nothing_is_taken_once_the_client_cannot_be_reached() {
    for reason in [
        DisconnectReason::Lost,
        DisconnectReason::Reset(8),
        DisconnectReason::TimedOut,
        DisconnectReason::ProtocolError,
        DisconnectReason::Shutdown,
    ] {
        let mut exchange = get();
        assert_eq!(exchange.ready(), Ok(()));
        exchange.disconnected(DisconnectReason::Closed);
        assert_eq!(exchange.ready(), Ok(()));
        exchange.disconnected(reason);
        exchange.disconnected(DisconnectReason::Lost);
        exchange.disconnected(DisconnectReason::Closed);
        assert_eq!(exchange.ready(), Err(SendError::disconnected(reason)));
        let error = exchange.send(start(200, &[]).into()).unwrap_err();
        assert_eq!(error.disconnect_reason(), Some(reason));
        assert_eq!(exchange.disconnect(), Some(reason));
    }
}

#[test]
fn the_reason_of_the_end_never_changes_once_it_is_told() {
    let mut exchange = get();
    assert_eq!(exchange.disconnect(), None);
    exchange.disconnected(DisconnectReason::Closed);
    assert_eq!(exchange.disconnect(), Some(DisconnectReason::Closed));
    exchange.disconnected(DisconnectReason::Lost);
    assert_eq!(exchange.disconnect(), Some(DisconnectReason::Closed));
    assert_eq!(
        exchange.ready(),
        Err(SendError::disconnected(DisconnectReason::Lost))
    );
    exchange.ended(AppEnd::Returned);
    assert_eq!(exchange.disconnect(), Some(DisconnectReason::Closed));

    // What `send` told counts as well.
    let mut exchange = get();
    exchange.disconnected(DisconnectReason::Reset(8));
    assert!(exchange.ready().is_err());
    assert_eq!(exchange.disconnect(), Some(DisconnectReason::Reset(8)));
}

#[test]
fn a_complete_response_ends_in_complete_whatever_comes_behind_it() {
    let (_, complete) = PHASES[4];
    let mut exchange = complete();
    exchange.disconnected(DisconnectReason::Lost);
    assert_eq!(exchange.disconnect(), Some(DisconnectReason::Complete));
    assert!(exchange.send(last("")).unwrap_err().is_misuse());

    let mut exchange = get();
    exchange.disconnected(DisconnectReason::Closed);
    sent(&mut exchange, [start(200, &[]).into(), last("")]);
    assert_eq!(
        exchange.disconnect(),
        Some(DisconnectReason::Complete),
        "it had not been told otherwise"
    );
}

#[test]
fn a_half_that_outlives_its_app_is_told_that_it_is_over() {
    for (phase, make) in PHASES {
        let mut exchange = make();
        exchange.ended(AppEnd::Returned);
        assert_eq!(exchange.ready(), Err(SendError::over()), "{phase}");
        assert!(rejected(&mut exchange, last("")).is_over(), "{phase}");
        assert_eq!(exchange.disconnect(), Some(DisconnectReason::Complete));
    }
    let mut exchange = get();
    exchange.disconnected(DisconnectReason::Lost);
    exchange.ended(AppEnd::Returned);
    assert_eq!(exchange.ready(), Err(SendError::over()));
    assert_eq!(exchange.disconnect(), Some(DisconnectReason::Lost));
}

#[test]
fn an_app_that_was_told_of_a_complete_response_has_no_excuse_to_fail() {
    let (_, complete) = PHASES[4];
    let mut exchange = complete();
    assert_eq!(exchange.disconnect(), Some(DisconnectReason::Complete));
    let verdict = Verdict {
        ending: Ending::Complete,
        fault: Some(Fault::Failed),
    };
    assert_eq!(exchange.ended(AppEnd::Failed), verdict);
}

#[test]
fn how_an_app_ended_is_read_from_its_result() {
    let scope = asgi::LifespanScope::new().into();
    for (result, end) in [
        (Ok(()), AppEnd::Returned),
        (Err(asgi::AppError::from("broken")), AppEnd::Failed),
        (
            Err(asgi::AppError::unsupported(&scope)),
            AppEnd::Unsupported,
        ),
    ] {
        assert_eq!(AppEnd::from(&result), end);
    }
}
