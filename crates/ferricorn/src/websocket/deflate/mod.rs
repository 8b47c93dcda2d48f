//! permessage-deflate (RFC 7692): compresses and inflates WebSocket messages.
//!
//! Pure: no sockets, no tokio, no clock. The handshake calls [`negotiate`] with the client's request.
//! After that a [`Deflater`] compresses each message that the server sends, and an [`Inflater`] inflates
//! each message that it receives. Both work on whole messages, not on frames: the
//! [decoder](super::decoder) and the [encoder](super::encoder) handle fragments and the bit RSV1.
//!
//! # Streams for a thread, windows for a socket
//!
//! A zlib compressor takes 265 KiB for a window of 12 bits and 380 KiB for one of 15. Half of that is a
//! hash table of fixed size. An inflater takes 47 KiB. So no socket has a compressor or an inflater of
//! its own. A thread has them ([`thread_streams`]), and a socket has its two windows: the last bytes that
//! it has sent and received, uncompressed ([`window`]). For each message, the thread's stream is reset and
//! gets the window as a dictionary; the other side sees nothing of this. If the same socket used a
//! compressor last, that compressor continues without a reset ([`compressors`]).
//!
//! # Alternatives
//!
//! The table shows microseconds of CPU time for a message of JSON, and the bytes that a socket holds.
//! Windows of 12 bits with context takeover, levels as in [`deflater`], one core of x86-64, release
//! build:
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
//! - Streams that each socket keeps save 5 µs a message if many sockets get short messages in turn, as in
//!   a chat. They save 3 µs for 1 KiB and cost time for 16 KiB. But ten thousand sockets would hold 3 GB
//!   instead of 80 MB.
//! - A layer under tungstenite's `WebSocket` that inflates messages and frames them again parses and
//!   copies everything twice. Compared with DEFLATE that is little time. But its buffers stay several
//!   times as large as the largest message, and both layers need the limits and the rules for fragments.
//!   With frames of its own, this server has one of each.
//!
//! Time and size of the compressed message for each level:
//!
//! | level | 1 KiB | | 16 KiB | |
//! | --- | --- | --- | --- | --- |
//! | 1 | 15 µs | 46.9 % | 92 µs | 48.8 % |
//! | 2 | 25 µs | 37.7 % | 160 µs | 35.7 % |
//! | 3 | 27 µs | 37.1 % | 187 µs | 34.4 % |
//! | 6 | 29 µs | 36.7 % | 219 µs | 33.9 % |
//!
//! At 16 KiB, level 3 is the last level that takes less than 150 ns for each byte that it saves over the
//! level before. Short messages that may refer to earlier ones are compressed at level 1, which is nearly
//! as good and takes 3 to 8 µs less.

mod compressors;
mod deflater;
mod extensions;
mod inflater;
pub(crate) mod negotiation;
#[cfg(test)]
mod tests;
mod thread_streams;
mod window;

pub(crate) use self::deflater::Deflater;
pub(crate) use self::inflater::{InflateError, Inflater};
pub(crate) use self::negotiation::{Agreement, DeflateSettings, negotiate};

/// The last bytes that zlib writes when it flushes a message: the end of an empty uncompressed block. The
/// sender cuts them off (RFC 7692 §7.2.1).
const FLUSHED: [u8; 4] = [0, 0, 0xff, 0xff];
