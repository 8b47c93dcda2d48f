//! Reads certificates for the log, the scope and the choice by host name. rustls does the rest.

use std::net::IpAddr;
use std::time::SystemTime;

use x509_cert::Certificate;
use x509_cert::crl::CertificateList;
use x509_cert::der::asn1::OctetString;
use x509_cert::der::pem::{LineEnding, encode_string};
use x509_cert::der::{self, DateTime, Decode as _};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// The facts that the server uses about one of its certificates.
#[derive(Debug)]
pub(super) struct CertificateFacts {
    /// The host names of the certificate, in lower case. A wildcard begins with `*.`.
    pub(super) names: Vec<String>,
    /// The IP addresses of the certificate. Clients never ask for one by SNI.
    pub(super) addresses: Vec<IpAddr>,
    pub(super) subject: String,
    not_before: DateTime,
    not_after: DateTime,
}

impl CertificateFacts {
    pub(super) fn read(der: &[u8]) -> der::Result<Self> {
        let certificate = Certificate::from_der(der)?;
        let certificate = certificate.tbs_certificate();
        let mut facts = Self {
            names: Vec::new(),
            addresses: Vec::new(),
            subject: certificate.subject().to_string(),
            not_before: certificate.validity().not_before.to_date_time(),
            not_after: certificate.validity().not_after.to_date_time(),
        };
        let alternatives = certificate.get_extension::<SubjectAltName>();
        for name in alternatives?.into_iter().flat_map(|(_, names)| names.0) {
            match name {
                GeneralName::DnsName(name) => facts.names.push(name.as_str().to_ascii_lowercase()),
                GeneralName::IpAddress(octets) => facts.addresses.extend(address(&octets)),
                _ => {}
            }
        }
        Ok(facts)
    }

    /// The certificate's names, or else its subject, for the log.
    pub(super) fn title(&self) -> String {
        let addresses = self.addresses.iter().map(ToString::to_string);
        let names: Vec<_> = self.names.iter().cloned().chain(addresses).collect();
        match names.as_slice() {
            [] if self.subject.is_empty() => "a certificate without a name".to_owned(),
            [] => self.subject.clone(),
            names => names.join(", "),
        }
    }

    /// The end of its validity, such as `2027-01-31T12:00:00Z`.
    pub(super) fn expiry(&self) -> String {
        self.not_after.to_string()
    }

    /// Says if the certificate has expired or is not valid yet.
    pub(super) fn validity_problem(&self, now: SystemTime) -> Option<String> {
        if now > self.not_after.to_system_time() {
            return Some(format!("expired on {}", self.not_after));
        }
        (now < self.not_before.to_system_time())
            .then(|| format!("is not valid before {}", self.not_before))
    }
}

fn address(octets: &OctetString) -> Option<IpAddr> {
    let octets = octets.as_bytes();
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from))
        .ok()
}

/// The subject of a certificate, in the format of RFC 4514.
pub(super) fn subject(der: &[u8]) -> Option<String> {
    let certificate = Certificate::from_der(der).ok()?;
    Some(certificate.tbs_certificate().subject().to_string())
}

/// The date since which a revocation list is out of date, if it is.
pub(super) fn overdue_since(crl: &[u8], now: SystemTime) -> Option<String> {
    let list = <CertificateList>::from_der(crl).ok()?;
    let next = list.tbs_cert_list.next_update?.to_date_time();
    (now > next.to_system_time()).then(|| next.to_string())
}

/// A certificate as PEM.
pub(super) fn pem(der: &[u8]) -> String {
    // This fails only above 256 MiB, and no certificate is that long.
    encode_string("CERTIFICATE", LineEnding::LF, der).unwrap_or_default()
}
