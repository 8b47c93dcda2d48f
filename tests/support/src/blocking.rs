//! A server for tests that are plain functions: it runs on threads of its own, with its own log.

use std::net::SocketAddr;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use asgi::App;
use ferricorn::{Config, Handle, ServeError};
use tokio::runtime::{Builder, Runtime};

use crate::logs::{self, Log};
use crate::{LIMIT, server};

/// A runtime whose threads write into `log`.
pub fn logged_runtime(log: &Log) -> Runtime {
    let log = log.clone();
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .on_thread_start(move || logs::install(&log))
        .build()
        .unwrap()
}

/// A running server on a free port of 127.0.0.1.
///
/// Dropping it aborts the server. If the test has not failed, the drop also checks that the server
/// ends, and that the test has expected every logged error.
pub struct Server {
    server: Option<server::Server>,
    runtime: Option<Runtime>,
    address: SocketAddr,
    handle: Handle,
    log: Log,
}

impl Server {
    /// Starts a server with the default settings.
    pub fn start(app: impl App) -> Self {
        Self::start_with(Config::default(), app)
    }

    /// Starts a server with the default settings as `set` changes them.
    pub fn start_set(set: impl FnOnce(&mut Config), app: impl App) -> Self {
        let mut config = Config::default();
        set(&mut config);
        Self::start_with(config, app)
    }

    /// Starts a server and waits until it accepts connections.
    pub fn start_with(config: Config, app: impl App) -> Self {
        let log = Log::default();
        let runtime = logged_runtime(&log);
        let inside = runtime.enter();
        let server = server::Server::start_unready(config, app);
        drop(inside);
        let server = runtime.block_on(server.until_ready());
        Self {
            address: server.address(),
            handle: server.handle(),
            log,
            server: Some(server),
            runtime: Some(runtime),
        }
    }

    /// The address that the server listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The server's handle.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Waits until this many exchanges run.
    #[track_caller]
    pub fn wait_for_exchanges(&self, count: usize) {
        let handle = self.handle();
        eventually(&format!("{count} exchanges run"), || {
            handle.statistics().exchanges == count
        });
    }

    /// Waits until this many connections are open.
    #[track_caller]
    pub fn wait_for_connections(&self, count: usize) {
        let handle = self.handle();
        eventually(&format!("{count} connections are open"), || {
            handle.statistics().connections == count
        });
    }

    /// What the server has logged.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Waits for the next error in the log, which must contain all of `words`.
    #[track_caller]
    pub fn expect_error(&self, words: &[&str]) {
        eventually("an error is logged", || {
            !self.log.unexpected_errors().is_empty()
        });
        self.log.expect_next_error(words);
    }

    /// Waits until the server has ended by itself.
    #[track_caller]
    pub fn expect_end(mut self) {
        self.end().expect("the server ends without an error");
    }

    #[track_caller]
    fn end(&mut self) -> Result<(), ServeError> {
        let (Some(runtime), Some(server)) = (self.runtime.take(), self.server.take()) else {
            return Ok(());
        };
        let result = runtime.block_on(server.ended());
        runtime.shutdown_timeout(Duration::from_secs(1));
        self.log.expect_no_more_errors();
        result
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.handle.abort();
        if std::thread::panicking() {
            if let Some(runtime) = self.runtime.take() {
                runtime.shutdown_background();
            }
            return;
        }
        server::expect_clean_end(self.end());
    }
}

/// Polls `condition` until it is true, at most for [`LIMIT`].
///
/// For conditions that no event reports.
#[track_caller]
pub fn eventually(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < LIMIT, "waited {LIMIT:?} until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits for the next value that an app sends to its test.
#[track_caller]
pub fn next_report<T>(reports: &Receiver<T>) -> T {
    match reports.recv_timeout(LIMIT) {
        Ok(report) => report,
        Err(error) => panic!("the app sent no report: {error}"),
    }
}
