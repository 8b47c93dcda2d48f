//! Verifies client certificates.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error as RustlsError, RootCertStore, SignatureScheme,
};
use tracing::warn;

use super::config::{ClientCertificates, PemSource, TlsConfig};
use super::error::TlsErrorKind;
use super::{TlsError, pem, x509};

/// Makes the verifier of client certificates, or returns `None` if the server asks for none.
pub(super) fn verifier(
    config: &TlsConfig,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    let error = |kind| Err(TlsError::new("", kind));
    let allow_none = match config.client_certificates {
        ClientCertificates::None if !config.client_authorities.is_empty() => {
            return error(TlsErrorKind::AuthorityUnused);
        }
        ClientCertificates::None if !config.revocation_lists.is_empty() => {
            return error(TlsErrorKind::ListUnused);
        }
        ClientCertificates::None => return Ok(None),
        _ if config.client_authorities.is_empty() => return error(TlsErrorKind::NoAuthority),
        ClientCertificates::Optional | ClientCertificates::DangerouslyUnverified => true,
        ClientCertificates::Required => false,
    };
    let mut roots = RootCertStore::empty();
    for source in &config.client_authorities {
        for authority in pem::certificates(source)? {
            roots.add(authority).map_err(|error| {
                TlsError::new(source, TlsErrorKind::BadAuthority(error.to_string()))
            })?;
        }
    }
    let mut builder =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    for source in &config.revocation_lists {
        let lists = pem::revocation_lists(source)?;
        for list in &lists {
            if let Some(since) = x509::overdue_since(list, SystemTime::now()) {
                warn!(
                    "{source}: the revocation list has been out of date since {since}; get a new one"
                );
            }
        }
        builder = builder.with_crls(lists);
    }
    if allow_none {
        builder = builder.allow_unauthenticated();
    }
    let verifier = builder.build().map_err(|error| {
        let lists: Vec<_> = config
            .revocation_lists
            .iter()
            .map(PemSource::to_string)
            .collect();
        TlsError::new(lists.join(", "), TlsErrorKind::BadList(error.to_string()))
    })?;
    Ok(Some(verifier))
}

/// Accepts every certificate if the client has its key. The scope says whether it is valid.
#[derive(Debug)]
pub(super) struct AcceptAnyClient(pub(super) Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for AcceptAnyClient {
    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, RustlsError> {
        Ok(ClientCertVerified::assertion())
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, RustlsError> {
        self.0
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, RustlsError> {
        self.0
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
