//! What can be told to, and asked of, a server that runs.

use std::sync::Arc;

use asgi::Address;

use crate::server::{Counts, Lifecycle, Phase};
use crate::{Tls, TlsError};

/// Tells a running server to stop, and asks how it is. Cloning it is cheap.
///
/// Only the command line installs signal handlers; whoever embeds the server calls these.
#[derive(Debug, Clone)]
pub struct Handle {
    life: Arc<Lifecycle>,
    counts: Arc<Counts>,
    addresses: Arc<[Address]>,
    /// What listeners speak TLS with, each once.
    tls: Arc<[Tls]>,
}

impl Handle {
    pub(crate) fn new(
        life: Arc<Lifecycle>,
        counts: Arc<Counts>,
        addresses: Arc<[Address]>,
        tls: Arc<[Tls]>,
    ) -> Self {
        Self {
            life,
            counts,
            addresses,
            tls,
        }
    }

    /// Stops accepting, lets what runs finish, then ends. Calling it again changes nothing.
    ///
    /// Each connection may finish the request it is in, or one more; the response says
    /// `connection: close`. What still runs after
    /// [`graceful_timeout`](crate::Config::graceful_timeout) is cut off.
    pub fn drain(&self) {
        self.life.advance(Phase::Draining);
    }

    /// ConnectionInfo at once: what runs is cut off, the app's shutdown is skipped.
    pub fn abort(&self) {
        self.life.advance(Phase::Aborted);
    }

    /// Waits until connections are accepted: `true`; or until that cannot be any more: `false`.
    ///
    /// Cancel-safe.
    pub async fn ready(&self) -> bool {
        self.life.until(Phase::Serving).await == Phase::Serving
    }

    /// Where the server listens, in the order of its listeners. A port 0 has become a real one.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Reads the files of all certificates, keys and authorities again, see [`Tls::reload`]. Whether
    /// there are any.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong. What one listener had before stays in use there, others are
    /// reloaded nonetheless.
    pub fn reload_tls(&self) -> Result<bool, TlsError> {
        let mut result = Ok(false);
        for tls in self.tls.iter().filter(|tls| tls.has_files()) {
            let reloaded = tls.reload().map(|()| true);
            result = result.and(reloaded);
        }
        result
    }

    /// How the server is at this moment.
    pub fn statistics(&self) -> Statistics {
        self.counts.statistics()
    }
}

/// How a server is at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Connections that are open.
    pub connections: usize,
    /// Apps that run, the detached ones included.
    pub exchanges: usize,
    /// Apps that run on although their connection is done with them: the client left, or the
    /// response is complete.
    pub detached: usize,
}
