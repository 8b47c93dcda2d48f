//! TLS: handshakes, certificates, and HTTP/1.1 over TLS.

mod certificates;
mod clients;
mod connection;
mod reload;

use ferricorn::{Config, Tls, TlsConfig};

use test_support::Server;
use test_support::app::echo_path;
use test_support::certificates::{Authority, Pem};
use test_support::tls_client::TlsClient;

/// A server with one certificate for `localhost`, and the authority that issued it.
struct Secure {
    server: Server,
    authority: Authority,
}

impl Secure {
    /// Its app responds with the path.
    async fn start() -> Self {
        Self::start_with(Config::default(), echo_path()).await
    }

    async fn start_with(config: Config, app: impl asgi::App) -> Self {
        let authority = Authority::new("The authority");
        let tls = tls(&authority.server(&["localhost"]));
        let server = Server::start_tls(config, &tls, app).await;
        Self { server, authority }
    }

    fn client(&self) -> TlsClient {
        TlsClient::new(&self.authority)
    }

    #[track_caller]
    fn connect(&self) -> impl Future<Output = test_support::Client> + use<> {
        self.client().connect(&self.server, "localhost")
    }
}

/// TLS with one certificate.
pub(crate) fn tls(pem: &Pem) -> Tls {
    config(pem).load().unwrap()
}

fn config(pem: &Pem) -> TlsConfig {
    TlsConfig::new().certificate_pem(pem.chain.as_bytes(), pem.key.as_bytes())
}
