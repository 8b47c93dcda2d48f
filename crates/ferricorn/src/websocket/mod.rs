//! WebSockets, over HTTP/1.1 and over HTTP/2 (RFC 6455, RFC 8441).
//!
//! A handshake that is sound ([`handshake`]) becomes an exchange like any request; what its app
//! answers goes out as any response does. If it accepts, the connection or the stream is the socket's
//! ([`io`]), and a [`driver`] takes frames off it ([`incoming`]) and puts frames on it ([`outgoing`]).
//! When the socket is to be pinged and how it is closed is for
//! [`asgi_rules::WebSocketKeepAlive`] to say.
//!
//! # Why not tungstenite's own `WebSocket`
//!
//! The heads of frames, their codes and the key of the handshake are tungstenite's; the messages are
//! ours. Its `WebSocket` refuses the bit that marks a compressed message, so permessage-deflate would
//! have to go under it, and it takes 128 KiB a socket for its buffers, or many reads for a message.
//! What was tried and measured stands in [`deflate`].

pub(crate) mod decoder;
pub(crate) mod deflate;
mod driver;
mod encoder;
mod handshake;
mod io;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

pub(crate) use self::deflate::{Agreement, Deflater};
pub(crate) use self::driver::{Driver, End};
pub(crate) use self::encoder::Encoder;
pub(crate) use self::handshake::{Opening, Refusal, is_asked_for, over_http1, over_http2, own};
use self::io::OverHttp1;
pub(crate) use self::io::{Io, OverHttp2};
use crate::exchange::{CancelOnDrop, Exchange};
use crate::http1::Transport;
use crate::server::Server;

/// Drives the socket that a connection of HTTP/1.1 has become to its end. `read` is what its client
/// has said since.
pub(crate) async fn serve(
    server: Arc<Server>,
    transport: Transport,
    exchange: Arc<Exchange>,
    read: Bytes,
) {
    let mut circle = CancelOnDrop::new(&exchange);
    let (_, deflate) = exchange.opened();
    let io = OverHttp1(transport);
    let mut driver = Driver::new(&server, exchange, deflate, io, BytesMut::from(read));
    let end = std::future::poll_fn(|cx| driver.poll(cx)).await;
    let OverHttp1(mut transport) = driver.finish(end);
    circle.release();
    match end {
        End::Cut | End::Lost => {}
        // The client takes nothing: not the end either.
        End::TimedOut(_) if transport.stuck_since().is_some() => transport.reset_on_close(),
        End::Closed | End::TimedOut(_) => transport.close(&server).await,
    }
}
