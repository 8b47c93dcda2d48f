//! A server's whole life: start the app, let clients in, let them finish, end the app.

use std::fmt;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use asgi::{Address, App, DynApp};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::{debug, warn};

use crate::error::ServeErrorKind;
use crate::lifespan::Lifespan;
use crate::server::{Counts, Lifecycle, Phase, Server};
use crate::{Config, Handle, Listener, ServeError, Tls, connection, tls};

/// How long accepting pauses when the process has no file descriptor left: some connection has to
/// end first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `app` on `listeners` until a [`Handle`] says otherwise.
///
/// Nothing happens before the future is polled, inside a tokio runtime with its timers and its
/// I/O. Dropping the future leaves the connections to the runtime; to stop them, use
/// [`Handle::abort`].
///
/// # Errors
///
/// There is no listener, the app did not start, did not clean up, or the server was stopped at once.
pub fn serve(listeners: Vec<Listener>, app: impl App, config: Config) -> Serve {
    let life = Arc::new(Lifecycle::new());
    let counts = Arc::<Counts>::default();
    let addresses: Arc<[Address]> = listeners.iter().map(Listener::address).collect();
    let handle = Handle::new(
        Arc::clone(&life),
        Arc::clone(&counts),
        addresses,
        all_tls(&listeners).into(),
    );
    let whole_life = whole_life(
        listeners,
        DynApp::new(app),
        config,
        Arc::clone(&life),
        counts,
    );
    Serve {
        handle,
        future: Box::pin(async move {
            let result = whole_life.await;
            life.advance(Phase::Ended);
            result
        }),
    }
}

async fn whole_life(
    listeners: Vec<Listener>,
    app: DynApp,
    config: Config,
    life: Arc<Lifecycle>,
    counts: Arc<Counts>,
) -> Result<(), ServeError> {
    if listeners.is_empty() {
        return Err(ServeError::new(ServeErrorKind::NoListener));
    }
    let (graceful, shutdown) = (config.graceful_timeout, config.shutdown_timeout);

    let lifespan = Lifespan::start(&app);
    let state = tokio::select! {
        started = lifespan.started(config.startup_timeout) => started?,
        phase = life.until(Phase::Draining) => return stopped(phase),
    };

    if let Some(interval) = config.tls_check_interval {
        let tls = all_tls(&listeners);
        tokio::spawn(tls::watch(tls, interval, Arc::clone(&life)));
    }
    let server = Server::new(app, config, state, Arc::clone(&life), Arc::clone(&counts));
    let accepting = accept_all(listeners, &Arc::new(server));
    life.advance(Phase::Serving);

    life.until(Phase::Draining).await;
    accepting.join_all().await;
    tokio::select! {
        () = counts.until_idle() => {}
        () = deadline(graceful) => cut(&life, &counts),
        _ = life.until(Phase::Cut) => {}
    }
    counts.until_idle().await;

    tokio::select! {
        biased;
        phase = life.until(Phase::Aborted) => stopped(phase),
        ended = lifespan.shut_down(shutdown) => ended,
    }
}

/// What the listeners speak TLS with, each once.
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

/// What has not ended by now is ended.
fn cut(life: &Lifecycle, counts: &Counts) {
    let left = counts.statistics();
    warn!(
        connections = left.connections,
        exchanges = left.exchanges,
        "the graceful timeout is over: what still runs is cut off"
    );
    life.advance(Phase::Cut);
}

/// Lets clients in on every listener, until the drain begins.
fn accept_all(listeners: Vec<Listener>, server: &Arc<Server>) -> JoinSet<()> {
    let connection_permits = Arc::new(Semaphore::new(
        server.config().max_connections.min(Semaphore::MAX_PERMITS),
    ));
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn(accept(
            listener,
            Arc::clone(server),
            Arc::clone(&connection_permits),
        ));
    }
    accepting
}

async fn accept(listener: Listener, server: Arc<Server>, connection_permits: Arc<Semaphore>) {
    let mut draining = pin!(server.until(Phase::Draining));
    loop {
        let next = async {
            // With none left, newcomers wait in the backlog.
            let permit = Arc::clone(&connection_permits).acquire_owned().await;
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            biased;
            _ = &mut draining => break,
            next = next => next,
        };
        match accepted {
            Ok((socket, ends)) => {
                connection::spawn(&server, socket, listener.tls(), ends, permit);
            }
            // The client was gone before it was let in.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                warn!("cannot accept a connection, next try in {ACCEPT_PAUSE:?}: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    let address = listener.address();
    let tls = listener.tls().cloned();
    // Whoever was let in by the kernel before is served, beyond the limit if need be.
    listener
        .close(|socket, ends| connection::spawn(&server, socket, tls.as_ref(), ends, ()))
        .await;
    debug!(?address, "stopped listening");
}

/// A server's life; it goes on while this is polled.
#[must_use = "a server does nothing unless it is awaited"]
pub struct Serve {
    handle: Handle,
    future: Pin<Box<dyn Future<Output = Result<(), ServeError>> + Send>>,
}

impl Serve {
    /// A handle to stop it with.
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
