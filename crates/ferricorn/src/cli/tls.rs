//! Checks the TLS options together and loads the certificates, or makes the one of `--dev-cert`.

use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, KeyPair};

use super::exit::{Error, Exit};
use super::settings::CommandSettings;
use crate::{Bind, ClientCertificates, Tls, TlsConfig, TlsVersion};

/// How long the certificate of `--dev-cert` is valid: longer than a development server runs.
const DEV_CERTIFICATE_VALIDITY: Duration = Duration::from_secs(90 * 24 * 3_600);

/// How much the clocks of server and client may differ.
const CLOCK_SKEW: Duration = Duration::from_secs(24 * 3_600);

/// The settings of the TLS options.
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

/// Loads what `--bind` needs for TLS, or returns `None` if no option asks for TLS.
pub(super) fn load(settings: &CommandSettings) -> Result<Option<Tls>, Error> {
    let tls = &settings.tls;
    if tls.certificates.is_empty() && !tls.dev_certificate {
        check_without_certificate(settings)?;
        return Ok(None);
    }
    let unix = |bind: &&Bind| matches!(bind, Bind::Unix(_));
    if let Some(bind) = settings.binds.iter().find(unix) {
        return Err(Error::usage(format_args!(
            "--bind: found {bind}, expected a TCP address for TLS; use --insecure-bind {bind}"
        )));
    }
    let mut config = match tls.dev_certificate {
        true => dev_certificate(tls)?,
        false => certificates(tls)?,
    };
    config = client_certificates(config, tls)?;
    if tls.min_version == "1.3" {
        config = config.min_version(TlsVersion::Tls13);
    }
    let loaded = config.load();
    loaded
        .map(Some)
        .map_err(|error| Error::caused(Exit::Usage, &error))
}

/// Refuses TLS options that have no effect without a certificate. An operator could miss that.
fn check_without_certificate(settings: &CommandSettings) -> Result<(), Error> {
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
            "found {flag} without a certificate, expected --certfile too"
        )));
    }
    if !settings.insecure_binds.is_empty() {
        return Err(Error::usage(
            "found --insecure-bind without a certificate, expected --certfile too; without TLS, use \
             --bind for all addresses",
        ));
    }
    Ok(())
}

fn certificates(tls: &TlsSettings) -> Result<TlsConfig, Error> {
    let keys = match tls.keys.as_slice() {
        [] => &tls.certificates,
        keys => keys,
    };
    if keys.len() != tls.certificates.len() {
        return Err(Error::usage(format_args!(
            "found {} --certfile and {} --keyfile, expected one --keyfile for each --certfile, in the \
             same order",
            tls.certificates.len(),
            keys.len()
        )));
    }
    let pairs = tls.certificates.iter().zip(keys);
    Ok(pairs.fold(TlsConfig::new(), |config, (certificate, key)| {
        config.certificate_files(certificate, key)
    }))
}

fn client_certificates(mut config: TlsConfig, tls: &TlsSettings) -> Result<TlsConfig, Error> {
    let has_authorities = !tls.client_authorities.is_empty();
    let mode = match tls.verify_mode.as_str() {
        "optional" => ClientCertificates::Optional,
        "required" => ClientCertificates::Required,
        _ => ClientCertificates::None,
    };
    let asks_clients = mode != ClientCertificates::None;
    if asks_clients && !has_authorities {
        return Err(Error::usage(format_args!(
            "found --verify-mode {} without --ca-certs, expected the authorities that sign client \
             certificates",
            tls.verify_mode
        )));
    }
    let unused = [
        ("--ca-certs", has_authorities),
        ("--crl", !tls.revocation_lists.is_empty()),
    ];
    if let Some((flag, _)) = unused.iter().find(|(_, given)| *given && !asks_clients) {
        return Err(Error::usage(format_args!(
            "found {flag} with --verify-mode none, expected --verify-mode optional or required"
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

/// Makes a self-signed certificate for this run only.
fn dev_certificate(tls: &TlsSettings) -> Result<TlsConfig, Error> {
    if !tls.certificates.is_empty() || !tls.keys.is_empty() {
        return Err(Error::usage(
            "found --dev-cert together with --certfile or --keyfile, expected only one of them",
        ));
    }
    let failed = |error: rcgen::Error| {
        Error::new(
            Exit::Failed,
            format_args!("the certificate for --dev-cert cannot be made: {error}"),
        )
    };
    let hosts = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut params = CertificateParams::new(hosts).map_err(failed)?;
    let now = SystemTime::now();
    params.not_before = (now - CLOCK_SKEW).into();
    params.not_after = (now + DEV_CERTIFICATE_VALIDITY).into();
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.self_signed(&key).map_err(failed)?;
    tracing::warn!(
        "--dev-cert: a temporary certificate for localhost, 127.0.0.1 and ::1, not for production; \
         its SHA-256 fingerprint is {}",
        fingerprint(certificate.der())
    );
    Ok(TlsConfig::new().certificate_pem(certificate.pem(), key.serialize_pem()))
}

/// The SHA-256 fingerprint, as browsers and openssl show it.
fn fingerprint(der: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, der);
    let pairs: Vec<_> = digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    pairs.join(":")
}
