//! The suite of the spec against this server.

use std::net::SocketAddr;
use std::time::Duration;

use asgi::DynApp;
use asgi_spec::{ServerUnderTest, StatedLimit, Suite};
use ferricorn::{Bind, Config, Handle, ServeError};
use test_support::blocking::logged_runtime;
use test_support::logs::Log;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tracing::Level;

/// The limits of time of a server for [`LIMITED`].
const LIMIT: Duration = Duration::from_millis(1500);

/// How large a message such a server takes.
const MAX_MESSAGE_SIZE: usize = 1000;

/// The requirements whose cases need limits that the suite is told.
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
        Self::start_with(app, Config::default())
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
        Self::start_with(app, config)
    }

    fn start_with(app: DynApp, config: Config) -> Result<Self, String> {
        let log = Log::default();
        let runtime = logged_runtime(&log);
        let inside = runtime.enter();
        let bind: Bind = "127.0.0.1:0".parse().unwrap();
        let listener = bind.listen(&config).unwrap();
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
    results.assert();
}

#[test]
fn the_server_keeps_its_limits() {
    let mut suite = limits(Suite::new(Linked::start_limited));
    for id in LIMITED {
        suite = suite.only(id);
    }
    let results = suite.run();
    assert_eq!(results.count("passed"), LIMITED.len());
    results.assert();
}
