//! The handshake: turns an accepted socket into a TLS stream.
//!
//! The connection's task calls [`accept`]. If the handshake fails it gets a [`HandshakeFailure`] with
//! the socket, which it closes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{Tls, scope};
use crate::deadlines::FAREWELL;
use crate::lifecycle::{Lifecycle, Phase};
use crate::proxy_header::{self, is_proxy_header};

/// The protocols that the server speaks inside TLS, the best first. (ALPN, RFC 7301 §6)
pub(super) const ALPN: [&[u8]; 3] = [b"h2", b"http/1.1", b"http/1.0"];

/// The protocol of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// A connection whose handshake is done.
#[derive(Debug)]
pub(crate) struct Secured {
    pub(crate) stream: Box<TlsStream<TcpStream>>,
    /// The protocol that both sides agreed on. HTTP/1 for a client that sends no ALPN.
    pub(crate) protocol: Protocol,
    /// The TLS part of the scope.
    pub(crate) facts: Arc<asgi::Tls>,
}

/// Why there is no connection after a handshake.
#[derive(Debug)]
pub(crate) enum HandshakeFailure {
    /// The client closed before it said anything. Load balancers do that to see whether the server
    /// is there.
    Left,
    /// The client speaks plain HTTP. Nothing was read.
    PlainHttp(TcpStream),
    /// The client, or a proxy for it, sent a header of the PROXY protocol. Nothing was read.
    ProxyHeader(TcpStream),
    /// The client asked for something that is not offered, has no good certificate or broke the
    /// protocol. An alert that says so is written.
    Tls(io::Error, TcpStream),
    TimedOut,
    /// The server drains or is cut off.
    Drained,
}

/// Does the handshake, which takes no longer than `limit`.
///
/// # Errors
///
/// There is no connection, see [`HandshakeFailure`].
pub(crate) async fn accept(
    tls: &Tls,
    socket: TcpStream,
    limit: Duration,
    lifecycle: &Lifecycle,
) -> Result<Secured, HandshakeFailure> {
    tokio::select! {
        biased;
        done = timeout(limit, handshake(tls, socket)) => {
            done.unwrap_or(Err(HandshakeFailure::TimedOut))
        }
        () = drained(lifecycle) => Err(HandshakeFailure::Drained),
    }
}

async fn handshake(tls: &Tls, socket: TcpStream) -> Result<Secured, HandshakeFailure> {
    // rustls would answer plain HTTP with an alert, so look first.
    let mut first = [0; proxy_header::LEN];
    match socket.peek(&mut first).await {
        Ok(0) | Err(_) => return Err(HandshakeFailure::Left),
        Ok(length) if is_proxy_header(&first[..length]) => {
            return Err(HandshakeFailure::ProxyHeader(socket));
        }
        // A TLS record begins with its type, 20 to 23; an HTTP method begins with a letter.
        Ok(_) if first[0].is_ascii_alphabetic() => {
            return Err(HandshakeFailure::PlainHttp(socket));
        }
        Ok(_) => {}
    }
    let loaded = tls.current();
    let stream = TlsAcceptor::from(Arc::clone(&loaded.rustls))
        .accept(socket)
        .into_fallible()
        .await
        .map_err(|(error, socket)| HandshakeFailure::Tls(error, socket))?;
    let (_, connection) = stream.get_ref();
    Ok(Secured {
        protocol: match connection.alpn_protocol() {
            Some(b"h2") => Protocol::Http2,
            _ => Protocol::Http1,
        },
        facts: Arc::new(scope::describe(connection, &loaded)),
        stream: Box::new(stream),
    })
}

/// Waits until the server has drained for a moment, or is cut off. The client may be about to send
/// the one request that it may still send.
async fn drained(lifecycle: &Lifecycle) {
    lifecycle.until(Phase::Draining).await;
    let _ = timeout(FAREWELL, lifecycle.until(Phase::Cut)).await;
}
