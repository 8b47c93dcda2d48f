//! TLS: certificates and keys, the choice of a certificate for a client, and the handshake.
//!
//! A program that embeds the server loads a [`TlsConfig`] into a [`Tls`] and gives that to a listener.
//! The task of a connection calls [`accept()`]. It returns a stream, the protocol that client and server
//! agreed on, and what the scope says about TLS. The drivers use the stream as they use a plain socket;
//! [`stream`] hides the differences.

mod accept;
mod certificates;
mod client;
mod config;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod load;
mod pem;
mod scope;
mod stream;
mod watch;
mod x509;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tracing::{error, info};

pub(crate) use self::accept::{HandshakeFailure, Protocol, accept};
pub use self::config::{ClientCertificates, TlsConfig, TlsVersion};
pub use self::error::TlsError;
use self::load::LoadedTls;
pub(crate) use self::stream::TlsTransport;
use self::watch::FileStamps;
pub(crate) use self::watch::watch;

/// Loaded and checked certificates and settings. A listener with it uses TLS.
///
/// A clone is cheap and shares the certificates, so that several listeners reload together.
#[derive(Clone)]
pub struct Tls(Arc<TlsState>);

/// The state that all clones of a [`Tls`] share.
struct TlsState {
    config: TlsConfig,
    /// The certificates and settings for the next handshake. A reload replaces them together, so that no
    /// handshake mixes old and new.
    current: RwLock<Arc<LoadedTls>>,
    /// The stamps of the files at the last load. A reload holds the lock.
    stamps: Mutex<FileStamps>,
}

impl Tls {
    fn new(config: TlsConfig) -> Result<Self, TlsError> {
        // The stamps come before the load, so that a change during the load counts as a change.
        let stamps = FileStamps::read(&config);
        let loaded = LoadedTls::new(&config, None)?;
        Ok(Self(Arc::new(TlsState {
            config,
            current: RwLock::new(Arc::new(loaded)),
            stamps: Mutex::new(stamps),
        })))
    }

    /// Reads all files again. New handshakes use them; open connections continue.
    ///
    /// The server logs the result, at info or at error. This method may block, because it reads files.
    /// Several threads may call it at the same time.
    ///
    /// # Errors
    ///
    /// Same as [`TlsConfig::load`]. The old certificates then stay in use.
    pub fn reload(&self) -> Result<(), TlsError> {
        let replaced = self.replace();
        log_reload(&replaced);
        replaced.map(drop)
    }

    /// Reads all files again and returns a summary of the new certificates.
    fn replace(&self) -> Result<String, TlsError> {
        let mut stamps = self.stamps();
        *stamps = FileStamps::read(&self.0.config);
        let loaded = LoadedTls::new(&self.0.config, Some(&self.current()))?;
        let summary = loaded.summary();
        // The lock protects a single assignment, so a poisoned lock is harmless.
        let current = self.0.current.write();
        *current.unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded);
        Ok(summary)
    }

    /// Whether there are files to reload.
    pub(crate) fn has_files(&self) -> bool {
        self.0.config.files().next().is_some()
    }

    /// Whether both are clones of one `Tls`.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn current(&self) -> Arc<LoadedTls> {
        let current = self.0.current.read();
        Arc::clone(&current.unwrap_or_else(PoisonError::into_inner))
    }

    fn stamps(&self) -> MutexGuard<'_, FileStamps> {
        self.0.stamps.lock().unwrap_or_else(PoisonError::into_inner)
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
