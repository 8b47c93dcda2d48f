//! The facts about a client's frames so far that decide whether its next frames are valid.
//!
//! [`FrameCheck`](super::frame_check::FrameCheck) keeps it up to date and asks it. h2 has a complete
//! state of its own; this one has only the facts for errors that h2 does not handle as RFC 9113 says.

use super::fault::{ConnectionFault, ErrorCode};
use super::frame::{MAX_MAX_FRAME_SIZE, MAX_WINDOW_SIZE, MIN_MAX_FRAME_SIZE};

/// The state of the client's side of a connection.
#[derive(Debug)]
pub(crate) struct ClientState {
    /// Whether the client's first SETTINGS have come.
    pub(crate) settings: bool,
    /// SETTINGS_ENABLE_PUSH; "the initial value is 1". (§6.5.2)
    pub(crate) enable_push: bool,
    /// Whether the client has sent GOAWAY.
    pub(crate) goaway: bool,
    /// The stream whose field block (its encoded headers, §4.3) is incomplete, or 0.
    pub(crate) field_block: u32,
    /// The last stream that the client opened, or 0.
    pub(crate) last_stream: u32,
    ended: EndedStreams,
}

impl ClientState {
    pub(crate) fn new() -> Self {
        Self {
            settings: false,
            enable_push: true,
            goaway: false,
            field_block: 0,
            last_stream: 0,
            ended: EndedStreams::default(),
        }
    }

    /// Whether the client may open this stream, and has not yet. (§5.1.1)
    pub(crate) fn is_idle(&self, stream: u32) -> bool {
        is_client_stream(stream) && stream > self.last_stream
    }

    pub(crate) fn open(&mut self, stream: u32) {
        self.ended.reuse(stream);
        self.last_stream = stream;
    }

    /// Notes that the client has ended this stream, with END_STREAM or RST_STREAM.
    pub(crate) fn end(&mut self, stream: u32) {
        self.ended.insert(self.last_stream, stream);
    }

    /// Checks a DATA or HEADERS frame on a stream that it does not open. (§5.1)
    pub(crate) fn check_may_send_on(&self, stream: u32) -> Result<(), ConnectionFault> {
        if !is_client_stream(stream) {
            return Err(ConnectionFault::protocol(
                "a frame on a stream of even number",
            ));
        }
        if self.is_idle(stream) {
            return Err(ConnectionFault::protocol("a frame on an idle stream"));
        }
        if self.ended.contains(self.last_stream, stream) {
            return Err(ConnectionFault {
                code: ErrorCode::StreamClosed,
                why: "a frame on a stream that the client had ended",
            });
        }
        Ok(())
    }

    /// Checks and applies one of the client's settings. (§6.5.2; 0x8 is RFC 8441 §3)
    pub(crate) fn apply_setting(&mut self, id: u16, value: u32) -> Result<(), ConnectionFault> {
        match id {
            0x2 if value <= 1 => {
                self.enable_push = value == 1;
                Ok(())
            }
            0x2 => Err(ConnectionFault::protocol(
                "SETTINGS_ENABLE_PUSH is neither 0 nor 1",
            )),
            0x4 if value > MAX_WINDOW_SIZE => Err(ConnectionFault {
                code: ErrorCode::FlowControl,
                why: "SETTINGS_INITIAL_WINDOW_SIZE is over 2^31-1",
            }),
            0x5 if !(MIN_MAX_FRAME_SIZE..=MAX_MAX_FRAME_SIZE).contains(&value) => Err(
                ConnectionFault::protocol("SETTINGS_MAX_FRAME_SIZE is out of its range"),
            ),
            0x8 if value > 1 => Err(ConnectionFault::protocol(
                "SETTINGS_ENABLE_CONNECT_PROTOCOL is neither 0 nor 1",
            )),
            _ => Ok(()),
        }
    }
}

/// Which of the latest streams the client has ended with END_STREAM or RST_STREAM: a ring of bits.
///
/// It forgets older streams and leaves them to h2, which answers with an error too.
#[derive(Debug, Default)]
pub(crate) struct EndedStreams {
    bits: [u64; Self::SPAN as usize / 64],
}

impl EndedStreams {
    /// In streams.
    pub(crate) const SPAN: u32 = 512;

    fn place(stream: u32) -> (usize, u64) {
        let slot = stream / 2 % Self::SPAN;
        (slot as usize / 64, 1 << (slot % 64))
    }

    /// Whether `stream` is among the latest ones: the place of an older one belongs to a newer one.
    fn has_place(last: u32, stream: u32) -> bool {
        last.saturating_sub(stream) / 2 < Self::SPAN
    }

    fn insert(&mut self, last: u32, stream: u32) {
        if Self::has_place(last, stream) {
            let (word, bit) = Self::place(stream);
            self.bits[word] |= bit;
        }
    }

    fn contains(&self, last: u32, stream: u32) -> bool {
        let (word, bit) = Self::place(stream);
        Self::has_place(last, stream) && self.bits[word] & bit != 0
    }

    /// Gives the place of an old stream to `stream`.
    ///
    /// If the client skips a stream number, the bit of the old stream stays in that place. That is
    /// right if it is set: a skipped stream is closed too. (§5.1.1)
    fn reuse(&mut self, stream: u32) {
        let (word, bit) = Self::place(stream);
        self.bits[word] &= !bit;
    }
}

pub(crate) fn is_client_stream(stream: u32) -> bool {
    stream % 2 == 1
}
