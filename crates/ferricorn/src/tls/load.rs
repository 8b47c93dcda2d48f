//! From what an operator has set to what a handshake uses.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::crypto::CryptoProvider;
use rustls::crypto::ring;
use rustls::server::{ProducesTickets, danger::ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{Error as RustlsError, ServerConfig};
use tracing::warn;

use super::accept::Protocol;
use super::certificates::{Certificates, ServerCertificate};
use super::config::{ClientCertificates, Pair, TlsConfig, TlsVersion};
use super::error::Problem;
use super::x509::{self, Facts};
use super::{TlsError, client, pem};
use crate::connection;

/// What is loaded at one time.
pub(super) struct Loaded {
    pub(super) rustls: Arc<ServerConfig>,
    pub(super) certificates: Arc<Certificates>,
    /// What a client's certificate is held against, if its handshake was not.
    pub(super) verifier: Option<Arc<dyn ClientCertVerifier>>,
}

impl Loaded {
    /// Reads and checks everything. `before` is what this replaces.
    pub(super) fn new(config: &TlsConfig, before: Option<&Self>) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let all: Result<_, _> = config
            .certificates
            .iter()
            .map(|pair| server_certificate(pair, &provider))
            .collect();
        let none = || TlsError::new("", Problem::NoCertificate);
        let certificates = Arc::new(Certificates::new(all?).ok_or_else(none)?);
        warn_of_faults(&certificates);

        let refused = |error| TlsError::new("", Problem::Refused(error));
        let versions = match config.min_version {
            TlsVersion::Tls12 => &[&TLS13, &TLS12][..],
            TlsVersion::Tls13 => &[&TLS13],
        };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .map_err(refused)?;
        let (builder, verifier) = match client::verifier(config, &provider)? {
            None => (builder.with_no_client_auth(), None),
            Some(verifier)
                if config.client_certificates == ClientCertificates::DangerouslyUnverified =>
            {
                let lenient = Arc::new(client::Lenient(Arc::clone(&verifier)));
                (builder.with_client_cert_verifier(lenient), Some(verifier))
            }
            Some(verifier) => (builder.with_client_cert_verifier(verifier), None),
        };
        let resolver = Arc::clone(&certificates);
        let mut rustls = builder.with_cert_resolver(resolver);
        // Theirs is often no more than the order in which somebody wrote a list down.
        rustls.ignore_client_order = true;
        rustls.alpn_protocols = connection::PROTOCOLS.iter().map(Protocol::alpn).collect();
        rustls.ticketer = match before {
            Some(before) if config.client_certificates == ClientCertificates::None => {
                Arc::clone(&before.rustls.ticketer)
            }
            // A resumed session brings a client's certificate along without another check: what is
            // revoked now must not come back with an old ticket.
            _ => ticketer().map_err(refused)?,
        };
        Ok(Self {
            rustls: Arc::new(rustls),
            certificates,
            verifier,
        })
    }

    /// The names and the expiry of each certificate.
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
    pair: &Pair,
    provider: &CryptoProvider,
) -> Result<ServerCertificate, TlsError> {
    let chain = pem::certificates(&pair.chain)?;
    let facts = Facts::read(&chain[0])
        .map_err(|error| TlsError::new(&pair.chain, Problem::BadCertificate(error.to_string())))?;
    let key = provider
        .key_provider
        .load_private_key(pem::private_key(&pair.key)?)
        .map_err(|_| TlsError::new(&pair.key, Problem::UnusableKey))?;
    let pem = x509::pem(&chain[0]);
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) => {}
        Err(RustlsError::InconsistentKeys(_)) => {
            let problem = Problem::KeyMismatch(pair.chain.to_string());
            return Err(TlsError::new(&pair.key, problem));
        }
        Err(error) => {
            let problem = Problem::BadCertificate(error.to_string());
            return Err(TlsError::new(&pair.chain, problem));
        }
    }
    Ok(ServerCertificate {
        key: Arc::new(certified),
        facts,
        pem,
    })
}

/// Says what clients will not like.
fn warn_of_faults(certificates: &Certificates) {
    let now = SystemTime::now();
    for (place, certificate) in certificates.iter().enumerate() {
        let facts = &certificate.facts;
        if let Some(fault) = facts.fault_at(now) {
            warn!("the certificate for {} {fault}", facts.title());
        }
        if place > 0 && facts.names.is_empty() {
            warn!(
                "no client will get the certificate {}: it names no host and is not the first",
                facts.title()
            );
        }
    }
}
