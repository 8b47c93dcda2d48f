//! One accepted connection, before it is known what it speaks.

use std::sync::Arc;
use std::time::Duration;

use asgi::Address;

use crate::http1;
use crate::server::{Phase, Server};
use crate::tls::{self, Protocol, Tls, TlsTransport};
use crate::transport::Socket;

/// What is spoken inside of TLS, the best first. (ALPN)
pub(crate) const PROTOCOLS: &[Protocol] = &[Protocol::Http1];

/// How long what still comes is thrown away behind our end of the connection. Closing at once
/// would reset it, and the reset can overtake the last response. nginx waits 5 s.
pub(crate) const LINGER: Duration = Duration::from_secs(2);

/// The two ends of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Ends {
    pub(crate) client: Option<Address>,
    pub(crate) server: Option<Address>,
    /// What TLS knows of them; `None` without it.
    pub(crate) tls: Option<Arc<asgi::Tls>>,
}

/// Serves a connection until it is closed, in a task of its own.
///
/// With `tls` it begins with a handshake. `leave` is kept until the end: what the connection holds
/// of the server's limit.
pub(crate) fn spawn(
    server: &Arc<Server>,
    socket: Socket,
    tls: Option<&Tls>,
    ends: Ends,
    leave: impl Send + 'static,
) {
    let counted = server.count_connection();
    let server = Arc::clone(server);
    let tls = tls.cloned();
    tokio::spawn(async move {
        let _held = (counted, leave);
        if server.phase() >= Phase::Cut {
            return;
        }
        match tls {
            None => http1::serve(server, socket, ends).await,
            // Apart, so that a connection without TLS is no larger for it.
            Some(tls) => Box::pin(serve_tls(server, socket, tls, ends)).await,
        }
    });
}

async fn serve_tls(server: Arc<Server>, socket: Socket, tls: Tls, mut ends: Ends) {
    let Socket::Tcp(socket) = socket else {
        unreachable!("Listener::with_tls refuses a Unix socket");
    };
    let client = ends.client.as_ref();
    let Some(secured) = tls::accept(&tls, socket, &server, client).await else {
        return;
    };
    drop(tls);
    ends.tls = Some(secured.facts);
    match secured.protocol {
        Protocol::Http1 => {
            let socket = Socket::Tls(TlsTransport::new(secured.stream));
            http1::serve(server, socket, ends).await;
        }
    }
}
