//! What a frame is on the wire, and where it ends. (RFC 9113 §4)
//!
//! Both directions are followed by a [`Framing`]: it takes bytes in whatever pieces they come and
//! gives the head of each frame and, where they are asked for, the first bytes of its payload. The
//! rest of a payload is stepped over, never copied and never looked at.

/// What a client sends before its first frame. (RFC 9113 §3.4)
pub(crate) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// SETTINGS_MAX_FRAME_SIZE before either side says anything, and the least it may be. (§6.5.2)
pub(crate) const MIN_MAX_FRAME_SIZE: u32 = 1 << 14;
/// The most that SETTINGS_MAX_FRAME_SIZE may be. (§6.5.2)
pub(crate) const MAX_MAX_FRAME_SIZE: u32 = (1 << 24) - 1;
/// The largest window of flow control. (§6.9.1)
pub(crate) const MAX_WINDOW_SIZE: u32 = (1 << 31) - 1;

/// Flags, of which one bit may mean two things. (§6)
pub(crate) const END_STREAM: u8 = 0x1;
pub(crate) const ACK: u8 = 0x1;
pub(crate) const END_HEADERS: u8 = 0x4;
pub(crate) const PADDED: u8 = 0x8;
pub(crate) const PRIORITY: u8 = 0x20;

/// A type of frame. (§6)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Kind {
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
    /// RFC 9218 §7.1; browsers send it in place of PRIORITY, h2 does not know it.
    PriorityUpdate,
    #[default]
    Unknown,
}

impl From<u8> for Kind {
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

/// The nine bytes that begin each frame. (§4.1)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Head {
    /// Of the payload, without these nine bytes.
    pub(crate) length: u32,
    pub(crate) kind: Kind,
    pub(crate) flags: u8,
    /// 0 is the connection.
    pub(crate) stream: u32,
}

impl Head {
    pub(crate) const LENGTH: usize = 9;

    fn parse(bytes: &[u8; Self::LENGTH]) -> Self {
        let [high, middle, low, kind, flags, stream @ ..] = *bytes;
        Self {
            length: u32::from_be_bytes([0, high, middle, low]),
            kind: Kind::from(kind),
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

/// The most of a payload that can be asked for at once.
pub(crate) const PREFIX: usize = 6;

/// What comes next in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Head(Head),
    /// The bytes of a frame that [`Framing::want`] asked for, and zeros.
    Prefix(Head, [u8; PREFIX]),
}

/// Follows the frames of one direction, however their bytes are cut.
///
/// ```text
///             head
///   Head ─────────────► Payload ◄── want(n) ── Prefix
///     ▲                  │   │                   ▲
///     └── nothing left ──┘   └── n bytes came ───┘
/// ```
#[derive(Debug, Default)]
pub(crate) struct Framing {
    /// What came of a head or of a prefix that is not complete, the first `count` bytes.
    gathered: [u8; Head::LENGTH],
    count: usize,
    /// How many bytes of the payload in hand are wanted, and of which frame.
    wanted: usize,
    head: Head,
    /// What is to come of the payload in hand.
    left: u32,
}

impl Framing {
    /// Takes the next part off the front of `bytes`, or all of them if they do not complete one.
    // A call of its own costs a third of what the guard costs a request: the part goes through memory.
    #[inline(always)]
    pub(crate) fn next(&mut self, bytes: &mut &[u8]) -> Option<Part> {
        if self.wanted > 0 {
            let wanted = self.wanted;
            self.gather(bytes, wanted)?;
            self.left = self.left.saturating_sub(wanted as u32);
            self.wanted = 0;
            let mut prefix = [0; PREFIX];
            prefix[..wanted].copy_from_slice(&self.gathered[..wanted]);
            return Some(Part::Prefix(self.head, prefix));
        }
        let payload = bytes.len().min(self.left as usize);
        *bytes = &bytes[payload..];
        self.left -= payload as u32;
        if bytes.is_empty() {
            return None;
        }
        let head = match bytes.split_first_chunk() {
            // By far the most heads come in one piece.
            Some((whole, rest)) if self.count == 0 => {
                *bytes = rest;
                Head::parse(whole)
            }
            _ => {
                self.gather(bytes, Head::LENGTH)?;
                Head::parse(&self.gathered)
            }
        };
        self.left = head.length;
        Some(Part::Head(head))
    }

    /// Asks for the next `count` bytes of the payload in hand, which is of `head`: at most [`PREFIX`]
    /// and no more than are left.
    pub(crate) fn want(&mut self, head: Head, count: usize) {
        debug_assert!(count <= PREFIX && count <= self.left as usize);
        if count > 0 {
            self.wanted = count;
            self.head = head;
        }
    }

    /// How much of the payload in hand is to come.
    pub(crate) fn left(&self) -> u32 {
        self.left
    }

    /// `None` until `wanted` bytes are together.
    fn gather(&mut self, bytes: &mut &[u8], wanted: usize) -> Option<()> {
        let (now, rest) = bytes.split_at(bytes.len().min(wanted - self.count));
        self.gathered[self.count..self.count + now.len()].copy_from_slice(now);
        self.count += now.len();
        *bytes = rest;
        if self.count < wanted {
            return None;
        }
        self.count = 0;
        Some(())
    }
}
