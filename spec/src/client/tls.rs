//! The client's side of TLS.

use std::fmt;
use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ALL_VERSIONS, ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    SupportedProtocolVersion, version,
};

use super::socket::WireProtocol;

/// What the clients of a suite need for TLS.
#[derive(Clone)]
pub(crate) struct ClientTls {
    /// The host that a client asks for.
    pub(crate) server_name: String,
    pub(crate) certificate: Option<ClientCertificate>,
    /// One that is not valid.
    pub(crate) invalid: Option<ClientCertificate>,
    versions: &'static [&'static SupportedProtocolVersion],
    sends_certificate: bool,
}

/// The certificate of a client.
#[derive(Clone)]
pub(crate) struct ClientCertificate {
    /// As PEM, with the client's own first.
    pub(crate) chain: String,
    /// As PEM.
    pub(crate) key: String,
    /// In the form of RFC 4514.
    pub(crate) subject: String,
}

/// TLS 1.2 alone.
pub(crate) const TLS_1_2: &[&SupportedProtocolVersion] = &[&version::TLS12];

/// TLS 1.3 alone.
pub(crate) const TLS_1_3: &[&SupportedProtocolVersion] = &[&version::TLS13];

/// The certificates in PEM as DER.
pub(crate) fn der_of_pem(pem: &str) -> Result<Vec<Vec<u8>>, String> {
    let all = CertificateDer::pem_slice_iter(pem.as_bytes());
    all.map(|one| match one {
        Ok(one) => Ok(one.to_vec()),
        Err(error) => Err(error.to_string()),
    })
    .collect()
}

impl ClientTls {
    pub(crate) fn new(server_name: &str) -> Self {
        Self {
            server_name: server_name.into(),
            certificate: None,
            invalid: None,
            versions: ALL_VERSIONS,
            sends_certificate: false,
        }
    }

    /// The same with this version alone.
    pub(crate) fn only(mut self, version: &'static [&'static SupportedProtocolVersion]) -> Self {
        self.versions = version;
        self
    }

    /// The same with the client's certificate in the handshake.
    pub(crate) fn with_certificate(mut self) -> Self {
        self.sends_certificate = true;
        self
    }

    /// The same with the invalid certificate, if there is one.
    pub(crate) fn with_invalid_certificate(mut self) -> Option<Self> {
        self.certificate = Some(self.invalid.take()?);
        Some(self.with_certificate())
    }

    /// Says whether a client can be made of this.
    pub(crate) fn check(&self) -> Result<(), String> {
        let certified = self.clone().with_certificate();
        let invalid = self.clone().with_invalid_certificate();
        for tls in [Some(certified), invalid].into_iter().flatten() {
            tls.config(WireProtocol::Http1)?;
        }
        self.name().map(drop)
    }

    fn name(&self) -> Result<ServerName<'static>, String> {
        ServerName::try_from(self.server_name.clone())
            .map_err(|error| format!("the server name {:?}: {error}", self.server_name))
    }

    fn config(&self, protocol: WireProtocol) -> Result<ClientConfig, String> {
        let provider = Arc::new(ring::default_provider());
        let verifier = Arc::new(AcceptsAll(Arc::clone(&provider)));
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(self.versions)
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &self.certificate {
            Some(ClientCertificate { chain, key, .. }) if self.sends_certificate => {
                let chain: Result<Vec<_>, _> =
                    CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
                let chain = chain.map_err(|error| format!("the client's certificate: {error}"))?;
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
                    .map_err(|error| format!("the client's key: {error}"))?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| format!("the client's certificate: {error}"))?
            }
            _ => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![match protocol {
            WireProtocol::Http1 => b"http/1.1".to_vec(),
            WireProtocol::Http2 => b"h2".to_vec(),
        }];
        // A resumed session would not show the certificate again.
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    pub(super) async fn handshake(
        &self,
        protocol: WireProtocol,
        tcp: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let config = self.config(protocol).map_err(io::Error::other)?;
        let name = self.name().map_err(io::Error::other)?;
        TlsConnector::from(Arc::new(config))
            .connect(name, tcp)
            .await
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key is a secret.
        f.debug_struct("ClientTls")
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

/// Accepts any certificate: the suite checks what a server says, not who it is.
#[derive(Debug)]
struct AcceptsAll(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptsAll {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
