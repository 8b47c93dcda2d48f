//! An HTTP/2 client that a test scripts frame by frame: "send HEADERS on stream 1, expect RST_STREAM
//! on stream 3 with REFUSED_STREAM".
//!
//! It shares no code with the `h2` crate, which the server uses, so the two cannot make the same
//! mistake. This crate writes and reads frames ([`frame`]) and header blocks ([`hpack`]) itself; only
//! the HPACK decoder comes from another crate. It imports no other package of this workspace, and
//! works with any server.
//!
//! [`Peer`] is blocking, so a script is a plain function. Each wait has a limit. A script that fails
//! prints all frames that were sent and received.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "only tests use this crate")]

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

/// The bytes that every client sends first (RFC 9113 §3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
