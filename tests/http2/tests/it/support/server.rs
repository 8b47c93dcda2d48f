//! A server in the test's own process, on threads and with a log of its own.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::time::Duration;

use asgi::App;
use ferricorn::{Bind, Config, Handle, ServeError};
use http2::{LIMIT, Peer};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tracing::subscriber::DefaultGuard;

use super::log::Log;

thread_local! {
    static LOG: RefCell<Option<DefaultGuard>> = const { RefCell::new(None) };
}

/// A running server. A test that drops it without a failure also holds these: it ends when it is
/// told to, nothing of it stays behind, and nothing was logged as an error but what was expected.
pub struct Server {
    address: SocketAddr,
    handle: Handle,
    log: Log,
    expected_errors: Cell<usize>,
    serving: Option<JoinHandle<Result<(), ServeError>>>,
    runtime: Option<Runtime>,
}

impl Server {
    pub fn start(app: impl App) -> Self {
        Self::start_with(Config::default(), app)
    }

    /// Starts a server with what `set` changes of the defaults.
    pub fn start_set(set: impl FnOnce(&mut Config), app: impl App) -> Self {
        let mut config = Config::default();
        set(&mut config);
        Self::start_with(config, app)
    }

    pub fn start_with(config: Config, app: impl App) -> Self {
        let log = Log::default();
        let dispatch = log.dispatch();
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .on_thread_start(move || {
                let guard = tracing::dispatcher::set_default(&dispatch);
                LOG.set(Some(guard));
            })
            .build()
            .unwrap();
        let inside = runtime.enter();
        let listener = "127.0.0.1:0"
            .parse::<Bind>()
            .unwrap()
            .listen(&config)
            .unwrap();
        let address = listener.address().as_ip().unwrap();
        let serve = ferricorn::serve(vec![listener], app, config);
        let handle = serve.handle();
        let serving = runtime.spawn(serve);
        drop(inside);
        let ready = handle.clone();
        assert!(runtime.block_on(async move { ready.ready().await }));
        Self {
            address,
            handle,
            log,
            expected_errors: Cell::new(0),
            serving: Some(serving),
            runtime: Some(runtime),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A peer that has settled with the server.
    #[track_caller]
    pub fn connect(&self) -> Peer {
        Peer::connect(self.address)
    }

    /// As [`connect`](Self::connect), with these settings of the client's.
    #[track_caller]
    pub fn connect_with(&self, settings: &[(u16, u32)]) -> Peer {
        Peer::connect_with(self.address, settings)
    }

    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The next error of the log says all of `words`.
    #[track_caller]
    pub fn expect_error(&self, words: &[&str]) {
        let seen = self.expected_errors.get();
        super::eventually("an error is logged", || self.log.errors().len() > seen);
        let error = &self.log.errors()[seen];
        for word in words {
            assert!(error.contains(word), "no {word:?} in {error:?}");
        }
        self.expected_errors.set(seen + 1);
    }

    /// Waits until the server has ended by itself.
    #[track_caller]
    pub fn expect_end(mut self) {
        self.end().expect("the server ends well");
    }

    #[track_caller]
    fn end(&mut self) -> Result<(), ServeError> {
        let (Some(runtime), Some(serving)) = (self.runtime.take(), self.serving.take()) else {
            return Ok(());
        };
        let ended = runtime.block_on(async { tokio::time::timeout(LIMIT, serving).await });
        runtime.shutdown_timeout(Duration::from_secs(1));
        let errors = self.log.errors();
        let unexpected = &errors[self.expected_errors.get()..];
        assert!(unexpected.is_empty(), "logged as errors: {unexpected:#?}");
        ended
            .expect("the server ends in time")
            .expect("the server does not panic")
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
        match self.end() {
            Ok(()) => {}
            Err(error) if error.is_aborted() => {}
            Err(error) => panic!("the server did not end cleanly: {error}"),
        }
    }
}
