//! Frames (RFC 9113 §4 and §6). Nothing checks them, so a case can send any frame.

use std::fmt;

/// A type of a frame.
pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0x0;
    pub(crate) const HEADERS: u8 = 0x1;
    pub(crate) const RST_STREAM: u8 = 0x3;
    pub(crate) const SETTINGS: u8 = 0x4;
    pub(crate) const PUSH_PROMISE: u8 = 0x5;
    pub(crate) const PING: u8 = 0x6;
    pub(crate) const GOAWAY: u8 = 0x7;
    pub(crate) const WINDOW_UPDATE: u8 = 0x8;
    pub(crate) const CONTINUATION: u8 = 0x9;
}

/// A flag of a frame.
pub(crate) mod flag {
    pub(crate) const ACK: u8 = 0x1;
    pub(crate) const END_STREAM: u8 = 0x1;
    pub(crate) const END_HEADERS: u8 = 0x4;
    pub(crate) const PADDED: u8 = 0x8;
    pub(crate) const PRIORITY: u8 = 0x20;
}

/// An error code (RFC 9113 §7).
pub(crate) mod code {
    pub(crate) const NO_ERROR: u32 = 0x0;
    pub(crate) const INTERNAL_ERROR: u32 = 0x2;
    pub(crate) const CANCEL: u32 = 0x8;
}

/// A setting (RFC 9113 §6.5.2, RFC 8441 §3).
pub(crate) mod setting {
    pub(crate) const ENABLE_PUSH: u16 = 0x2;
    pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 0x3;
    pub(crate) const INITIAL_WINDOW_SIZE: u16 = 0x4;
    pub(crate) const MAX_FRAME_SIZE: u16 = 0x5;
    pub(crate) const MAX_HEADER_LIST_SIZE: u16 = 0x6;
    pub(crate) const ENABLE_CONNECT_PROTOCOL: u16 = 0x8;
}

/// The bits of a stream identifier. The highest bit is reserved.
const STREAM: u32 = 0x7fff_ffff;

/// One frame.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RawHttp2Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl RawHttp2Frame {
    pub(crate) fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            kind,
            flags,
            stream,
            payload: payload.into(),
        }
    }

    /// SETTINGS: identifiers and values.
    pub(crate) fn settings(settings: &[(u16, u32)]) -> Self {
        let mut payload = Vec::new();
        for (name, value) in settings {
            payload.extend(name.to_be_bytes());
            payload.extend(value.to_be_bytes());
        }
        Self::new(kind::SETTINGS, 0, 0, payload)
    }

    pub(crate) fn window_update(stream: u32, increment: u32) -> Self {
        Self::new(kind::WINDOW_UPDATE, 0, stream, increment.to_be_bytes())
    }

    pub(crate) fn reset(stream: u32, code: u32) -> Self {
        Self::new(kind::RST_STREAM, 0, stream, code.to_be_bytes())
    }

    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The length of a payload, from the first bytes of a frame.
    pub(crate) fn length(head: &[u8; 9]) -> usize {
        number(&head[..3]) as usize
    }

    /// A frame from its first nine bytes and its payload.
    pub(crate) fn from_wire(head: &[u8; 9], payload: Vec<u8>) -> Self {
        Self::new(head[3], head[4], number(&head[5..]) & STREAM, payload)
    }

    pub(crate) fn to_wire(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).unwrap_or(u32::MAX);
        let mut wire = length.to_be_bytes()[1..].to_vec();
        wire.extend([self.kind, self.flags]);
        wire.extend(self.stream.to_be_bytes());
        wire.extend(&self.payload);
        wire
    }

    /// The 32-bit number at this offset of the payload, 0 if the payload is too short.
    pub(crate) fn number_at(&self, at: usize) -> u32 {
        self.payload.get(at..at + 4).map_or(0, number)
    }

    /// The stream identifier at the start of the payload.
    pub(crate) fn promised(&self) -> u32 {
        self.number_at(0) & STREAM
    }

    /// The payload without its padding, and without the priority of HEADERS.
    pub(crate) fn content(&self) -> &[u8] {
        let mut content = self.payload.as_slice();
        if self.has(flag::PADDED) && matches!(self.kind, kind::DATA | kind::HEADERS) {
            let Some((padding, rest)) = content.split_first() else {
                return &[];
            };
            let length = rest.len().saturating_sub(usize::from(*padding));
            content = &rest[..length];
        }
        if self.kind == kind::HEADERS && self.has(flag::PRIORITY) {
            content = content.get(5..).unwrap_or_default();
        }
        content
    }
}

fn number(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u32::from(*byte))
}

impl fmt::Display for RawHttp2Frame {
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
        match self.kind {
            kind::DATA | kind::HEADERS if self.has(flag::END_STREAM) => {
                f.write_str(" END_STREAM")?
            }
            kind::SETTINGS | kind::PING if self.has(flag::ACK) => f.write_str(" ACK")?,
            _ => {}
        }
        match self.kind {
            kind::RST_STREAM => write!(f, " code {}", self.number_at(0)),
            kind::WINDOW_UPDATE => write!(f, " by {}", self.number_at(0)),
            kind::GOAWAY => {
                let (last, code) = (self.number_at(0), self.number_at(4));
                write!(f, " last {last} code {code}")
            }
            // Their headers are shown once they are decoded.
            kind::HEADERS | kind::PUSH_PROMISE | kind::CONTINUATION => {
                write!(f, " ({} bytes)", self.payload.len())
            }
            _ => {
                let shown = &self.payload[..self.payload.len().min(64)];
                write!(
                    f,
                    " ({} bytes) {}",
                    self.payload.len(),
                    shown.escape_ascii()
                )
            }
        }
    }
}

impl fmt::Debug for RawHttp2Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_the_bytes_of_the_rfc() {
        let frame = RawHttp2Frame::reset(3, code::CANCEL);
        let wire = frame.to_wire();
        assert_eq!(wire, [0, 0, 4, 3, 0, 0, 0, 0, 3, 0, 0, 0, 8]);
        let head: [u8; 9] = wire[..9].try_into().unwrap();
        assert_eq!(RawHttp2Frame::length(&head), 4);
        assert_eq!(RawHttp2Frame::from_wire(&head, wire[9..].to_vec()), frame);
    }

    #[test]
    fn padding_and_priority_are_no_content() {
        let flags = flag::PADDED | flag::PRIORITY;
        let payload = [2, 0, 0, 0, 0, 15, b'a', b'b', 0, 0];
        let frame = RawHttp2Frame::new(kind::HEADERS, flags, 1, payload);
        assert_eq!(frame.content(), b"ab");
    }
}
