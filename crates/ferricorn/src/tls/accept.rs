//! The handshake: from an accepted socket to a stream and what both sides agreed on.
//!
//! It ends in one of these ways, and none of them is more than a line at debug, for a handshake
//! that fails is its client's affair:
//!
//! - both sides agree;
//! - the client speaks plain HTTP, and is told so in plain HTTP;
//! - the client asks for what is not offered, shows no good certificate or talks nonsense: it gets
//!   the alert that says so;
//! - it takes too long, or the client leaves;
//! - the server is cut off.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use asgi::Address;
use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::debug;

use super::{Tls, scope};
use crate::connection::LINGER;
use crate::exchange::log_unreadable;
use crate::server::{Phase, Server};

/// How long a handshake may still take when the server drains: the client may be about to send the
/// one request that it may still send.
const DRAIN_HANDSHAKE: Duration = Duration::from_secs(1);

/// What a client learns that speaks plain HTTP to a port of TLS.
const PLAIN_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    connection: close\r\n\
    content-type: text/plain; charset=utf-8\r\n\
    content-length: 47\r\n\
    \r\n\
    The plain HTTP request was sent to a TLS port.\n";

/// What is spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

impl Protocol {
    /// Its name in ALPN. (RFC 7301 §6)
    pub(super) fn alpn(&self) -> Vec<u8> {
        match self {
            Self::Http1 => b"http/1.1".to_vec(),
            Self::Http2 => b"h2".to_vec(),
        }
    }
}

/// A connection whose handshake is done.
#[derive(Debug)]
pub(crate) struct Secured {
    pub(crate) stream: Box<TlsStream<TcpStream>>,
    /// What both sides agreed on. HTTP/1.1 with a client that knows nothing of ALPN.
    pub(crate) protocol: Protocol,
    /// What the scope says of it.
    pub(crate) facts: Arc<asgi::Tls>,
}

/// Does the handshake. `None` if there is no connection after it.
///
/// It takes no longer than the server's handshake time-out, and a moment to say why it failed.
pub(crate) async fn accept(
    tls: &Tls,
    socket: TcpStream,
    server: &Server,
    client: Option<&Address>,
) -> Option<Secured> {
    let limit = server.config().tls_handshake_timeout;
    let failed = tokio::select! {
        biased;
        shaken = timeout(limit, handshake(tls, socket)) => match shaken {
            Ok(Ok(secured)) => return Some(secured),
            Ok(Err(failed)) => failed,
            Err(_) => {
                debug!(?client, "TLS handshake timed out");
                return None;
            }
        },
        () = drained(server) => {
            debug!(?client, "TLS handshake given up: the server stops");
            return None;
        }
    };
    let mut socket = match failed {
        Failed::Left => return None,
        Failed::Tls(error, socket) => {
            debug!(?client, "TLS handshake failed: {error}");
            socket
        }
        Failed::PlainHttp(mut socket) => {
            debug!(?client, "plain HTTP was sent to a port of TLS");
            if server.config().access_log {
                log_unreadable(client, StatusCode::BAD_REQUEST);
            }
            // Nobody else can be told if it cannot be written.
            let _ = timeout(LINGER, socket.write_all(PLAIN_HTTP)).await;
            socket
        }
    };
    tokio::select! {
        () = linger(&mut socket) => {}
        _ = server.until(Phase::Cut) => {}
    }
    None
}

enum Failed {
    /// The client has closed before it said anything, as load balancers do to see whether there is
    /// somebody.
    Left,
    PlainHttp(TcpStream),
    Tls(io::Error, TcpStream),
}

async fn handshake(tls: &Tls, socket: TcpStream) -> Result<Secured, Failed> {
    // rustls would answer plain HTTP with an alert first: look before it does.
    let mut first = [0];
    match socket.peek(&mut first).await {
        Ok(0) | Err(_) => return Err(Failed::Left),
        // A TLS record begins with its type, 20 to 23, and a method with a letter.
        Ok(_) if first[0].is_ascii_alphabetic() => return Err(Failed::PlainHttp(socket)),
        Ok(_) => {}
    }
    let loaded = tls.current();
    let stream = TlsAcceptor::from(Arc::clone(&loaded.rustls))
        .accept(socket)
        .into_fallible()
        .await
        .map_err(|(error, socket)| Failed::Tls(error, socket))?;
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

/// Waits until the server has drained for a moment, or is cut off.
async fn drained(server: &Server) {
    server.until(Phase::Draining).await;
    let _ = timeout(DRAIN_HANDSHAKE, server.until(Phase::Cut)).await;
}

/// Closes our side and throws away what still comes, so that what was written last arrives.
async fn linger(socket: &mut TcpStream) {
    if socket.shutdown().await.is_err() {
        return;
    }
    let mut trash = [0; 4 * 1024];
    let gone = async { while matches!(socket.read(&mut trash).await, Ok(1..)) {} };
    // Whether the client closes in time or not, the socket is closed now.
    let _ = timeout(LINGER, gone).await;
}
