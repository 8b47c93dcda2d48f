//! Compresses the messages that one socket sends.

use bytes::Bytes;
use flate2::{Compress, FlushCompress, Status};

use super::FLUSHED;
use super::compressors::Mark;
use super::negotiation::Agreement;
use super::streams::{self, Streams};
use super::window::Window;

/// How much of what was sent is kept for the next message, whatever the window may be: to hand the last
/// 8 KiB to zlib takes 10 µs, and 32 KiB would take 40 µs for a few percent less to send.
const MOST_HISTORY: usize = 8 * 1024;

/// A message below this goes plain. It would save a few bytes, in a packet with 60 bytes of headers.
const SHORTEST: usize = 32;

/// A message below this goes plain if it cannot refer to others: on its own it gets no shorter.
const SHORTEST_ALONE: usize = 128;

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
            let (mut compressor, goes_on) = compressors.take(self.window_bits, self.mark);
            let stream = &mut compressor.stream;
            if !goes_on && !restart(stream, self.window.as_slice()) {
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

    /// The bytes on the heap.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.window.capacity()
    }
}

/// Lets a compressor forget everything but this window.
fn restart(stream: &mut Compress, window: &[u8]) -> bool {
    stream.reset();
    window.is_empty() || stream.set_dictionary(window).is_ok()
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
