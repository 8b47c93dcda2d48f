//! The facts about a whole connection: both addresses, and TLS.

use std::sync::Arc;

use asgi::Address;

/// The addresses of both ends of a connection, and what the TLS handshake agreed on.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionInfo {
    pub(crate) client: Option<Address>,
    pub(crate) server: Option<Address>,
    /// `None` without TLS.
    pub(crate) tls: Option<Arc<asgi::Tls>>,
}
