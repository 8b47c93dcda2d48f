//! What the tests of all machines share: events in short, results as text, seeded randomness.

use asgi::{SendError, SendEvent};
use asgi_rules::{AppEnd, ResponseHead, WireEvent};
use bytes::Bytes;

pub(crate) const ENDS: [AppEnd; 5] = [
    AppEnd::Returned,
    AppEnd::Unsupported,
    AppEnd::Failed,
    AppEnd::Panicked,
    AppEnd::Cancelled,
];

/// Compares line by line without indentation; prints the whole actual text if it differs.
#[track_caller]
pub(crate) fn assert_text(actual: &str, expected: &str) {
    let lines = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|line| line.trim().to_owned());
        lines.filter(|line| !line.is_empty()).collect()
    };
    let (actual, expected) = (lines(actual), lines(expected));
    for (at, line) in actual.iter().enumerate() {
        if expected.get(at) != Some(line) {
            println!("{}", actual.join("\n"));
            panic!("line {at} is\n  {line}\nexpected\n  {:?}", expected.get(at));
        }
    }
    assert_eq!(actual.len(), expected.len(), "fewer lines than expected");
}

/// A result of `send` on one line.
pub(crate) fn show<T>(result: Result<T, SendError>, wire: impl Fn(&T) -> String) -> String {
    match result {
        Ok(event) => wire(&event),
        Err(error) => {
            let kind = match () {
                () if error.is_misuse() => "misuse",
                () if error.is_refused() => "refused",
                () if error.is_disconnected() => "disconnected",
                () if error.is_over() => "over",
                () => "unknown",
            };
            format!("{kind}: {error}")
        }
    }
}

/// What goes on the wire on one line.
pub(crate) fn wire(event: &WireEvent) -> String {
    match event {
        WireEvent::Nothing => "nothing".to_owned(),
        WireEvent::EarlyHint(hint) => format!("hint {:?}", hint.links),
        WireEvent::Push(push) => format!("push {}", push.path),
        WireEvent::Response(head, data) => format!("response {} {}", show_head(head), text(data)),
        WireEvent::Head(head, data) => format!("head {} {}", show_head(head), text(data)),
        WireEvent::Data(data) => format!("data {}", text(data)),
        WireEvent::Last(data) => format!("last {}", text(data)),
        WireEvent::Trailers(fields) => format!("trailers {fields:?}"),
        WireEvent::Debug(info) => format!("debug {info:?}"),
        _ => "unknown".to_owned(),
    }
}

fn show_head(head: &ResponseHead) -> String {
    let close = if head.close { " close" } else { "" };
    let trailers = if head.trailers { " trailers" } else { "" };
    let ResponseHead {
        status,
        headers,
        framing,
        ..
    } = head;
    format!(
        "{} {framing:?}{close}{trailers} {headers:?}",
        status.as_u16()
    )
}

fn text(data: &Bytes) -> String {
    format!("{:?}", String::from_utf8_lossy(data))
}

/// Events are not `Clone`: a list of ways to make them.
pub(crate) type Make = fn() -> SendEvent;

/// Marsaglia's xorshift64: the same sequence for the same seed.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }

    pub(crate) fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}
