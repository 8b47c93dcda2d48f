//! What an embedder says of TLS.

use std::fmt;
use std::path::{Path, PathBuf};

use super::{Tls, TlsError};

/// Which certificates a server shows, and which it wants to see.
///
/// ```no_run
/// use ferricorn::{Bind, Config, TlsConfig};
///
/// let config = Config::default();
/// let tls = TlsConfig::new()
///     .certificate_files("example.org.pem", "example.org.key")
///     .load()?;
/// let listener = "[::]:443".parse::<Bind>()?.listen(&config)?.with_tls(&tls)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The cryptography is ring's. Sessions are resumed with tickets whose keys change every six hours
/// and live in this process alone. Early data (0-RTT) is not offered: it can be replayed.
#[derive(Debug, Clone, Default)]
#[must_use = "nothing happens before it is loaded"]
pub struct TlsConfig {
    pub(super) certificates: Vec<Pair>,
    pub(super) client_certificates: ClientCertificates,
    pub(super) client_authorities: Vec<Source>,
    pub(super) revocation_lists: Vec<Source>,
    pub(super) min_version: TlsVersion,
}

/// A certificate with its chain, and the key for it.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    pub(super) chain: Source,
    pub(super) key: Source,
}

/// Where PEM comes from.
#[derive(Clone)]
pub(super) enum Source {
    File(PathBuf),
    Bytes {
        pem: Vec<u8>,
        /// What messages call it.
        name: &'static str,
    },
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It may be a private key.
        write!(f, "{self}")
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Bytes { name, .. } => f.write_str(name),
        }
    }
}

impl Source {
    fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Bytes { .. } => None,
        }
    }
}

/// The oldest version of TLS that is spoken; older ones than these are not offered at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2, for clients from before 2018.
    #[default]
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// Whether clients are asked for a certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientCertificates {
    /// They are not.
    #[default]
    None,
    /// They are, and may have none; one that is not valid fails the handshake.
    Optional,
    /// They are, and without a valid one the handshake fails.
    Required,
    /// They are, and whatever they show is let in: what is wrong with it stands in the scope
    /// ([`asgi::Tls::client_cert_error`]), and *the app must look*. For an app that explains to
    /// people why their certificate is not accepted.
    DangerouslyUnverified,
}

impl TlsConfig {
    /// No certificate yet; TLS 1.2 and 1.3; clients are not asked for certificates.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a certificate, PEM, followed by its intermediates if it has any, and its key, PEM:
    /// PKCS#8, PKCS#1 or SEC1, not encrypted. Both may be the same file.
    ///
    /// A client gets the certificate that names the host it asks for (SNI): an exact name beats a
    /// wildcard, of two certificates for one name the first is taken. Who asks for no host, or for
    /// one that no certificate names, gets the first certificate.
    pub fn certificate_files(mut self, chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.certificates.push(Pair {
            chain: Source::File(chain.into()),
            key: Source::File(key.into()),
        });
        self
    }

    /// As [`certificate_files`](Self::certificate_files), from PEM in memory.
    pub fn certificate_pem(mut self, chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.certificates.push(Pair {
            chain: Source::Bytes {
                pem: chain.into(),
                name: "the certificate",
            },
            key: Source::Bytes {
                pem: key.into(),
                name: "the private key",
            },
        });
        self
    }

    /// Whether clients are asked for a certificate. Other than `None` needs at least one authority
    /// that vouches for them.
    pub fn client_certificates(mut self, client_certificates: ClientCertificates) -> Self {
        self.client_certificates = client_certificates;
        self
    }

    /// Adds the certificates of authorities, PEM, that vouch for clients.
    pub fn client_authorities_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.client_authorities.push(Source::File(path.into()));
        self
    }

    /// As [`client_authorities_file`](Self::client_authorities_file), from PEM in memory.
    pub fn client_authorities_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.client_authorities.push(Source::Bytes {
            pem: pem.into(),
            name: "the client authorities",
        });
        self
    }

    /// Adds revocation lists, PEM. With any, each certificate of a client's chain needs a list of
    /// its issuer: what no list speaks of is refused.
    pub fn revocation_list_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.revocation_lists.push(Source::File(path.into()));
        self
    }

    /// As [`revocation_list_file`](Self::revocation_list_file), from PEM in memory.
    pub fn revocation_list_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.revocation_lists.push(Source::Bytes {
            pem: pem.into(),
            name: "the revocation list",
        });
        self
    }

    /// The oldest version that is spoken. Default: TLS 1.2.
    pub fn min_version(mut self, min_version: TlsVersion) -> Self {
        self.min_version = min_version;
        self
    }

    /// Reads and checks everything. It reads files, so it may block.
    ///
    /// A certificate that has expired is a warning in the log and no error.
    ///
    /// # Errors
    ///
    /// One line that says which file is wrong, what was expected and what to do: a file cannot be
    /// read or is no PEM, a key is encrypted, of a kind that is not offered or another
    /// certificate's, or there is no certificate at all.
    pub fn load(self) -> Result<Tls, TlsError> {
        Tls::new(self)
    }

    /// All files that are read.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        self.certificates
            .iter()
            .flat_map(|pair| [&pair.chain, &pair.key])
            .chain(&self.client_authorities)
            .chain(&self.revocation_lists)
            .filter_map(Source::path)
    }
}
