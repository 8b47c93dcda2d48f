//! Inflates the messages that one socket receives.

use std::mem;

use bytes::Bytes;
use flate2::{Decompress, FlushDecompress, Status};

use super::negotiation::Agreement;
use super::streams::{self, Streams};
use super::window::Window;

/// The end of every message, for the inflater: what its sender has cut off, and behind it a final block
/// without content. If the message was complete, the stream ends with one of the two.
const END: [u8; 9] = [0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff];
const FINAL_BLOCK: &[u8] = END.split_at(4).1;

/// The first step in which the output grows.
const FIRST_STEP: usize = 4 * 1024;

/// A message up to this size is copied out of the thread's buffer.
const COPIED: usize = 32 * 1024;

/// How many deflate streams a message may consist of, and how many bytes of payload allow for one more.
/// To begin one takes microseconds, and it can be as short as two bytes.
const STREAMS: usize = 8;
const PAYLOAD_TO_A_STREAM: usize = 256;

/// What is wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is longer than the limit.
    TooLarge,
    /// It is no complete DEFLATE data, or refers to what was never sent.
    Malformed,
}

/// What a socket keeps in order to inflate its messages.
#[derive(Debug)]
pub(crate) struct Inflater {
    window: Window,
}

impl Inflater {
    /// For what a server receives.
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

    /// The message whose compressed payload this is: of all of its frames together.
    ///
    /// Memory grows with what comes out, not beyond `limit`. After a fault the connection must be failed:
    /// client and server no longer have the same window.
    pub(crate) fn inflate(&mut self, payload: &[u8], limit: usize) -> Result<Bytes, Fault> {
        streams::with(|streams| {
            let Streams {
                inflater, buffer, ..
            } = streams;
            let mut inflation = Inflation {
                stream: inflater,
                output: buffer,
                limit,
            };
            inflation.message(payload, self.window.as_slice())?;
            self.window.slide(buffer);
            if buffer.len() <= COPIED {
                return Ok(Bytes::copy_from_slice(buffer));
            }
            let mut message = mem::take(buffer);
            message.shrink_to_fit();
            Ok(message.into())
        })
    }

    /// The bytes on the heap.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.window.capacity()
    }
}

/// One message on its way through the thread's inflater.
struct Inflation<'a> {
    stream: &'a mut Decompress,
    output: &'a mut Vec<u8>,
    limit: usize,
}

impl Inflation<'_> {
    /// Inflates a message (RFC 7692 §7.2.2).
    ///
    /// Its sender may end a stream with a block that has BFINAL set, in the middle or at the end, and
    /// "the next DEFLATE block follows the padded data if any" (7.2.1). That one may refer to what came
    /// before as any other. A sender that leaves out the empty block at the very end is understood.
    fn message(&mut self, mut payload: &[u8], window: &[u8]) -> Result<(), Fault> {
        let streams = STREAMS + payload.len() / PAYLOAD_TO_A_STREAM;
        for _ in 0..streams {
            if payload.is_empty() {
                return Ok(());
            }
            self.begin(window)?;
            if self.run(&mut payload)? == Stopped::AtItsEnd {
                continue;
            }
            let mut end = END.as_slice();
            return match self.run(&mut end)? {
                Stopped::AtItsEnd if end.is_empty() || end == FINAL_BLOCK => Ok(()),
                _ => Err(Fault::Malformed),
            };
        }
        if payload.is_empty() {
            Ok(())
        } else {
            Err(Fault::Malformed)
        }
    }

    /// Begins a stream that may refer to the window and to what has come out so far.
    fn begin(&mut self, window: &[u8]) -> Result<(), Fault> {
        self.stream.reset(false);
        for past in [window, self.output] {
            if !past.is_empty() {
                let set = self.stream.set_dictionary(past);
                set.map_err(|_| Fault::Malformed)?;
            }
        }
        Ok(())
    }

    /// Inflates until the stream ends or the input does.
    fn run(&mut self, input: &mut &[u8]) -> Result<Stopped, Fault> {
        loop {
            self.make_room();
            let (read, length) = (self.stream.total_in(), self.output.len());
            let status = self
                .stream
                .decompress_vec(input, self.output, FlushDecompress::None)
                .map_err(|_| Fault::Malformed)?;
            let read = (self.stream.total_in() - read) as usize;
            *input = &input[read..];
            if self.output.len() > self.limit {
                return Err(Fault::TooLarge);
            }
            if status == Status::StreamEnd {
                return Ok(Stopped::AtItsEnd);
            }
            if self.output.len() < self.output.capacity() {
                if input.is_empty() {
                    return Ok(Stopped::ForInput);
                }
                if read == 0 && self.output.len() == length {
                    return Err(Fault::Malformed);
                }
            }
        }
    }

    /// Makes room for at least one more byte, and for at most one more than the limit: that one tells
    /// that there is more.
    fn make_room(&mut self) {
        let length = self.output.len();
        if length == self.output.capacity() {
            let step = length.max(FIRST_STEP);
            let most = self.limit.saturating_add(1) - length;
            self.output.reserve_exact(step.min(most));
        }
    }
}

/// Why a stream gives no more.
#[derive(PartialEq)]
enum Stopped {
    AtItsEnd,
    ForInput,
}
