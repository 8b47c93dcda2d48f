//! HTTP/2 frames as bytes: their headers, and where each frame ends. (RFC 9113 §4)
//!
//! A [`FrameParser`] follows one direction of a connection. It takes bytes in pieces of any size. It
//! returns the header of each frame and, on request, the first bytes of the payload. It steps over
//! the rest of a payload, without a copy and without a look.
//!
//! The parser does not judge frames: [`FrameCheck`](super::frame_check::FrameCheck) does, which has one
//! parser for each direction.

/// The client sends this before its first frame. (RFC 9113 §3.4)
pub(crate) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The smallest SETTINGS_MAX_FRAME_SIZE, and its value until a peer sends another. (§6.5.2)
pub(crate) const MIN_MAX_FRAME_SIZE: u32 = 1 << 14;
/// The largest SETTINGS_MAX_FRAME_SIZE. (§6.5.2)
pub(crate) const MAX_MAX_FRAME_SIZE: u32 = (1 << 24) - 1;
/// The largest flow-control window. (§6.9.1)
pub(crate) const MAX_WINDOW_SIZE: u32 = (1 << 31) - 1;

/// Flags. The same bit can have different meanings in frames of different types. (§6)
pub(crate) const END_STREAM: u8 = 0x1;
pub(crate) const ACK: u8 = 0x1;
pub(crate) const END_HEADERS: u8 = 0x4;
pub(crate) const PADDED: u8 = 0x8;
pub(crate) const PRIORITY: u8 = 0x20;

/// The type of a frame. (§6)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum FrameType {
    Data,
    Headers,
    Priority,
    RstStream,
    Settings,
    PushPromise,
    Ping,
    Goaway,
    WindowUpdate,
    Continuation,
    /// RFC 9218 §7.1. Browsers send it instead of PRIORITY; h2 does not know it.
    PriorityUpdate,
    #[default]
    Unknown,
}

impl From<u8> for FrameType {
    fn from(byte: u8) -> Self {
        match byte {
            0x0 => Self::Data,
            0x1 => Self::Headers,
            0x2 => Self::Priority,
            0x3 => Self::RstStream,
            0x4 => Self::Settings,
            0x5 => Self::PushPromise,
            0x6 => Self::Ping,
            0x7 => Self::Goaway,
            0x8 => Self::WindowUpdate,
            0x9 => Self::Continuation,
            0x10 => Self::PriorityUpdate,
            _ => Self::Unknown,
        }
    }
}

/// The nine bytes at the start of each frame. (§4.1)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct FrameHeader {
    /// The length of the payload, without these nine bytes.
    pub(crate) length: u32,
    pub(crate) frame_type: FrameType,
    pub(crate) flags: u8,
    /// 0 for frames of the connection.
    pub(crate) stream: u32,
}

impl FrameHeader {
    /// In bytes.
    pub(crate) const LENGTH: usize = 9;

    fn parse(bytes: &[u8; Self::LENGTH]) -> Self {
        let [high, middle, low, frame_type, flags, stream @ ..] = *bytes;
        Self {
            length: u32::from_be_bytes([0, high, middle, low]),
            frame_type: FrameType::from(frame_type),
            flags,
            stream: stream_id(stream),
        }
    }

    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// §4.1: the reserved bit "MUST be ignored when receiving".
pub(crate) fn stream_id(bytes: [u8; 4]) -> u32 {
    u32::from_be_bytes(bytes) & MAX_WINDOW_SIZE
}

/// The longest prefix of a payload that [`FrameParser::want`] accepts.
pub(crate) const MAX_PREFIX: usize = 6;

/// The next item in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FramePart {
    Header(FrameHeader),
    /// The payload bytes that [`FrameParser::want`] asked for, filled up with zeros.
    Prefix(FrameHeader, [u8; MAX_PREFIX]),
}

/// Follows the frames of one direction, in pieces of any size.
///
/// ```text
///               header
///   Header ─────────────► Payload ◄── want(n) ── Prefix
///     ▲                    │   │                   ▲
///     └─── nothing left ───┘   └── n bytes came ───┘
/// ```
#[derive(Debug, Default)]
pub(crate) struct FrameParser {
    /// The beginning of a header or a prefix whose rest is missing: the first `count` bytes.
    partial: [u8; FrameHeader::LENGTH],
    count: usize,
    /// How many bytes of the current payload are wanted; 0 for none.
    wanted: usize,
    /// The frame whose bytes are wanted.
    header: FrameHeader,
    /// How many bytes of the current payload are still to come.
    left: u32,
}

impl FrameParser {
    /// Takes the next part from the front of `bytes`, or all of `bytes` if that part is incomplete.
    // Inlined: as a separate call it takes a third of the check's time for a request, because the
    // part then goes through memory.
    #[inline(always)]
    pub(crate) fn next_part(&mut self, bytes: &mut &[u8]) -> Option<FramePart> {
        if self.wanted > 0 {
            let wanted = self.wanted;
            self.collect(bytes, wanted)?;
            self.left = self.left.saturating_sub(wanted as u32);
            self.wanted = 0;
            let mut prefix = [0; MAX_PREFIX];
            prefix[..wanted].copy_from_slice(&self.partial[..wanted]);
            return Some(FramePart::Prefix(self.header, prefix));
        }
        let payload = bytes.len().min(self.left as usize);
        *bytes = &bytes[payload..];
        self.left -= payload as u32;
        if bytes.is_empty() {
            return None;
        }
        let header = match bytes.split_first_chunk() {
            // Nearly all headers come in one piece.
            Some((complete, rest)) if self.count == 0 => {
                *bytes = rest;
                FrameHeader::parse(complete)
            }
            _ => {
                self.collect(bytes, FrameHeader::LENGTH)?;
                FrameHeader::parse(&self.partial)
            }
        };
        self.left = header.length;
        Some(FramePart::Header(header))
    }

    /// Asks for the next `count` bytes of the current payload, which belongs to `header`.
    ///
    /// `count` must not exceed [`MAX_PREFIX`] or the bytes that are [left](Self::left).
    pub(crate) fn want(&mut self, header: FrameHeader, count: usize) {
        debug_assert!(count <= MAX_PREFIX && count <= self.left as usize);
        if count > 0 {
            self.wanted = count;
            self.header = header;
        }
    }

    /// How many bytes of the current payload are still to come.
    pub(crate) fn left(&self) -> u32 {
        self.left
    }

    /// Collects `wanted` bytes in `partial`. `None` until all of them have come.
    fn collect(&mut self, bytes: &mut &[u8], wanted: usize) -> Option<()> {
        let (now, rest) = bytes.split_at(bytes.len().min(wanted - self.count));
        self.partial[self.count..self.count + now.len()].copy_from_slice(now);
        self.count += now.len();
        *bytes = rest;
        if self.count < wanted {
            return None;
        }
        self.count = 0;
        Some(())
    }
}
