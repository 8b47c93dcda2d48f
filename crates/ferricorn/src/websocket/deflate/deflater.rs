//! Compresses the messages that one socket sends.

use bytes::Bytes;
use flate2::{Compress, FlushCompress, Status};

use super::FLUSHED;
use super::compressors::{Kind, Mark};
use super::negotiation::Agreement;
use super::streams::{self, Streams};
use super::window::Window;

/// How much of what was sent is kept for the next message, whatever the window may be: to hand 8 KiB to
/// zlib takes 8 µs, and 32 KiB would take 30 µs to save another 3 %.
const MOST_HISTORY: usize = 8 * 1024;

/// How much of that is handed over: so many times the message's length, and at least so much. All of 4 KiB
/// would save three bytes of a message of 64, and take 9 µs in place of 6.
const HISTORY_PER_BYTE: usize = 16;
const LEAST_HISTORY: usize = 1024;

/// A message below this goes plain. One of 32 bytes gets half as long, one of 16 saves 6 bytes; a packet
/// has 40 bytes of headers and more.
const SHORTEST: usize = 32;

/// A message below this goes plain if it cannot refer to others: on its own, one of 128 bytes saves 22 in
/// 12 µs, one of 64 nothing.
const SHORTEST_ALONE: usize = 256;

/// A message below this that may refer to others is compressed at level 1, and any other at level 3: that
/// would save another 14 bytes of 256 in 8 µs, and saves 100 of 1024 in 13 µs.
const SHORT: usize = 1024;

/// How much longer a message may get that others may refer to. Without that a window would stay empty
/// in which short messages could find themselves, for on its own none of them gets shorter.
const INVESTMENT: usize = 4;

/// How many bytes are to one more byte that zlib writes for a message at worst: its fixed codes have nine
/// bits for half of all bytes.
const GROWTH: usize = 8;

/// What a socket keeps in order to compress its messages.
#[derive(Debug)]
pub(crate) struct Deflater {
    window_bits: u8,
    context_takeover: bool,
    window: Window,
    /// The end of the window's last message, for a compressor that still has it.
    mark: Option<Mark>,
}

impl Deflater {
    /// For what a server sends.
    pub(crate) fn new(agreement: Agreement) -> Self {
        let direction = agreement.server;
        let size = if direction.context_takeover {
            MOST_HISTORY.min(1 << direction.window_bits)
        } else {
            0
        };
        Self {
            window_bits: direction.window_bits,
            context_takeover: direction.context_takeover,
            window: Window::new(size),
            mark: None,
        }
    }

    /// The payload of a message if it is to be sent compressed; else it is to be sent as it is. Whatever
    /// is returned has to be sent, and in this order: the next one may refer to it.
    pub(crate) fn deflate(&mut self, message: &[u8]) -> Option<Bytes> {
        let (shortest, longest) = if self.context_takeover {
            (SHORTEST, message.len() + INVESTMENT)
        } else {
            (SHORTEST_ALONE, message.len().saturating_sub(1))
        };
        if message.len() < shortest {
            return None;
        }
        streams::with(|streams| {
            let Streams {
                compressors,
                buffer,
                ..
            } = streams;
            let (mut compressor, goes_on) = compressors.take(self.kind(message), self.mark);
            let stream = &mut compressor.stream;
            if !goes_on && !restart(stream, self.history(message)) {
                return None;
            }
            if !compress(stream, message, buffer) {
                return None;
            }
            let payload = buffer.strip_suffix(&FLUSHED);
            let Some(payload) = payload.filter(|payload| payload.len() <= longest) else {
                compressors.give_back(compressor);
                return None;
            };
            let payload = Bytes::copy_from_slice(payload);
            if self.context_takeover {
                self.window.slide(message);
                self.mark = Some(compressors.give_back_marked(compressor));
            } else {
                compressors.give_back(compressor);
            }
            Some(payload)
        })
    }

    /// The kind of compressor for a message.
    fn kind(&self, message: &[u8]) -> Kind {
        let short = self.context_takeover && message.len() < SHORT;
        Kind {
            window_bits: self.window_bits,
            level: if short { 1 } else { 3 },
        }
    }

    /// What is handed to a compressor that is to compress the message.
    fn history(&self, message: &[u8]) -> &[u8] {
        let window = self.window.as_slice();
        let most = message.len().saturating_mul(HISTORY_PER_BYTE);
        &window[window.len().saturating_sub(most.max(LEAST_HISTORY))..]
    }

    /// The bytes on the heap.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.window.capacity()
    }
}

/// Lets a compressor forget everything but this.
fn restart(stream: &mut Compress, history: &[u8]) -> bool {
    stream.reset();
    history.is_empty() || stream.set_dictionary(history).is_ok()
}

/// Compresses a message into the empty buffer; says whether that is all of it.
fn compress(stream: &mut Compress, message: &[u8], buffer: &mut Vec<u8>) -> bool {
    buffer.reserve(message.len() + message.len() / GROWTH + 64);
    let before = stream.total_in();
    let status = stream.compress_vec(message, buffer, FlushCompress::Sync);
    // A buffer that is full may not hold all of it.
    matches!(status, Ok(Status::Ok))
        && stream.total_in() - before == message.len() as u64
        && buffer.len() < buffer.capacity()
}
