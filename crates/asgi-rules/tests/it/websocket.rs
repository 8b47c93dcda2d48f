//! Tests of `WebSocketRules`.

use asgi::{
    DisconnectReason, Extension, Extensions, HttpResponseStart, SendError, SendEvent,
    WebSocketAccept, WebSocketClose, WebSocketDisconnect, WebSocketHttpResponseBody,
    WebSocketHttpResponseStart, WebSocketSend,
};
use asgi_rules::{
    AppEnd, Fault, WebSocketEnding, WebSocketRules, WebSocketVerdict, WebSocketWireEvent, WireEvent,
};
use http::{HeaderValue, StatusCode};

use crate::support::{ENDS, Make, Random, assert_text, show, wire};

fn handshake() -> WebSocketRules {
    let extensions = Extensions::new().with(Extension::WebSocketHttpResponse);
    WebSocketRules::new(vec!["chat".to_owned(), "echo".to_owned()], extensions)
}

fn after(events: impl IntoIterator<Item = SendEvent>) -> WebSocketRules {
    let mut rules = handshake();
    for event in events {
        rules.send(event).unwrap();
    }
    rules
}

fn deny(status: u16) -> SendEvent {
    WebSocketHttpResponseStart::new(StatusCode::from_u16(status).unwrap()).into()
}

fn part(body: &'static str, more_body: bool) -> SendEvent {
    WebSocketHttpResponseBody::new(body, more_body).into()
}

fn close(code: u16) -> SendEvent {
    WebSocketClose::new(code).into()
}

fn accept() -> SendEvent {
    WebSocketAccept::new().into()
}

fn show_wire(event: &WebSocketWireEvent) -> String {
    match event {
        WebSocketWireEvent::Nothing => "nothing".to_owned(),
        WebSocketWireEvent::Accept(accept) => {
            format!("accept {:?} {:?}", accept.subprotocol, accept.headers)
        }
        WebSocketWireEvent::Denial(event) => format!("denial: {}", wire(event)),
        WebSocketWireEvent::Message(message) => format!("message {message:?}"),
        WebSocketWireEvent::Close(close) => format!("close {} {:?}", close.code, close.reason),
        _ => "unknown".to_owned(),
    }
}

/// Sends an event that the rules must not take, and checks that nothing changes. (CORE-012)
#[track_caller]
fn rejected(rules: &mut WebSocketRules, event: impl Into<SendEvent>) -> SendError {
    let before = format!("{rules:?}");
    let error = rules.send(event.into()).unwrap_err();
    assert_eq!(format!("{rules:?}"), before);
    error
}

type NamedPhase = (&'static str, fn() -> WebSocketRules);

const PHASES: [NamedPhase; 7] = [
    ("handshake", handshake),
    ("held", || after([deny(401)])),
    ("denial", || after([deny(401), part("a", true)])),
    ("denied", || after([deny(401), part("a", false)])),
    ("forbidden", || after([close(1000)])),
    ("open", || after([accept()])),
    ("closed", || after([accept(), close(1000)])),
];

const EVENTS: [(&str, Make); 8] = [
    ("accept", || {
        WebSocketAccept::new().subprotocol("echo").into()
    }),
    ("text", || WebSocketSend::text("a").into()),
    ("binary", || WebSocketSend::binary("b").into()),
    ("close", || WebSocketClose::new(3000).reason("bye").into()),
    ("start", || deny(401)),
    ("more", || part("b", true)),
    ("last", || part("b", false)),
    ("http", || HttpResponseStart::ok().into()),
];

/// DENY-002, DENY-003
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
            table += &format!("{phase} | {name} | {}\n", show(result, show_wire));
        }
    }
    assert_text(&table, include_str!("tables/websocket_events.txt"));
}

/// DENY-004
#[test]
fn every_end_in_every_phase() {
    type Disconnect = (&'static str, fn(&mut WebSocketRules));
    const DISCONNECTS: [Disconnect; 4] = [
        ("connected", |_| {}),
        ("closed", |rules| rules.closed(1001, "")),
        ("lost", |rules| {
            rules.disconnected(DisconnectReason::Lost);
        }),
        ("lost and reported", |rules| {
            rules.disconnected(DisconnectReason::Lost);
            rules.report_disconnect();
        }),
    ];
    let mut table = String::new();
    for (phase, make) in PHASES {
        for (disconnect, apply) in DISCONNECTS {
            let mut line = format!("{phase} | {disconnect}");
            for end in ENDS {
                let mut rules = make();
                apply(&mut rules);
                let WebSocketVerdict { ending, fault, .. } = rules.ended(end);
                line += &format!(" | {ending:?}");
                line += &fault.map_or(String::new(), |fault| format!(", {fault:?}"));
            }
            table += &(line + "\n");
        }
    }
    assert_text(&table, include_str!("tables/websocket_ends.txt"));
}

#[test]
fn connect_is_received_once() {
    let mut rules = handshake();
    assert!(rules.connect());
    assert!(!rules.connect());
}

#[test]
fn the_websocket_is_open_only_between_accept_and_close() {
    for (phase, make) in PHASES {
        let mut rules = make();
        assert_eq!(rules.is_open(), phase == "open", "{phase}");
        let complete = ["denied", "forbidden", "closed"].contains(&phase);
        assert_eq!(rules.is_complete(), complete, "{phase}");
        rules.closed(1000, "");
        assert!(!rules.is_open(), "{phase}");
    }
    let mut rules = after([accept()]);
    rules.ended(AppEnd::Returned);
    assert!(!rules.is_open());
}

#[test]
fn a_subprotocol_that_the_client_does_not_offer_is_misuse() {
    for name in ["", "Chat", "chat, echo"] {
        let accept = WebSocketAccept::new().subprotocol(name);
        assert!(rejected(&mut handshake(), accept).is_misuse(), "{name}");
    }
    for name in ["chat", "echo"] {
        after([WebSocketAccept::new().subprotocol(name).into()]);
    }
}

#[test]
fn a_sec_websocket_header_in_an_accept_is_misuse() {
    for name in [
        "sec-websocket-protocol",
        "sec-websocket-accept",
        "sec-websocket-extensions",
    ] {
        let mut accept = WebSocketAccept::new();
        accept.headers.append("x", HeaderValue::from_static("y"));
        accept
            .headers
            .append(name, HeaderValue::from_static("chat"));
        let error = rejected(&mut handshake(), accept);
        assert!(
            error.is_misuse() && error.to_string().contains(name),
            "{error}"
        );
    }
}

/// WS-044
#[test]
fn connection_headers_in_an_accept_are_not_sent() {
    let mut accept = WebSocketAccept::new();
    for name in ["connection", "upgrade", "content-length", "x"] {
        accept.headers.append(name, HeaderValue::from_static("y"));
    }
    let event = handshake().send(accept.into()).unwrap();
    assert_eq!(show_wire(&event), r#"accept None {"x": "y"}"#);
}

#[test]
fn a_close_code_that_a_server_must_not_send_is_misuse() {
    let valid = |code: u16| {
        let registered = [
            1000, 1001, 1002, 1003, 1007, 1008, 1009, 1011, 1012, 1013, 1014,
        ];
        registered.contains(&code) || (3000..5000).contains(&code)
    };
    for code in 0..=u16::MAX {
        for mut rules in [handshake(), after([accept()])] {
            if valid(code) {
                rules.send(close(code)).unwrap();
                assert!(rules.is_complete());
            } else {
                assert!(rules.send(close(code)).unwrap_err().is_misuse(), "{code}");
                assert!(!rules.is_complete());
            }
        }
    }
}

#[test]
fn a_close_reason_beyond_123_bytes_is_misuse() {
    let close = |length| WebSocketClose::new(1000).reason("x".repeat(length));
    let mut rules = after([accept()]);
    let error = rejected(&mut rules, close(124));
    assert_eq!(
        error.to_string(),
        "the app sent websocket.close with a reason of 124 bytes, expected at most 123"
    );
    rules.send(close(123).into()).unwrap();
}

#[test]
fn a_denial_needs_its_extension() {
    let events: [Make; 2] = [|| deny(401), || part("", false)];
    for event in events {
        let mut rules = WebSocketRules::new(Vec::new(), Extensions::new());
        assert!(rejected(&mut rules, event()).is_refused());
        rules.send(accept()).unwrap();
        assert!(rejected(&mut rules, event()).is_refused());
        rules.send(close(1000)).unwrap();
        assert!(rejected(&mut rules, event()).is_misuse());
    }
}

/// CORE-027
#[test]
fn several_errors_at_once_have_an_order() {
    let plain = || WebSocketRules::new(Vec::new(), Extensions::new());
    let mut rules = plain();
    assert!(rejected(&mut rules, deny(200)).is_refused());
    rules.send(close(1000)).unwrap();
    assert!(rejected(&mut rules, deny(200)).is_misuse());

    let mut rules = plain();
    rules.disconnected(DisconnectReason::Lost);
    assert!(rules.report_ready().is_err());
    assert!(rejected(&mut rules, deny(200)).is_disconnected());
    rules.ended(AppEnd::Returned);
    assert!(rejected(&mut rules, deny(200)).is_over());
}

#[test]
fn a_denial_with_a_status_that_would_accept_is_misuse() {
    for status in [100, 101, 200, 204, 299] {
        assert!(
            rejected(&mut handshake(), deny(status)).is_misuse(),
            "{status}"
        );
    }
    for status in [300, 401, 999] {
        after([deny(status)]);
    }
}

#[test]
fn a_denial_follows_the_rules_of_a_response() {
    let mut start = WebSocketHttpResponseStart::new(StatusCode::UNAUTHORIZED);
    for (name, value) in [("content-length", "3"), ("connection", "close"), ("x", "y")] {
        start.headers.append(name, HeaderValue::from_static(value));
    }
    let mut rules = after([start.into()]);
    assert!(rejected(&mut rules, part("abcd", true)).is_misuse());
    assert!(rejected(&mut rules, part("ab", false)).is_misuse());
    let event = rules.send(part("abc", false)).unwrap();
    assert_eq!(
        show_wire(&event),
        r#"denial: response 401 Length(3) close {"content-length": "3", "x": "y"} "abc""#
    );
}

#[test]
fn the_head_of_a_denial_is_sent_when_the_app_waits() {
    let mut rules = handshake();
    assert_eq!(show_wire(&rules.waiting()), "nothing");
    rules.send(deny(401)).unwrap();
    assert_eq!(
        show_wire(&rules.waiting()),
        r#"denial: head 401 Stream {} """#
    );
    assert_eq!(show_wire(&rules.waiting()), "nothing");

    let mut gone = after([deny(401)]);
    gone.disconnected(DisconnectReason::Lost);
    assert_eq!(show_wire(&gone.waiting()), "nothing");
    let mut over = after([deny(401)]);
    over.ended(AppEnd::Cancelled);
    assert_eq!(show_wire(&over.waiting()), "nothing");
}

#[test]
fn nothing_is_taken_once_the_client_is_gone() {
    for (phase, make) in PHASES {
        let mut rules = make();
        let complete = rules.is_complete();
        rules.disconnected(DisconnectReason::Lost);
        let error = rules.send(WebSocketSend::text("a").into()).unwrap_err();
        assert_eq!(error.is_disconnected(), !complete, "{phase}: {error}");
        assert_eq!(rules.report_ready().is_err(), !complete, "{phase}");
    }
    let mut rules = after([accept()]);
    rules.closed(1001, "");
    let error = rules.send(WebSocketSend::text("a").into()).unwrap_err();
    assert_eq!(error.disconnect_reason(), Some(DisconnectReason::Closed));
}

#[test]
fn the_app_receives_the_code_of_the_side_that_closed_first() {
    let mut rules = after([accept()]);
    assert_eq!(rules.report_disconnect(), None);
    assert_eq!(rules.report_closed(), None);
    rules.closed(4000, "bye");
    rules.disconnected(DisconnectReason::Lost);
    for _ in 0..2 {
        let reported = WebSocketDisconnect::new(4000, "bye");
        assert_eq!(rules.report_disconnect(), Some(reported));
        let reason = rules.report_closed();
        assert_eq!(reason, Some(DisconnectReason::Closed));
    }

    let mut rules = after([accept(), WebSocketClose::new(3000).reason("bye").into()]);
    rules.closed(3001, "");
    let reported = WebSocketDisconnect::new(3000, "bye");
    assert_eq!(rules.report_disconnect(), Some(reported));
    let reason = rules.report_closed();
    assert_eq!(reason, Some(DisconnectReason::Complete));
}

/// WS-029 to WS-031
#[test]
fn if_the_server_closes_the_app_receives_the_code_of_its_close_frame() {
    let frame = WebSocketClose::new(1001).reason("the server stops");
    for (phase, make) in PHASES {
        let mut rules = make();
        let sends_frame = rules.close(DisconnectReason::Shutdown, &frame);
        assert_eq!(sends_frame, phase == "open", "{phase}");
        let (code, reason) = match phase {
            "open" => (1001, DisconnectReason::Shutdown),
            "closed" => (1000, DisconnectReason::Complete),
            "denied" | "forbidden" => (1006, DisconnectReason::Complete),
            _ => (1006, DisconnectReason::Shutdown),
        };
        assert_eq!(rules.report_closed(), Some(reason), "{phase}");
        assert_eq!(rules.report_disconnect().unwrap().code, code, "{phase}");
        // The server closes only once.
        assert!(!rules.close(DisconnectReason::ProtocolError, &frame));
        assert_eq!(rules.report_disconnect().unwrap().code, code, "{phase}");
    }
    let mut rules = after([accept()]);
    rules.close(DisconnectReason::Shutdown, &frame);
    assert_eq!(
        rules.report_disconnect().unwrap().reason,
        "the server stops"
    );
    let error = rules.send(WebSocketSend::text("a").into()).unwrap_err();
    assert_eq!(error.disconnect_reason(), Some(DisconnectReason::Shutdown));
    let ending = rules.ended(AppEnd::Returned).ending;
    assert_eq!(ending, WebSocketEnding::Gone);
    let mut rules = after([accept()]);
    rules.ended(AppEnd::Returned);
    assert!(!rules.close(DisconnectReason::Shutdown, &frame));
}

#[test]
fn without_a_close_frame_the_app_receives_1006() {
    let abnormal = Some(WebSocketDisconnect::new(1006, ""));
    for (phase, make) in PHASES {
        let mut rules = make();
        rules.disconnected(DisconnectReason::Lost);
        let (code, reason) = match phase {
            "closed" => (1000, DisconnectReason::Complete),
            "denied" | "forbidden" => (1006, DisconnectReason::Complete),
            _ => (1006, DisconnectReason::Lost),
        };
        assert_eq!(rules.report_closed(), Some(reason), "{phase}");
        assert_eq!(rules.report_disconnect().unwrap().code, code, "{phase}");
    }
    let mut rules = handshake();
    assert_eq!(rules.report_disconnect(), None);
    rules.ended(AppEnd::Failed);
    assert_eq!(rules.report_disconnect(), abnormal);
    let reason = rules.report_closed();
    assert_eq!(reason, Some(DisconnectReason::Complete));
}

#[test]
fn an_app_that_knows_that_its_client_left_is_not_at_fault() {
    type Learn = fn(&mut WebSocketRules);
    let ways: [Learn; 3] = [
        |rules| {
            rules.report_disconnect();
        },
        |rules| {
            rules.report_closed();
        },
        |rules| {
            let _ = rules.report_ready();
        },
    ];
    for learn in ways {
        let mut rules = after([accept()]);
        learn(&mut rules);
        rules.closed(1001, "");
        learn(&mut rules);
        assert_eq!(rules.ended(AppEnd::Failed).fault, None);
    }
}

#[test]
fn after_the_app_has_ended_each_send_fails_with_over() {
    for (phase, make) in PHASES {
        let mut rules = make();
        rules.ended(AppEnd::Failed);
        assert_eq!(rules.report_ready(), Err(SendError::over()), "{phase}");
        assert!(rejected(&mut rules, close(1000)).is_over(), "{phase}");
        let code = match phase {
            "open" => 1011,
            "closed" => 1000,
            _ => 1006,
        };
        assert_eq!(rules.report_disconnect().unwrap().code, code, "{phase}");
    }
}

/// What the client has seen so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClientView {
    Nothing,
    Denial,
    Open,
    Complete,
}

impl ClientView {
    fn then(self, event: &WebSocketWireEvent) -> Self {
        use WebSocketWireEvent::{Accept, Close, Denial, Message, Nothing};
        match (self, event) {
            (_, Nothing)
            | (Self::Open, Message(_))
            | (Self::Denial, Denial(WireEvent::Nothing | WireEvent::Data(_))) => self,
            (Self::Nothing, Accept(_)) => Self::Open,
            (Self::Nothing, Denial(WireEvent::Head(..))) => Self::Denial,
            (Self::Nothing, Denial(WireEvent::Response(..)))
            | (Self::Denial, Denial(WireEvent::Last(_)))
            | (Self::Open, Close(_)) => Self::Complete,
            _ => panic!("{event:?} after {self:?}"),
        }
    }
}

#[test]
fn no_sequence_of_events_breaks_the_order_for_the_client() {
    let mut endings = [0; 5];
    for seed in 0..4_000 {
        let mut random = Random::new(seed);
        let mut rules = handshake();
        let mut seen = ClientView::Nothing;
        let mut gone = false;
        let mut reported = None;
        for _ in 0..random.below(12) {
            match random.below(20) {
                0 | 1 => seen = seen.then(&rules.waiting()),
                2 if random.one_in(2) => {
                    gone |= seen != ClientView::Complete;
                    match random.below(3) {
                        0 => rules.closed(1001, ""),
                        1 => rules.disconnected(DisconnectReason::Lost),
                        _ => {
                            let frame = WebSocketClose::new(1001);
                            let open = rules.is_open();
                            let sends_frame = rules.close(DisconnectReason::Shutdown, &frame);
                            assert_eq!(sends_frame, open, "seed {seed}");
                        }
                    }
                }
                3 => {
                    let disconnect = rules.report_disconnect();
                    assert!(reported.is_none() || disconnect == reported, "seed {seed}");
                    reported = disconnect;
                }
                _ => {
                    let (_, event) = random.pick(&EVENTS);
                    let before = format!("{rules:?}");
                    match rules.send(event()) {
                        Ok(event) => {
                            assert!(!gone, "seed {seed}: sent after the client was gone");
                            seen = seen.then(&event);
                        }
                        Err(error) if error.is_disconnected() => assert!(gone, "seed {seed}"),
                        Err(_) => assert_eq!(format!("{rules:?}"), before, "seed {seed}"),
                    }
                }
            }
            assert_eq!(
                rules.is_complete(),
                seen == ClientView::Complete,
                "seed {seed}"
            );
        }
        let end = random.pick(&ENDS);
        let ending = rules.ended(end).ending;
        let (index, valid) = match ending {
            WebSocketEnding::Complete => (0, seen == ClientView::Complete),
            WebSocketEnding::Gone => (1, gone && seen != ClientView::Complete),
            WebSocketEnding::ServerError => (2, !gone && seen == ClientView::Nothing),
            WebSocketEnding::Abort => {
                let valid = match end {
                    AppEnd::Aborted => seen != ClientView::Complete,
                    AppEnd::Cancelled => matches!(seen, ClientView::Denial | ClientView::Nothing),
                    _ => seen == ClientView::Denial,
                };
                (3, !gone && valid)
            }
            WebSocketEnding::Close(_) => (4, !gone && seen == ClientView::Open),
            other => panic!("unexpected {other:?}"),
        };
        assert!(valid, "seed {seed}: {ending:?} after {seen:?}");
        endings[index] += 1;
        assert_eq!(show_wire(&rules.waiting()), "nothing");
        assert!(rules.send(close(1000)).unwrap_err().is_over());
    }
    assert!(endings.iter().all(|times| *times > 100), "{endings:?}");
}

/// WS-043
#[test]
fn an_app_that_aborts_sends_no_close_frame() {
    let mut rules = after([accept()]);
    let verdict = rules.ended(AppEnd::Aborted);
    assert_eq!(
        (verdict.ending, verdict.fault),
        (WebSocketEnding::Abort, None)
    );
    assert_eq!(rules.report_disconnect().unwrap().code, 1006);
}

#[test]
fn a_question_tells_the_app_nothing() {
    let mut rules = after([accept()]);
    assert!(!rules.is_gone());
    rules.disconnected(DisconnectReason::Lost);
    assert!(rules.is_gone());
    // The app does not know that its client left, so its end is its fault.
    assert_eq!(rules.ended(AppEnd::Failed).fault, Some(Fault::Failed));
}
