//! Which certificate a client gets.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::x509::Facts;

/// A certificate of the server's, ready to be used.
#[derive(Debug)]
pub(super) struct ServerCertificate {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) facts: Facts,
    /// The certificate itself, without its chain.
    pub(super) pem: String,
}

/// All certificates of a server, found by host name. There is at least one.
#[derive(Debug)]
pub(super) struct Certificates {
    all: Vec<ServerCertificate>,
    /// The place in `all` of each name, wildcards under what follows their `*`.
    exact: HashMap<String, usize>,
    wildcards: HashMap<String, usize>,
}

impl Certificates {
    /// `None` if there are none.
    pub(super) fn new(all: Vec<ServerCertificate>) -> Option<Self> {
        if all.is_empty() {
            return None;
        }
        let mut exact = HashMap::new();
        let mut wildcards = HashMap::new();
        for (place, certificate) in all.iter().enumerate() {
            for name in &certificate.facts.names {
                let (names, name) = match name.strip_prefix('*') {
                    Some(rest) => (&mut wildcards, rest),
                    None => (&mut exact, name.as_str()),
                };
                // Of two certificates for one name the first is taken.
                names.entry(name.to_owned()).or_insert(place);
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

    /// The certificate for a host; the first one if none names it.
    ///
    /// rustls gives the host in lower case.
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
