//! The client's side of a WebSocket, for the load generators. It checks little, so that it is
//! cheap: use it only with servers that answer correctly.

use std::io::{self, Read, Write};

/// The key of the handshake and the answer to it, both from RFC 6455 §1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The first byte of each kind of frame. Every frame is a whole message.
pub const TEXT: u8 = 0x81;
pub const BINARY: u8 = 0x82;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;
pub const PONG: u8 = 0x8a;

/// Opens a WebSocket at this path, with further headers. Returns the response's head in lower case.
///
/// # Errors
///
/// The server refuses, or sends more than a head.
pub fn open(stream: &mut (impl Read + Write), path: &str, fields: &str) -> io::Result<String> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\n{fields}\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut head = Vec::new();
    let mut part = [0; 1024];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut part)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => head.extend_from_slice(&part[..read]),
        }
    }
    let head = String::from_utf8(head).map_err(io::Error::other)?;
    if !head.starts_with("HTTP/1.1 101 ") || !head.contains(ACCEPT) {
        return Err(io::Error::other(format!("no WebSocket: {head}")));
    }
    Ok(head.to_ascii_lowercase())
}

/// The length of the head of a frame without a mask.
#[must_use]
pub fn head_len(payload: usize) -> usize {
    match payload {
        0..=125 => 2,
        126..=0xffff => 4,
        _ => 10,
    }
}

/// The head of a frame; `masked` is 0x80 or 0.
fn head(first: u8, masked: u8, payload: usize) -> Vec<u8> {
    let mut head = vec![first];
    match payload {
        0..=125 => head.push(masked | payload as u8),
        126..=0xffff => {
            head.push(masked | 126);
            head.extend((payload as u16).to_be_bytes());
        }
        _ => {
            head.push(masked | 127);
            head.extend((payload as u64).to_be_bytes());
        }
    }
    head
}

/// A client's frame.
#[must_use]
pub fn masked(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut frame = head(first, 0x80, payload.len());
    frame.extend(mask);
    frame.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

/// The head of a server's frame.
#[must_use]
pub fn plain_head(first: u8, payload: usize) -> Vec<u8> {
    head(first, 0, payload)
}

/// The next whole frame of a server: its first byte, its payload and its total length. `None` if a
/// part of it is missing.
#[must_use]
pub fn parse(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let [first, second, rest @ ..] = bytes else {
        return None;
    };
    let (length, head) = match second {
        126 => (u16::from_be_bytes(*rest.first_chunk()?) as usize, 4),
        127 => (u64::from_be_bytes(*rest.first_chunk()?) as usize, 10),
        length => (usize::from(*length), 2),
    };
    let end = head + length;
    Some((*first, bytes.get(head..end)?, end))
}
