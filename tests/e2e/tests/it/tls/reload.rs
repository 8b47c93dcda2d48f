//! Certificates that change while the server runs.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ferricorn::{ClientCertificates, Config, Tls, TlsConfig};
use rustls::version::TLS13;
use tempfile::TempDir;
use tokio::sync::oneshot;

use test_support::app::echo_path;
use test_support::certificates::{Authority, Pem};
use test_support::tls_client::TlsClient;
use test_support::{Server, eventually, logs, run, within};

/// A certificate and its key in files.
struct Files(TempDir);

impl Files {
    fn new(pem: &Pem) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.put(pem);
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Replaces each file by a rename, as most tools do.
    fn put(&self, pem: &Pem) {
        for (name, text) in [("cert.pem", &pem.chain), ("key.pem", &pem.key)] {
            fs::write(self.path("new"), text).unwrap();
            fs::rename(self.path("new"), self.path(name)).unwrap();
        }
    }

    fn config(&self) -> TlsConfig {
        TlsConfig::new().certificate_files(self.path("cert.pem"), self.path("key.pem"))
    }

    /// Starts a server with this certificate. Its app responds with the path.
    async fn serve(&self, config: Config) -> (Tls, Server) {
        let tls = self.config().load().unwrap();
        let server = Server::start_tls(config, &tls, echo_path()).await;
        (tls, server)
    }
}

/// Without checks of the files: only `reload_tls` reloads them.
fn unwatched() -> Config {
    let mut config = Config::default();
    config.tls_check_interval = None;
    config
}

async fn certificate_of(
    client: &TlsClient,
    server: &Server,
) -> rustls::pki_types::CertificateDer<'static> {
    let connection = client.connect(server, "localhost").await;
    connection.tls_session().peer_certificates().unwrap()[0].clone()
}

#[test]
fn new_handshakes_use_the_new_certificate_and_open_connections_continue() {
    run(async {
        let authority = Authority::new("a");
        let (old, new) = (
            authority.server(&["localhost", "old.example"]),
            authority.server(&["localhost", "new.example"]),
        );
        let files = Files::new(&old);
        let (_, server) = files.serve(unwatched()).await;
        let client = TlsClient::new(&authority);
        let mut open = client.connect(&server, "localhost").await;
        files.put(&new);
        assert!(certificate_of(&TlsClient::new(&authority), &server).await == old.der);
        assert!(server.handle().reload_tls().unwrap());
        logs::expect_info(&["certificates reloaded", "new.example", "(until "]);
        assert!(certificate_of(&TlsClient::new(&authority), &server).await == new.der);
        open.get("/x").await;
        assert_eq!(open.expect_response(200).await.body, "/x");
    });
}

#[test]
fn an_invalid_file_keeps_the_old_certificate() {
    run(async {
        let authority = Authority::new("a");
        let old = authority.server(&["localhost"]);
        let files = Files::new(&old);
        let (_, server) = files.serve(unwatched()).await;
        let other = authority.server(&["localhost"]);
        for (name, text, why) in [
            ("cert.pem", "", "found no certificate"),
            (
                "cert.pem",
                &*other.chain,
                "does not belong to the certificate",
            ),
            ("cert.pem", &old.chain[..200], "malformed PEM"),
        ] {
            fs::write(files.path(name), text).unwrap();
            let error = server.handle().reload_tls().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
            logs::expect_error(&["the old ones stay in use", why]);
            assert!(certificate_of(&TlsClient::new(&authority), &server).await == old.der);
        }
        fs::remove_file(files.path("key.pem")).unwrap();
        fs::write(files.path("cert.pem"), &old.chain).unwrap();
        assert!(server.handle().reload_tls().unwrap_err().is_io());
        logs::expect_error(&["key.pem cannot be read"]);
        files.put(&old);
        assert!(server.handle().reload_tls().unwrap());
    });
}

#[test]
fn a_reload_does_not_wait_for_a_file_that_is_not_regular() {
    run(async {
        let authority = Authority::new("a");
        let old = authority.server(&["localhost"]);
        let files = Files::new(&old);
        let (tls, server) = files.serve(unwatched()).await;
        let certificate = files.path("cert.pem");
        let reload = async |why: &str| {
            let (sender, receiver) = oneshot::channel();
            let tls = tls.clone();
            // This once blocked forever, and with it the task that handles signals.
            std::thread::spawn(move || sender.send(tls.reload()));
            let reloaded = within("the reload", receiver).await.unwrap();
            let error = reloaded.unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
            assert!(certificate_of(&TlsClient::new(&authority), &server).await == old.der);
        };
        let large = fs::File::create(&certificate).unwrap();
        large.set_len(1 << 30).unwrap();
        reload("larger than 16 MiB").await;
        fs::remove_file(&certificate).unwrap();
        let pipe = Command::new("mkfifo").arg(&certificate).status().unwrap();
        assert!(pipe.success());
        reload("not a regular file").await;
    });
}

#[test]
fn the_server_notices_changed_files() {
    run(async {
        let authority = Authority::new("a");
        let files = Files::new(&authority.server(&["localhost"]));
        let mut config = Config::default();
        config.tls_check_interval = Some(Duration::from_millis(20));
        let (_, server) = files.serve(config).await;
        let new = authority.server(&["localhost"]);
        // Between the two changes, certificate and key do not match. The server must not log that.
        fs::write(files.path("cert.pem"), &new.chain).unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        fs::write(files.path("key.pem"), &new.key).unwrap();
        eventually("the reload", || logs::has_info("certificates reloaded")).await;
        assert!(certificate_of(&TlsClient::new(&authority), &server).await == new.der);
        fs::write(files.path("cert.pem"), "broken").unwrap();
        eventually("the error", || !logs::unexpected_errors().is_empty()).await;
        logs::expect_error(&["found no certificate"]);
        assert!(certificate_of(&TlsClient::new(&authority), &server).await == new.der);
        // The server logs the error once, not at each check.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(logs::unexpected_errors().len(), 0);
    });
}

#[test]
fn no_request_fails_while_certificates_are_replaced() {
    run(async {
        let authority = Authority::new("a");
        let files = Files::new(&authority.server(&["localhost"]));
        let (_, server) = files.serve(unwatched()).await;
        let stop = Arc::new(AtomicBool::new(false));
        let served = Arc::new(AtomicUsize::new(0));
        let clients = (0..4).map(|_| {
            let client = TlsClient::new(&authority);
            let (address, stop, served) =
                (server.address(), Arc::clone(&stop), Arc::clone(&served));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    assert_eq!(client.get_from(address, "localhost").await.unwrap(), "/");
                    served.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        let clients: Vec<_> = clients.collect();
        for round in 1..=10 {
            files.put(&authority.server(&["localhost"]));
            server.handle().reload_tls().unwrap();
            eventually("the requests are served", || {
                served.load(Ordering::Relaxed) >= 10 * round
            })
            .await;
        }
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.await.unwrap();
        }
    });
}

#[test]
fn a_session_survives_a_reload_unless_the_server_asks_for_client_certificates() {
    run(async {
        let authority = Authority::new("a");
        let files = Files::new(&authority.server(&["localhost"]));
        let valid = authority.client("Ann");
        let asking = files
            .config()
            .client_certificates(ClientCertificates::Optional)
            .client_authorities_pem(authority.pem.as_bytes());
        for (config, expected) in [
            (files.config(), rustls::HandshakeKind::Resumed),
            // With an old ticket, a client could use a certificate that the new list revokes.
            (asking, rustls::HandshakeKind::Full),
        ] {
            let tls = config.load().unwrap();
            let server = Server::start_tls(unwatched(), &tls, echo_path()).await;
            let client = TlsClient::with(&authority, &[&TLS13], Some(&valid));
            assert_eq!(client.get(&server, "localhost").await.unwrap(), "/");
            tls.reload().unwrap();
            let connection = client.connect(&server, "localhost").await;
            assert_eq!(connection.tls_session().handshake_kind(), Some(expected));
        }
    });
}
