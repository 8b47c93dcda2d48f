//! The error for certificates, keys and TLS settings that the server cannot use.

use std::error::Error;
use std::fmt;
use std::io;

/// Why the server cannot use certificates, keys or TLS settings: one line for an operator.
#[derive(Debug)]
pub struct TlsError(Box<(String, TlsErrorKind)>);

#[derive(Debug)]
pub(super) enum TlsErrorKind {
    NoCertificate,
    Unreadable(PemContent, io::Error),
    /// The line, and what is wrong there.
    MalformedPem(usize, String),
    /// The file has no section of the expected type.
    Missing(PemContent),
    /// The file looks like DER, the binary form of PEM.
    Der(PemContent),
    EncryptedKey,
    UnusableKey,
    BadCertificate(String),
    /// The key belongs to another certificate than the one in this file.
    KeyMismatch(String),
    BadAuthority(String),
    NoAuthority,
    AuthorityUnused,
    ListUnused,
    BadList(String),
    /// rustls does not accept the settings.
    Rustls(rustls::Error),
}

/// The content that a PEM file must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PemContent {
    Certificate,
    Key,
    RevocationList,
}

impl TlsError {
    /// `source` is the file, or another name for the PEM text.
    pub(super) fn new(source: impl fmt::Display, kind: TlsErrorKind) -> Self {
        Self(Box::new((source.to_string(), kind)))
    }

    /// Whether a file could not be read at all.
    pub fn is_io(&self) -> bool {
        matches!(self.0.1, TlsErrorKind::Unreadable(..))
    }
}

impl PemContent {
    fn label(self) -> &'static str {
        match self {
            Self::Certificate => "-----BEGIN CERTIFICATE-----",
            Self::Key => "-----BEGIN PRIVATE KEY-----",
            Self::RevocationList => "-----BEGIN X509 CRL-----",
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Key => "private key",
            Self::RevocationList => "revocation list",
        }
    }

    /// The openssl command that converts DER to PEM.
    fn converter(self) -> &'static str {
        match self {
            Self::Certificate => "openssl x509 -inform der",
            Self::Key => "openssl pkey -inform der",
            Self::RevocationList => "openssl crl -inform der",
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, kind) = &*self.0;
        match kind {
            TlsErrorKind::NoCertificate => {
                f.write_str("found no certificate for TLS, expected at least one with its private key")
            }
            TlsErrorKind::Unreadable(content, error) => write!(
                f,
                "{source} cannot be read ({error}), expected a PEM file with a {}",
                content.noun()
            ),
            TlsErrorKind::MalformedPem(line, problem) => {
                write!(f, "{source}:{line}: malformed PEM: {problem}")
            }
            TlsErrorKind::Missing(content) => write!(
                f,
                "{source}: found no {}, expected PEM with the line {}",
                content.noun(),
                content.label()
            ),
            TlsErrorKind::Der(content) => write!(
                f,
                "{source}: found DER, expected PEM; convert it with: {} -in {source}",
                content.converter()
            ),
            TlsErrorKind::EncryptedKey => write!(
                f,
                "{source}: the private key is encrypted, expected one that is not; \
                 decrypt it with: openssl pkey -in {source} -out decrypted.key"
            ),
            TlsErrorKind::UnusableKey => write!(
                f,
                "{source}: the private key is damaged or its type is not supported, expected \
                 RSA with 2048 to 8192 bits, ECDSA with P-256 or P-384, or Ed25519"
            ),
            TlsErrorKind::BadCertificate(why) => write!(
                f,
                "{source}: found a certificate that cannot be used ({why}), expected X.509 version 3"
            ),
            TlsErrorKind::KeyMismatch(chain) => write!(
                f,
                "{source}: the private key does not belong to the certificate in {chain}, expected \
                 the key of that certificate; the server's certificate must come first in its file"
            ),
            TlsErrorKind::BadAuthority(why) => write!(
                f,
                "{source}: found a certificate that cannot be an authority ({why}), expected that of an \
                 authority"
            ),
            TlsErrorKind::NoAuthority => f.write_str(
                "the server asks for client certificates, expected the authorities that sign them",
            ),
            TlsErrorKind::AuthorityUnused => f.write_str(
                "found authorities for client certificates, but the server does not ask for these; make \
                 client certificates optional or required",
            ),
            TlsErrorKind::ListUnused => f.write_str(
                "found revocation lists, but the server does not ask for client certificates; make \
                 these optional or required",
            ),
            TlsErrorKind::BadList(why) => write!(
                f,
                "{source}: found a revocation list that cannot be used ({why}), expected version 2 \
                 with a number (RFC 5280); openssl makes one with crlnumber and crl_extensions"
            ),
            TlsErrorKind::Rustls(_) => f.write_str("TLS cannot be set up with these settings"),
        }
    }
}

impl Error for TlsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0.1 {
            TlsErrorKind::Rustls(error) => Some(error),
            _ => None,
        }
    }
}
