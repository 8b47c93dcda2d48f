//! Turns the bytes of a WebSocket client into messages, by the rules of RFC 6455 §5.
//!
//! [`Driver`](super::Driver) gives it bytes in pieces of any size and takes [`Incoming`] items from
//! it. It does no I/O, and it does not answer: the driver answers pings and close frames.
//!
//! tungstenite parses the frame headers. The rules for the order of frames are here, because
//! tungstenite's own `WebSocket` has no place for an extension, and its `FrameSocket` takes 128 KiB
//! a socket.

use asgi::{Message, Text};
use bytes::{Buf, Bytes, BytesMut};
use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

use super::deflate::{InflateError, Inflater};

/// A whole message or a control frame from the client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    Message(Message),
    Ping(Bytes),
    Pong,
    /// The code is 1005 if the frame had none. (RFC 6455 §7.1.5)
    Close(u16, String),
}

/// A rule that the client broke, and the close code for it. (RFC 6455 §7.4.1)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WebSocketFault {
    pub(crate) code: u16,
    /// For the log, and for the reason in the server's close frame.
    pub(crate) why: &'static str,
}

impl WebSocketFault {
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

/// The largest frames and messages that a client may send, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MessageLimits {
    /// The payload of one frame.
    pub(crate) frame: usize,
    /// A whole message, after it is inflated.
    pub(crate) message: usize,
}

/// The decoder copies a payload up to this size out of the read buffer, and the next read uses the
/// buffer again. A larger payload keeps the buffer.
const COPIED: usize = 4 * 1024;

/// The most that the server reads ahead for a frame, whatever length its header announces. So a
/// client gets memory for the bytes that it has sent, and at most as much again.
const READ_AHEAD: usize = 64 * 1024;

/// Puts messages together from the frames of one client.
#[derive(Debug)]
pub(crate) struct Decoder {
    limits: MessageLimits,
    inflater: Option<Inflater>,
    /// A frame whose header has come and whose payload is incomplete.
    frame: Option<PendingFrame>,
    /// A message whose last frame has not come.
    message: Option<Fragments>,
}

/// The header of a frame whose payload is incomplete.
#[derive(Debug, Clone, Copy)]
struct PendingFrame {
    opcode: OpCode,
    is_final: bool,
    compressed: bool,
    mask: [u8; 4],
    length: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MessageKind {
    Text,
    Binary,
}

/// The frames so far of a fragmented message.
#[derive(Debug)]
struct Fragments {
    kind: MessageKind,
    compressed: bool,
    data: BytesMut,
    /// How many bytes of a text are valid UTF-8.
    checked: usize,
}

impl Decoder {
    pub(crate) fn new(limits: MessageLimits, inflater: Option<Inflater>) -> Self {
        Self {
            limits,
            inflater,
            frame: None,
            message: None,
        }
    }

    /// Takes the next message or control frame from the buffer. `None` if it is incomplete.
    ///
    /// # Errors
    ///
    /// The client broke a rule. The server must not trust the bytes after that.
    pub(crate) fn decode(
        &mut self,
        buffer: &mut BytesMut,
    ) -> Result<Option<Incoming>, WebSocketFault> {
        loop {
            let frame = match self.frame {
                Some(frame) => frame,
                None => match self.take_header(buffer)? {
                    Some(frame) => *self.frame.insert(frame),
                    None => return Ok(None),
                },
            };
            if buffer.len() < frame.length {
                return Ok(None);
            }
            self.frame = None;
            unmask(&mut buffer[..frame.length], frame.mask);
            let incoming = match frame.opcode {
                OpCode::Control(control) => Some(take_control(control, frame.length, buffer)?),
                OpCode::Data(_) => self.take_data(frame, buffer)?.map(Incoming::Message),
            };
            if incoming.is_some() {
                return Ok(incoming);
            }
        }
    }

    /// How many bytes of the current frame are missing: a useful size for the next read.
    pub(crate) fn missing(&self, buffer: &BytesMut) -> usize {
        let length = self.frame.map_or(0, |frame| frame.length);
        let missing = length.saturating_sub(buffer.len());
        missing.min(READ_AHEAD.max(buffer.len()))
    }

    /// Takes a frame header from the buffer, if it is complete. Checks it before the server has to
    /// keep any of the payload.
    fn take_header(&self, buffer: &mut BytesMut) -> Result<Option<PendingFrame>, WebSocketFault> {
        let mut cursor = Cursor::new(&buffer[..]);
        let Some((header, length)) = FrameHeader::parse(&mut cursor)
            .map_err(|_| WebSocketFault::protocol("a frame of an unknown type"))?
        else {
            return Ok(None);
        };
        let size = usize::try_from(cursor.position()).unwrap_or(usize::MAX);
        let frame = self.check_header(&header, length)?;
        buffer.advance(size);
        Ok(Some(frame))
    }

    fn check_header(
        &self,
        header: &FrameHeader,
        length: u64,
    ) -> Result<PendingFrame, WebSocketFault> {
        // RFC 6455 §5.1: "The server MUST close the connection upon receiving a frame that is not
        // masked."
        let mask = header
            .mask
            .ok_or(WebSocketFault::protocol("a frame without a mask"))?;
        // RFC 7692 §6: only the first frame of a message has the bit.
        let may_be_compressed = self.inflater.is_some()
            && matches!(header.opcode, OpCode::Data(Data::Text | Data::Binary));
        if header.rsv2 || header.rsv3 || (header.rsv1 && !may_be_compressed) {
            return Err(WebSocketFault::protocol("a reserved bit is set"));
        }
        match (header.opcode, &self.message) {
            // RFC 6455 §5.5: "All control frames MUST have a payload length of 125 bytes or less and
            // MUST NOT be fragmented."
            (OpCode::Control(_), _) if !header.is_final => {
                return Err(WebSocketFault::protocol("a fragmented control frame"));
            }
            (OpCode::Control(_), _) if length > 125 => {
                return Err(WebSocketFault::protocol(
                    "a control frame of more than 125 bytes",
                ));
            }
            (OpCode::Data(Data::Continue), None) => {
                return Err(WebSocketFault::protocol("a continuation of nothing"));
            }
            (OpCode::Data(Data::Text | Data::Binary), Some(_)) => {
                return Err(WebSocketFault::protocol("a message inside of another"));
            }
            (OpCode::Control(_) | OpCode::Data(_), _) => {}
        }
        let (so_far, compressed) = match (header.opcode, &self.message) {
            (OpCode::Control(_), _) => (0, false),
            (OpCode::Data(_), None) => (0, header.rsv1),
            (OpCode::Data(_), Some(part)) => (part.data.len(), part.compressed),
        };
        let most = match compressed {
            // Data that does not compress grows a little, and the limit is for the inflated message.
            true => self
                .limits
                .message
                .saturating_add(self.limits.message / 8 + 64),
            false => self.limits.message,
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > self.limits.frame {
            return Err(WebSocketFault::too_big("a frame is too large"));
        }
        if length > most - so_far {
            return Err(TOO_BIG);
        }
        Ok(PendingFrame {
            opcode: header.opcode,
            is_final: header.is_final,
            compressed: header.rsv1,
            mask,
            length,
        })
    }

    /// Takes the payload of a data frame from the buffer. Returns the message if the frame ends it.
    fn take_data(
        &mut self,
        frame: PendingFrame,
        buffer: &mut BytesMut,
    ) -> Result<Option<Message>, WebSocketFault> {
        let kind = match frame.opcode {
            OpCode::Data(Data::Text) => MessageKind::Text,
            OpCode::Data(_) => MessageKind::Binary,
            OpCode::Control(_) => return Ok(None),
        };
        let Some(fragments) = &mut self.message else {
            return match (frame.is_final, frame.compressed) {
                (true, false) => new_message(kind, take_payload(buffer, frame.length)).map(Some),
                (true, true) => {
                    let message = self.inflate(&buffer[..frame.length])?;
                    buffer.advance(frame.length);
                    new_message(kind, message).map(Some)
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
        new_message(fragments.kind, message).map(Some)
    }

    fn inflate(&mut self, payload: &[u8]) -> Result<Bytes, WebSocketFault> {
        // `check_header` refuses the bit if there is no inflater.
        let inflater = self
            .inflater
            .as_mut()
            .ok_or(WebSocketFault::protocol("a reserved bit is set"))?;
        inflater
            .inflate(payload, self.limits.message)
            .map_err(|error| match error {
                InflateError::TooLarge => TOO_BIG,
                InflateError::Malformed => WebSocketFault::invalid("a message cannot be inflated"),
            })
    }
}

const TOO_BIG: WebSocketFault = WebSocketFault::too_big("a message is too large");

const NOT_UTF8: WebSocketFault = WebSocketFault::invalid("a text is not UTF-8");

impl Fragments {
    /// Adds the payload of a frame. Refuses a text as soon as it cannot be UTF-8, because the rest of
    /// the message may take long.
    fn add(&mut self, buffer: &mut BytesMut, length: usize) -> Result<(), WebSocketFault> {
        self.data.extend_from_slice(&buffer[..length]);
        buffer.advance(length);
        if self.kind == MessageKind::Binary || self.compressed {
            return Ok(());
        }
        let unchecked = &self.data[self.checked..];
        self.checked += match std::str::from_utf8(unchecked) {
            Ok(text) => text.len(),
            // The rest of a character may come with the next frame.
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(_) => return Err(NOT_UTF8),
        };
        Ok(())
    }
}

fn new_message(kind: MessageKind, data: Bytes) -> Result<Message, WebSocketFault> {
    Ok(match kind {
        MessageKind::Text => Message::Text(Text::try_from(data).map_err(|_| NOT_UTF8)?),
        MessageKind::Binary => Message::Binary(data),
    })
}

/// Takes a payload from the buffer. Copies it if it would keep a much larger buffer alive.
fn take_payload(buffer: &mut BytesMut, length: usize) -> Bytes {
    if length <= COPIED || buffer.capacity() > 2 * length {
        let payload = Bytes::copy_from_slice(&buffer[..length]);
        buffer.advance(length);
        payload
    } else {
        buffer.split_to(length).freeze()
    }
}

fn take_control(
    control: Control,
    length: usize,
    buffer: &mut BytesMut,
) -> Result<Incoming, WebSocketFault> {
    let payload = Bytes::copy_from_slice(&buffer[..length]);
    buffer.advance(length);
    match control {
        Control::Ping => Ok(Incoming::Ping(payload)),
        Control::Close => decode_close(&payload),
        // tungstenite's parser has refused the reserved opcodes.
        Control::Pong | Control::Reserved(_) => Ok(Incoming::Pong),
    }
}

/// RFC 6455 §5.5.1: "If there is a body, the first two bytes of the body MUST be a 2-byte unsigned
/// integer", and the rest is UTF-8.
fn decode_close(payload: &[u8]) -> Result<Incoming, WebSocketFault> {
    let (code, reason) = match payload {
        [] => return Ok(Incoming::Close(NO_CODE, String::new())),
        [_] => return Err(WebSocketFault::protocol("half a close code")),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
    };
    // 1014 is registered, and tungstenite does not know it.
    if !CloseCode::from(code).is_allowed() && code != 1014 {
        return Err(WebSocketFault::protocol(
            "a close code that no client may send",
        ));
    }
    let reason = std::str::from_utf8(reason).map_err(|_| NOT_UTF8)?;
    Ok(Incoming::Close(code, reason.to_owned()))
}

/// RFC 6455 §7.4.1: "1005 is a reserved value ... designated for use in applications expecting a
/// status code to indicate that no status code was actually present."
pub(crate) const NO_CODE: u16 = 1005;

/// Removes the mask from a payload. (RFC 6455 §5.3)
///
/// Eight bytes at a time, so that the compiler can use vector instructions.
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
