//! What an app may send on a WebSocket, and what becomes of its end.

use asgi::{
    DisconnectReason, Extension, Extensions, HttpResponseStart, SendError, SendEvent,
    WebSocketAccept, WebSocketClose, WebSocketDisconnect, WebSocketHttpResponseBody,
    WebSocketHttpResponseStart, WebSocketSend,
};
use asgi_rules::{
    AppEnd, WebSocketEnding, WebSocketRules, WebSocketVerdict, WebSocketWireEvent, WireEvent,
};
use http::{HeaderValue, StatusCode};

use crate::support::{ENDS, Make, Random, assert_text, show, wire};

fn handshake() -> WebSocketRules {
    let extensions = Extensions::new().with(Extension::WebSocketHttpResponse);
    WebSocketRules::new(vec!["chat".to_owned(), "echo".to_owned()], extensions)
}

fn after(events: impl IntoIterator<Item = SendEvent>) -> WebSocketRules {
    let mut exchange = handshake();
    for event in events {
        exchange.send(event).unwrap();
    }
    exchange
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

/// Sends an event that must not be taken; the exchange must stay as it was. (CORE-012)
#[track_caller]
fn rejected(exchange: &mut WebSocketRules, event: impl Into<SendEvent>) -> SendError {
    let before = format!("{exchange:?}");
    let error = exchange.send(event.into()).unwrap_err();
    assert_eq!(format!("{exchange:?}"), before);
    error
}

type Phase = (&'static str, fn() -> WebSocketRules);

const PHASES: [Phase; 7] = [
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
            table += &format!("{phase} | {name} | {}\n", show(result, show_wire));
        }
    }
    assert_text(&table, include_str!("tables/websocket_events.txt"));
}

#[test]
fn every_end_in_every_phase() {
    type Leave = (&'static str, fn(&mut WebSocketRules));
    const LEAVES: [Leave; 4] = [
        ("connected", |_| {}),
        ("closed", |exchange| exchange.closed(1001, "")),
        ("lost", |exchange| {
            exchange.disconnected(DisconnectReason::Lost);
        }),
        ("lost and told", |exchange| {
            exchange.disconnected(DisconnectReason::Lost);
            exchange.disconnect();
        }),
    ];
    let mut table = String::new();
    for (phase, make) in PHASES {
        for (leave, apply) in LEAVES {
            let mut line = format!("{phase} | {leave}");
            for end in ENDS {
                let mut exchange = make();
                apply(&mut exchange);
                let WebSocketVerdict { ending, fault } = exchange.ended(end);
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
    let mut exchange = handshake();
    assert!(exchange.connect());
    assert!(!exchange.connect());
}

#[test]
fn messages_flow_only_while_the_socket_is_open() {
    for (phase, make) in PHASES {
        let mut exchange = make();
        assert_eq!(exchange.is_open(), phase == "open", "{phase}");
        let complete = ["denied", "forbidden", "closed"].contains(&phase);
        assert_eq!(exchange.is_complete(), complete, "{phase}");
        exchange.closed(1000, "");
        assert!(!exchange.is_open(), "{phase}");
    }
    let mut exchange = after([accept()]);
    exchange.ended(AppEnd::Returned);
    assert!(!exchange.is_open());
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
fn a_field_of_the_handshake_in_an_accept_is_misuse() {
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

#[test]
fn fields_of_the_connection_in_an_accept_do_not_go_out() {
    let mut accept = WebSocketAccept::new();
    for name in ["connection", "upgrade", "content-length", "x"] {
        accept.headers.append(name, HeaderValue::from_static("y"));
    }
    let event = handshake().send(accept.into()).unwrap();
    assert_eq!(show_wire(&event), r#"accept None {"x": "y"}"#);
}

#[test]
fn a_close_code_that_no_server_may_send_is_misuse() {
    let lawful = |code: u16| {
        let registered = [
            1000, 1001, 1002, 1003, 1007, 1008, 1009, 1011, 1012, 1013, 1014,
        ];
        registered.contains(&code) || (3000..5000).contains(&code)
    };
    for code in 0..=u16::MAX {
        for mut exchange in [handshake(), after([accept()])] {
            if lawful(code) {
                exchange.send(close(code)).unwrap();
                assert!(exchange.is_complete());
            } else {
                assert!(
                    exchange.send(close(code)).unwrap_err().is_misuse(),
                    "{code}"
                );
                assert!(!exchange.is_complete());
            }
        }
    }
}

#[test]
fn a_close_reason_beyond_123_bytes_is_misuse() {
    let close = |length| WebSocketClose::new(1000).reason("x".repeat(length));
    let mut exchange = after([accept()]);
    let error = rejected(&mut exchange, close(124));
    assert_eq!(
        error.to_string(),
        "the app sent websocket.close with a reason of 124 bytes, expected at most 123"
    );
    exchange.send(close(123).into()).unwrap();
}

#[test]
fn a_denial_needs_its_extension() {
    let events: [Make; 2] = [|| deny(401), || part("", false)];
    for event in events {
        let mut exchange = WebSocketRules::new(Vec::new(), Extensions::new());
        assert!(rejected(&mut exchange, event()).is_refused());
        exchange.send(accept()).unwrap();
        assert!(rejected(&mut exchange, event()).is_refused());
        exchange.send(close(1000)).unwrap();
        assert!(rejected(&mut exchange, event()).is_misuse());
    }
}

/// CORE-027
#[test]
fn of_several_errors_the_first_of_over_gone_complete_not_offered_and_misuse_is_told() {
    let plain = || WebSocketRules::new(Vec::new(), Extensions::new());
    let mut exchange = plain();
    assert!(rejected(&mut exchange, deny(200)).is_refused());
    exchange.send(close(1000)).unwrap();
    assert!(rejected(&mut exchange, deny(200)).is_misuse());

    let mut exchange = plain();
    exchange.disconnected(DisconnectReason::Lost);
    assert!(exchange.ready().is_err());
    assert!(rejected(&mut exchange, deny(200)).is_disconnected());
    exchange.ended(AppEnd::Returned);
    assert!(rejected(&mut exchange, deny(200)).is_over());
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
fn a_denial_is_a_response_with_its_rules() {
    let mut start = WebSocketHttpResponseStart::new(StatusCode::UNAUTHORIZED);
    for (name, value) in [("content-length", "3"), ("connection", "close"), ("x", "y")] {
        start.headers.append(name, HeaderValue::from_static(value));
    }
    let mut exchange = after([start.into()]);
    assert!(rejected(&mut exchange, part("abcd", true)).is_misuse());
    assert!(rejected(&mut exchange, part("ab", false)).is_misuse());
    let event = exchange.send(part("abc", false)).unwrap();
    assert_eq!(
        show_wire(&event),
        r#"denial: response 401 Length(3) close {"content-length": "3", "x": "y"} "abc""#
    );
}

#[test]
fn the_head_of_a_denial_goes_out_when_the_app_waits() {
    let mut exchange = handshake();
    assert_eq!(show_wire(&exchange.waiting()), "nothing");
    exchange.send(deny(401)).unwrap();
    assert_eq!(
        show_wire(&exchange.waiting()),
        r#"denial: head 401 Stream {} """#
    );
    assert_eq!(show_wire(&exchange.waiting()), "nothing");

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
        let mut exchange = make();
        let complete = exchange.is_complete();
        exchange.disconnected(DisconnectReason::Lost);
        let error = exchange.send(WebSocketSend::text("a").into()).unwrap_err();
        assert_eq!(error.is_disconnected(), !complete, "{phase}: {error}");
        assert_eq!(exchange.ready().is_err(), !complete, "{phase}");
    }
    let mut exchange = after([accept()]);
    exchange.closed(1001, "");
    let error = exchange.send(WebSocketSend::text("a").into()).unwrap_err();
    assert_eq!(error.disconnect_reason(), Some(DisconnectReason::Closed));
}

#[test]
fn the_app_is_told_the_code_of_whoever_closed_first() {
    let mut exchange = after([accept()]);
    assert_eq!(exchange.disconnect(), None);
    assert_eq!(exchange.disconnect_reason(), None);
    exchange.closed(4000, "bye");
    exchange.disconnected(DisconnectReason::Lost);
    for _ in 0..2 {
        let told = WebSocketDisconnect::new(4000, "bye");
        assert_eq!(exchange.disconnect(), Some(told));
        let reason = exchange.disconnect_reason();
        assert_eq!(reason, Some(DisconnectReason::Closed));
    }

    let mut exchange = after([accept(), WebSocketClose::new(3000).reason("bye").into()]);
    exchange.closed(3001, "");
    let told = WebSocketDisconnect::new(3000, "bye");
    assert_eq!(exchange.disconnect(), Some(told));
    let reason = exchange.disconnect_reason();
    assert_eq!(reason, Some(DisconnectReason::Complete));
}

/// WS-029 to WS-031
#[test]
fn an_app_whose_socket_the_server_closes_is_told_the_code_that_goes_out() {
    let frame = WebSocketClose::new(1001).reason("the server stops");
    for (phase, make) in PHASES {
        let mut exchange = make();
        let goes_out = exchange.close(DisconnectReason::Shutdown, &frame);
        assert_eq!(goes_out, phase == "open", "{phase}");
        let (code, reason) = match phase {
            "open" => (1001, DisconnectReason::Shutdown),
            "closed" => (1000, DisconnectReason::Complete),
            "denied" | "forbidden" => (1006, DisconnectReason::Complete),
            _ => (1006, DisconnectReason::Shutdown),
        };
        assert_eq!(exchange.disconnect_reason(), Some(reason), "{phase}");
        assert_eq!(exchange.disconnect().unwrap().code, code, "{phase}");
        // It closes once.
        assert!(!exchange.close(DisconnectReason::ProtocolError, &frame));
        assert_eq!(exchange.disconnect().unwrap().code, code, "{phase}");
    }
    let mut exchange = after([accept()]);
    exchange.close(DisconnectReason::Shutdown, &frame);
    assert_eq!(exchange.disconnect().unwrap().reason, "the server stops");
    let error = exchange.send(WebSocketSend::text("a").into()).unwrap_err();
    assert_eq!(error.disconnect_reason(), Some(DisconnectReason::Shutdown));
    let ending = exchange.ended(AppEnd::Returned).ending;
    assert_eq!(ending, WebSocketEnding::Gone);
    let mut exchange = after([accept()]);
    exchange.ended(AppEnd::Returned);
    assert!(!exchange.close(DisconnectReason::Shutdown, &frame));
}

#[test]
fn without_a_close_frame_the_app_is_told_1006() {
    let abnormal = Some(WebSocketDisconnect::new(1006, ""));
    for (phase, make) in PHASES {
        let mut exchange = make();
        exchange.disconnected(DisconnectReason::Lost);
        let (code, reason) = match phase {
            "closed" => (1000, DisconnectReason::Complete),
            "denied" | "forbidden" => (1006, DisconnectReason::Complete),
            _ => (1006, DisconnectReason::Lost),
        };
        assert_eq!(exchange.disconnect_reason(), Some(reason), "{phase}");
        assert_eq!(exchange.disconnect().unwrap().code, code, "{phase}");
    }
    let mut exchange = handshake();
    assert_eq!(exchange.disconnect(), None);
    exchange.ended(AppEnd::Failed);
    assert_eq!(exchange.disconnect(), abnormal);
    let reason = exchange.disconnect_reason();
    assert_eq!(reason, Some(DisconnectReason::Complete));
}

#[test]
fn what_told_the_app_that_its_client_left_excuses_its_error() {
    type Tell = fn(&mut WebSocketRules);
    let ways: [Tell; 3] = [
        |exchange| {
            exchange.disconnect();
        },
        |exchange| {
            exchange.disconnect_reason();
        },
        |exchange| {
            let _ = exchange.ready();
        },
    ];
    for tell in ways {
        let mut exchange = after([accept()]);
        tell(&mut exchange);
        exchange.closed(1001, "");
        tell(&mut exchange);
        assert_eq!(exchange.ended(AppEnd::Failed).fault, None);
    }
}

#[test]
fn a_half_that_outlives_its_app_is_told_that_it_is_over() {
    for (phase, make) in PHASES {
        let mut exchange = make();
        exchange.ended(AppEnd::Failed);
        assert_eq!(exchange.ready(), Err(SendError::over()), "{phase}");
        assert!(rejected(&mut exchange, close(1000)).is_over(), "{phase}");
        let code = match phase {
            "open" => 1011,
            "closed" => 1000,
            _ => 1006,
        };
        assert_eq!(exchange.disconnect().unwrap().code, code, "{phase}");
    }
}

/// What a client has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Nothing,
    Denial,
    Open,
    Complete,
}

impl Seen {
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
            _ => panic!("{event:?} behind {self:?}"),
        }
    }
}

#[test]
fn no_sequence_of_events_breaks_the_rules_of_the_wire() {
    let mut endings = [0; 5];
    for seed in 0..4_000 {
        let mut random = Random::new(seed);
        let mut exchange = handshake();
        let mut seen = Seen::Nothing;
        let mut gone = false;
        let mut told = None;
        for _ in 0..random.below(12) {
            match random.below(20) {
                0 | 1 => seen = seen.then(&exchange.waiting()),
                2 if random.one_in(2) => {
                    gone |= seen != Seen::Complete;
                    match random.below(3) {
                        0 => exchange.closed(1001, ""),
                        1 => exchange.disconnected(DisconnectReason::Lost),
                        _ => {
                            let frame = WebSocketClose::new(1001);
                            let open = exchange.is_open();
                            let goes_out = exchange.close(DisconnectReason::Shutdown, &frame);
                            assert_eq!(goes_out, open, "seed {seed}");
                        }
                    }
                }
                3 => {
                    let disconnect = exchange.disconnect();
                    assert!(told.is_none() || disconnect == told, "seed {seed}");
                    told = disconnect;
                }
                _ => {
                    let (_, event) = random.pick(&EVENTS);
                    let before = format!("{exchange:?}");
                    match exchange.send(event()) {
                        Ok(event) => {
                            assert!(!gone, "seed {seed}: sent to nobody");
                            seen = seen.then(&event);
                        }
                        Err(error) if error.is_disconnected() => assert!(gone, "seed {seed}"),
                        Err(_) => assert_eq!(format!("{exchange:?}"), before, "seed {seed}"),
                    }
                }
            }
            assert_eq!(
                exchange.is_complete(),
                seen == Seen::Complete,
                "seed {seed}"
            );
        }
        let end = random.pick(&ENDS);
        let ending = exchange.ended(end).ending;
        let (index, lawful) = match ending {
            WebSocketEnding::Complete => (0, seen == Seen::Complete),
            WebSocketEnding::Gone => (1, gone && seen != Seen::Complete),
            WebSocketEnding::ServerError => (2, !gone && seen == Seen::Nothing),
            WebSocketEnding::Abort => {
                let half = seen == Seen::Denial || end == AppEnd::Cancelled;
                (3, !gone && half && seen != Seen::Open)
            }
            WebSocketEnding::Close(_) => (4, !gone && seen == Seen::Open),
        };
        assert!(lawful, "seed {seed}: {ending:?} after {seen:?}");
        endings[index] += 1;
        assert_eq!(show_wire(&exchange.waiting()), "nothing");
        assert!(exchange.send(close(1000)).unwrap_err().is_over());
    }
    assert!(endings.iter().all(|times| *times > 100), "{endings:?}");
}
