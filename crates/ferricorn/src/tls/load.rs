//! Loads a [`TlsConfig`]: reads and checks the files, and builds the settings for rustls.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::crypto::CryptoProvider;
use rustls::crypto::ring;
use rustls::server::{ProducesTickets, danger::ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{Error as RustlsError, ServerConfig};
use tracing::warn;

use super::accept::ALPN;
use super::certificates::{Certificates, ServerCertificate};
use super::config::{CertificatePair, ClientCertificates, TlsConfig, TlsVersion};
use super::error::TlsErrorKind;
use super::x509::{self, CertificateFacts};
use super::{TlsError, client, pem};

/// The certificates and settings of one load; a reload makes a new one.
pub(super) struct LoadedTls {
    pub(super) rustls: Arc<ServerConfig>,
    pub(super) certificates: Arc<Certificates>,
    /// Verifies a client's certificate after the handshake, if the handshake did not verify it.
    pub(super) verifier: Option<Arc<dyn ClientCertVerifier>>,
}

impl LoadedTls {
    /// Reads and checks everything. `before` is the load that this one replaces.
    pub(super) fn new(config: &TlsConfig, before: Option<&Self>) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let all: Result<_, _> = config
            .certificates
            .iter()
            .map(|pair| server_certificate(pair, &provider))
            .collect();
        let no_certificate = || TlsError::new("", TlsErrorKind::NoCertificate);
        let certificates = Arc::new(Certificates::new(all?).ok_or_else(no_certificate)?);
        warn_about(&certificates);

        let rustls_error = |error| TlsError::new("", TlsErrorKind::Rustls(error));
        let versions = match config.min_version {
            TlsVersion::Tls12 => &[&TLS13, &TLS12][..],
            TlsVersion::Tls13 => &[&TLS13],
        };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .map_err(rustls_error)?;
        let (builder, verifier) = match client::verifier(config, &provider)? {
            None => (builder.with_no_client_auth(), None),
            Some(verifier)
                if config.client_certificates == ClientCertificates::DangerouslyUnverified =>
            {
                let accept_any = Arc::new(client::AcceptAnyClient(Arc::clone(&verifier)));
                (
                    builder.with_client_cert_verifier(accept_any),
                    Some(verifier),
                )
            }
            Some(verifier) => (builder.with_client_cert_verifier(verifier), None),
        };
        let resolver = Arc::clone(&certificates);
        let mut rustls = builder.with_cert_resolver(resolver);
        // The server's order decides, because a client's order often has no meaning.
        rustls.ignore_client_order = true;
        rustls.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
        rustls.ticketer = match before {
            Some(before) if config.client_certificates == ClientCertificates::None => {
                Arc::clone(&before.rustls.ticketer)
            }
            // A resumed session keeps the client's certificate without a new check. New tickets make
            // sure that a certificate that is revoked now cannot come back with an old ticket.
            _ => ticketer().map_err(rustls_error)?,
        };
        Ok(Self {
            rustls: Arc::new(rustls),
            certificates,
            verifier,
        })
    }

    /// The names and expiry dates of all certificates, for the log.
    pub(super) fn summary(&self) -> String {
        let one = |certificate: &ServerCertificate| {
            let facts = &certificate.facts;
            format!("{} (until {})", facts.title(), facts.expiry())
        };
        let all: Vec<_> = self.certificates.iter().map(one).collect();
        all.join("; ")
    }
}

fn ticketer() -> Result<Arc<dyn ProducesTickets>, RustlsError> {
    ring::Ticketer::new()
}

fn server_certificate(
    pair: &CertificatePair,
    provider: &CryptoProvider,
) -> Result<ServerCertificate, TlsError> {
    let chain = pem::certificates(&pair.chain)?;
    let facts = CertificateFacts::read(&chain[0]).map_err(|error| {
        TlsError::new(&pair.chain, TlsErrorKind::BadCertificate(error.to_string()))
    })?;
    let key = provider
        .key_provider
        .load_private_key(pem::private_key(&pair.key)?)
        .map_err(|_| TlsError::new(&pair.key, TlsErrorKind::UnusableKey))?;
    let pem = x509::pem(&chain[0]);
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) => {}
        Err(RustlsError::InconsistentKeys(_)) => {
            let kind = TlsErrorKind::KeyMismatch(pair.chain.to_string());
            return Err(TlsError::new(&pair.key, kind));
        }
        Err(error) => {
            let kind = TlsErrorKind::BadCertificate(error.to_string());
            return Err(TlsError::new(&pair.chain, kind));
        }
    }
    Ok(ServerCertificate {
        key: Arc::new(certified),
        facts,
        pem,
    })
}

/// Warns about certificates that clients will not accept or never get.
fn warn_about(certificates: &Certificates) {
    let now = SystemTime::now();
    for (index, certificate) in certificates.iter().enumerate() {
        let facts = &certificate.facts;
        if let Some(problem) = facts.validity_problem(now) {
            warn!("the certificate for {} {problem}", facts.title());
        }
        if index > 0 && facts.names.is_empty() {
            warn!(
                "no client will get the certificate {}: it names no host and is not the first",
                facts.title()
            );
        }
    }
}
