//! Client certificates.

use ferricorn::{ClientCertificates, Config};
use rcgen::KeyPair;
use rustls::version::{TLS12, TLS13};

use test_support::certificates::{Authority, Pem, client_params};
use test_support::tls_client::TlsClient;
use test_support::{Http, Server, http, logs, run};

/// A server that asks for client certificates, and some certificates.
struct Asking {
    server: Server,
    authority: Authority,
    valid: Pem,
    revoked: Pem,
    expired: Pem,
    stranger: Pem,
}

impl Asking {
    async fn start(client_certificates: ClientCertificates) -> Self {
        let authority = Authority::new("a");
        let tls = super::config(&authority.server(&["localhost"]))
            .client_certificates(client_certificates)
            .client_authorities_pem(authority.pem.as_bytes())
            .revocation_list_pem(authority.revocations(&[2]))
            .load()
            .unwrap();
        let app = http(|mut http: Http| async move {
            let tls = http.scope.extensions.tls.clone().ok_or("no TLS")?;
            let name = tls.client_cert_name.clone().unwrap_or_default();
            let chain = tls.client_cert_chain.concat();
            let error = tls.client_cert_error.clone().unwrap_or_default();
            http.respond(format!("{name}\n{chain}{error}")).await
        });
        let sign = |serial, change: fn(&mut rcgen::CertificateParams)| {
            let mut params = client_params("Ann, or Bob", serial);
            change(&mut params);
            authority.sign(&params, &KeyPair::generate().unwrap())
        };
        Self {
            valid: sign(1, |_| {}),
            revoked: sign(2, |_| {}),
            expired: sign(3, |params| {
                params.not_before = rcgen::date_time_ymd(2020, 1, 1);
                params.not_after = rcgen::date_time_ymd(2021, 1, 1);
            }),
            stranger: Authority::new("b").client("Eve"),
            server: Server::start_tls(Config::default(), &tls, app).await,
            authority,
        }
    }

    /// The response to a client with this certificate. Checks that both versions of TLS agree.
    async fn get(&self, certificate: Option<&Pem>) -> Result<String, String> {
        let mut answers = Vec::new();
        for version in [&TLS13, &TLS12] {
            let client = TlsClient::with(&self.authority, &[version], certificate);
            let answer = client.get(&self.server, "localhost").await;
            answers.push(answer.map_err(|error| error.to_string()));
        }
        assert_eq!(answers[0].is_ok(), answers[1].is_ok(), "{answers:?}");
        answers.swap_remove(0)
    }

    /// Checks that the app gets the name and the chain of the valid certificate.
    async fn expect_valid_certificate(&self) {
        let body = self.get(Some(&self.valid)).await;
        assert_eq!(body.unwrap(), Self::expected_body(&self.valid));
    }

    /// Checks that the client gets this alert.
    async fn expect_alert(&self, certificate: Option<&Pem>, alert: &str) {
        let error = self.get(certificate).await.unwrap_err();
        assert!(error.contains(alert), "{error}");
    }

    fn expected_body(pem: &Pem) -> String {
        format!("CN=Ann\\, or Bob,O=Rust\\, Inc.\n{}", pem.chain).replace("\r\n", "\n")
    }
}

#[test]
fn a_required_certificate_must_be_present_and_valid() {
    run(async {
        let asking = Asking::start(ClientCertificates::Required).await;
        asking.expect_valid_certificate().await;
        asking.expect_alert(None, "CertificateRequired").await;
        asking
            .expect_alert(Some(&asking.expired), "CertificateExpired")
            .await;
        asking
            .expect_alert(Some(&asking.revoked), "CertificateRevoked")
            .await;
        asking
            .expect_alert(Some(&asking.stranger), "UnknownCA")
            .await;
        logs::expect_no_warnings();
    });
}

#[test]
fn an_optional_certificate_may_be_missing_but_not_invalid() {
    run(async {
        let asking = Asking::start(ClientCertificates::Optional).await;
        assert_eq!(asking.get(None).await.unwrap(), "\n");
        asking.expect_valid_certificate().await;
        asking
            .expect_alert(Some(&asking.revoked), "CertificateRevoked")
            .await;
        asking
            .expect_alert(Some(&asking.stranger), "UnknownCA")
            .await;
    });
}

#[test]
fn a_resumed_session_keeps_its_client_certificate() {
    run(async {
        let asking = Asking::start(ClientCertificates::Required).await;
        let client = TlsClient::with(&asking.authority, &[&TLS13], Some(&asking.valid));
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let mut connection = client.connect(&asking.server, "localhost").await;
            connection.get("/").await;
            let body = connection.expect_response(200).await.body;
            assert_eq!(body, Asking::expected_body(&asking.valid));
            kinds.extend(connection.tls_session().handshake_kind());
        }
        assert_eq!(kinds[1], rustls::HandshakeKind::Resumed);
    });
}

/// TLS-005, TLS-006, TLS-007
#[test]
fn the_scope_has_the_error_of_an_unverified_certificate() {
    run(async {
        let asking = Asking::start(ClientCertificates::DangerouslyUnverified).await;
        assert_eq!(asking.get(None).await.unwrap(), "\n");
        asking.expect_valid_certificate().await;
        for (pem, error) in [
            (&asking.revoked, "invalid peer certificate: Revoked"),
            (&asking.stranger, "invalid peer certificate: UnknownIssuer"),
        ] {
            let body = asking.get(Some(pem)).await.unwrap();
            assert!(body.contains("BEGIN CERTIFICATE"), "{body}");
            assert!(body.ends_with(error), "{body}");
        }
    });
}
