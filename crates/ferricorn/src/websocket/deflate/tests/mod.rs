//! Tests of both directions against peers without pools and windows.

use super::extensions::MalformedExtensions;
use super::negotiation::Direction;
use super::{Agreement, DeflateSettings, Deflater, InflateError, Inflater, negotiate};

mod hostile;
mod messages;
mod negotiation;
mod peer;
mod reference;

/// One direction, with and without context takeover, for each window.
fn directions() -> impl Iterator<Item = Direction> {
    (9..=15).flat_map(|window_bits| {
        [true, false].map(|context_takeover| Direction {
            window_bits,
            context_takeover,
        })
    })
}

/// An agreement with the same parameters for both directions.
fn both(direction: Direction) -> Agreement {
    Agreement {
        server: direction,
        client: direction,
    }
}

/// Marsaglia's xorshift64: the same sequence for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| (self.next() >> 32) as u8).collect()
    }

    /// Text that compresses well and has parts in common with other text.
    fn text(&mut self, length: usize) -> Vec<u8> {
        const WORDS: [&str; 12] = [
            "\"type\":",
            "\"text\",",
            "\"room\":",
            "{",
            "},",
            "lobby",
            "hello ",
            "world ",
            "0.",
            "17,",
            "true,",
            "null,",
        ];
        let mut text = Vec::new();
        while text.len() < length {
            text.extend_from_slice(WORDS[self.below(WORDS.len())].as_bytes());
        }
        text.truncate(length);
        text
    }

    /// Any kind of message: empty, short, long, text, noise, or an earlier one again.
    fn message(&mut self, before: &[Vec<u8>]) -> Vec<u8> {
        let length = match self.below(8) {
            0 => 0,
            1 => self.below(20),
            2..=5 => self.below(600),
            6 => self.below(9_000),
            _ => self.below(70_000),
        };
        match self.below(6) {
            0 => self.bytes(length),
            1 if !before.is_empty() => before[self.below(before.len())].clone(),
            2 => {
                let byte = self.bytes(1)[0];
                vec![byte; length]
            }
            3 => {
                let mut both = self.text(length / 2);
                both.extend(self.bytes(length / 4));
                both
            }
            _ => self.text(length),
        }
    }
}
