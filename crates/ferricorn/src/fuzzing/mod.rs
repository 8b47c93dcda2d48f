//! Properties that hold for any bytes from outside, one function for each fuzz target.
//!
//! A function panics if its property does not hold. The programs in `fuzz/` call them with random
//! bytes, and the tests of this crate call them with the files in `fuzz/corpus`. The server does not
//! contain this module: only tests and cargo-fuzz compile it.

mod deflate;
mod http1;
mod http2;
mod websocket;

#[cfg(test)]
mod tests;

pub use self::deflate::deflate_negotiation;
pub use self::http1::http1_framing;
pub use self::http2::http2_frames;
pub use self::websocket::websocket_frames;
pub use crate::tls::fuzzing::pem;

/// Ways to cut the input into pieces: byte by byte, short pieces, long pieces.
///
/// The bytes decide the cuts, so a failure comes back with the same input.
fn splits(bytes: &[u8]) -> [Vec<&[u8]>; 3] {
    let mut random = seed(bytes);
    [1, 16, 1024].map(|longest| {
        let mut rest = bytes;
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            // Xorshift.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let length = 1 + random % longest;
            let (piece, after) = rest.split_at(rest.len().min(length as usize));
            pieces.push(piece);
            rest = after;
        }
        pieces
    })
}

/// FNV-1a, which is never zero here.
fn seed(bytes: &[u8]) -> u64 {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    hash | 1
}
