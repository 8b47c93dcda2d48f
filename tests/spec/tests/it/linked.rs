//! The suite of the spec against this server.

use std::net::SocketAddr;

use asgi::DynApp;
use asgi_spec::{Grade, Results, ServerUnderTest, Suite, SuiteTls};
use ferricorn::{Bind, ClientCertificates, Config, Handle, ServeError, Tls, TlsConfig};
use test_support::blocking::logged_runtime;
use test_support::certificates::Authority;
use test_support::logs::Log;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tracing::Level;

/// A server with a runtime and a log of its own.
pub(crate) struct Linked {
    address: SocketAddr,
    handle: Handle,
    serving: JoinHandle<Result<(), ServeError>>,
    runtime: Runtime,
    log: Log,
}

impl Linked {
    pub(crate) fn start(app: DynApp) -> Result<Self, String> {
        Self::start_with(app, None)
    }

    pub(crate) fn start_with(app: DynApp, tls: Option<&Tls>) -> Result<Self, String> {
        let log = Log::default();
        let runtime = logged_runtime(&log);
        let config = Config::default();
        let inside = runtime.enter();
        let bind: Bind = "127.0.0.1:0".parse().unwrap();
        let mut listener = bind.listen(&config).unwrap();
        if let Some(tls) = tls {
            listener = listener.with_tls(tls).unwrap();
        }
        let address = listener.address().as_ip().unwrap();
        let serve = ferricorn::serve(vec![listener], app, config);
        let handle = serve.handle();
        let serving = tokio::spawn(serve);
        drop(inside);
        if !runtime.block_on(handle.ready()) {
            let ended = runtime.block_on(serving).unwrap();
            runtime.shutdown_background();
            return Err(told(&ended.unwrap_err()));
        }
        Ok(Self {
            address,
            handle,
            serving,
            runtime,
            log,
        })
    }
}

/// An error and its causes, as the command prints them.
fn told(error: &ServeError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

impl ServerUnderTest for Linked {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn stop(self: Box<Self>) -> Option<Result<(), String>> {
        self.handle.drain();
        let ended = self.runtime.block_on(self.serving).unwrap();
        self.runtime.shutdown_background();
        Some(ended.map_err(|error| told(&error)))
    }

    fn log(&self) -> Option<String> {
        let lines = self.log.lines(|line| line.level <= Level::INFO);
        let lines = lines.iter();
        Some(
            lines
                .map(|line| format!("{} {}\n", line.level, line.text))
                .collect(),
        )
    }
}

#[test]
fn the_server_passes_the_suite_of_the_spec() {
    let results = Suite::new(Linked::start).run();
    assert!(results.count("passed") > 80, "{}", results.count("passed"));
    // Each of the cases for exchanges runs over both.
    for transport in ["http1", "http2", "websocket", "websocket-http2"] {
        let passed = passed_over(&results, transport);
        assert!(passed > 30, "{passed} over {transport}");
    }
    results.assert();
}

fn passed_over(results: &Results, transport: &str) -> usize {
    let over = results.iter().filter(|one| one.transport == transport);
    over.filter(|one| one.grade == Grade::Passed).count()
}

/// TLS of a server that asks for certificates, and of clients that have a valid one and another.
pub(crate) fn test_tls(asks: ClientCertificates) -> (Tls, SuiteTls) {
    let authority = Authority::new("authority");
    let server = authority.server(&["localhost"]);
    let client = authority.client("alice");
    let stranger = Authority::new("another").client("mallory");
    let tls = TlsConfig::new()
        .certificate_pem(server.chain, server.key)
        .client_certificates(asks)
        .client_authorities_pem(authority.pem)
        .load()
        .unwrap();
    let clients = SuiteTls::new()
        .server_name("localhost")
        .client_certificate(&client.chain, &client.key, "CN=alice,O=Rust\\, Inc.")
        .invalid_client_certificate(&stranger.chain, &stranger.key);
    (tls, clients)
}

#[test]
fn a_server_that_lets_invalid_certificates_in_says_so() {
    let (server, clients) = test_tls(ClientCertificates::DangerouslyUnverified);
    let results = Suite::new(move |app| Linked::start_with(app, Some(&server)))
        .tls(clients)
        .only("TLS-00*")
        .run();
    for one in results.iter() {
        assert_eq!(one.grade, Grade::Passed, "{}", one.requirement.id);
    }
    results.assert();
}

#[test]
fn the_server_passes_the_suite_over_tls() {
    let (server, clients) = test_tls(ClientCertificates::Optional);
    let results = Suite::new(move |app| Linked::start_with(app, Some(&server)))
        .tls(clients)
        .http2(true)
        .run();
    for one in results
        .iter()
        .filter(|one| one.requirement.chapter == "tls")
    {
        assert_eq!(one.grade, Grade::Passed, "{}", one.requirement.id);
    }
    for transport in ["http1-tls", "http2-tls"] {
        let passed = passed_over(&results, transport);
        assert!(passed > 80, "{passed} over {transport}");
    }
    results.assert();
}
