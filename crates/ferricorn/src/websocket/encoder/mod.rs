//! Turns the messages to a WebSocket client into frames, which wait here until they are written.
//!
//! It does no I/O: the session puts messages in, and [`Io`](super::Io) takes bytes out. It accepts
//! every message, so its callers ask first whether it has room.

use asgi::{Message, WebSocketClose};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::io::IoSlice;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::decoder::NO_CODE;
use super::deflate::Deflater;

/// A socket accepts no more messages from its app while more than this waits, in bytes. About as much
/// again waits in the kernel or in the client's window.
pub(crate) const ENOUGH: usize = 64 * 1024;

/// The encoder does not copy a payload of this size or larger.
const NOT_COPIED: usize = 8 * 1024;

/// The frames of one socket that wait to be written, in order.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    deflater: Option<Deflater>,
    /// Frame headers and small payloads.
    first: BytesMut,
    /// A large payload after them.
    large: Bytes,
    /// The frames after the large payload.
    last: BytesMut,
}

impl Encoder {
    pub(crate) fn new(deflater: Option<Deflater>) -> Self {
        Self {
            deflater,
            ..Self::default()
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_empty() && self.large.is_empty() && self.last.is_empty()
    }

    /// Whether there is room for a message, whatever its size.
    pub(crate) fn has_room(&self) -> bool {
        self.large.is_empty() && self.first.len() < ENOUGH
    }

    /// Whether there is room for an answer to the client. If there is not, the client asks for more
    /// than it reads, and has to wait.
    pub(crate) fn has_room_for_control(&self) -> bool {
        self.first.len() + self.last.len() < ENOUGH
    }

    /// Adds a message, as one frame.
    pub(crate) fn message(&mut self, message: Message) {
        let (kind, payload) = match message {
            Message::Text(text) => (Data::Text, text.into_bytes()),
            Message::Binary(data) => (Data::Binary, data),
            _ => unreachable!("a message is text or binary"),
        };
        let mut header = FrameHeader {
            opcode: OpCode::Data(kind),
            ..FrameHeader::default()
        };
        if let Some(deflater) = &mut self.deflater
            && let Some(deflated) = deflater.deflate(&payload)
        {
            // RFC 7692 §6: the first reserved bit marks a compressed message.
            header.rsv1 = true;
            return self.frame(&header, deflated);
        }
        self.frame(&header, payload);
    }

    pub(crate) fn ping(&mut self) {
        self.control(Control::Ping, Bytes::new());
    }

    pub(crate) fn pong(&mut self, payload: Bytes) {
        self.control(Control::Pong, payload);
    }

    /// Adds a close frame; no frame may follow it. With code 1005 its payload is empty, for a client
    /// that gave no code.
    pub(crate) fn close(&mut self, close: &WebSocketClose) {
        let mut payload = BytesMut::with_capacity(2 + close.reason.len());
        if close.code != NO_CODE {
            payload.put_u16(close.code);
            payload.put_slice(close.reason.as_bytes());
        }
        self.control(Control::Close, payload.freeze());
    }

    fn control(&mut self, control: Control, payload: Bytes) {
        let header = FrameHeader {
            opcode: OpCode::Control(control),
            ..FrameHeader::default()
        };
        self.frame(&header, payload);
    }

    fn frame(&mut self, header: &FrameHeader, payload: Bytes) {
        let buffer = match self.large.is_empty() {
            true => &mut self.first,
            false => &mut self.last,
        };
        let length = payload.len() as u64;
        let copied = payload.len() < NOT_COPIED || !self.large.is_empty();
        buffer.reserve(header.len(length) + if copied { payload.len() } else { 0 });
        // Writing to memory cannot fail.
        let _ = header.format(length, &mut buffer.writer());
        match copied {
            true => buffer.extend_from_slice(&payload),
            false => self.large = payload,
        }
    }

    /// All waiting bytes, in order.
    pub(crate) fn slices(&self) -> [IoSlice<'_>; 3] {
        [&self.first[..], &self.large[..], &self.last[..]].map(IoSlice::new)
    }

    /// Removes the first `count` bytes, which have been written.
    pub(crate) fn written(&mut self, count: usize) {
        let first = count.min(self.first.len());
        let large = (count - first).min(self.large.len());
        let last = (count - first - large).min(self.last.len());
        self.first.advance(first);
        self.large.advance(large);
        self.last.advance(last);
        self.compact();
    }

    /// Takes the next piece, at most `most` bytes, for a writer that keeps the bytes.
    pub(crate) fn take(&mut self, most: usize) -> Bytes {
        let piece = match self.first.is_empty() {
            false => self.first.split_to(most.min(self.first.len())).freeze(),
            true => self.large.split_to(most.min(self.large.len())),
        };
        self.compact();
        piece
    }

    /// The most bytes that [`take`](Self::take) would return.
    pub(crate) fn next_len(&self) -> usize {
        match self.first.len() {
            0 => self.large.len(),
            length => length,
        }
    }

    /// Frees written buffers and moves `last` to the front in its turn. So a socket that has nothing to
    /// write holds no buffer.
    fn compact(&mut self) {
        if self.large.is_empty() {
            self.large = Bytes::new();
            if self.first.is_empty() {
                self.first = std::mem::take(&mut self.last);
            }
        }
    }
}

#[cfg(test)]
mod tests;
