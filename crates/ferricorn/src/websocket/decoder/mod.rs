//! From bytes to messages: the frames of a client, put together by the rules of RFC 6455 §5.
//!
//! It reads nothing itself: whoever has bytes passes them in, in pieces of any size. What a frame's
//! head says is tungstenite's to parse; what may follow what is said here, because tungstenite's own
//! `WebSocket` has no place for an extension, and its `FrameSocket` holds 128 KiB for each socket.

use asgi::{Message, Text};
use bytes::{Buf, Bytes, BytesMut};
use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

use super::deflate::{self, Inflater};

/// What a client said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// A whole message.
    Message(Message),
    Ping(Bytes),
    Pong,
    /// The code is 1005 if the frame had none. (RFC 6455 §7.1.5)
    Close(u16, String),
}

/// What a client did wrong, and the code that says so. (RFC 6455 §7.4.1)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) code: u16,
    pub(crate) why: &'static str,
}

impl Fault {
    pub(crate) const fn protocol(why: &'static str) -> Self {
        Self { code: 1002, why }
    }

    const fn invalid(why: &'static str) -> Self {
        Self { code: 1007, why }
    }

    const fn too_big(why: &'static str) -> Self {
        Self { code: 1009, why }
    }
}

/// How large what a client sends may be, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) frame: usize,
    /// Of a message, put together and inflated.
    pub(crate) message: usize,
}

/// A payload up to this size is copied out of the buffer that it was read into, which then serves
/// the next read; a larger one takes the buffer along.
const COPIED: usize = 4 * 1024;

/// What is read ahead for a frame at most, whatever its head says of its length: a client gets
/// memory for what it has sent, and for no more than as much again.
const READ_AHEAD: usize = 64 * 1024;

/// Puts the frames of a client together.
#[derive(Debug)]
pub(crate) struct Decoder {
    limits: Limits,
    inflater: Option<Inflater>,
    /// The frame whose payload is not all there.
    frame: Option<Frame>,
    /// The message whose last frame is not there.
    message: Option<Fragments>,
}

#[derive(Debug, Clone, Copy)]
struct Frame {
    opcode: OpCode,
    is_final: bool,
    compressed: bool,
    mask: [u8; 4],
    length: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Binary,
}

/// A message in parts.
#[derive(Debug)]
struct Fragments {
    kind: Kind,
    compressed: bool,
    data: BytesMut,
    /// How much of a text is known to be UTF-8.
    checked: usize,
}

impl Decoder {
    pub(crate) fn new(limits: Limits, inflater: Option<Inflater>) -> Self {
        Self {
            limits,
            inflater,
            frame: None,
            message: None,
        }
    }

    /// Takes the next thing that the client said off the buffer, if all of it is there.
    ///
    /// # Errors
    ///
    /// The client broke a rule; nothing behind that can be trusted.
    pub(crate) fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Incoming>, Fault> {
        loop {
            let frame = match self.frame {
                Some(frame) => frame,
                None => match self.head(buffer)? {
                    Some(frame) => *self.frame.insert(frame),
                    None => return Ok(None),
                },
            };
            if buffer.len() < frame.length {
                return Ok(None);
            }
            self.frame = None;
            unmask(&mut buffer[..frame.length], frame.mask);
            let said = match frame.opcode {
                OpCode::Control(control) => Some(self::control(control, frame.length, buffer)?),
                OpCode::Data(_) => self.data(frame, buffer)?.map(Incoming::Message),
            };
            if said.is_some() {
                return Ok(said);
            }
        }
    }

    /// How many bytes are worth reading next, beside the usual: what is missing of a frame.
    pub(crate) fn missing(&self, buffer: &BytesMut) -> usize {
        let length = self.frame.map_or(0, |frame| frame.length);
        let missing = length.saturating_sub(buffer.len());
        missing.min(READ_AHEAD.max(buffer.len()))
    }

    /// Takes the head of a frame off the buffer, if all of it is there, and checks it before any of
    /// the payload has to be kept.
    fn head(&self, buffer: &mut BytesMut) -> Result<Option<Frame>, Fault> {
        let mut cursor = Cursor::new(&buffer[..]);
        let Some((head, length)) = FrameHeader::parse(&mut cursor)
            .map_err(|_| Fault::protocol("a frame of an unknown type"))?
        else {
            return Ok(None);
        };
        let size = usize::try_from(cursor.position()).unwrap_or(usize::MAX);
        let frame = self.check(&head, length)?;
        buffer.advance(size);
        Ok(Some(frame))
    }

    fn check(&self, head: &FrameHeader, length: u64) -> Result<Frame, Fault> {
        // RFC 6455 §5.1: "The server MUST close the connection upon receiving a frame that is not
        // masked."
        let mask = head.mask.ok_or(Fault::protocol("a frame without a mask"))?;
        // RFC 7692 §6: the bit stands on the first frame of a message alone.
        let may_be_compressed = self.inflater.is_some()
            && matches!(head.opcode, OpCode::Data(Data::Text | Data::Binary));
        if head.rsv2 || head.rsv3 || (head.rsv1 && !may_be_compressed) {
            return Err(Fault::protocol("a reserved bit is set"));
        }
        match (head.opcode, &self.message) {
            // RFC 6455 §5.5: "All control frames MUST have a payload length of 125 bytes or less and
            // MUST NOT be fragmented."
            (OpCode::Control(_), _) if !head.is_final => {
                return Err(Fault::protocol("a fragmented control frame"));
            }
            (OpCode::Control(_), _) if length > 125 => {
                return Err(Fault::protocol("a control frame of more than 125 bytes"));
            }
            (OpCode::Data(Data::Continue), None) => {
                return Err(Fault::protocol("a continuation of nothing"));
            }
            (OpCode::Data(Data::Text | Data::Binary), Some(_)) => {
                return Err(Fault::protocol("a message inside of another"));
            }
            (OpCode::Control(_) | OpCode::Data(_), _) => {}
        }
        let (so_far, compressed) = match (head.opcode, &self.message) {
            (OpCode::Control(_), _) => (0, false),
            (OpCode::Data(_), None) => (0, head.rsv1),
            (OpCode::Data(_), Some(part)) => (part.data.len(), part.compressed),
        };
        let most = match compressed {
            // What does not shrink grows a little: the limit is for what comes out.
            true => self
                .limits
                .message
                .saturating_add(self.limits.message / 8 + 64),
            false => self.limits.message,
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > self.limits.frame {
            return Err(Fault::too_big("a frame is too large"));
        }
        if length > most - so_far {
            return Err(TOO_BIG);
        }
        Ok(Frame {
            opcode: head.opcode,
            is_final: head.is_final,
            compressed: head.rsv1,
            mask,
            length,
        })
    }

    /// Takes a data frame's payload. The message, if that was the end of it.
    fn data(&mut self, frame: Frame, buffer: &mut BytesMut) -> Result<Option<Message>, Fault> {
        let kind = match frame.opcode {
            OpCode::Data(Data::Text) => Kind::Text,
            OpCode::Data(_) => Kind::Binary,
            OpCode::Control(_) => return Ok(None),
        };
        let Some(fragments) = &mut self.message else {
            return match (frame.is_final, frame.compressed) {
                (true, false) => whole(kind, take(buffer, frame.length)).map(Some),
                (true, true) => {
                    let message = self.inflate(&buffer[..frame.length])?;
                    buffer.advance(frame.length);
                    whole(kind, message).map(Some)
                }
                (false, compressed) => {
                    let mut fragments = Fragments {
                        kind,
                        compressed,
                        data: BytesMut::new(),
                        checked: 0,
                    };
                    fragments.add(buffer, frame.length)?;
                    self.message = Some(fragments);
                    Ok(None)
                }
            };
        };
        fragments.add(buffer, frame.length)?;
        if !frame.is_final {
            return Ok(None);
        }
        let Some(fragments) = self.message.take() else {
            return Ok(None);
        };
        let message = match fragments.compressed {
            true => self.inflate(&fragments.data)?,
            false => fragments.data.freeze(),
        };
        whole(fragments.kind, message).map(Some)
    }

    fn inflate(&mut self, payload: &[u8]) -> Result<Bytes, Fault> {
        // `check` lets the bit pass only where there is one.
        let inflater = self
            .inflater
            .as_mut()
            .ok_or(Fault::protocol("compressed"))?;
        inflater
            .inflate(payload, self.limits.message)
            .map_err(|fault| match fault {
                deflate::Fault::TooLarge => TOO_BIG,
                deflate::Fault::Malformed => Fault::invalid("a message cannot be inflated"),
            })
    }
}

const TOO_BIG: Fault = Fault::too_big("a message is too large");

const NOT_UTF8: Fault = Fault::invalid("a text is not UTF-8");

impl Fragments {
    /// Adds a part. A text that is not UTF-8 is told as soon as that is certain, for its client may
    /// go on for long.
    fn add(&mut self, buffer: &mut BytesMut, length: usize) -> Result<(), Fault> {
        self.data.extend_from_slice(&buffer[..length]);
        buffer.advance(length);
        if self.kind == Kind::Binary || self.compressed {
            return Ok(());
        }
        let unchecked = &self.data[self.checked..];
        self.checked += match std::str::from_utf8(unchecked) {
            Ok(text) => text.len(),
            // The rest of a character may be in the next part.
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(_) => return Err(NOT_UTF8),
        };
        Ok(())
    }
}

fn whole(kind: Kind, data: Bytes) -> Result<Message, Fault> {
    Ok(match kind {
        Kind::Text => Message::Text(Text::try_from(data).map_err(|_| NOT_UTF8)?),
        Kind::Binary => Message::Binary(data),
    })
}

/// Takes a payload off the buffer. One that would keep a much larger buffer alive is copied.
fn take(buffer: &mut BytesMut, length: usize) -> Bytes {
    if length <= COPIED || buffer.capacity() > 2 * length {
        let payload = Bytes::copy_from_slice(&buffer[..length]);
        buffer.advance(length);
        payload
    } else {
        buffer.split_to(length).freeze()
    }
}

fn control(control: Control, length: usize, buffer: &mut BytesMut) -> Result<Incoming, Fault> {
    let payload = Bytes::copy_from_slice(&buffer[..length]);
    buffer.advance(length);
    match control {
        Control::Ping => Ok(Incoming::Ping(payload)),
        Control::Close => close(&payload),
        // tungstenite has refused the reserved ones.
        Control::Pong | Control::Reserved(_) => Ok(Incoming::Pong),
    }
}

/// RFC 6455 §5.5.1: "If there is a body, the first two bytes of the body MUST be a 2-byte unsigned
/// integer", and the rest is UTF-8.
fn close(payload: &[u8]) -> Result<Incoming, Fault> {
    let (code, reason) = match payload {
        [] => return Ok(Incoming::Close(NO_CODE, String::new())),
        [_] => return Err(Fault::protocol("half a close code")),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
    };
    // 1014 is registered, and tungstenite does not know it.
    if !CloseCode::from(code).is_allowed() && code != 1014 {
        return Err(Fault::protocol("a close code that no client may send"));
    }
    let reason = std::str::from_utf8(reason).map_err(|_| NOT_UTF8)?;
    Ok(Incoming::Close(code, reason.to_owned()))
}

/// RFC 6455 §7.4.1: "1005 is a reserved value ... designated for use in applications expecting a
/// status code to indicate that no status code was actually present."
pub(crate) const NO_CODE: u16 = 1005;

/// RFC 6455 §5.3. Eight bytes at a time: the compiler makes vector code of that.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut chunks = payload.chunks_exact_mut(8);
    for chunk in &mut chunks {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(chunk);
        chunk.copy_from_slice(&(u64::from_ne_bytes(bytes) ^ wide).to_ne_bytes());
    }
    for (byte, mask) in chunks.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests;
