//! The whole run of a server: start the app, accept clients, let them finish, end the app.

use std::fmt;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use asgi::{Address, App, DynApp};
use rustix::io::Errno;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::{debug, warn};

use crate::config::Config;
use crate::connection;
use crate::counts::Counts;
use crate::error::{ServeError, ServeErrorKind};
use crate::handle::Handle;
use crate::lifecycle::{Lifecycle, Phase};
use crate::lifespan::Lifespan;
use crate::net::{AddressLimit, Listener};
use crate::server::Server;
use crate::tls::{self, Tls};

/// How long accepting pauses when the process has no file descriptor left. A connection has to end
/// first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long the server waits after the cut for connections and exchanges to end. All of them are cancelled
/// at once; only an app that blocks its thread takes longer.
const CUT_WAIT: Duration = Duration::from_millis(500);

/// Serves `app` on `listeners` until a [`Handle`] stops it.
///
/// Nothing happens before the future is polled. Poll it inside a tokio runtime with timers and I/O.
/// Dropping the future leaves the connections to the runtime; to stop them, use [`Handle::abort`].
///
/// # Errors
///
/// There is no listener, the app did not start or did not clean up, the app blocks a thread after the
/// graceful timeout, or the server was aborted.
pub fn serve(listeners: Vec<Listener>, app: impl App, config: Config) -> Serve {
    let lifecycle = Arc::new(Lifecycle::new());
    let counts = Arc::<Counts>::default();
    let addresses: Arc<[Address]> = listeners.iter().map(Listener::address).collect();
    let handle = Handle::new(
        Arc::clone(&lifecycle),
        Arc::clone(&counts),
        addresses,
        all_tls(&listeners).into(),
    );
    let running = run(
        listeners,
        DynApp::new(app),
        config,
        Arc::clone(&lifecycle),
        counts,
    );
    Serve {
        handle,
        future: Box::pin(async move {
            let result = running.await;
            lifecycle.advance(Phase::Ended);
            result
        }),
    }
}

async fn run(
    listeners: Vec<Listener>,
    app: DynApp,
    config: Config,
    lifecycle: Arc<Lifecycle>,
    counts: Arc<Counts>,
) -> Result<(), ServeError> {
    if listeners.is_empty() {
        return Err(ServeError::new(ServeErrorKind::NoListener));
    }
    let (graceful, shutdown) = (config.graceful_timeout, config.shutdown_timeout);

    let lifespan = Lifespan::start(&app);
    let state = tokio::select! {
        started = lifespan.started(config.startup_timeout) => started?,
        phase = lifecycle.until(Phase::Draining) => return stopped(phase),
    };

    if let Some(interval) = config.tls_check_interval {
        let tls = all_tls(&listeners);
        tokio::spawn(tls::watch(tls, interval, Arc::clone(&lifecycle)));
    }
    let server = Server::new(
        app,
        config,
        state,
        Arc::clone(&lifecycle),
        Arc::clone(&counts),
    );
    let accepting = accept_all(listeners, &Arc::new(server));
    lifecycle.advance(Phase::Serving);

    lifecycle.until(Phase::Draining).await;
    // A listener that closes may wait for the task of an app that blocks its thread.
    let drained = async {
        accepting.join_all().await;
        counts.until_idle().await;
    };
    tokio::select! {
        () = drained => {}
        () = deadline(graceful) => cut(&lifecycle, &counts),
        _ = lifecycle.until(Phase::Cut) => {}
    }
    let is_idle = tokio::time::timeout(CUT_WAIT, counts.until_idle()).await;

    // An app that blocks one thread still gets its shutdown on another one.
    let ended = tokio::select! {
        biased;
        phase = lifecycle.until(Phase::Aborted) => stopped(phase),
        ended = lifespan.shut_down(shutdown) => ended,
    };
    if is_idle.is_err() && !counts.is_idle() {
        return ended.and(Err(ServeError::new(ServeErrorKind::Unfinished)));
    }
    ended
}

/// The TLS of all listeners, each once.
fn all_tls(listeners: &[Listener]) -> Vec<Tls> {
    let mut all: Vec<Tls> = Vec::new();
    for tls in listeners.iter().filter_map(Listener::tls) {
        if !all.iter().any(|one| one.is_same(tls)) {
            all.push(tls.clone());
        }
    }
    all
}

fn stopped(phase: Phase) -> Result<(), ServeError> {
    match phase {
        Phase::Aborted => Err(ServeError::new(ServeErrorKind::Aborted)),
        _ => Ok(()),
    }
}

async fn deadline(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}

/// Cuts off what still runs.
fn cut(lifecycle: &Lifecycle, counts: &Counts) {
    let left = counts.statistics();
    warn!(
        connections = left.connections,
        exchanges = left.exchanges,
        "the graceful timeout is over: what still runs is cut off"
    );
    lifecycle.advance(Phase::Cut);
}

/// Accepts clients on every listener, until the drain begins.
fn accept_all(listeners: Vec<Listener>, server: &Arc<Server>) -> JoinSet<()> {
    let connection_permits = Arc::new(Semaphore::new(
        server.config().max_connections.min(Semaphore::MAX_PERMITS),
    ));
    let address_limit = server
        .config()
        .max_connections_per_address
        .map(AddressLimit::new);
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn(accept(
            listener,
            Arc::clone(server),
            Arc::clone(&connection_permits),
            address_limit.clone(),
        ));
    }
    accepting
}

async fn accept(
    listener: Listener,
    server: Arc<Server>,
    connection_permits: Arc<Semaphore>,
    address_limit: Option<Arc<AddressLimit>>,
) {
    let mut draining = pin!(server.until(Phase::Draining));
    loop {
        let next = async {
            // Without a permit, new connections wait in the backlog.
            let permit = Arc::clone(&connection_permits).acquire_owned().await;
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            biased;
            _ = &mut draining => break,
            next = next => next,
        };
        match accepted {
            Ok((socket, info)) => {
                let place = match &address_limit {
                    None => None,
                    Some(limit) => match limit.take(info.client.as_ref()) {
                        // Closed without an answer: the client has sent no request, and with TLS an
                        // answer would cost a handshake.
                        None => {
                            debug!(client = ?info.client, "too many connections of one address");
                            continue;
                        }
                        place => place,
                    },
                };
                connection::spawn(&server, socket, listener.tls(), info, (permit, place));
            }
            // The client left before the server accepted it.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                warn!(
                    "cannot accept a connection, next try in {ACCEPT_PAUSE:?}: {error}{}",
                    match Errno::from_io_error(&error) {
                        Some(Errno::MFILE) => "; raise the limit on open files (ulimit -n)",
                        _ => "",
                    }
                );
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    let address = listener.address();
    let tls = listener.tls().cloned();
    // Connections that the kernel has completed are served, even beyond the limit.
    listener
        .close(|socket, info| connection::spawn(&server, socket, tls.as_ref(), info, ()))
        .await;
    debug!(?address, "stopped listening");
}

/// A running server. It makes progress while this future is polled.
#[must_use = "a server does nothing unless it is awaited"]
pub struct Serve {
    handle: Handle,
    future: Pin<Box<dyn Future<Output = Result<(), ServeError>> + Send>>,
}

impl Serve {
    /// A handle that stops it.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl Future for Serve {
    type Output = Result<(), ServeError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.future.as_mut().poll(cx)
    }
}

impl fmt::Debug for Serve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve")
            .field("handle", &self.handle)
            .finish_non_exhaustive()
    }
}
