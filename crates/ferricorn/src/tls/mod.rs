//! TLS: certificates and keys, which of them a client gets, and the handshake.
//!
//! An embedder makes a [`TlsConfig`] into a [`Tls`] and gives that to a listener. A connection's
//! task calls [`accept`], which gives a stream, the protocol that both sides agreed on and what
//! the scope says of it; from there on the stream is one transport like the others
//! ([`stream`] is what it has to do differently).

mod accept;
mod certificates;
mod client;
mod config;
mod error;
mod load;
mod pem;
mod scope;
mod stream;
mod watch;
mod x509;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tracing::{error, info};

pub(crate) use self::accept::{Protocol, accept};
pub use self::config::{ClientCertificates, TlsConfig, TlsVersion};
pub use self::error::TlsError;
use self::load::Loaded;
pub(crate) use self::stream::TlsTransport;
use self::watch::Stamp;
pub(crate) use self::watch::watch;

/// Certificates and settings that are loaded and checked: what makes a listener speak TLS.
///
/// Cloning it is cheap and shares it, so that several listeners reload together.
#[derive(Clone)]
pub struct Tls(Arc<Shared>);

struct Shared {
    config: TlsConfig,
    /// What the next handshake uses. Replaced as a whole, so that no handshake sees two halves.
    current: RwLock<Arc<Loaded>>,
    /// What the files looked like when they were last read; held while they are read again.
    seen: Mutex<Stamp>,
}

impl Tls {
    fn new(config: TlsConfig) -> Result<Self, TlsError> {
        // Before the files are read: what changes in between is seen as a change.
        let seen = Stamp::take(&config);
        let loaded = Loaded::new(&config, None)?;
        Ok(Self(Arc::new(Shared {
            config,
            current: RwLock::new(Arc::new(loaded)),
            seen: Mutex::new(seen),
        })))
    }

    /// Reads all files again. Handshakes from now on use what is in them; connections that are open
    /// go on as they are.
    ///
    /// What comes of it is logged, at info or at error. It reads files, so it may block; calling it
    /// from several threads is fine.
    ///
    /// # Errors
    ///
    /// As [`TlsConfig::load`]. What was in use before stays in use.
    pub fn reload(&self) -> Result<(), TlsError> {
        let replaced = self.replace();
        log_reload(&replaced);
        replaced.map(drop)
    }

    /// Reads all files again; what is in use now, in words.
    fn replace(&self) -> Result<String, TlsError> {
        let mut seen = self.seen();
        *seen = Stamp::take(&self.0.config);
        let loaded = Loaded::new(&self.0.config, Some(&self.current()))?;
        let summary = loaded.summary();
        // The lock guards one assignment: nothing can be half done.
        let current = self.0.current.write();
        *current.unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded);
        Ok(summary)
    }

    /// Whether any of it comes from files, so that there is something to reload.
    pub(crate) fn has_files(&self) -> bool {
        self.0.config.files().next().is_some()
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn current(&self) -> Arc<Loaded> {
        let current = self.0.current.read();
        Arc::clone(&current.unwrap_or_else(PoisonError::into_inner))
    }

    fn seen(&self) -> MutexGuard<'_, Stamp> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn log_reload(replaced: &Result<String, TlsError>) {
    match replaced {
        Ok(summary) => info!("certificates reloaded: {summary}"),
        Err(error) => error!("certificates not reloaded, the old ones stay in use: {error}"),
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("config", &self.0.config)
            .finish_non_exhaustive()
    }
}
