//! Sockets: what accepts them, reads them, writes them and closes them. Nothing here knows HTTP.

mod listener;
mod socket;
mod timer;
mod write_buffer;

pub use self::listener::{Bind, BindError, Listener};
pub(crate) use self::socket::{Peer, Socket};
pub(crate) use self::timer::Timer;
pub(crate) use self::write_buffer::WriteBuffer;
