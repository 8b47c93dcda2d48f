//! permessage-deflate (RFC 7692): messages, not frames, compressed and inflated.
//!
//! Pure: no sockets, no tokio, no clock. The handshake calls [`negotiate`] with the client's request; then
//! a [`Deflater`] takes the messages that are sent and an [`Inflater`] those that are received, each as a
//! whole. Fragments, RSV1 and who may set it are the business of frames.
//!
//! # Streams for a thread, windows for a socket
//!
//! A zlib compressor takes 265 KiB for a window of 12 bits and 380 KiB for one of 15, and half of that is
//! a hash table whose size nothing changes; an inflater takes 47 KiB. So no socket has either. A thread
//! has them ([`streams`]), and a socket has its two windows: the last bytes that it has sent and received,
//! plain ([`window`]). For each message the stream is reset and handed the window as a dictionary, of
//! which the other side sees nothing. A compressor that has compressed nothing since the same socket's
//! last message just goes on ([`compressors`]).
//!
//! # What was tried
//!
//! Microseconds of CPU time for a message of JSON, and bytes that a socket holds; windows of 12 bits with
//! context take-over, levels as in [`deflater`], one core of x86-64 in a release build:
//!
//! ```text
//!                              64 B          1 KiB         16 KiB      a socket
//!                            in    out     in    out      in    out    holds
//! this, one socket          0.7    0.8    5.6   20        43    181      8 KiB
//! this, 64 in turn          0.5    5.8    5.1   27        43    191      8 KiB
//! streams kept, one         0.6    0.7    5.4   20        48    175    306 KiB
//! streams kept, 64 in turn  0.5    0.8    6.7   24        51    205    306 KiB
//! under tungstenite, 64     0.9    5.9    6.1   28        51    198     13 to 148 KiB
//! frames of our own, 64     0.7    5.8    5.5   27        43    189      8 KiB
//! the same, uncompressed    0.2    0.1    0.4    0.2     3.3    1.9      0
//!
//! 15 bits: this, one        2.0    1.0    6.4   19        42    165     40 KiB
//! this, 64 in turn          0.5    5.6    6.5   32        44    177     40 KiB
//! streams kept, 64 in turn  0.4    0.9    6.0   27        51    229    418 KiB
//! ```
//!
//! - Streams that are kept take 5 µs less where many sockets are sent short messages in turn, which is what
//!   a chat does, 3 µs less for 1 KiB, and more for 16 KiB. For that, ten thousand sockets would hold 3 GB
//!   in place of 80 MB.
//! - A layer under tungstenite's `WebSocket` that inflates and frames anew parses and copies everything
//!   twice. Next to DEFLATE that is little time, but its buffers stay several times as large as the
//!   largest message, and both halves need the rules for fragments and the limits. With frames of our
//!   own, which is what this server has, there is one of each.
//!
//! | level | 1 KiB | | 16 KiB | |
//! | --- | --- | --- | --- | --- |
//! | 1 | 15 µs | 46.9 % | 92 µs | 48.8 % |
//! | 2 | 25 µs | 37.7 % | 160 µs | 35.7 % |
//! | 3 | 27 µs | 37.1 % | 187 µs | 34.4 % |
//! | 6 | 29 µs | 36.7 % | 219 µs | 33.9 % |
//!
//! At 16 KiB, level 3 is the last whose step takes less than 150 ns a byte saved. Short messages that may
//! refer to others are compressed at level 1: nearly as well, in 3 to 8 µs less.

mod compressors;
mod deflater;
mod extensions;
mod inflater;
mod negotiation;
mod streams;
#[cfg(test)]
mod tests;
mod window;

pub(crate) use self::deflater::Deflater;
pub(crate) use self::inflater::{Fault, Inflater};
pub(crate) use self::negotiation::{Agreement, Settings, negotiate};

/// What zlib writes at the end of a message so that all of it is out, and the sender cuts off: the end of
/// an empty block without compression (RFC 7692 §7.2.1).
const FLUSHED: [u8; 4] = [0, 0, 0xff, 0xff];
