//! Sockets: accepts, reads, writes and closes them. Nothing in here knows HTTP.

mod address_limit;
mod buffered_socket;
mod close;
mod listener;
mod socket;
mod timer;
mod write_buffer;

pub(crate) use self::address_limit::AddressLimit;
pub(crate) use self::buffered_socket::BufferedSocket;
pub(crate) use self::close::{HasSocket, close};
pub use self::listener::{Bind, BindError, Listener};
pub(crate) use self::socket::{Peer, Socket};
pub(crate) use self::timer::Timer;
#[cfg(feature = "cli")]
pub(crate) use self::write_buffer::CAPACITY as WRITE_BUFFER;
