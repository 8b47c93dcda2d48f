//! Drives `HttpRules` with random sequences of everything that can happen.

use asgi::{
    DisconnectReason, Extension, Extensions, HttpResponseBody, HttpResponseEarlyHint,
    HttpResponsePush, HttpResponseStart, HttpResponseTrailers, SendEvent, WebSocketSend,
};
use asgi_rules::{AppEnd, Ending, Framing, HttpRules, ResponseHead, WireEvent};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::support::{ENDS, Random};

const STATUSES: [u16; 7] = [101, 200, 200, 204, 205, 304, 500];
const REASONS: [DisconnectReason; 4] = [
    DisconnectReason::Closed,
    DisconnectReason::Closed,
    DisconnectReason::Lost,
    DisconnectReason::Reset(8),
];

pub(crate) fn random_event(random: &mut Random) -> SendEvent {
    const BODIES: [&str; 4] = ["", "a", "bcd", "efghi"];
    match random.below(12) {
        0..=2 => {
            let status = StatusCode::from_u16(random.pick(&STATUSES)).unwrap();
            let mut start = HttpResponseStart::new(status);
            start.trailers = random.one_in(4);
            for (name, values) in [
                ("content-length", ["0", "5", "+5"]),
                ("connection", ["close", "x", "te"]),
                ("transfer-encoding", ["chunked", "gzip", ""]),
            ] {
                if random.one_in(3) {
                    let value = HeaderValue::from_static(random.pick(&values));
                    start.headers.append(name, value);
                }
            }
            start.into()
        }
        3..=5 => HttpResponseBody::more(random.pick(&BODIES)).into(),
        6 | 7 => HttpResponseBody::last(random.pick(&BODIES)).into(),
        8 => {
            let mut trailers = HttpResponseTrailers::default();
            trailers.more_trailers = random.one_in(2);
            let value = HeaderValue::from_static("1");
            trailers.headers.append("content-length", value.clone());
            trailers.headers.append("t", value);
            trailers.into()
        }
        9 => HttpResponsePush::new("/p".parse().unwrap()).into(),
        10 => HttpResponseEarlyHint::new([]).into(),
        _ => WebSocketSend::text("a").into(),
    }
}

/// What the client has seen so far. It checks the order and the framing.
#[derive(Debug, Default)]
pub(crate) struct ClientView {
    pub(crate) framing: Option<Framing>,
    trailers: bool,
    bytes: u64,
    pub(crate) complete: bool,
}

impl ClientView {
    pub(crate) fn sees(&mut self, event: &WireEvent) {
        if matches!(event, WireEvent::Nothing) {
            return;
        }
        assert!(!self.complete, "{event:?} after a complete response");
        match event {
            WireEvent::EarlyHint(_) => assert_eq!(self.framing, None, "a hint after the head"),
            WireEvent::Push(_) => assert_ne!(self.framing, Some(Framing::Empty)),
            WireEvent::Response(head, data) => {
                self.sees_head(head);
                self.sees_data(data);
                self.completes();
            }
            WireEvent::Head(head, data) => {
                self.sees_head(head);
                self.sees_data(data);
            }
            WireEvent::Data(data) => {
                assert!(!data.is_empty());
                self.sees_data(data);
            }
            WireEvent::Last(data) => {
                self.sees_data(data);
                self.completes();
            }
            WireEvent::Trailers(headers) => {
                assert!(self.trailers, "trailers that the head does not announce");
                assert!(headers.keys().all(|name| name == "t"), "{headers:?}");
                self.trailers = false;
                self.completes();
            }
            other => panic!("unexpected {other:?}"),
        }
    }

    fn sees_head(&mut self, head: &ResponseHead) {
        assert_eq!(self.framing, None, "a second head");
        assert!(head.status.as_u16() >= 200);
        for name in ["connection", "transfer-encoding"] {
            assert!(!head.headers.contains_key(name), "{name}");
        }
        let length = content_length(&head.headers);
        match (head.framing, head.status.as_u16()) {
            (Framing::Empty, 204) | (Framing::Stream, _) => assert_eq!(length, None),
            (Framing::Empty, 205) => assert_eq!(length, Some(0)),
            (Framing::Empty, _) => {}
            (Framing::Length(framed), _) => assert_eq!(length, Some(framed)),
        }
        self.framing = Some(head.framing);
        self.trailers = head.trailers;
    }

    fn sees_data(&mut self, data: &[u8]) {
        self.bytes += data.len() as u64;
        match self.framing {
            None => panic!("data before the head"),
            Some(Framing::Empty) => assert_eq!(self.bytes, 0),
            Some(Framing::Length(length)) => assert!(self.bytes <= length),
            Some(Framing::Stream) => {}
        }
    }

    fn completes(&mut self) {
        assert!(!self.trailers, "complete without the announced trailers");
        if let Some(Framing::Length(length)) = self.framing {
            assert_eq!(self.bytes, length);
        }
        self.complete = true;
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    let value = headers.get("content-length")?;
    Some(value.to_str().unwrap().parse().unwrap())
}

#[test]
fn no_sequence_of_events_breaks_the_order_for_the_client() {
    let mut endings = Vec::new();
    for seed in 0..4_000 {
        let mut random = Random::new(seed);
        let method = random.pick(&[Method::GET, Method::HEAD].each_ref());
        let mut extensions = Extensions::new();
        for one in [Extension::Push, Extension::EarlyHint, Extension::Trailers] {
            if !random.one_in(3) {
                extensions = extensions.with(one);
            }
        }
        let mut rules = HttpRules::new(method, extensions);
        let mut client = ClientView::default();
        let mut gone = false;
        let mut reported = None;
        for _ in 0..random.below(24) {
            match random.below(16) {
                0 | 1 => client.sees(&rules.waiting()),
                2 if random.one_in(3) => {
                    let reason = random.pick(&REASONS);
                    rules.disconnected(reason);
                    gone |= reason != DisconnectReason::Closed && !client.complete;
                }
                3 => {
                    let reason = rules.report_disconnect();
                    assert!(
                        reported.is_none() || reason == reported,
                        "seed {seed}: {reported:?}"
                    );
                    reported = reason;
                }
                _ => {
                    let before = format!("{rules:?}");
                    match rules.send(random_event(&mut random)) {
                        Ok(event) => {
                            assert!(!gone, "seed {seed}: sent after the client was gone");
                            client.sees(&event);
                        }
                        Err(error) if error.is_disconnected() => assert!(gone, "seed {seed}"),
                        Err(_) => assert_eq!(format!("{rules:?}"), before, "seed {seed}"),
                    }
                }
            }
            assert_eq!(rules.is_complete(), client.complete, "seed {seed}");
        }
        let end = random.pick(&ENDS);
        let verdict = rules.ended(end);
        let expected = match (client.complete, gone, client.framing) {
            (true, ..) => Ending::Complete,
            (false, true, _) => Ending::Gone,
            // Only the rules know whether the last part of the body was an empty one.
            (false, false, Some(_)) if verdict.ending == Ending::WithoutTrailers => {
                assert_eq!(end, AppEnd::Returned);
                assert!(rules.is_complete());
                Ending::WithoutTrailers
            }
            (false, false, Some(_)) => Ending::Abort,
            (false, false, None) if matches!(end, AppEnd::Cancelled | AppEnd::Aborted) => {
                Ending::Abort
            }
            (false, false, None) => Ending::ServerError,
        };
        assert_eq!(verdict.ending, expected, "seed {seed}");
        assert!(matches!(rules.waiting(), WireEvent::Nothing));
        assert!(rules.send(random_event(&mut random)).is_err());
        endings.push(verdict.ending);
    }
    // Each ending must occur often enough, or the test proves nothing.
    for ending in [
        Ending::Complete,
        Ending::Gone,
        Ending::Abort,
        Ending::ServerError,
    ] {
        let times = endings.iter().filter(|other| **other == ending).count();
        assert!(times > 200, "{ending:?} occurred only {times} times");
    }
}
