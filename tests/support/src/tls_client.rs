//! A TLS client: rustls.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, SupportedProtocolVersion,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::certificates::{Authority, Pem};
use crate::{Client, Server, within};

/// A TLS client. It keeps sessions, so a later connection can resume one.
#[derive(Clone)]
pub struct TlsClient(Arc<ClientConfig>);

impl TlsClient {
    /// A client that trusts `authority`, speaks TLS 1.2 and 1.3 and sends no certificate.
    pub fn new(authority: &Authority) -> Self {
        Self::with(authority, rustls::ALL_VERSIONS, None)
    }

    /// A client that accepts any certificate.
    pub fn trusting_anything() -> Self {
        let provider = Arc::new(ring::default_provider());
        let verifier = Arc::new(AcceptAny(Arc::clone(&provider)));
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(rustls::ALL_VERSIONS)
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Self(Arc::new(config))
    }

    /// A client that trusts `authority`, speaks `versions` and sends `certificate`.
    pub fn with(
        authority: &Authority,
        versions: &[&'static SupportedProtocolVersion],
        certificate: Option<&Pem>,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority.der.clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match certificate {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let key = PrivateKeyDer::from_pem_slice(pem.key.as_bytes()).unwrap();
                builder
                    .with_client_auth_cert(vec![pem.der.clone()], key)
                    .unwrap()
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self(Arc::new(config))
    }

    /// The same client, but it offers only this protocol in ALPN.
    #[must_use]
    pub fn speaking(self, protocol: &str) -> Self {
        let mut config = (*self.0).clone();
        config.alpn_protocols = vec![protocol.into()];
        Self(Arc::new(config))
    }

    /// Connects and completes the handshake.
    #[track_caller]
    pub fn connect(&self, server: &Server, host: &str) -> impl Future<Output = Client> + use<> {
        self.connect_to(server.address(), host)
    }

    /// [`connect`](Self::connect), to an address.
    #[track_caller]
    pub fn connect_to(
        &self,
        address: SocketAddr,
        host: &str,
    ) -> impl Future<Output = Client> + use<> {
        let connecting = within("a handshake", self.try_connect(address, host));
        async move { connecting.await.expect("the handshake succeeds") }
    }

    /// Connects; the handshake may fail.
    ///
    /// # Errors
    ///
    /// The connection or the handshake fails.
    pub fn try_connect(
        &self,
        address: SocketAddr,
        host: &str,
    ) -> impl Future<Output = io::Result<Client>> + use<> {
        let connector = TlsConnector::from(Arc::clone(&self.0));
        let name = ServerName::try_from(host.to_owned()).unwrap();
        async move {
            let socket = TcpStream::connect(address).await?;
            Ok(Client::tls(connector.connect(name, socket).await?))
        }
    }

    /// Requests `/` and returns the body of the response.
    ///
    /// # Errors
    ///
    /// The handshake fails, or the server closes the connection before it has responded. With TLS
    /// 1.3, a client learns only then that the server refused its certificate.
    pub async fn get(&self, server: &Server, host: &str) -> io::Result<String> {
        self.get_from(server.address(), host).await
    }

    /// [`get`](Self::get), from an address.
    pub async fn get_from(&self, address: SocketAddr, host: &str) -> io::Result<String> {
        within("a response", async {
            let mut client = self.try_connect(address, host).await?;
            client
                .try_write(format!(
                    "GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
                ))
                .await?;
            let all = client.try_read_until_closed().await?;
            let all = String::from_utf8(all).expect("the response is text");
            match all.split_once("\r\n\r\n") {
                Some((head, body)) => {
                    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
                    Ok(body.to_owned())
                }
                None => Err(io::ErrorKind::UnexpectedEof.into()),
            }
        })
        .await
    }
}

#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
