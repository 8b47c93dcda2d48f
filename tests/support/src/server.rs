//! A server inside the runtime of its test.

use std::cell::RefCell;
use std::net::SocketAddr;

use asgi::App;
use ferricorn::{Bind, Config, Handle, Listener, ServeError, Tls};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::raw::Client;
use crate::{eventually, within};

/// A server, by default on a free port of 127.0.0.1.
///
/// Dropping it aborts the server. At its end the test checks that the server has ended.
pub struct Server {
    address: Option<SocketAddr>,
    handle: Handle,
    serving: Option<JoinHandle<Result<(), ServeError>>>,
}

thread_local! {
    /// Dropped servers that must still end.
    static STOPPED: RefCell<Vec<JoinHandle<Result<(), ServeError>>>> = const { RefCell::new(Vec::new()) };
}

impl Server {
    /// Starts a server with the default settings.
    #[track_caller]
    pub fn start(app: impl App) -> impl Future<Output = Self> {
        Self::start_with(Config::default(), app)
    }

    /// Starts a server and waits until it accepts connections.
    #[track_caller]
    pub fn start_with(config: Config, app: impl App) -> impl Future<Output = Self> {
        Self::start_unready(config, app).until_ready()
    }

    /// Starts a server and does not wait.
    pub fn start_unready(config: Config, app: impl App) -> Self {
        let listener = "127.0.0.1:0"
            .parse::<Bind>()
            .unwrap()
            .listen(&config)
            .unwrap();
        Self::start_on(listener, config, app)
    }

    /// Starts a server that speaks TLS, and waits until it accepts connections.
    #[track_caller]
    pub fn start_tls(config: Config, tls: &Tls, app: impl App) -> impl Future<Output = Self> {
        let listener = "127.0.0.1:0".parse::<Bind>().unwrap();
        let listener = listener.listen(&config).unwrap().with_tls(tls).unwrap();
        Self::start_on(listener, config, app).until_ready()
    }

    /// Starts a server on any kind of socket, and waits until it accepts connections. A Unix socket has no
    /// [`address`](Self::address).
    #[track_caller]
    pub fn start_bound(bind: &Bind, config: Config, app: impl App) -> impl Future<Output = Self> {
        let listener = bind.listen(&config).unwrap();
        Self::start_on(listener, config, app).until_ready()
    }

    fn start_on(listener: Listener, config: Config, app: impl App) -> Self {
        let address = listener.address().as_ip();
        let serve = ferricorn::serve(vec![listener], app, config);
        let handle = serve.handle();
        let serving = Some(tokio::spawn(serve));
        Self {
            address,
            handle,
            serving,
        }
    }

    #[track_caller]
    pub(crate) fn until_ready(self) -> impl Future<Output = Self> {
        let ready = self.handle();
        let ready = within("the server to be ready", async move { ready.ready().await });
        async move {
            assert!(ready.await, "the server ended before it was ready");
            self
        }
    }

    /// The address that the server listens on.
    #[track_caller]
    pub fn address(&self) -> SocketAddr {
        self.address.expect("the server has an IP address")
    }

    /// The server's handle.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Waits until this many exchanges run.
    #[track_caller]
    pub fn wait_for_exchanges(&self, count: usize) -> impl Future<Output = ()> + use<> {
        let handle = self.handle();
        eventually(format!("{count} exchanges run"), move || {
            handle.statistics().exchanges == count
        })
    }

    /// Waits until this many connections are open.
    #[track_caller]
    pub fn wait_for_connections(&self, count: usize) -> impl Future<Output = ()> + use<> {
        let handle = self.handle();
        eventually(format!("{count} connections are open"), move || {
            handle.statistics().connections == count
        })
    }

    /// A client that has connected.
    #[track_caller]
    pub fn connect(&self) -> impl Future<Output = Client> + use<> {
        let connecting = within("a connection", TcpStream::connect(self.address()));
        async move { Client::tcp(connecting.await.unwrap()) }
    }

    /// Waits until the server has ended by itself.
    #[track_caller]
    pub fn ended(mut self) -> impl Future<Output = Result<(), ServeError>> {
        let serving = self.serving.take().unwrap();
        let ended = within("the end of the server", serving);
        async move { ended.await.expect("the server does not panic") }
    }

    /// Drains the server and waits until it has ended.
    #[track_caller]
    pub fn stop(self) -> impl Future<Output = ()> {
        self.handle.drain();
        let ended = self.ended();
        async move { ended.await.expect("the server ends without an error") }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(serving) = self.serving.take() {
            self.handle.abort();
            STOPPED.with_borrow_mut(|stopped| stopped.push(serving));
        }
    }
}

/// Waits for all servers that this thread has dropped.
pub(crate) async fn expect_clean_ends() {
    for serving in STOPPED.take() {
        let result = within("a server to stop", serving).await;
        expect_clean_end(result.expect("the server does not panic"));
    }
}

/// Panics unless the server has ended without an error or after an abort.
#[track_caller]
pub(crate) fn expect_clean_end(result: Result<(), ServeError>) {
    match result {
        Ok(()) => {}
        Err(error) if error.is_aborted() => {}
        Err(error) => panic!("the server did not end cleanly: {error}"),
    }
}
