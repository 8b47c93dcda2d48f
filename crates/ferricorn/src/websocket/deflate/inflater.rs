//! Inflates the messages that one socket receives.
//!
//! The [`Decoder`](crate::websocket::decoder::Decoder) calls [`Inflater::inflate`] with the payload of
//! each compressed message, all frames together. An [`Inflater`] holds a window; the zlib stream belongs
//! to the thread.

use std::mem;

use bytes::Bytes;
use flate2::{Decompress, FlushDecompress, Status};

use super::negotiation::Agreement;
use super::thread_streams::{self, ThreadStreams};
use super::window::Window;

/// The end of every message, for the inflater: the bytes that the sender has cut off, and after them an
/// empty final block. If the message is complete, the stream ends in one of the two.
const END: [u8; 9] = [0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff];
const FINAL_BLOCK: &[u8] = END.split_at(4).1;

/// How many bytes the output grows by at first.
const FIRST_STEP: usize = 4 * 1024;

/// The inflater copies a message up to this size out of the thread's buffer. A larger one keeps the buffer.
const COPIED: usize = 32 * 1024;

/// A message may consist of this many deflate streams, and of one more for each
/// [`PAYLOAD_TO_A_STREAM`] bytes of payload. To start a stream takes microseconds, and a stream can be
/// as short as two bytes.
const STREAMS: usize = 8;
const PAYLOAD_TO_A_STREAM: usize = 256;

/// Why a message cannot be inflated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InflateError {
    /// The message is longer than the limit.
    TooLarge,
    /// The payload is not complete DEFLATE data, or it refers to bytes that were never sent.
    Malformed,
}

/// The state that a socket needs to inflate its messages.
#[derive(Debug)]
pub(crate) struct Inflater {
    window: Window,
}

impl Inflater {
    /// For the messages that the server receives.
    pub(crate) fn new(agreement: Agreement) -> Self {
        let direction = agreement.client;
        let size = if direction.context_takeover {
            1 << direction.window_bits
        } else {
            0
        };
        Self {
            window: Window::new(size),
        }
    }

    /// Inflates the payload of one message, which is the payload of all its frames together.
    ///
    /// Memory grows with the output, up to `limit`.
    ///
    /// # Errors
    ///
    /// The caller must fail the connection: client and server no longer have the same window.
    pub(crate) fn inflate(&mut self, payload: &[u8], limit: usize) -> Result<Bytes, InflateError> {
        thread_streams::with(|streams| {
            let ThreadStreams {
                inflater, buffer, ..
            } = streams;
            let mut inflation = Inflation {
                stream: inflater,
                output: buffer,
                limit,
            };
            inflation.inflate_message(payload, self.window.as_slice())?;
            self.window.slide(buffer);
            if buffer.len() <= COPIED {
                return Ok(Bytes::copy_from_slice(buffer));
            }
            let mut message = mem::take(buffer);
            message.shrink_to_fit();
            Ok(message.into())
        })
    }

    /// How many bytes it holds on the heap.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.window.capacity()
    }
}

/// One message in the thread's inflater.
struct Inflation<'a> {
    stream: &'a mut Decompress,
    output: &'a mut Vec<u8>,
    limit: usize,
}

impl Inflation<'_> {
    /// Inflates a message (RFC 7692 §7.2.2).
    ///
    /// Its sender may end a stream with a block that has BFINAL set, in the middle or at the end, and
    /// "the next DEFLATE block follows the padded data if any" (7.2.1). The next block may refer to
    /// earlier bytes like any other. The last empty block may be missing.
    fn inflate_message(&mut self, mut payload: &[u8], window: &[u8]) -> Result<(), InflateError> {
        let streams = STREAMS + payload.len() / PAYLOAD_TO_A_STREAM;
        for _ in 0..streams {
            if payload.is_empty() {
                return Ok(());
            }
            self.start_stream(window)?;
            if self.run(&mut payload)? == StreamStop::AtEnd {
                continue;
            }
            let mut end = END.as_slice();
            return match self.run(&mut end)? {
                StreamStop::AtEnd if end.is_empty() || end == FINAL_BLOCK => Ok(()),
                _ => Err(InflateError::Malformed),
            };
        }
        if payload.is_empty() {
            Ok(())
        } else {
            Err(InflateError::Malformed)
        }
    }

    /// Starts a stream that may refer to the window and to the output so far.
    fn start_stream(&mut self, window: &[u8]) -> Result<(), InflateError> {
        self.stream.reset(false);
        for past in [window, self.output] {
            if !past.is_empty() {
                let set = self.stream.set_dictionary(past);
                set.map_err(|_| InflateError::Malformed)?;
            }
        }
        Ok(())
    }

    /// Inflates until the stream ends or the input does.
    fn run(&mut self, input: &mut &[u8]) -> Result<StreamStop, InflateError> {
        loop {
            self.make_room();
            let (read, length) = (self.stream.total_in(), self.output.len());
            let status = self
                .stream
                .decompress_vec(input, self.output, FlushDecompress::None)
                .map_err(|_| InflateError::Malformed)?;
            let read = (self.stream.total_in() - read) as usize;
            *input = &input[read..];
            if self.output.len() > self.limit {
                return Err(InflateError::TooLarge);
            }
            if status == Status::StreamEnd {
                return Ok(StreamStop::AtEnd);
            }
            if self.output.len() < self.output.capacity() {
                if input.is_empty() {
                    return Ok(StreamStop::NeedsInput);
                }
                if read == 0 && self.output.len() == length {
                    return Err(InflateError::Malformed);
                }
            }
        }
    }

    /// Makes room for at least one more byte, and for at most one byte above the limit. If that byte is
    /// written, the message is too large.
    fn make_room(&mut self) {
        let length = self.output.len();
        if length == self.output.capacity() {
            let step = length.max(FIRST_STEP);
            let most = self.limit.saturating_add(1) - length;
            self.output.reserve_exact(step.min(most));
        }
    }
}

/// Why a stream stopped.
#[derive(PartialEq)]
enum StreamStop {
    /// The stream has ended.
    AtEnd,
    /// The stream needs more input.
    NeedsInput,
}
