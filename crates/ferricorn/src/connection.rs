//! One accepted connection, until its protocol is known.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Instant;

use http::{Method, StatusCode};
use rustix::net::{RecvFlags, recv};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tracing::debug;

use crate::access_log::log_unreadable;
use crate::connection_info::ConnectionInfo;
use crate::deadlines::FAREWELL;
use crate::http2::PREFACE;
use crate::lifecycle::Phase;
use crate::net::{self, BufferedSocket, Socket};
use crate::proxy_header::{is_proxy_header, log_proxy_header};
use crate::refusal::Refusal;
use crate::server::Server;
use crate::tls::{self, HandshakeFailure, Protocol, Tls, TlsTransport};
use crate::{http1, http2};

/// Serves a connection until it is closed, in a task of its own.
///
/// With `tls` it begins with a handshake. The task holds `permit`, its share of the server's limit,
/// until the end.
pub(crate) fn spawn(
    server: &Arc<Server>,
    socket: Socket,
    tls: Option<&Tls>,
    info: ConnectionInfo,
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
            None => serve(server, socket, info).await,
            // Boxed, so that plain connections don't pay for the size of this future.
            Some(tls) => Box::pin(serve_tls(server, socket, tls, info)).await,
        }
    });
}

async fn serve(server: Arc<Server>, socket: Socket, info: ConnectionInfo) {
    let opened = Instant::now();
    let first = match peek(&socket) {
        Ok(first) => first,
        Err(_) => tokio::select! {
            first = wait_for_first_bytes(&socket) => first,
            why = silence_ends(&server) => {
                debug!(client = ?info.client, "connection closed: {why}");
                return;
            }
        },
    };
    match first {
        FirstBytes::Http1 => http1::serve(server, socket, info).await,
        FirstBytes::ProxyHeader => {
            log_proxy_header(&server.hints().proxy_header, info.client.as_ref());
            http1::serve(server, socket, info).await;
        }
        // Boxed, so that HTTP/1 connections don't pay for the size of this future.
        FirstBytes::Http2 => Box::pin(http2::serve(server, socket, info, opened)).await,
    }
}

/// What the first bytes of a connection are.
#[derive(Debug, Clone, Copy)]
enum FirstBytes {
    /// HTTP/1, or something that its answer fits.
    Http1,
    Http2,
    /// A header of the PROXY protocol. Its answer is that of HTTP/1 too.
    ProxyHeader,
}

/// Waits until a new connection that says nothing has had its time. Returns why it ends.
async fn silence_ends(server: &Server) -> &'static str {
    let silence = server.config().header_timeout;
    tokio::select! {
        () = tokio::time::sleep(silence) => "it said nothing",
        phase = server.until(Phase::Draining) => {
            if phase == Phase::Draining {
                tokio::select! {
                    () = tokio::time::sleep(FAREWELL) => {}
                    _ = server.until(Phase::Cut) => {}
                }
            }
            "the server stops"
        }
    }
}

/// Waits until the client's first bytes show its protocol.
async fn wait_for_first_bytes(socket: &Socket) -> FirstBytes {
    loop {
        let Ok(ready) = socket.ready(Interest::READABLE).await else {
            return FirstBytes::Http1;
        };
        match socket.try_io(Interest::READABLE, || peek(socket)) {
            Ok(first) => return first,
            // Nothing can follow the bytes that came.
            Err(_) if ready.is_read_closed() => return FirstBytes::Http1,
            Err(_) => {}
        }
    }
}

/// Finds the client's protocol in the bytes that lie in the socket. They stay there.
///
/// Only prior knowledge makes it HTTP/2: RFC 9113 §3.1 has dropped `Upgrade: h2c`.
///
/// # Errors
///
/// `WouldBlock` if more bytes are needed.
fn peek(socket: &Socket) -> io::Result<FirstBytes> {
    let mut first = [0; PREFACE.len()];
    let (length, _) = recv(socket.as_fd(), &mut first, RecvFlags::PEEK)?;
    let first = &first[..length];
    if is_proxy_header(first) {
        Ok(FirstBytes::ProxyHeader)
    } else if first.is_empty() || !PREFACE.starts_with(first) {
        Ok(FirstBytes::Http1)
    } else if length == PREFACE.len() {
        Ok(FirstBytes::Http2)
    } else {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

async fn serve_tls(server: Arc<Server>, socket: Socket, tls: Tls, mut info: ConnectionInfo) {
    let opened = Instant::now();
    let Socket::Tcp(socket) = socket else {
        unreachable!("Listener::with_tls refuses a Unix socket");
    };
    let timeout = server.config().tls_handshake_timeout;
    let secured = match tls::accept(&tls, socket, timeout, server.lifecycle()).await {
        Ok(secured) => secured,
        Err(failure) => return end_handshake(&server, failure, &info).await,
    };
    drop(tls);
    info.tls = Some(secured.facts);
    let socket = Socket::Tls(TlsTransport::new(secured.stream));
    match secured.protocol {
        Protocol::Http1 => http1::serve(server, socket, info).await,
        // Boxed, so that HTTP/1 connections don't pay for the size of this future.
        Protocol::Http2 => Box::pin(http2::serve(server, socket, info, opened)).await,
    }
}

/// The answer to a client that speaks plain HTTP on a TLS port.
const PLAIN_HTTP: Refusal = Refusal::bad_request("plain HTTP was sent to a TLS port")
    .with_text("The plain HTTP request was sent to a TLS port.\n");

/// Logs a failed handshake, and closes the socket so that the client gets the reason.
///
/// The client usually causes the failure, so the log has at most one line about it, at level debug.
async fn end_handshake(server: &Server, failure: HandshakeFailure, info: &ConnectionInfo) {
    let client = &info.client;
    match failure {
        HandshakeFailure::Left => {}
        HandshakeFailure::TimedOut => debug!(?client, "TLS handshake timed out"),
        HandshakeFailure::Drained => {
            debug!(?client, "TLS handshake given up: the server stops");
        }
        HandshakeFailure::Tls(error, socket) => {
            debug!(?client, "TLS handshake failed: {error}");
            close(server, socket, &[]).await;
        }
        HandshakeFailure::ProxyHeader(socket) => {
            log_proxy_header(&server.hints().proxy_header, client.as_ref());
            close(server, socket, &[]).await;
        }
        HandshakeFailure::PlainHttp(socket) => {
            debug!(?client, "plain HTTP was sent to a port of TLS");
            let config = server.config();
            log_unreadable(config, client.as_ref(), b"-", StatusCode::BAD_REQUEST);
            close(server, socket, &PLAIN_HTTP.to_http1(config, &Method::GET)).await;
        }
    }
}

/// Writes the last bytes, and closes the socket.
async fn close(server: &Server, socket: TcpStream, last: &[u8]) {
    let mut socket = BufferedSocket::new(Socket::Tcp(socket));
    socket.push(last);
    let write_timeout = server.config().write_timeout;
    net::close(&mut socket, write_timeout, server.until(Phase::Cut)).await;
}
