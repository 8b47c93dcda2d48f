//! Helpers for the tests of all state machines: results as text, and seeded randomness.

use asgi::{SendError, SendEvent};
use asgi_rules::{AppEnd, ResponseHead, WireEvent};
use bytes::Bytes;

pub(crate) const ENDS: [AppEnd; 6] = [
    AppEnd::Returned,
    AppEnd::Unsupported,
    AppEnd::Failed,
    AppEnd::Panicked,
    AppEnd::Cancelled,
    AppEnd::Aborted,
];

/// Compares two texts line by line, without indentation. Prints the actual text if they differ.
#[track_caller]
pub(crate) fn assert_text(actual: &str, expected: &str) {
    let lines = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|line| line.trim().to_owned());
        lines.filter(|line| !line.is_empty()).collect()
    };
    let (actual, expected) = (lines(actual), lines(expected));
    for (number, line) in actual.iter().enumerate() {
        if expected.get(number) != Some(line) {
            println!("{}", actual.join("\n"));
            panic!(
                "line {number} is\n  {line}\nexpected\n  {:?}",
                expected.get(number)
            );
        }
    }
    assert_eq!(actual.len(), expected.len(), "too few lines");
}

/// Returns a result of `send` as one line.
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

/// Returns what the server sends as one line.
pub(crate) fn wire(event: &WireEvent) -> String {
    match event {
        WireEvent::Nothing => "nothing".to_owned(),
        WireEvent::EarlyHint(hint) => format!("hint {:?}", hint.links),
        WireEvent::Push(push) => format!("push {}", push.path),
        WireEvent::Response(head, data) => format!("response {} {}", show_head(head), text(data)),
        WireEvent::Head(head, data) => format!("head {} {}", show_head(head), text(data)),
        WireEvent::Data(data) => format!("data {}", text(data)),
        WireEvent::Last(data) => format!("last {}", text(data)),
        WireEvent::Trailers(headers) => format!("trailers {headers:?}"),
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

/// A function that makes an event, for lists of events in constants.
pub(crate) type Make = fn() -> SendEvent;

/// Marsaglia's xorshift64. The same seed gives the same sequence.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Returns a number below `end`.
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
