//! A peer of HTTP/2 that says exactly what a script tells it and believes nothing that it is not
//! told: "client sends HEADERS 1, expects RST_STREAM 3 REFUSED_STREAM".
//!
//! It shares no code with the `h2` crate that the server is built on, so that the two cannot agree
//! on a mistake: frames ([`frame`]) and field blocks ([`hpack`]) are written and read by hand here,
//! but for HPACK's decoder. It knows none of our packages and speaks to any server.
//!
//! [`Peer`] is blocking: a script is a plain function, each of its waits has a limit, and one that
//! fails shows every frame that went over the wire.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "this is for tests alone")]

mod expect;
pub mod frame;
pub mod hpack;
mod log;
mod peer;
mod request;
mod response;
mod socket;

pub use self::frame::Frame;
pub use self::peer::{Event, LIMIT, Peer};
pub use self::request::{Request, headers};
pub use self::response::{Head, Response};

/// What every client sends first (RFC 9113 §3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
