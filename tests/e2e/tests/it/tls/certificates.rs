//! Which certificate a client gets, and which formats certificates and keys may have.

use ferricorn::{Config, TlsConfig, TlsVersion};
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};
use rustls::version::{TLS12, TLS13};

use test_support::app::echo_path;
use test_support::certificates::{Authority, Pem, server_params};
use test_support::tls_client::TlsClient;
use test_support::{Http, Server, http, run};

/// An RSA key, for tests only. ring cannot generate RSA keys, and only RSA keys have the format PKCS#1.
const RSA_PKCS8: &str = include_str!("rsa-test-key.pem");

async fn host_and_certificate(mut http: Http) -> Result<(), asgi::AppError> {
    let tls = http.scope.extensions.tls.clone().ok_or("no TLS")?;
    http.respond(tls.server_cert.clone().unwrap_or_default())
        .await
}

/// TLS-003
#[test]
fn the_host_selects_the_certificate() {
    run(async {
        let authority = Authority::new("a");
        let first = authority.server(&["first.example", "other.example"]);
        let wildcard = authority.server(&["*.shop.example"]);
        let exact = authority.server(&["big.shop.example"]);
        let tls = [&first, &wildcard, &exact]
            .iter()
            .fold(TlsConfig::new(), |config, pem| {
                config.certificate_pem(pem.chain.as_bytes(), pem.key.as_bytes())
            })
            .load()
            .unwrap();
        let server = Server::start_tls(Config::default(), &tls, http(host_and_certificate)).await;
        let trusting = TlsClient::trusting_anything();
        for (host, expected) in [
            ("first.example", &first),
            ("other.example", &first),
            ("OTHER.example", &first),
            ("small.shop.example", &wildcard),
            ("big.shop.example", &exact),
            // A wildcard stands for exactly one label.
            ("a.big.shop.example", &first),
            ("shop.example", &first),
            ("unknown.example", &first),
            // For an address, the client sends no host name.
            ("127.0.0.1", &first),
        ] {
            let mut client = trusting.connect(&server, host).await;
            let shown = client.tls_session().peer_certificates().unwrap()[0].clone();
            assert!(shown == expected.der, "{host}");
            client.get("/").await;
            let body = client.expect_response(200).await.body;
            assert_eq!(body, normal(&expected.chain), "{host}");
        }
    });
}

/// PEM with line ends of LF.
fn normal(pem: &str) -> String {
    pem.replace("\r\n", "\n")
}

#[test]
fn the_newest_version_is_used_and_the_oldest_is_configurable() {
    run(async {
        let authority = Authority::new("a");
        let pem = authority.server(&["localhost"]);
        let server = |min_version| {
            let tls = super::config(&pem).min_version(min_version).load().unwrap();
            async move { Server::start_tls(Config::default(), &tls, echo_path()).await }
        };
        let any = server(TlsVersion::Tls12).await;
        let new = server(TlsVersion::Tls13).await;
        let old = TlsClient::with(&authority, &[&TLS12], None);
        let both = TlsClient::new(&authority);
        assert_eq!(old.get(&any, "localhost").await.unwrap(), "/");
        assert_eq!(both.get(&any, "localhost").await.unwrap(), "/");
        let client = both.connect(&any, "localhost").await;
        let version = client.tls_session().protocol_version().unwrap();
        assert_eq!(version, TLS13.version);
        assert_eq!(both.get(&new, "localhost").await.unwrap(), "/");
        let refused = old.get(&new, "localhost").await.unwrap_err().to_string();
        assert!(refused.contains("ProtocolVersion"), "{refused}");
    });
}

/// CORE-026, TLS-001, TLS-002, TLS-004, TLS-007
#[test]
fn the_scope_describes_the_tls_session() {
    run(async {
        let app = http(|mut http: Http| async move {
            let tls = http.scope.extensions.tls.clone().ok_or("no TLS")?;
            let text = format!(
                "{:?} {:?} {:?} {:?} {:?} {:?}",
                tls.version,
                tls.cipher_suite.map(|suite| suite >> 8),
                tls.server_name,
                tls.client_cert_chain,
                tls.client_cert_name,
                tls.client_cert_error,
            );
            http.respond(text).await
        });
        let secure = super::Secure::start_with(Config::default(), app).await;
        let response = secure.client().get(&secure.server, "localhost").await;
        assert_eq!(
            response.unwrap(),
            "Some(772) Some(19) Some(\"localhost\") [] None None"
        );
        let old = TlsClient::with(&secure.authority, &[&TLS12], None);
        let response = old.get(&secure.server, "localhost").await;
        assert_eq!(
            response.unwrap(),
            "Some(771) Some(192) Some(\"localhost\") [] None None"
        );
    });
}

#[test]
fn a_session_is_resumed() {
    run(async {
        let secure = super::Secure::start().await;
        for version in [&TLS12, &TLS13] {
            let client = TlsClient::with(&secure.authority, &[version], None);
            for expected in [
                rustls::HandshakeKind::Full,
                rustls::HandshakeKind::Resumed,
                rustls::HandshakeKind::Resumed,
            ] {
                let mut connection = client.connect(&secure.server, "localhost").await;
                // With TLS 1.3, the tickets follow the handshake.
                connection.get("/a").await;
                assert_eq!(connection.expect_response(200).await.body, "/a");
                let kind = connection.tls_session().handshake_kind();
                assert_eq!(kind, Some(expected), "{version:?}");
            }
        }
    });
}

#[test]
fn a_key_may_have_any_usual_format() {
    run(async {
        let authority = Authority::new("a");
        let sign = |key: &KeyPair| authority.sign(&server_params(&["localhost"]), key);
        let rsa = sign(&KeyPair::from_pem(RSA_PKCS8).unwrap());
        let p256 = sign(&KeyPair::generate().unwrap());
        let p384 = sign(&KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap());
        let ed25519 = sign(&KeyPair::generate_for(&PKCS_ED25519).unwrap());
        let pkcs1 = with_key(&rsa, "RSA PRIVATE KEY");
        let sec1_p256 = with_key(&p256, "EC PRIVATE KEY");
        let sec1_p384 = with_key(&p384, "EC PRIVATE KEY");
        for (what, pem) in [
            ("RSA, PKCS#8", rsa),
            ("P-256, PKCS#8", p256),
            ("P-384, PKCS#8", p384),
            ("Ed25519, PKCS#8", ed25519),
            ("RSA, PKCS#1", pkcs1),
            ("P-256, SEC1", sec1_p256),
            ("P-384, SEC1", sec1_p384),
        ] {
            // In one file, as some tools write them, and with line ends of CRLF.
            let both = format!("{}\n# the key\n{}", pem.key, pem.chain).replace('\n', "\r\n");
            let tls = TlsConfig::new().certificate_pem(both.as_bytes(), both.as_bytes());
            let tls = tls.load().unwrap_or_else(|error| panic!("{what}: {error}"));
            let server = Server::start_tls(Config::default(), &tls, echo_path()).await;
            let client = TlsClient::new(&authority);
            assert_eq!(
                client.get(&server, "localhost").await.unwrap(),
                "/",
                "{what}"
            );
        }
    });
}

/// The same certificate, with the key taken out of PKCS#8.
fn with_key(pem: &Pem, label: &str) -> Pem {
    let pkcs8 = PrivatePkcs8KeyDer::from_pem_slice(pem.key.as_bytes()).unwrap();
    // SEQUENCE { version, algorithm, OCTET STRING { the key } }
    let (whole, _) = content(pkcs8.secret_pkcs8_der());
    let (_, rest) = content(whole);
    let (_, rest) = content(rest);
    let (inner, _) = content(rest);
    let base64 = base64(inner);
    Pem {
        chain: pem.chain.clone(),
        key: format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----\n"),
        der: pem.der.clone(),
    }
}

/// The content of the first DER element, and the bytes after it.
fn content(der: &[u8]) -> (&[u8], &[u8]) {
    let (length, header) = match der[1] {
        0x82 => (usize::from(der[2]) << 8 | usize::from(der[3]), 4),
        0x81 => (usize::from(der[2]), 3),
        short => (usize::from(short), 2),
    };
    der[header..].split_at(length)
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for part in bytes.chunks(3) {
        let mut three = [0; 3];
        three[..part.len()].copy_from_slice(part);
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for place in 0..4 {
            text.push(match place <= part.len() {
                true => char::from(DIGITS[(bits >> (18 - 6 * place)) as usize & 63]),
                false => '=',
            });
        }
    }
    text
}

#[test]
fn an_invalid_configuration_has_a_one_line_error() {
    let authority = Authority::new("a");
    let one = authority.server(&["one.example"]);
    let two = authority.server(&["two.example"]);
    let load = |chain: &str, key: &str| {
        let config = TlsConfig::new().certificate_pem(chain, key);
        config.load().unwrap_err().to_string()
    };
    assert_eq!(
        TlsConfig::new().load().unwrap_err().to_string(),
        "found no certificate for TLS, expected at least one with its private key"
    );
    assert_eq!(
        load(&one.chain, &two.key),
        "the private key: the private key does not belong to the certificate in the certificate, \
         expected the key of that certificate; the server's certificate must come first in its file"
    );
    assert_eq!(
        load(&one.chain, &one.chain),
        "the private key: found no private key, expected PEM with the line \
         -----BEGIN PRIVATE KEY-----"
    );
    let damaged = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert!(load(&one.chain, damaged).contains("the private key is damaged or its type"));
    let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(load(damaged, &one.key).contains("found a certificate that cannot be used"));
    let config = super::config(&one).client_authorities_pem(authority.pem.as_bytes());
    assert!(
        config
            .load()
            .unwrap_err()
            .to_string()
            .contains("optional or required"),
        "authorities without a request for client certificates"
    );
}

#[test]
fn an_expired_certificate_is_a_warning() {
    run(async {
        let authority = Authority::new("a");
        let mut params = server_params(&["old.example"]);
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        let pem = authority.sign(&params, &KeyPair::generate().unwrap());
        super::tls(&pem);
        test_support::logs::expect_warning(&["old.example", "expired on 2021-01-01T00:00:00Z"]);
    });
}

#[test]
fn a_certificate_without_a_host_that_is_not_the_first_is_a_warning() {
    run(async {
        let authority = Authority::new("a");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "a, b");
        let pem = authority.sign(&params, &KeyPair::generate().unwrap());
        let named = authority.server(&["localhost"]);
        let add = |config: TlsConfig, pem: &Pem| {
            config.certificate_pem(pem.chain.as_bytes(), pem.key.as_bytes())
        };
        add(add(TlsConfig::new(), &named), &pem).load().unwrap();
        test_support::logs::expect_warning(&["no client will get", "a\\, b"]);
    });
}
