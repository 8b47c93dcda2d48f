//! The options of TLS: what they mean together, and the certificate of `--dev-cert`.

use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, KeyPair};

use super::exit::{Error, Exit};
use super::settings::Settings;
use crate::{Bind, ClientCertificates, Tls, TlsConfig, TlsVersion};

/// How long a throw-away certificate is valid: longer than anybody develops without a break.
const DEV_CERTIFICATE_LIFE: Duration = Duration::from_secs(90 * 24 * 3_600);

/// What clocks may be apart.
const CLOCK_SKEW: Duration = Duration::from_secs(24 * 3_600);

/// The options of TLS.
#[derive(Debug, Clone)]
pub(super) struct TlsSettings {
    pub(super) certificates: Vec<String>,
    pub(super) keys: Vec<String>,
    pub(super) client_authorities: Vec<String>,
    pub(super) verify_mode: String,
    pub(super) revocation_lists: Vec<String>,
    pub(super) min_version: String,
    pub(super) dev_certificate: bool,
}

impl Default for TlsSettings {
    fn default() -> Self {
        Self {
            certificates: Vec::new(),
            keys: Vec::new(),
            client_authorities: Vec::new(),
            verify_mode: "none".to_owned(),
            revocation_lists: Vec::new(),
            min_version: "1.2".to_owned(),
            dev_certificate: false,
        }
    }
}

/// What `--bind` speaks TLS with; `None` if it does not.
pub(super) fn load(settings: &Settings) -> Result<Option<Tls>, Error> {
    let tls = &settings.tls;
    if tls.certificates.is_empty() && !tls.dev_certificate {
        return without_certificate(settings);
    }
    let unix = |bind: &&Bind| matches!(bind, Bind::Unix(_));
    if let Some(bind) = settings.binds.iter().find(unix) {
        return Err(Error::usage(format_args!(
            "--bind: TLS is not offered on a Unix socket ({bind}); make it --insecure-bind {bind}"
        )));
    }
    let mut config = match tls.dev_certificate {
        true => dev_certificate(tls)?,
        false => certificates(tls)?,
    };
    config = clients(config, tls)?;
    if tls.min_version == "1.3" {
        config = config.min_version(TlsVersion::Tls13);
    }
    let loaded = config.load();
    loaded
        .map(Some)
        .map_err(|error| Error::caused(Exit::Usage, &error))
}

/// Options that mean nothing without a certificate would be a surprise in production.
fn without_certificate(settings: &Settings) -> Result<Option<Tls>, Error> {
    let tls = &settings.tls;
    let defaults = TlsSettings::default();
    let given = [
        ("--keyfile", !tls.keys.is_empty()),
        ("--ca-certs", !tls.client_authorities.is_empty()),
        ("--verify-mode", tls.verify_mode != defaults.verify_mode),
        ("--crl", !tls.revocation_lists.is_empty()),
        ("--tls-min-version", tls.min_version != defaults.min_version),
    ];
    if let Some((flag, _)) = given.iter().find(|(_, given)| *given) {
        return Err(Error::usage(format_args!(
            "{flag} is given without a certificate, expected --certfile too"
        )));
    }
    if !settings.insecure_binds.is_empty() {
        return Err(Error::usage(
            "--insecure-bind is given without a certificate, expected --certfile for what --bind \
             names; without TLS all addresses are given with --bind",
        ));
    }
    Ok(None)
}

fn certificates(tls: &TlsSettings) -> Result<TlsConfig, Error> {
    let keys = match tls.keys.as_slice() {
        [] => &tls.certificates,
        keys => keys,
    };
    if keys.len() != tls.certificates.len() {
        return Err(Error::usage(format_args!(
            "found {} of --certfile and {} of --keyfile, expected a --keyfile for each --certfile, \
             in the same order",
            tls.certificates.len(),
            keys.len()
        )));
    }
    let pairs = tls.certificates.iter().zip(keys);
    Ok(pairs.fold(TlsConfig::new(), |config, (certificate, key)| {
        config.certificate_files(certificate, key)
    }))
}

fn clients(mut config: TlsConfig, tls: &TlsSettings) -> Result<TlsConfig, Error> {
    let has_authorities = !tls.client_authorities.is_empty();
    let mode = match tls.verify_mode.as_str() {
        "optional" => ClientCertificates::Optional,
        "required" => ClientCertificates::Required,
        _ => ClientCertificates::None,
    };
    let asks = mode != ClientCertificates::None;
    if asks && !has_authorities {
        return Err(Error::usage(format_args!(
            "--verify-mode {} is given without --ca-certs, expected the authorities that vouch for \
             clients",
            tls.verify_mode
        )));
    }
    let unused = [
        ("--ca-certs", has_authorities),
        ("--crl", !tls.revocation_lists.is_empty()),
    ];
    if let Some((flag, _)) = unused.iter().find(|(_, given)| *given && !asks) {
        return Err(Error::usage(format_args!(
            "{flag} is given but clients are not asked for certificates, expected --verify-mode \
             optional or required"
        )));
    }
    for file in &tls.client_authorities {
        config = config.client_authorities_file(file);
    }
    for file in &tls.revocation_lists {
        config = config.revocation_list_file(file);
    }
    Ok(config.client_certificates(mode))
}

/// A certificate that signs itself, for this run alone.
fn dev_certificate(tls: &TlsSettings) -> Result<TlsConfig, Error> {
    if !tls.certificates.is_empty() || !tls.keys.is_empty() {
        return Err(Error::usage(
            "--dev-cert is given beside --certfile or --keyfile, expected one or the other",
        ));
    }
    let failed = |error: rcgen::Error| {
        Error::new(
            Exit::Failed,
            format_args!("the certificate of --dev-cert cannot be made: {error}"),
        )
    };
    let hosts = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut params = CertificateParams::new(hosts).map_err(failed)?;
    let now = SystemTime::now();
    params.not_before = (now - CLOCK_SKEW).into();
    params.not_after = (now + DEV_CERTIFICATE_LIFE).into();
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.self_signed(&key).map_err(failed)?;
    tracing::warn!(
        "--dev-cert: a throw-away certificate for localhost, 127.0.0.1 and ::1, not for \
         production; its SHA-256 fingerprint is {}",
        fingerprint(certificate.der())
    );
    Ok(TlsConfig::new().certificate_pem(certificate.pem(), key.serialize_pem()))
}

/// As browsers and openssl show it.
fn fingerprint(der: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, der);
    let pairs: Vec<_> = digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    pairs.join(":")
}
