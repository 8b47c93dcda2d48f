//! What the `tls` extension of the scope says of a connection.

use rustls::ServerConnection;
use rustls::pki_types::UnixTime;

use super::load::Loaded;
use super::x509;

/// All that ASGI's TLS extension names; made once a connection.
pub(super) fn describe(connection: &ServerConnection, loaded: &Loaded) -> asgi::Tls {
    let mut tls = asgi::Tls::new();
    let host = connection.server_name();
    tls.version = connection.protocol_version().map(u16::from);
    tls.cipher_suite = connection
        .negotiated_cipher_suite()
        .map(|suite| u16::from(suite.suite()));
    // rustls does not tell which one it has shown, but it was chosen by the host alone.
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
