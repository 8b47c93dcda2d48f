//! What the client of a connection has said, as far as a frame may be right or wrong by it.

use super::fault::{ErrorCode, Fault};
use super::frame::{MAX_MAX_FRAME_SIZE, MAX_WINDOW_SIZE, MIN_MAX_FRAME_SIZE};

/// What the client has said.
#[derive(Debug)]
pub(crate) struct ClientState {
    /// Whether its first SETTINGS have come.
    pub(crate) settings: bool,
    /// SETTINGS_ENABLE_PUSH; "the initial value is 1". (§6.5.2)
    pub(crate) enable_push: bool,
    pub(crate) goaway: bool,
    /// The stream whose field block is open, or 0.
    pub(crate) field_block: u32,
    /// The last that it opened, or 0.
    pub(crate) last_stream: u32,
    pub(crate) ended: Ended,
}

impl ClientState {
    pub(crate) fn new() -> Self {
        Self {
            settings: false,
            enable_push: true,
            goaway: false,
            field_block: 0,
            last_stream: 0,
            ended: Ended::default(),
        }
    }

    /// Whether it could be opened: only by the client, and it was not yet. (§5.1.1)
    pub(crate) fn is_idle(&self, stream: u32) -> bool {
        is_the_clients(stream) && stream > self.last_stream
    }

    pub(crate) fn open(&mut self, stream: u32) {
        self.ended.open(stream);
        self.last_stream = stream;
    }

    /// Whether DATA or HEADERS may come on a stream that is not about to be opened. (§5.1)
    pub(crate) fn may_send_on(&self, stream: u32) -> Result<(), Fault> {
        if !is_the_clients(stream) {
            return Err(Fault::protocol("a frame on a stream of even number"));
        }
        if self.is_idle(stream) {
            return Err(Fault::protocol("a frame on an idle stream"));
        }
        if self.ended.contains(self.last_stream, stream) {
            return Err(Fault {
                code: ErrorCode::StreamClosed,
                why: "a frame on a stream that the client had ended",
            });
        }
        Ok(())
    }

    /// One of its settings. (§6.5.2; 0x8 is RFC 8441 §3)
    pub(crate) fn set(&mut self, id: u16, value: u32) -> Result<(), Fault> {
        match id {
            0x2 if value <= 1 => {
                self.enable_push = value == 1;
                Ok(())
            }
            0x2 => Err(Fault::protocol("SETTINGS_ENABLE_PUSH is neither 0 nor 1")),
            0x4 if value > MAX_WINDOW_SIZE => Err(Fault {
                code: ErrorCode::FlowControl,
                why: "SETTINGS_INITIAL_WINDOW_SIZE is over 2^31-1",
            }),
            0x5 if !(MIN_MAX_FRAME_SIZE..=MAX_MAX_FRAME_SIZE).contains(&value) => Err(
                Fault::protocol("SETTINGS_MAX_FRAME_SIZE is out of its range"),
            ),
            0x8 if value > 1 => Err(Fault::protocol(
                "SETTINGS_ENABLE_CONNECT_PROTOCOL is neither 0 nor 1",
            )),
            _ => Ok(()),
        }
    }
}

/// Which of the last streams the client has ended, by END_STREAM or RST_STREAM: a ring of bits.
///
/// Of streams longer ago it knows nothing and leaves them to h2, whose answer is an error too.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    bits: [u64; Self::SPAN as usize / 64],
}

impl Ended {
    /// In streams. More than a client has open at once.
    pub(crate) const SPAN: u32 = 512;

    fn place(stream: u32) -> (usize, u64) {
        let slot = stream / 2 % Self::SPAN;
        (slot as usize / 64, 1 << (slot % 64))
    }

    pub(crate) fn insert(&mut self, stream: u32) {
        let (word, bit) = Self::place(stream);
        self.bits[word] |= bit;
    }

    fn contains(&self, last: u32, stream: u32) -> bool {
        let (word, bit) = Self::place(stream);
        last.saturating_sub(stream) / 2 < Self::SPAN && self.bits[word] & bit != 0
    }

    /// `stream` takes the place of one long ago. What an even older one left in the place of a stream
    /// that is passed over stays: that one is closed too. (§5.1.1)
    fn open(&mut self, stream: u32) {
        let (word, bit) = Self::place(stream);
        self.bits[word] &= !bit;
    }
}

pub(crate) fn is_the_clients(stream: u32) -> bool {
    stream % 2 == 1
}
