//! Compresses the messages that one socket sends.
//!
//! The [`Encoder`](crate::websocket::encoder::Encoder) calls [`Deflater::deflate`] with each message.
//! A [`Deflater`] holds a window; the compressors belong to the thread.

use bytes::Bytes;
use flate2::{Compress, FlushCompress, Status};

use super::FLUSHED;
use super::compressors::{CompressorKind, Mark};
use super::negotiation::Agreement;
use super::thread_streams::{self, ThreadStreams};
use super::window::Window;

/// The most bytes of sent messages that a socket keeps, even if its window is larger. To give 8 KiB to
/// zlib takes 8 µs; 32 KiB would take 30 µs and save another 3 %.
const MOST_HISTORY: usize = 8 * 1024;

/// How much of that history zlib gets: this many times the length of the message, and at least
/// [`LEAST_HISTORY`]. For a message of 64 bytes, all of 4 KiB would save three bytes and take 9 µs
/// instead of 6.
const HISTORY_PER_BYTE: usize = 16;
const LEAST_HISTORY: usize = 1024;

/// A shorter message goes uncompressed. Compression halves one of 32 bytes, and saves 6 bytes of one of
/// 16; the headers of a packet take 40 bytes or more.
const SHORTEST: usize = 32;

/// A shorter message goes uncompressed if it cannot refer to earlier ones. Alone, one of 128 bytes saves
/// 22 bytes in 12 µs, one of 64 saves nothing.
const SHORTEST_ALONE: usize = 256;

/// A shorter message that may refer to earlier ones is compressed at level 1, all others at level 3.
/// Level 3 would save another 14 bytes of 256 in 8 µs; it saves 100 bytes of 1024 in 13 µs.
const SHORT: usize = 1024;

/// How many bytes longer a compressed message may be if later ones may refer to it. Alone, a short
/// message does not get shorter; without this allowance the window would stay empty, and later messages
/// would find nothing in it.
const INVESTMENT: usize = 4;

/// In the worst case zlib writes one more byte for this many bytes of a message: its fixed codes have nine
/// bits for half of all bytes.
const GROWTH: usize = 8;

/// The state that a socket needs to compress its messages.
#[derive(Debug)]
pub(crate) struct Deflater {
    window_bits: u8,
    context_takeover: bool,
    window: Window,
    /// Identifies the compressor that has compressed the last message in the window, if it still exists.
    mark: Option<Mark>,
}

impl Deflater {
    /// For the messages that the server sends.
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

    /// Returns the compressed payload of a message, or `None` if the message must go uncompressed.
    ///
    /// The caller must send all returned payloads, in this order: the next one may refer to this one.
    pub(crate) fn deflate(&mut self, message: &[u8]) -> Option<Bytes> {
        let (shortest, longest) = if self.context_takeover {
            (SHORTEST, message.len() + INVESTMENT)
        } else {
            (SHORTEST_ALONE, message.len().saturating_sub(1))
        };
        if message.len() < shortest {
            return None;
        }
        thread_streams::with(|streams| {
            let ThreadStreams {
                compressors,
                buffer,
                ..
            } = streams;
            let (mut compressor, continues) = compressors.take(self.kind(message), self.mark);
            let stream = &mut compressor.stream;
            if !continues && !restart(stream, self.history(message)) {
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
    fn kind(&self, message: &[u8]) -> CompressorKind {
        let short = self.context_takeover && message.len() < SHORT;
        CompressorKind {
            window_bits: self.window_bits,
            level: if short { 1 } else { 3 },
        }
    }

    /// The history that a compressor gets before it compresses this message.
    fn history(&self, message: &[u8]) -> &[u8] {
        let window = self.window.as_slice();
        let most = message.len().saturating_mul(HISTORY_PER_BYTE);
        &window[window.len().saturating_sub(most.max(LEAST_HISTORY))..]
    }

    /// How many bytes it holds on the heap.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.window.capacity()
    }
}

/// Resets a compressor so that it knows only this history.
fn restart(stream: &mut Compress, history: &[u8]) -> bool {
    stream.reset();
    history.is_empty() || stream.set_dictionary(history).is_ok()
}

/// Compresses a message into the empty buffer. Returns whether the result is complete.
fn compress(stream: &mut Compress, message: &[u8], buffer: &mut Vec<u8>) -> bool {
    buffer.reserve(message.len() + message.len() / GROWTH + 64);
    let before = stream.total_in();
    let status = stream.compress_vec(message, buffer, FlushCompress::Sync);
    // If the buffer is full, the result may be incomplete.
    matches!(status, Ok(Status::Ok))
        && stream.total_in() - before == message.len() as u64
        && buffer.len() < buffer.capacity()
}
