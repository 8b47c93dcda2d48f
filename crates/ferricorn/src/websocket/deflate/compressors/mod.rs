//! The compressors of one thread, each with the mark of the socket that it can continue.
//!
//! [`Deflater`](super::Deflater) takes a compressor for each message and gives it back.

use std::thread::{self, ThreadId};

use flate2::{Compress, Compression};

/// The most compressors that a thread keeps.
///
/// One would be enough. But it takes longer to reset a compressor and give it a window than to
/// compress a short message, and a compressor whose last message was from the same socket can
/// continue as it is.
const MOST: usize = 4;

#[derive(Default)]
pub(super) struct Compressors {
    /// The last one was used last.
    idle: Vec<Compressor>,
    /// How many marks this thread has made.
    marks: u64,
}

/// A compressor. It is outside of its pool while it is in use.
///
/// So no compressor comes back after a panic or with output left. (zlib-rs 0.6.8 forgets at a reset
/// the bytes that were left, but not the room that they took, and panics when there is none.)
pub(super) struct Compressor {
    pub(super) stream: Compress,
    kind: CompressorKind,
    mark: Option<Mark>,
}

/// The parameters that a compressor cannot change while it continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CompressorKind {
    pub(super) window_bits: u8,
    /// The level of zlib, 1 to 9.
    pub(super) level: u32,
}

/// A point in the messages that a socket has sent: after its last compressed message.
///
/// Each mark is unique. So a compressor and a socket with the same mark have the same past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark(ThreadId, u64);

impl Compressors {
    /// Takes a compressor of this kind. Also returns whether it can continue after the mark.
    pub(super) fn take(&mut self, kind: CompressorKind, mark: Option<Mark>) -> (Compressor, bool) {
        let of_this_kind = |compressor: &Compressor| compressor.kind == kind;
        let marked = |compressor: &Compressor| {
            mark.is_some() && compressor.mark == mark && of_this_kind(compressor)
        };
        // No socket can continue a compressor without a mark.
        let unmarked =
            |compressor: &Compressor| compressor.mark.is_none() && of_this_kind(compressor);
        if let Some(index) = self.idle.iter().position(marked) {
            return (self.idle.remove(index), true);
        }
        let mut index = self.idle.iter().position(unmarked);
        if self.idle.len() == MOST {
            index = index.or_else(|| self.idle.iter().position(of_this_kind));
        }
        let compressor = match index {
            Some(index) => self.idle.remove(index),
            None => {
                if self.idle.len() == MOST {
                    self.idle.remove(0);
                }
                Compressor::new(kind)
            }
        };
        (compressor, false)
    }

    /// Takes back a compressor whose last message the socket sends. The socket keeps the mark.
    pub(super) fn give_back_marked(&mut self, mut compressor: Compressor) -> Mark {
        self.marks += 1;
        let mark = Mark(thread::current().id(), self.marks);
        compressor.mark = Some(mark);
        self.idle.push(compressor);
        mark
    }

    /// Takes back a compressor that no socket can continue.
    pub(super) fn give_back(&mut self, mut compressor: Compressor) {
        compressor.mark = None;
        self.idle.push(compressor);
    }
}

impl Compressor {
    fn new(kind: CompressorKind) -> Self {
        let level = Compression::new(kind.level);
        Self {
            stream: Compress::new_with_window_bits(level, false, kind.window_bits),
            kind,
            mark: None,
        }
    }
}

#[cfg(test)]
mod tests;
