//! Fills the `tls` extension of the scope for a connection.

use rustls::ServerConnection;
use rustls::pki_types::UnixTime;

use super::load::LoadedTls;
use super::x509;

/// Everything that ASGI's TLS extension names. The server makes it once for each connection.
pub(super) fn describe(connection: &ServerConnection, loaded: &LoadedTls) -> asgi::Tls {
    let mut tls = asgi::Tls::new();
    let host = connection.server_name();
    tls.version = connection.protocol_version().map(u16::from);
    tls.cipher_suite = connection
        .negotiated_cipher_suite()
        .map(|suite| u16::from(suite.suite()));
    // rustls does not say which certificate it sent, but only the host decides that.
    tls.server_cert = Some(loaded.certificates.choose(host).pem.clone());
    if let Some(chain) = connection.peer_certificates() {
        tls.client_cert_chain = chain.iter().map(|one| x509::pem(one)).collect();
        if let [own, intermediates @ ..] = chain {
            tls.client_cert_name = x509::subject(own);
            let verifier = loaded.verifier.as_ref();
            tls.client_cert_error = verifier
                .map(|verifier| verifier.verify_client_cert(own, intermediates, UnixTime::now()))
                .and_then(Result::err)
                .map(|error| error.to_string());
        }
    }
    tls.server_name = host.map(str::to_owned);
    tls
}
