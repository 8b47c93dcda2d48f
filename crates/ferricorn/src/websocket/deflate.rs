//! permessage-deflate (RFC 7692): messages, not frames, compressed and inflated.
//!
//! Pure: no sockets, no tokio, no clock. The connection calls [`negotiate`] with the client's request,
//! and then has a [`Deflater`] for what it sends and an [`Inflater`] for what it receives. Both take the
//! payload of a whole message; fragments, RSV1 and who may set it are the connection's.

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
