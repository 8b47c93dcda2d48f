//! Chooses the certificate that a client gets, by host name.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::x509::CertificateFacts;

/// A certificate of the server, ready for handshakes.
#[derive(Debug)]
pub(super) struct ServerCertificate {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) facts: CertificateFacts,
    /// The certificate itself, without its chain, as PEM.
    pub(super) pem: String,
}

/// All certificates of a server, by host name. There is at least one.
#[derive(Debug)]
pub(super) struct Certificates {
    all: Vec<ServerCertificate>,
    /// The index in `all` for each name.
    exact: HashMap<String, usize>,
    /// The same for wildcards, without their `*`.
    wildcards: HashMap<String, usize>,
}

impl Certificates {
    /// Returns `None` for an empty list.
    pub(super) fn new(all: Vec<ServerCertificate>) -> Option<Self> {
        if all.is_empty() {
            return None;
        }
        let mut exact = HashMap::new();
        let mut wildcards = HashMap::new();
        for (index, certificate) in all.iter().enumerate() {
            for name in &certificate.facts.names {
                let (names, name) = match name.strip_prefix('*') {
                    Some(rest) => (&mut wildcards, rest),
                    None => (&mut exact, name.as_str()),
                };
                // The first of two certificates for one name wins.
                names.entry(name.to_owned()).or_insert(index);
            }
        }
        Some(Self {
            all,
            exact,
            wildcards,
        })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &ServerCertificate> {
        self.all.iter()
    }

    /// The certificate that names the host, or else the first one.
    ///
    /// rustls passes the host in lower case.
    pub(super) fn choose(&self, host: Option<&str>) -> &ServerCertificate {
        let wildcard = |host: &str| {
            // RFC 9525 §6.3: a wildcard stands for exactly one label, the leftmost.
            let rest = &host[host.find('.')?..];
            self.wildcards.get(rest)
        };
        let named = |host: &str| self.exact.get(host).or_else(|| wildcard(host));
        &self.all[host.and_then(named).copied().unwrap_or(0)]
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.choose(client_hello.server_name()).key))
    }
}
