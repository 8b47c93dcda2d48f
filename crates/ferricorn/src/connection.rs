//! One accepted connection, before it is known what it speaks.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, recv};
use tokio::io::Interest;
use tracing::debug;

use crate::connection_info::ConnectionInfo;
use crate::http2::PREFACE;
use crate::net::Socket;
use crate::server::{Phase, Server};
use crate::tls::{self, Protocol, Tls, TlsTransport};
use crate::{http1, http2};

/// How long a newcomer that has said nothing is kept when the server drains.
const DRAIN_SILENCE: Duration = Duration::from_secs(1);

/// What is spoken inside of TLS, the best first. (ALPN)
pub(crate) const PROTOCOLS: &[Protocol] = &[Protocol::Http2, Protocol::Http1];

/// How long what still comes is thrown away behind our end of the connection. Closing at once
/// would reset it, and the reset can overtake the last response. nginx waits 5 s.
pub(crate) const LINGER: Duration = Duration::from_secs(2);

/// Serves a connection until it is closed, in a task of its own.
///
/// With `tls` it begins with a handshake. `permit` is kept until the end: what the connection holds
/// of the server's limit.
pub(crate) fn spawn(
    server: &Arc<Server>,
    socket: Socket,
    tls: Option<&Tls>,
    ends: ConnectionInfo,
    permit: impl Send + 'static,
) {
    let counted = server.count_connection();
    let server = Arc::clone(server);
    let tls = tls.cloned();
    tokio::spawn(async move {
        let _held = (counted, permit);
        if server.phase() >= Phase::Cut {
            return;
        }
        match tls {
            None => serve(server, socket, ends).await,
            // Apart, so that a connection without TLS is no larger for it.
            Some(tls) => Box::pin(serve_tls(server, socket, tls, ends)).await,
        }
    });
}

async fn serve(server: Arc<Server>, socket: Socket, ends: ConnectionInfo) {
    let opened = Instant::now();
    let protocol = match peek(&socket) {
        Ok(protocol) => protocol,
        Err(_) => tokio::select! {
            protocol = first_words(&socket) => protocol,
            why = given_up(&server) => {
                debug!(client = ?ends.client, "connection closed: {why}");
                return;
            }
        },
    };
    match protocol {
        Protocol::Http1 => http1::serve(server, socket, ends).await,
        // Apart, so that a connection of HTTP/1 is no larger for it.
        Protocol::Http2 => Box::pin(http2::serve(server, socket, ends, opened)).await,
    }
}

/// Waits until a newcomer that says nothing has had its time.
async fn given_up(server: &Server) -> &'static str {
    let silence = server.config().header_timeout;
    tokio::select! {
        () = tokio::time::sleep(silence) => "it said nothing",
        phase = server.until(Phase::Draining) => {
            if phase == Phase::Draining {
                tokio::select! {
                    () = tokio::time::sleep(DRAIN_SILENCE) => {}
                    _ = server.until(Phase::Cut) => {}
                }
            }
            "the server stops"
        }
    }
}

/// Waits until the client's first bytes tell what it speaks.
async fn first_words(socket: &Socket) -> Protocol {
    loop {
        let Ok(ready) = socket.ready(Interest::READABLE).await else {
            return Protocol::Http1;
        };
        match socket.try_io(Interest::READABLE, || peek(socket)) {
            Ok(protocol) => return protocol,
            // Nothing can follow what has come so far.
            Err(_) if ready.is_read_closed() => return Protocol::Http1,
            Err(_) => {}
        }
    }
}

/// What the client speaks, by what lies in the socket; it stays there.
///
/// Prior knowledge alone makes it HTTP/2: RFC 9113 §3.1 has dropped `Upgrade: h2c`.
///
/// # Errors
///
/// `WouldBlock` if that is too little to tell.
fn peek(socket: &Socket) -> io::Result<Protocol> {
    let mut first = [0; PREFACE.len()];
    let (length, _) = recv(socket.as_fd(), &mut first, RecvFlags::PEEK)?;
    if length == 0 || !PREFACE.starts_with(&first[..length]) {
        Ok(Protocol::Http1)
    } else if length == PREFACE.len() {
        Ok(Protocol::Http2)
    } else {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

async fn serve_tls(server: Arc<Server>, socket: Socket, tls: Tls, mut ends: ConnectionInfo) {
    let opened = Instant::now();
    let Socket::Tcp(socket) = socket else {
        unreachable!("Listener::with_tls refuses a Unix socket");
    };
    let client = ends.client.as_ref();
    let Some(secured) = tls::accept(&tls, socket, &server, client).await else {
        return;
    };
    drop(tls);
    ends.tls = Some(secured.facts);
    let socket = Socket::Tls(TlsTransport::new(secured.stream));
    match secured.protocol {
        Protocol::Http1 => http1::serve(server, socket, ends).await,
        // Apart, so that a connection of HTTP/1 is no larger for it.
        Protocol::Http2 => Box::pin(http2::serve(server, socket, ends, opened)).await,
    }
}
