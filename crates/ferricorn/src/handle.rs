//! Controls a running server from outside.

use std::sync::Arc;

use asgi::Address;

use crate::counts::{Counts, Statistics};
use crate::lifecycle::{Lifecycle, Phase};
use crate::tls::{Tls, TlsError};

/// Stops a running server, and says how it is doing. Cloning a handle is cheap.
///
/// Only the command line installs signal handlers. Programs that embed the server call these methods.
#[derive(Debug, Clone)]
pub struct Handle {
    lifecycle: Arc<Lifecycle>,
    counts: Arc<Counts>,
    addresses: Arc<[Address]>,
    /// The TLS of all listeners, each once.
    tls: Arc<[Tls]>,
}

impl Handle {
    pub(crate) fn new(
        lifecycle: Arc<Lifecycle>,
        counts: Arc<Counts>,
        addresses: Arc<[Address]>,
        tls: Arc<[Tls]>,
    ) -> Self {
        Self {
            lifecycle,
            counts,
            addresses,
            tls,
        }
    }

    /// Stops accepting, lets running exchanges finish, then ends. Further calls change nothing.
    ///
    /// Each connection may finish its current request, or serve one more. The response says
    /// `connection: close`. The server cuts off what still runs after
    /// [`graceful_timeout`](crate::Config::graceful_timeout).
    pub fn drain(&self) {
        self.lifecycle.advance(Phase::Draining);
    }

    /// Ends the server at once: running exchanges are cut off, and the app's shutdown is skipped.
    pub fn abort(&self) {
        self.lifecycle.advance(Phase::Aborted);
    }

    /// Waits until the server accepts connections. `false` if it has stopped before that.
    ///
    /// Cancel-safe.
    pub async fn ready(&self) -> bool {
        self.lifecycle.until(Phase::Serving).await == Phase::Serving
    }

    /// The addresses that the server listens on, in the order of its listeners. A port 0 has become a
    /// real one.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Reads the files of all certificates, keys and authorities again, see [`Tls::reload`]. Returns
    /// whether there are any.
    ///
    /// # Errors
    ///
    /// The first error. That listener keeps what it had before; the others are reloaded.
    pub fn reload_tls(&self) -> Result<bool, TlsError> {
        let mut result = Ok(false);
        for tls in self.tls.iter().filter(|tls| tls.has_files()) {
            let reloaded = tls.reload().map(|()| true);
            result = result.and(reloaded);
        }
        result
    }

    /// The server's numbers at this moment.
    pub fn statistics(&self) -> Statistics {
        self.counts.statistics()
    }
}
