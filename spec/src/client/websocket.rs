//! A WebSocket, frame by frame (RFC 6455), over HTTP/1.1 or HTTP/2 (RFC 8441).

use super::{CaseClient, ConnectionEnding};
use crate::result::{Checked, equal, fail};

/// The headers of a handshake over HTTP/1.1. The key is the RFC's own example.
pub(crate) const HANDSHAKE: &str = "upgrade: websocket\r\nconnection: upgrade\r\n\
     sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// What a server answers to that key.
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xa;

/// The bit that says that a frame is the last one of its message.
pub(crate) const FIN: u8 = 0x80;

/// The bit that says that a frame begins a compressed message (RFC 7692 §6).
pub(crate) const COMPRESSED: u8 = 0x40;

/// The key of each masked frame. Any key is as good as another here.
const MASK: [u8; 4] = [1, 2, 3, 4];

/// An open WebSocket.
pub(crate) struct RawSocket {
    pub(crate) http: CaseClient,
    /// Whether the server may compress its messages.
    pub(crate) compressed: bool,
}

/// A frame of the server, which has no mask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawFrame {
    pub(crate) fin: bool,
    /// Whether the frame begins a compressed message.
    pub(crate) compressed: bool,
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

/// A masked frame as bytes. `first` is its first byte: the opcode and its bits.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..126 => bytes.push(0x80 | length as u8),
        length @ 126..65536 => {
            bytes.push(0x80 | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    let masked = payload.iter().zip(MASK.iter().cycle());
    bytes.extend(masked.map(|(byte, mask)| byte ^ mask));
    bytes
}

/// The payload of a close frame.
pub(crate) fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

impl RawSocket {
    /// Sends a whole message or a control frame.
    pub(crate) async fn send(&mut self, opcode: u8, payload: impl AsRef<[u8]>) -> Checked {
        self.http.raw(frame(FIN | opcode, payload.as_ref())).await
    }

    /// Sends a close frame.
    pub(crate) async fn close(&mut self, code: u16, reason: &str) -> Checked {
        self.send(CLOSE, close_payload(code, reason)).await
    }

    /// Reads the next frame.
    pub(crate) async fn frame(&mut self) -> Checked<RawFrame> {
        let head = self.http.exactly(2, "a frame").await?;
        let allowed = if self.compressed { COMPRESSED } else { 0 };
        if head[0] & 0x70 & !allowed != 0 || head[1] & 0x80 != 0 {
            return fail(
                "a frame without reserved bits and mask",
                format!("{head:x?}"),
            );
        }
        let length = match head[1] {
            126 => self.number(2).await?,
            127 => self.number(8).await?,
            short => usize::from(short),
        };
        Ok(RawFrame {
            fin: head[0] & FIN != 0,
            compressed: head[0] & COMPRESSED != 0,
            opcode: head[0] & 0xf,
            payload: self.http.exactly(length, "the rest of a frame").await?,
        })
    }

    async fn number(&mut self, bytes: usize) -> Checked<usize> {
        let bytes = self.http.exactly(bytes, "the length of a frame").await?;
        Ok(bytes
            .iter()
            .fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    /// Fails unless the next frame is this one.
    pub(crate) async fn expect(&mut self, opcode: u8, payload: impl AsRef<[u8]>) -> Checked {
        let payload = payload.as_ref().to_vec();
        equal(
            "the frame",
            self.frame().await?,
            RawFrame {
                fin: true,
                compressed: false,
                opcode,
                payload,
            },
        )
    }

    /// Fails unless the next frame is a close frame with this code. Its reason may be anything.
    pub(crate) async fn expect_close(&mut self, code: u16) -> Checked {
        let frame = self.frame().await?;
        let is_it = frame.opcode == CLOSE && frame.payload.starts_with(&code.to_be_bytes());
        if is_it {
            return Ok(());
        }
        fail(format!("a close frame with {code}"), format!("{frame:?}"))
    }

    /// Fails unless the server closes the connection or the stream without another frame.
    pub(crate) async fn expect_end(&mut self) -> Checked<ConnectionEnding> {
        let (bytes, ending) = self.http.end().await?;
        equal("bytes before the end", bytes.len(), 0)?;
        Ok(ending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_masked_and_has_its_length() {
        assert_eq!(
            frame(FIN | TEXT, b"\x01\x00"),
            [0x81, 0x82, 1, 2, 3, 4, 0, 2]
        );
        assert_eq!(frame(BINARY, &[0; 300])[..4], [0x02, 0xfe, 1, 44]);
    }
}
