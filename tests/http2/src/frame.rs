//! Frames (RFC 9113 §4 and §6), including invalid ones.

use std::fmt;

/// The types of frames (RFC 9113 §6).
#[expect(missing_docs, reason = "named by the RFC")]
pub mod kind {
    pub const DATA: u8 = 0x0;
    pub const HEADERS: u8 = 0x1;
    pub const PRIORITY: u8 = 0x2;
    pub const RST_STREAM: u8 = 0x3;
    pub const SETTINGS: u8 = 0x4;
    pub const PUSH_PROMISE: u8 = 0x5;
    pub const PING: u8 = 0x6;
    pub const GOAWAY: u8 = 0x7;
    pub const WINDOW_UPDATE: u8 = 0x8;
    pub const CONTINUATION: u8 = 0x9;
}

/// The flags of frames (RFC 9113 §6).
#[expect(missing_docs, reason = "named by the RFC")]
pub mod flag {
    pub const ACK: u8 = 0x1;
    pub const END_STREAM: u8 = 0x1;
    pub const END_HEADERS: u8 = 0x4;
    pub const PADDED: u8 = 0x8;
    pub const PRIORITY: u8 = 0x20;
}

/// The error codes (RFC 9113 §7).
#[expect(missing_docs, reason = "named by the RFC")]
pub mod code {
    pub const NO_ERROR: u32 = 0x0;
    pub const PROTOCOL_ERROR: u32 = 0x1;
    pub const INTERNAL_ERROR: u32 = 0x2;
    pub const FLOW_CONTROL_ERROR: u32 = 0x3;
    pub const SETTINGS_TIMEOUT: u32 = 0x4;
    pub const STREAM_CLOSED: u32 = 0x5;
    pub const FRAME_SIZE_ERROR: u32 = 0x6;
    pub const REFUSED_STREAM: u32 = 0x7;
    pub const CANCEL: u32 = 0x8;
    pub const COMPRESSION_ERROR: u32 = 0x9;
    pub const CONNECT_ERROR: u32 = 0xa;
    pub const ENHANCE_YOUR_CALM: u32 = 0xb;
    pub const INADEQUATE_SECURITY: u32 = 0xc;
    pub const HTTP_1_1_REQUIRED: u32 = 0xd;
}

/// The names of settings (RFC 9113 §6.5.2).
#[expect(missing_docs, reason = "named by the RFC")]
pub mod setting {
    pub const HEADER_TABLE_SIZE: u16 = 0x1;
    pub const ENABLE_PUSH: u16 = 0x2;
    pub const MAX_CONCURRENT_STREAMS: u16 = 0x3;
    pub const INITIAL_WINDOW_SIZE: u16 = 0x4;
    pub const MAX_FRAME_SIZE: u16 = 0x5;
    pub const MAX_HEADER_LIST_SIZE: u16 = 0x6;
}

/// One frame. Nothing checks it, so a script can send any frame.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// A type of [`kind`] or an unknown one.
    pub kind: u8,
    /// Bits of [`flag`].
    pub flags: u8,
    /// The stream identifier, 0 for the connection.
    pub stream: u32,
    /// The payload, without the nine bytes of the frame header.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A frame of any type, without flags.
    pub fn new(kind: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            kind,
            flags: 0,
            stream,
            payload: payload.into(),
        }
    }

    /// DATA: a part of a body.
    pub fn data(stream: u32, data: impl Into<Vec<u8>>) -> Self {
        Self::new(kind::DATA, stream, data)
    }

    /// PRIORITY (RFC 7540 §6.3) with weight 16.
    pub fn priority(stream: u32, depends_on: u32) -> Self {
        let mut payload = depends_on.to_be_bytes().to_vec();
        payload.push(15);
        Self::new(kind::PRIORITY, stream, payload)
    }

    /// RST_STREAM with this code.
    pub fn reset(stream: u32, code: u32) -> Self {
        Self::new(kind::RST_STREAM, stream, code.to_be_bytes())
    }

    /// SETTINGS: identifiers and values.
    pub fn settings(settings: &[(u16, u32)]) -> Self {
        let mut payload = Vec::new();
        for (name, value) in settings {
            payload.extend(name.to_be_bytes());
            payload.extend(value.to_be_bytes());
        }
        Self::new(kind::SETTINGS, 0, payload)
    }

    /// PING.
    pub fn ping(payload: [u8; 8]) -> Self {
        Self::new(kind::PING, 0, payload)
    }

    /// GOAWAY.
    pub fn goaway(last_stream: u32, code: u32) -> Self {
        let mut payload = last_stream.to_be_bytes().to_vec();
        payload.extend(code.to_be_bytes());
        Self::new(kind::GOAWAY, 0, payload)
    }

    /// WINDOW_UPDATE.
    pub fn window_update(stream: u32, increment: u32) -> Self {
        Self::new(kind::WINDOW_UPDATE, stream, increment.to_be_bytes())
    }

    /// CONTINUATION: a further part of a header block.
    pub fn continuation(stream: u32, block: impl Into<Vec<u8>>) -> Self {
        Self::new(kind::CONTINUATION, stream, block)
    }

    /// Adds these flags.
    #[must_use]
    pub fn flags(mut self, flags: u8) -> Self {
        self.flags |= flags;
        self
    }

    /// Adds END_STREAM.
    #[must_use]
    pub fn end_stream(self) -> Self {
        self.flags(flag::END_STREAM)
    }

    /// Adds END_HEADERS.
    #[must_use]
    pub fn end_headers(self) -> Self {
        self.flags(flag::END_HEADERS)
    }

    /// Adds ACK.
    #[must_use]
    pub fn ack(self) -> Self {
        self.flags(flag::ACK)
    }

    /// Adds padding of this length.
    #[must_use]
    pub fn padded(mut self, length: u8) -> Self {
        self.payload.insert(0, length);
        self.payload.extend(std::iter::repeat_n(0, length.into()));
        self.flags(flag::PADDED)
    }

    /// Whether at least one of these flags is set.
    pub fn has(&self, flags: u8) -> bool {
        self.flags & flags != 0
    }

    /// Appends the encoded frame to `wire`.
    pub fn write_to(&self, wire: &mut Vec<u8>) {
        let length = u32::try_from(self.payload.len()).unwrap();
        wire.extend(&length.to_be_bytes()[1..]);
        wire.push(self.kind);
        wire.push(self.flags);
        wire.extend(self.stream.to_be_bytes());
        wire.extend(&self.payload);
    }

    /// Removes a frame from the start of `wire`, if a whole one is there.
    pub(crate) fn take_from(wire: &mut Vec<u8>) -> Option<Self> {
        let header: [u8; 9] = wire.get(..9)?.try_into().unwrap();
        let length = number(&header[..3]) as usize;
        let payload = wire.get(9..9 + length)?.to_vec();
        wire.drain(..9 + length);
        Some(Self {
            kind: header[3],
            flags: header[4],
            stream: number(&header[5..]) & STREAM,
            payload,
        })
    }

    /// The 32-bit number at this offset of the payload, 0 if the payload is too short.
    pub fn number_at(&self, at: usize) -> u32 {
        self.payload.get(at..at + 4).map_or(0, number)
    }

    /// The payload without its padding.
    pub(crate) fn unpadded(&self) -> &[u8] {
        if !self.has(flag::PADDED) {
            return &self.payload;
        }
        let padding = usize::from(self.payload[0]);
        &self.payload[1..self.payload.len() - padding]
    }
}

/// The bits of a stream identifier. The highest bit is reserved.
pub(crate) const STREAM: u32 = 0x7fff_ffff;

fn number(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u32::from(*byte))
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 10] = [
            "DATA",
            "HEADERS",
            "PRIORITY",
            "RST_STREAM",
            "SETTINGS",
            "PUSH_PROMISE",
            "PING",
            "GOAWAY",
            "WINDOW_UPDATE",
            "CONTINUATION",
        ];
        let name = NAMES.get(usize::from(self.kind)).unwrap_or(&"UNKNOWN");
        write!(f, "{name} {}", self.stream)?;
        if self.flags != 0 {
            write!(f, " flags {:#x}", self.flags)?;
        }
        match self.kind {
            kind::RST_STREAM => write!(f, " code {}", self.number_at(0)),
            kind::WINDOW_UPDATE => write!(f, " by {}", self.number_at(0)),
            kind::GOAWAY => {
                let (last, code) = (self.number_at(0), self.number_at(4));
                write!(f, " last {last} code {code}")?;
                let debug = self.payload.get(8..).unwrap_or_default();
                write!(f, " {:?}", String::from_utf8_lossy(debug))
            }
            _ => {
                let shown = &self.payload[..self.payload.len().min(32)];
                write!(f, " [{}] {}", self.payload.len(), shown.escape_ascii())
            }
        }
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
