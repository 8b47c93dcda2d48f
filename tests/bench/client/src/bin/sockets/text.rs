//! The messages for compression: more varied text than the largest window can hold.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::Failure;

const MESSAGES: usize = 10;
const SIZE: usize = 4 * 1024;

/// The end of each compressed message, which the sender leaves out. (RFC 7692 §7.2.1)
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// The first reserved bit says that a message is compressed.
pub const COMPRESSED: u8 = 0x40;

/// Messages. Each is compressed without the messages before it, so that all clients can send the
/// same bytes. The server's window still holds the text.
pub struct Texts {
    bits: u8,
    plain: Vec<Vec<u8>>,
    compressed: Vec<Vec<u8>>,
    to_all: Vec<u8>,
}

impl Texts {
    pub fn new(bits: u8) -> Self {
        let mut seed = 1;
        let plain: Vec<Vec<u8>> = (0..MESSAGES).map(|_| words(&mut seed)).collect();
        let compressed = plain.iter().map(|text| deflate(text, bits)).collect();
        let to_all = deflate(
            b"all: hello, hello, hello, hello, hello, hello, hello, hello",
            bits,
        );
        Self {
            bits,
            plain,
            compressed,
            to_all,
        }
    }

    /// The header with which a client offers compression.
    pub fn offer(&self) -> String {
        "sec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n".to_owned()
    }

    /// Whether the server has agreed to windows of this size both ways, and to keep them.
    pub fn is_agreed(&self, head: &str) -> bool {
        let bits = self.bits;
        let client = format!("client_max_window_bits={bits}");
        let server = format!("server_max_window_bits={bits}");
        let Some(line) = head
            .lines()
            .find(|line| line.starts_with("sec-websocket-extensions:"))
        else {
            return false;
        };
        // Without the parameter, the window has 15 bits.
        line.contains("permessage-deflate")
            && !line.contains("no_context_takeover")
            && (bits == 15 || (line.contains(&client) && line.contains(&server)))
    }

    pub fn compressed(&self) -> &[Vec<u8>] {
        &self.compressed
    }

    /// The message that one client sends to all: the first byte of the frame, and the payload.
    pub fn to_all(&self) -> (u8, Vec<u8>) {
        (bench_client::TEXT | COMPRESSED, self.to_all.clone())
    }

    /// Checks that these echoes of one WebSocket are the sent messages.
    pub fn check(&self, echoes: &[(u8, Vec<u8>)]) -> Result<(), Failure> {
        let mut inflater = Decompress::new(false);
        for ((first, echo), text) in echoes.iter().zip(&self.plain) {
            if first & COMPRESSED == 0 {
                return Err("an echo is not compressed".into());
            }
            let mut inflated = Vec::with_capacity(SIZE + 64);
            let payload = [echo, &TAIL[..]].concat();
            inflater.decompress_vec(&payload, &mut inflated, FlushDecompress::Sync)?;
            if inflated != *text {
                return Err("an echo says something else".into());
            }
        }
        Ok(())
    }
}

fn deflate(text: &[u8], bits: u8) -> Vec<u8> {
    let mut deflater = Compress::new_with_window_bits(Compression::fast(), false, bits);
    let mut deflated = Vec::with_capacity(text.len() + 64);
    let status = deflater.compress_vec(text, &mut deflated, FlushCompress::Sync);
    assert!(matches!(status, Ok(Status::Ok)), "it fits");
    assert!(deflated.ends_with(&TAIL));
    deflated.truncate(deflated.len() - TAIL.len());
    deflated
}

/// Text like that of a chat: words of several lengths. It compresses to about half.
fn words(seed: &mut u64) -> Vec<u8> {
    let mut text = Vec::with_capacity(SIZE);
    while text.len() < SIZE {
        let drawn = draw(seed);
        let letters = 2 + drawn % 8;
        text.extend((0..letters).map(|at| b'a' + (drawn >> (5 * at + 4)) as u8 % 26));
        text.push(b' ');
    }
    text.truncate(SIZE);
    text
}

/// splitmix64
fn draw(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut bits = *seed;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
