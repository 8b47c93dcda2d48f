//! What the author of a server tells the suite about TLS.

use crate::client::{ClientCertificate, ClientTls};

/// How the clients of a suite speak TLS. They accept any certificate of the server.
///
/// ```
/// use asgi_spec::SuiteTls;
///
/// let tls = SuiteTls::new().server_name("example.org");
/// # drop(tls);
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct SuiteTls(pub(super) ClientTls);

impl SuiteTls {
    /// Creates clients that ask for the host `localhost` and have no certificate.
    pub fn new() -> Self {
        Self(ClientTls::new("localhost"))
    }

    /// Sets the host for which the clients ask in the handshake (SNI). The default is `localhost`.
    pub fn server_name(mut self, name: &str) -> Self {
        self.0.server_name = name.into();
        self
    }

    /// Sets the certificate of the clients, for TLS-005 to TLS-007. The server must ask for
    /// certificates, accept this one, and serve clients without one too.
    ///
    /// `chain` and `key` are PEM, with the client's own certificate first. `subject` is its subject in
    /// the form of RFC 4514, such as `CN=alice,O=Example`. By default, the clients have no certificate,
    /// and those requirements are not observable.
    pub fn client_certificate(mut self, chain: &str, key: &str, subject: &str) -> Self {
        self.0.certificate = Some(ClientCertificate {
            chain: chain.into(),
            key: key.into(),
            subject: subject.into(),
        });
        self
    }

    /// Sets a certificate of the clients that the server must not take for a valid one, for TLS-007. A
    /// server that refuses its handshake keeps that requirement too. `chain` and `key` are PEM.
    pub fn invalid_client_certificate(mut self, chain: &str, key: &str) -> Self {
        self.0.invalid = Some(ClientCertificate {
            chain: chain.into(),
            key: key.into(),
            subject: String::new(),
        });
        self
    }
}

impl Default for SuiteTls {
    fn default() -> Self {
        Self::new()
    }
}
