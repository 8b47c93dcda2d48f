//! From messages to bytes: the frames that wait to be written.

use asgi::{Message, WebSocketClose};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::io::IoSlice;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::decoder::NO_CODE;
use super::deflate::Deflater;

/// A socket that has more than this to write takes no more of its app, in bytes. Each has as much
/// again in the kernel or in its client's window.
const ENOUGH: usize = 64 * 1024;

/// A payload of at least this size is not copied behind its frame's head.
const NOT_COPIED: usize = 8 * 1024;

/// The frames of a socket that wait to be written, in order.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    deflater: Option<Deflater>,
    /// Heads and small payloads.
    first: BytesMut,
    /// A large payload behind them.
    large: Bytes,
    /// What follows the large one.
    last: BytesMut,
}

impl Outgoing {
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

    /// Whether there is room for an answer to the client. One that asks for more than it reads has
    /// to wait with the rest.
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
        let mut head = FrameHeader {
            opcode: OpCode::Data(kind),
            ..FrameHeader::default()
        };
        if let Some(deflater) = &mut self.deflater
            && let Some(deflated) = deflater.deflate(&payload)
        {
            // RFC 7692 §6: the first reserved bit says that a message is compressed.
            head.rsv1 = true;
            return self.frame(&head, deflated);
        }
        self.frame(&head, payload);
    }

    pub(crate) fn ping(&mut self) {
        self.control(Control::Ping, Bytes::new());
    }

    pub(crate) fn pong(&mut self, payload: Bytes) {
        self.control(Control::Pong, payload);
    }

    /// Adds a close frame, behind which nothing may follow: with 1005 an empty one, for a client that
    /// gave no code.
    pub(crate) fn close(&mut self, close: &WebSocketClose) {
        let mut payload = BytesMut::with_capacity(2 + close.reason.len());
        if close.code != NO_CODE {
            payload.put_u16(close.code);
            payload.put_slice(close.reason.as_bytes());
        }
        self.control(Control::Close, payload.freeze());
    }

    fn control(&mut self, control: Control, payload: Bytes) {
        let head = FrameHeader {
            opcode: OpCode::Control(control),
            ..FrameHeader::default()
        };
        self.frame(&head, payload);
    }

    fn frame(&mut self, head: &FrameHeader, payload: Bytes) {
        let behind = match self.large.is_empty() {
            true => &mut self.first,
            false => &mut self.last,
        };
        let length = payload.len() as u64;
        let copied = payload.len() < NOT_COPIED || !self.large.is_empty();
        behind.reserve(head.len(length) + if copied { payload.len() } else { 0 });
        // Writing into memory does not fail.
        let _ = head.format(length, &mut behind.writer());
        match copied {
            true => behind.extend_from_slice(&payload),
            false => self.large = payload,
        }
    }

    /// What is to be written first, in order.
    pub(crate) fn slices(&self) -> [IoSlice<'_>; 3] {
        [&self.first[..], &self.large[..], &self.last[..]].map(IoSlice::new)
    }

    /// So many bytes were written.
    pub(crate) fn written(&mut self, count: usize) {
        let first = count.min(self.first.len());
        let large = (count - first).min(self.large.len());
        let last = (count - first - large).min(self.last.len());
        self.first.advance(first);
        self.large.advance(large);
        self.last.advance(last);
        self.tidy();
    }

    /// Takes the next piece off, at most `most` bytes, for a writer that keeps what it is given.
    pub(crate) fn take(&mut self, most: usize) -> Bytes {
        let piece = match self.first.is_empty() {
            false => self.first.split_to(most.min(self.first.len())).freeze(),
            true => self.large.split_to(most.min(self.large.len())),
        };
        self.tidy();
        piece
    }

    /// How many bytes [`take`](Self::take) would give at most.
    pub(crate) fn next_len(&self) -> usize {
        match self.first.len() {
            0 => self.large.len(),
            length => length,
        }
    }

    /// Closes the ranks. A socket that has nothing to write holds no buffer.
    fn tidy(&mut self) {
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
