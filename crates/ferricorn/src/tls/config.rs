//! The TLS settings of a listener, for programs that embed the server.

use std::fmt;
use std::path::{Path, PathBuf};

use super::{Tls, TlsError};

/// The certificates that a server shows to clients, and whether it asks clients for theirs.
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
/// The cryptography is ring's. Clients resume sessions with tickets; their keys change every six hours and
/// stay in this process. The server does not accept early data (0-RTT), because an attacker can replay it.
#[derive(Debug, Clone, Default)]
#[must_use = "a TLS configuration does nothing until `load`"]
pub struct TlsConfig {
    pub(super) certificates: Vec<CertificatePair>,
    pub(super) client_certificates: ClientCertificates,
    pub(super) client_authorities: Vec<PemSource>,
    pub(super) revocation_lists: Vec<PemSource>,
    pub(super) min_version: TlsVersion,
}

/// A certificate with its chain, and its private key.
#[derive(Debug, Clone)]
pub(super) struct CertificatePair {
    pub(super) chain: PemSource,
    pub(super) key: PemSource,
}

/// Where PEM text comes from.
#[derive(Clone)]
pub(super) enum PemSource {
    File(PathBuf),
    Bytes {
        pem: Vec<u8>,
        /// The name in errors.
        name: &'static str,
    },
}

impl fmt::Debug for PemSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never print the PEM text: it may be a private key.
        write!(f, "{self}")
    }
}

impl fmt::Display for PemSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Bytes { name, .. } => f.write_str(name),
        }
    }
}

impl PemSource {
    fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Bytes { .. } => None,
        }
    }
}

/// The oldest TLS version that clients may use. The server does not support versions before TLS 1.2.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2, for clients from before 2018.
    #[default]
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// Whether the server asks clients for a certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientCertificates {
    /// The server does not ask.
    #[default]
    None,
    /// The server asks. A client may have no certificate, but an invalid one fails the handshake.
    Optional,
    /// The server asks. Without a valid certificate the handshake fails.
    Required,
    /// The server asks and accepts every certificate, also an invalid one. The scope says what is wrong
    /// with it ([`asgi::Tls::client_cert_error`]), and *the app must check that*. For apps that
    /// explain to people why their certificate is not valid.
    DangerouslyUnverified,
}

impl TlsConfig {
    /// A configuration without certificates, for TLS 1.2 and 1.3. It does not ask clients for
    /// certificates.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a certificate and its private key, as PEM files. They may be the same file.
    ///
    /// `chain` holds the certificate, then its intermediates if it has any. The key is PKCS#8, PKCS#1 or
    /// SEC1, and not encrypted.
    ///
    /// A client gets the certificate that names the host it asks for (SNI). An exact name wins over a
    /// wildcard, and the first of two certificates for one name wins. A client that asks for no host, or
    /// for an unknown one, gets the first certificate.
    pub fn certificate_files(mut self, chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.certificates.push(CertificatePair {
            chain: PemSource::File(chain.into()),
            key: PemSource::File(key.into()),
        });
        self
    }

    /// Same as [`certificate_files`](Self::certificate_files), from PEM in memory.
    pub fn certificate_pem(mut self, chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.certificates.push(CertificatePair {
            chain: PemSource::Bytes {
                pem: chain.into(),
                name: "the certificate",
            },
            key: PemSource::Bytes {
                pem: key.into(),
                name: "the private key",
            },
        });
        self
    }

    /// Sets whether the server asks clients for a certificate. If it does, it needs at least one authority
    /// that signs client certificates. Default: it does not ask.
    pub fn client_certificates(mut self, client_certificates: ClientCertificates) -> Self {
        self.client_certificates = client_certificates;
        self
    }

    /// Adds authorities that sign client certificates, as a PEM file.
    pub fn client_authorities_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.client_authorities.push(PemSource::File(path.into()));
        self
    }

    /// Same as [`client_authorities_file`](Self::client_authorities_file), from PEM in memory.
    pub fn client_authorities_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.client_authorities.push(PemSource::Bytes {
            pem: pem.into(),
            name: "the client authorities",
        });
        self
    }

    /// Adds revocation lists, as a PEM file. If there is a list, each certificate in a client's chain
    /// needs a list of its issuer: the server refuses a certificate that no list covers.
    pub fn revocation_list_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.revocation_lists.push(PemSource::File(path.into()));
        self
    }

    /// Same as [`revocation_list_file`](Self::revocation_list_file), from PEM in memory.
    pub fn revocation_list_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.revocation_lists.push(PemSource::Bytes {
            pem: pem.into(),
            name: "the revocation list",
        });
        self
    }

    /// Sets the oldest TLS version that clients may use. Default: TLS 1.2.
    pub fn min_version(mut self, min_version: TlsVersion) -> Self {
        self.min_version = min_version;
        self
    }

    /// Reads and checks everything. It may block, because it reads files.
    ///
    /// An expired certificate is not an error; the server logs a warning.
    ///
    /// # Errors
    ///
    /// There is no certificate, a file cannot be read or is not PEM, or a key is encrypted, is not
    /// supported, or belongs to another certificate. The error is one line: which file is wrong, what was
    /// expected, and what to do.
    pub fn load(self) -> Result<Tls, TlsError> {
        Tls::new(self)
    }

    /// All files of this configuration.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        self.certificates
            .iter()
            .flat_map(|pair| [&pair.chain, &pair.key])
            .chain(&self.client_authorities)
            .chain(&self.revocation_lists)
            .filter_map(PemSource::path)
    }
}
