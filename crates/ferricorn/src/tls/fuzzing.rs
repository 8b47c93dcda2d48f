//! The property of PEM files for the fuzz target `pem`, beside the private parser that it is about.

use std::time::{Duration, SystemTime};

use super::config::PemSource;
use super::{TlsError, pem, x509};

/// The input is the text of a PEM file.
///
/// - An error is one line. If it names a line, a section begins on that line.
/// - The certificates, keys and lists together are no longer than the text.
/// - A second file after the first adds its certificates and no others.
/// - The bytes of a certificate come back from the PEM that the server makes of them.
/// - A certificate or list that is not sound is an error, not a panic.
pub fn pem(text: &[u8]) {
    let file = source(text);
    let certificates = pem::certificates(&file);
    let key = pem::private_key(&file);
    let lists = pem::revocation_lists(&file);
    for error in [
        certificates.as_ref().err(),
        key.as_ref().err(),
        lists.as_ref().err(),
    ] {
        check_error(text, error);
    }

    let certificates = certificates.unwrap_or_default();
    let lists = lists.unwrap_or_default();
    let total: usize = certificates.iter().map(|der| der.len()).sum::<usize>()
        + lists.iter().map(|der| der.len()).sum::<usize>()
        + key.map_or(0, |key| key.secret_der().len());
    assert!(total <= text.len());

    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    for der in &certificates {
        if let Ok(facts) = x509::CertificateFacts::read(der) {
            let _ = (facts.title(), facts.expiry(), facts.validity_problem(now));
        }
        let _ = x509::subject(der);
    }
    for der in &lists {
        let _ = x509::overdue_since(der, now);
    }

    let encoded = x509::pem(text);
    let decoded = pem::certificates(&source(encoded.as_bytes())).expect("the server's own PEM");
    assert_eq!(decoded.len(), 1);
    assert_eq!(&decoded[0][..], text);
    if !certificates.is_empty() {
        let both = [text, b"\n", encoded.as_bytes()].concat();
        let both = pem::certificates(&source(&both)).expect("two sound files");
        assert_eq!(both, [certificates, decoded].concat());
    }
}

fn source(text: &[u8]) -> PemSource {
    PemSource::Bytes {
        pem: text.to_vec(),
        name: "x.pem",
    }
}

fn check_error(text: &[u8], error: Option<&TlsError>) {
    let Some(error) = error else {
        return;
    };
    let message = error.to_string();
    assert!(!message.contains('\n'), "{message:?}");
    let line = message
        .strip_prefix("x.pem:")
        .and_then(|rest| rest.split(':').next())
        .and_then(|line| line.parse::<usize>().ok());
    if let Some(line) = line {
        let line = text.split(|byte| *byte == b'\n').nth(line - 1);
        let line = line.expect("the line exists");
        let begin = b"-----BEGIN ";
        assert!(
            line.windows(begin.len()).any(|window| window == begin),
            "{message:?} names {}",
            line.escape_ascii()
        );
    }
}
