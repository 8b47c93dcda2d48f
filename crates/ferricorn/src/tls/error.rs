//! Why certificates cannot be used.

use std::error::Error;
use std::fmt;
use std::io;

/// Why certificates cannot be used: one line for an operator.
#[derive(Debug)]
pub struct TlsError(Box<(String, Problem)>);

#[derive(Debug)]
pub(super) enum Problem {
    NoCertificate,
    Unreadable(Wanted, io::Error),
    /// The line, and what is wrong with it.
    MalformedPem(usize, String),
    /// It has no section of the kind that was looked for.
    Lacks(Wanted),
    /// It looks like the binary form of what should be PEM.
    Der(Wanted),
    EncryptedKey,
    UnusableKey,
    BadCertificate(String),
    /// The name of the certificate's file.
    KeyMismatch(String),
    BadAuthority(String),
    NoAuthority,
    AuthorityUnused,
    ListUnused,
    BadList(String),
    /// rustls refuses the whole of it.
    Refused(rustls::Error),
}

/// What a file is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Certificate,
    Key,
    RevocationList,
}

impl TlsError {
    /// `place` is the file, or what else messages call it.
    pub(super) fn new(place: impl fmt::Display, problem: Problem) -> Self {
        Self(Box::new((place.to_string(), problem)))
    }

    /// Whether a file could not be read at all.
    pub fn is_io(&self) -> bool {
        matches!(self.0.1, Problem::Unreadable(..))
    }
}

impl Wanted {
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

    /// The command of openssl that makes PEM of it.
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
        let (place, problem) = &*self.0;
        match problem {
            Problem::NoCertificate => {
                f.write_str("TLS has no certificate, expected at least one with its private key")
            }
            Problem::Unreadable(wanted, error) => write!(
                f,
                "{place} cannot be read ({error}), expected a file of PEM with a {}",
                wanted.noun()
            ),
            Problem::MalformedPem(line, what) => {
                write!(f, "{place}:{line}: malformed PEM: {what}")
            }
            Problem::Lacks(wanted) => write!(
                f,
                "{place}: found no {}, expected PEM with a section {}",
                wanted.noun(),
                wanted.label()
            ),
            Problem::Der(wanted) => write!(
                f,
                "{place}: found DER, expected PEM; convert it with: {} -in {place}",
                wanted.converter()
            ),
            Problem::EncryptedKey => write!(
                f,
                "{place}: the private key is encrypted, expected one that is not; \
                 decrypt it with: openssl pkey -in {place} -out decrypted.key"
            ),
            Problem::UnusableKey => write!(
                f,
                "{place}: the private key is damaged or of a kind that is not offered, expected \
                 RSA of 2048 to 8192 bits, ECDSA with P-256 or P-384, or Ed25519"
            ),
            Problem::BadCertificate(why) => write!(
                f,
                "{place}: found a certificate that cannot be used ({why}), expected X.509 version 3"
            ),
            Problem::KeyMismatch(chain) => write!(
                f,
                "{place}: the private key is not that of the certificate in {chain}; the \
                 server's own certificate must be the first in its file"
            ),
            Problem::BadAuthority(why) => write!(
                f,
                "{place}: found a certificate that is no authority's ({why})"
            ),
            Problem::NoAuthority => f.write_str(
                "clients are asked for certificates, expected the authorities that vouch for them",
            ),
            Problem::AuthorityUnused => f.write_str(
                "there are authorities for client certificates, but clients are not asked for any; \
                 make them optional or required",
            ),
            Problem::ListUnused => f.write_str(
                "there are revocation lists, but clients are not asked for certificates; make them \
                 optional or required",
            ),
            Problem::BadList(why) => write!(
                f,
                "{place}: found a revocation list that cannot be used ({why}), expected version 2 \
                 with a number, as RFC 5280 has it (openssl makes one with crlnumber and \
                 crl_extensions)"
            ),
            Problem::Refused(_) => f.write_str("TLS cannot be set up like this"),
        }
    }
}

impl Error for TlsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0.1 {
            Problem::Refused(error) => Some(error),
            _ => None,
        }
    }
}
