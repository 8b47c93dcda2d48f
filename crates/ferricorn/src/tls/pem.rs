//! Reads PEM files; errors name the line that is wrong.

use std::borrow::Cow;
use std::fs;
use std::io;
use std::path::Path;

use rustls::pki_types::pem::{self, Error as PemError, SectionKind};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use super::TlsError;
use super::config::PemSource;
use super::error::{PemContent, TlsErrorKind};

/// The largest file, in bytes. All public authorities together take 256 KiB, large revocation lists a
/// few MiB.
const MAX_SIZE: u64 = 16 * 1024 * 1024;

/// The certificates of a source, in order. There is at least one.
pub(super) fn certificates(source: &PemSource) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    sections(source, PemContent::Certificate, |kind, der| {
        matches!(kind, SectionKind::Certificate).then(|| der.into())
    })
}

/// The revocation lists of a source. There is at least one.
pub(super) fn revocation_lists(
    source: &PemSource,
) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    sections(source, PemContent::RevocationList, |kind, der| {
        matches!(kind, SectionKind::Crl).then(|| der.into())
    })
}

/// The first private key of a source.
pub(super) fn private_key(source: &PemSource) -> Result<PrivateKeyDer<'static>, TlsError> {
    let keys = sections(source, PemContent::Key, |kind, der| {
        Some(match kind {
            SectionKind::PrivateKey => PrivateKeyDer::Pkcs8(der.into()),
            SectionKind::RsaPrivateKey => PrivateKeyDer::Pkcs1(der.into()),
            SectionKind::EcPrivateKey => PrivateKeyDer::Sec1(der.into()),
            _ => return None,
        })
    })?;
    let missing = || TlsError::new(source, TlsErrorKind::Missing(PemContent::Key));
    keys.into_iter().next().ok_or_else(missing)
}

/// The sections of a source that `convert` accepts.
fn sections<T>(
    source: &PemSource,
    content: PemContent,
    convert: impl Fn(SectionKind, Vec<u8>) -> Option<T>,
) -> Result<Vec<T>, TlsError> {
    let text = read(source)
        .map_err(|error| TlsError::new(source, TlsErrorKind::Unreadable(content, error)))?;
    if content == PemContent::Key && is_encrypted(&text) {
        return Err(TlsError::new(source, TlsErrorKind::EncryptedKey));
    }
    let mut found = Vec::new();
    let mut rest: &[u8] = &text;
    loop {
        match pem::from_buf(&mut rest) {
            Ok(Some((kind, der))) => found.extend(convert(kind, der)),
            Ok(None) => break,
            Err(error) => {
                let read = &text[..text.len() - rest.len()];
                let line = last_begin_line(read);
                let kind = TlsErrorKind::MalformedPem(line, explain(&error));
                return Err(TlsError::new(source, kind));
            }
        }
    }
    if found.is_empty() {
        let kind = match looks_like_der(&text) {
            true => TlsErrorKind::Der(content),
            false => TlsErrorKind::Missing(content),
        };
        return Err(TlsError::new(source, kind));
    }
    Ok(found)
}

fn read(source: &PemSource) -> io::Result<Cow<'_, [u8]>> {
    match source {
        PemSource::Bytes { pem, .. } => Ok(Cow::Borrowed(pem)),
        PemSource::File(path) => read_file(path).map(Cow::Owned),
    }
}

/// Reads a regular file.
///
/// The path may have become something else since the last load. A reload must not wait for a pipe, and
/// must not read an endless device.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let found = fs::metadata(path)?;
    // For a folder, the error of `fs::read` is clear enough.
    if !found.is_file() && !found.is_dir() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if found.len() > MAX_SIZE {
        return Err(io::Error::other("it is larger than 16 MiB"));
    }
    fs::read(path)
}

/// Whether the text holds an encrypted key: PKCS#8's label, or the header of openssl's older format.
fn is_encrypted(text: &[u8]) -> bool {
    text.split(|byte| *byte == b'\n').any(|line| {
        line.starts_with(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
            || line.starts_with(b"Proc-Type: 4,ENCRYPTED")
    })
}

/// Whether the bytes begin like a DER certificate or key: a sequence with a long length.
fn looks_like_der(text: &[u8]) -> bool {
    text.starts_with(&[0x30, 0x82]) || text.starts_with(&[0x30, 0x81])
}

/// The line, counted from 1, on which the last section of this text begins.
///
/// A section may also begin after a carriage return, but editors count line feeds.
fn last_begin_line(text: &[u8]) -> usize {
    let mut line = 1;
    let mut found = 1;
    for part in text.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
        if part.starts_with(b"-----BEGIN ") {
            found = line;
        }
        line += usize::from(part.ends_with(b"\n"));
    }
    found
}

fn explain(error: &PemError) -> String {
    match error {
        PemError::MissingSectionEnd { end_marker } => format!(
            "found no end of the section that begins here, expected -----END {}-----",
            String::from_utf8_lossy(end_marker)
        ),
        PemError::IllegalSectionStart { .. } => {
            "the first line of the section is incomplete, expected five dashes at its end"
                .to_owned()
        }
        PemError::Base64Decode(why) => {
            format!("the section that begins here is not base64 ({why})")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> PemSource {
        PemSource::Bytes {
            pem: text.into(),
            name: "x.pem",
        }
    }

    #[track_caller]
    fn refused(text: &str) -> String {
        certificates(&source(text)).unwrap_err().to_string()
    }

    #[test]
    fn the_error_for_malformed_pem_names_the_line() {
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
            line.starts_with("x.pem:4: malformed PEM: the section that begins here is not base64"),
            "{line}"
        );
    }

    #[test]
    fn the_error_names_the_line_of_the_malformed_section_and_not_of_one_before_it() {
        let bad = "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n";
        let parameters = "-----BEGIN EC PARAMETERS-----\nAAAA\n-----END EC PARAMETERS-----\n";
        for (before, line) in [
            (parameters, 4),
            ("-----BEGINNERS read this\n", 2),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n", 3),
            ("a note\r", 1),
            ("two\r\nnotes\r\n", 3),
        ] {
            let error = refused(&format!("{before}{bad}"));
            let expected = format!("x.pem:{line}: malformed PEM: the section that begins here");
            assert!(error.starts_with(&expected), "{before:?}: {error}");
        }
    }

    #[test]
    fn the_error_for_other_content_says_what_was_expected() {
        assert_eq!(
            refused("hello"),
            "x.pem: found no certificate, expected PEM with the line -----BEGIN CERTIFICATE-----"
        );
        let der = PemSource::Bytes {
            pem: vec![0x30, 0x82, 1, 2],
            name: "x.der",
        };
        assert_eq!(
            certificates(&der).unwrap_err().to_string(),
            "x.der: found DER, expected PEM; convert it with: openssl x509 -inform der -in x.der"
        );
    }

    #[test]
    fn the_error_for_an_encrypted_key_names_the_command_that_decrypts_it() {
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
