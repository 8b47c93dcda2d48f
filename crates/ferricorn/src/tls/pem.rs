//! PEM files: reading them, and saying on which line they are wrong.

use std::borrow::Cow;
use std::fs;
use std::io;
use std::path::Path;

use rustls::pki_types::pem::{self, Error as PemError, SectionKind};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use super::TlsError;
use super::config::Source;
use super::error::{Problem, Wanted};

/// How large a file may be, in bytes. The authorities of all the world take a quarter of a MiB,
/// revocation lists some MiB.
const MAX_SIZE: u64 = 16 * 1024 * 1024;

/// The certificates of a source, in order; at least one.
pub(super) fn certificates(source: &Source) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    all(source, Wanted::Certificate, |kind, der| {
        matches!(kind, SectionKind::Certificate).then(|| der.into())
    })
}

/// The revocation lists of a source; at least one.
pub(super) fn revocation_lists(
    source: &Source,
) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    all(source, Wanted::RevocationList, |kind, der| {
        matches!(kind, SectionKind::Crl).then(|| der.into())
    })
}

/// The private key of a source: the first, if there are several.
pub(super) fn private_key(source: &Source) -> Result<PrivateKeyDer<'static>, TlsError> {
    let keys = all(source, Wanted::Key, |kind, der| {
        Some(match kind {
            SectionKind::PrivateKey => PrivateKeyDer::Pkcs8(der.into()),
            SectionKind::RsaPrivateKey => PrivateKeyDer::Pkcs1(der.into()),
            SectionKind::EcPrivateKey => PrivateKeyDer::Sec1(der.into()),
            _ => return None,
        })
    })?;
    let lacks = || TlsError::new(source, Problem::Lacks(Wanted::Key));
    keys.into_iter().next().ok_or_else(lacks)
}

fn all<T>(
    source: &Source,
    wanted: Wanted,
    convert: impl Fn(SectionKind, Vec<u8>) -> Option<T>,
) -> Result<Vec<T>, TlsError> {
    let text =
        read(source).map_err(|error| TlsError::new(source, Problem::Unreadable(wanted, error)))?;
    if wanted == Wanted::Key && is_encrypted(&text) {
        return Err(TlsError::new(source, Problem::EncryptedKey));
    }
    let mut found = Vec::new();
    let mut rest: &[u8] = &text;
    loop {
        let began = text.len() - rest.len();
        match pem::from_buf(&mut rest) {
            Ok(Some((kind, der))) => found.extend(convert(kind, der)),
            Ok(None) => break,
            Err(error) => {
                let line = begin_line(&text, began);
                let problem = Problem::MalformedPem(line, explain(&error));
                return Err(TlsError::new(source, problem));
            }
        }
    }
    if found.is_empty() {
        let problem = match looks_like_der(&text) {
            true => Problem::Der(wanted),
            false => Problem::Lacks(wanted),
        };
        return Err(TlsError::new(source, problem));
    }
    Ok(found)
}

fn read(source: &Source) -> io::Result<Cow<'_, [u8]>> {
    match source {
        Source::Bytes { pem, .. } => Ok(Cow::Borrowed(pem)),
        Source::File(path) => read_file(path).map(Cow::Owned),
    }
}

/// Reads a file that may have been replaced by anything: whoever reloads must not wait for somebody
/// to write into a pipe, nor read a device that has no end.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let found = fs::metadata(path)?;
    // What a folder is refused with says so already.
    if !found.is_file() && !found.is_dir() {
        return Err(io::Error::other("it is no regular file"));
    }
    if found.len() > MAX_SIZE {
        return Err(io::Error::other("it is larger than 16 MiB"));
    }
    fs::read(path)
}

/// PKCS#8's label for it, and the header that openssl wrote before there was PKCS#8.
fn is_encrypted(text: &[u8]) -> bool {
    text.split(|byte| *byte == b'\n').any(|line| {
        line.starts_with(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
            || line.starts_with(b"Proc-Type: 4,ENCRYPTED")
    })
}

/// A sequence whose length takes two bytes: how each certificate and key begins.
fn looks_like_der(text: &[u8]) -> bool {
    text.starts_with(&[0x30, 0x82]) || text.starts_with(&[0x30, 0x81])
}

/// The line, counted from 1, on which the next section begins.
fn begin_line(text: &[u8], from: usize) -> usize {
    let before = text[..from].iter().filter(|byte| **byte == b'\n').count();
    let lines = text[from..].split(|byte| *byte == b'\n');
    let skipped = lines.take_while(|line| !line.starts_with(b"-----BEGIN"));
    1 + before + skipped.count()
}

fn explain(error: &PemError) -> String {
    match error {
        PemError::MissingSectionEnd { end_marker } => format!(
            "found no end of the section that begins here, expected -----END {}-----",
            String::from_utf8_lossy(end_marker)
        ),
        PemError::IllegalSectionStart { .. } => {
            "the section's first line is cut off, expected five dashes at its end".to_owned()
        }
        PemError::Base64Decode(why) => {
            format!("the section that begins here is no base64 ({why})")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::Bytes {
            pem: text.into(),
            name: "x.pem",
        }
    }

    #[track_caller]
    fn refused(text: &str) -> String {
        certificates(&source(text)).unwrap_err().to_string()
    }

    #[test]
    fn what_is_malformed_is_told_with_its_line() {
        let good = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(
            refused(&format!(
                "# mine\n{good}\n-----BEGIN CERTIFICATE-----\nAAAA\n"
            )),
            "x.pem:6: malformed PEM: found no end of the section that begins here, expected \
             -----END CERTIFICATE-----"
        );
        let bad = "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n";
        let line = refused(&format!("{good}{bad}"));
        assert!(
            line.starts_with("x.pem:4: malformed PEM: the section that begins here is no base64"),
            "{line}"
        );
    }

    #[test]
    fn what_is_something_else_is_told_with_what_was_expected() {
        assert_eq!(
            refused("hello"),
            "x.pem: found no certificate, expected PEM with a section -----BEGIN CERTIFICATE-----"
        );
        let der = Source::Bytes {
            pem: vec![0x30, 0x82, 1, 2],
            name: "x.der",
        };
        assert_eq!(
            certificates(&der).unwrap_err().to_string(),
            "x.der: found DER, expected PEM; convert it with: openssl x509 -inform der -in x.der"
        );
    }

    #[test]
    fn an_encrypted_key_is_told_with_the_command_that_decrypts_it() {
        for text in [
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: x\n\nAAAA\n",
        ] {
            assert_eq!(
                private_key(&source(text)).unwrap_err().to_string(),
                "x.pem: the private key is encrypted, expected one that is not; decrypt it with: \
                 openssl pkey -in x.pem -out decrypted.key"
            );
        }
    }
}
