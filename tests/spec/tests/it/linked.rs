//! The suite of the spec against this server.

use std::net::SocketAddr;
use std::time::Duration;

use asgi::DynApp;
use asgi_spec::{Grade, Results, ServerUnderTest, StatedLimit, Suite, SuiteTls};
use ferricorn::{Bind, ClientCertificates, Config, Handle, ServeError, Tls, TlsConfig};
use test_support::blocking::logged_runtime;
use test_support::certificates::Authority;
use test_support::logs::Log;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tracing::Level;

/// The limits of time of a server for [`LIMITED`].
const LIMIT: Duration = Duration::from_millis(1500);

/// How large a message such a server takes.
const MAX_MESSAGE_SIZE: usize = 1000;

/// The requirements whose cases need limits that a test states to the suite.
pub(crate) const LIMITED: &[&str] = &[
    "HTTP-047", "HTTP-048", "HTTP-074", "HTTP-075", "HTTP-076", "HTTP-077", "HTTP-084", "WS-017",
    "WS-032", "LIFE-007",
];

/// Tells a suite the limits of [`Linked::start_limited`].
pub(crate) fn limits(mut suite: Suite) -> Suite {
    for limit in [
        StatedLimit::HeadTimeout(LIMIT),
        StatedLimit::BodyTimeout(LIMIT),
        StatedLimit::WriteTimeout(LIMIT),
        StatedLimit::IdleTimeout(LIMIT),
        StatedLimit::DisconnectGrace(LIMIT),
        StatedLimit::StartupTimeout(LIMIT),
        StatedLimit::PingInterval(LIMIT),
        StatedLimit::MaxMessageSize(MAX_MESSAGE_SIZE),
    ] {
        suite = suite.limit(limit);
    }
    suite
}

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
        Self::start_with(app, None, Config::default())
    }

    pub(crate) fn start_tls(app: DynApp, tls: &Tls) -> Result<Self, String> {
        Self::start_with(app, Some(tls), Config::default())
    }

    /// Starts a server with [`limits`].
    pub(crate) fn start_limited(app: DynApp) -> Result<Self, String> {
        let mut config = Config::default();
        config.header_timeout = LIMIT;
        config.body_timeout = LIMIT;
        config.write_timeout = LIMIT;
        config.keep_alive_timeout = LIMIT;
        config.disconnect_grace = Some(LIMIT);
        config.startup_timeout = Some(LIMIT);
        config.ws_ping_interval = Some(LIMIT);
        config.ws_max_message_size = MAX_MESSAGE_SIZE;
        config.ws_max_frame_size = MAX_MESSAGE_SIZE;
        Self::start_with(app, None, config)
    }

    fn start_with(app: DynApp, tls: Option<&Tls>, config: Config) -> Result<Self, String> {
        let log = Log::default();
        let runtime = logged_runtime(&log);
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

    /// Runs a future in the runtime of the server.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
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
    let results = Suite::new(move |app| Linked::start_tls(app, &server))
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
    let results = Suite::new(move |app| Linked::start_tls(app, &server))
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

#[test]
fn the_server_keeps_its_limits() {
    let mut suite = limits(Suite::new(Linked::start_limited));
    for id in LIMITED {
        suite = suite.only(id);
    }
    let results = suite.run();
    // Some hold over several protocols.
    for one in results.iter() {
        assert_eq!(one.grade, Grade::Passed, "{}", one.requirement.id);
    }
    assert!(results.count("passed") >= LIMITED.len());
    results.assert();
}
