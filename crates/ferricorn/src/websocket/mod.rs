//! WebSockets, over any version of HTTP (RFC 6455, RFC 8441). In this module, a *socket* is a
//! WebSocket.
//!
//! A sound [`handshake`] becomes an exchange like any request, and the app's answer goes out as any
//! response does. If the app accepts, the connection or the stream belongs to the socket ([`io`]), and
//! a [`driver`] reads frames from it ([`decoder`]) and writes frames to it ([`encoder`]). The rules
//! and the messages that wait are in the [`session`].
//! [`asgi_rules::WebSocketKeepAlive`] says when the socket is pinged and how it is closed.
//!
//! `http1` and `http2` call this module, and implement its [`Io`].
//!
//! # Why not tungstenite's own `WebSocket`
//!
//! This module uses tungstenite for frame heads, close codes and the key of the handshake, but not for
//! messages. Its `WebSocket` refuses the bit that marks a compressed message, so permessage-deflate would
//! have to go under it, and it takes 128 KiB a socket for its buffers, or many reads for a message.
//! [`deflate`] lists what was tried and measured.

mod client_side;
pub(crate) mod decoder;
pub(crate) mod deflate;
mod driver;
mod encoder;
mod handshake;
mod io;
mod session;

use std::sync::Arc;

use asgi::WebSocketScope;

pub(crate) use self::driver::{Driver, SocketEnd};
pub(crate) use self::encoder::Encoder;
pub(crate) use self::handshake::{Opening, check_http1, check_http2, is_upgrade_request};
pub(crate) use self::io::Io;
use self::session::Session;
#[cfg(feature = "cli")]
pub(crate) use self::{
    driver::LARGEST_READ, encoder::ENOUGH as ANSWERS_AHEAD, session::BYTES_AHEAD,
};
use crate::exchange::{Exchange, NewExchange};

/// Makes the server's app ready for a handshake, which `opening` completes if the app accepts.
pub(crate) fn start(
    mut new: NewExchange<'_>,
    scope: Box<WebSocketScope>,
    opening: Opening,
) -> Arc<Exchange> {
    new.info.target = handshake::copy_target(&new.info.target);
    let session = Session::new(&scope, opening);
    Exchange::start_session(new, scope, Box::new(session))
}
