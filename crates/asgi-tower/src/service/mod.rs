//! An app as a tower service.

mod exchange;
mod response;
mod scope;
#[cfg(feature = "axum")]
mod websocket;

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use asgi::{App, DynApp, State};
use asgi_rules::LifespanFailure;
use asgi_rules::exchange::LifespanExchange;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

pub use self::response::{AppBody, IncompleteResponse};

/// How long an app may continue after its client has left or has the whole response, by default.
/// It is the server's own default.
const GRACE: Duration = Duration::from_secs(30);

/// Makes a tower service of an app, to nest it in an axum router or to serve it with hyper.
///
/// Call [`startup`](AppService::startup) before the first request and [`shutdown`](AppService::shutdown)
/// after the last one, if the app needs its lifespan. All clones of the service share it.
///
/// - Each call runs the app in a task of its own, so the service needs tokio. If the host drops the
///   response, the app learns that its client is gone. It may continue for 30 s
///   ([`with_grace`](AppService::with_grace)).
/// - Bodies stream in both directions. The app waits if the client does not read.
/// - The app gets trailers, and may send them if the request has `te: trailers`. On HTTP/1.1,
///   hyper sends them only if the response also has a `trailer` header.
/// - An app that fails before its response is answered with 500. If it fails later, the body fails,
///   and hyper breaks the response off. Each fault is logged once, with `tracing`.
///
/// A host cannot do everything that a server does, so this is missing from the scope:
///
/// - Early hints, push, files by path or descriptor, and TLS properties are not offered.
/// - WebSockets need the feature `axum`, and a host that offers hyper's upgrade. Otherwise a handshake is
///   an HTTP request like any other. A handshake can be accepted, or denied with 403, and not with a
///   response of the app's own. There are no pings, no compression and no drain: the host does not
///   know of the socket any more. A message of a client has 16 MiB at most.
/// - `client` is the [`asgi::Address`] in the extensions of the request. With the feature `axum`, it
///   also is the address in axum's `ConnectInfo<SocketAddr>`. `server` is unknown.
/// - `scheme` comes from the URI, so it is `http` on HTTP/1.1, also over TLS.
/// - `root_path` is what an axum router has stripped (feature `axum`). Otherwise it is empty.
///
/// ```
/// # #[cfg(feature = "axum")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use asgi::{AppError, HttpResponseStart, Receiver, Scope, Sender};
/// use axum::{Router, body::Body, routing::get};
/// use http::Request;
/// use tower::ServiceExt;
///
/// async fn app(scope: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
///     let Scope::Http(http) = scope else {
///         return Err(AppError::unsupported(&scope));
///     };
///     let text = format!("{} below {}", http.local_path(), http.root_path);
///     Ok(send.respond(HttpResponseStart::ok(), text).await?)
/// }
///
/// let service = asgi_tower::service(app);
/// service.startup().await?;
/// let router = Router::new()
///     .route("/", get(async || "axum"))
///     .nest_service("/asgi", service.clone());
/// // Here a program calls `axum::serve(listener, router).await?`.
/// let response = router.oneshot(Request::get("/asgi/page").body(Body::empty())?).await?;
/// let body = axum::body::to_bytes(response.into_body(), 1024).await?;
/// assert_eq!(body, "/page below /asgi");
/// service.shutdown().await?;
/// # Ok(()) }
/// # #[cfg(not(feature = "axum"))]
/// # fn main() {}
/// ```
pub fn service(app: impl App) -> AppService {
    AppService {
        shared: Arc::new(SharedService {
            app: DynApp::new(app),
            state: OnceLock::new(),
            lifespan: Mutex::new(None),
        }),
        grace: GRACE,
    }
}

/// An app as a tower service. [`service`] returns it.
///
/// A clone is cheap and refers to the same app.
#[derive(Clone)]
pub struct AppService {
    shared: Arc<SharedService>,
    grace: Duration,
}

struct SharedService {
    app: DynApp,
    /// What the app has made at startup.
    state: OnceLock<State>,
    /// It runs from `startup` to `shutdown`.
    lifespan: Mutex<Option<LifespanExchange>>,
}

impl AppService {
    /// Sets how long the app may continue after the host has dropped or finished its response.
    /// Default: 30 s.
    #[must_use]
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Starts the app, and keeps its state for each request. An app without a lifespan starts at once.
    ///
    /// The lifespan of the app runs in a task until [`shutdown`](Self::shutdown). A second call does
    /// nothing.
    ///
    /// # Errors
    ///
    /// Returns why the app must not serve. (LIFE-006, LIFE-010)
    pub async fn startup(&self) -> Result<(), LifespanFailure> {
        let lifespan = {
            let mut running = self.lifespan();
            if running.is_some() {
                return Ok(());
            }
            let (lifespan, app) = LifespanExchange::start(&self.shared.app);
            tokio::spawn(run_lifespan(lifespan.clone(), app));
            *running = Some(lifespan.clone());
            lifespan
        };
        let state = lifespan.started().await?;
        // It is empty: the lifespan starts once.
        let _ = self.shared.state.set(state);
        Ok(())
    }

    /// Asks the app to clean up, and waits until it has. Call this after the last request.
    ///
    /// Without a [`startup`](Self::startup) before it, this does nothing.
    ///
    /// # Errors
    ///
    /// Returns why the app could not clean up. (LIFE-014, LIFE-016)
    pub async fn shutdown(&self) -> Result<(), LifespanFailure> {
        let lifespan = self.lifespan().clone();
        match lifespan {
            Some(lifespan) => lifespan.stop().await,
            None => Ok(()),
        }
    }

    fn lifespan(&self) -> std::sync::MutexGuard<'_, Option<LifespanExchange>> {
        let lifespan = self.shared.lifespan.lock();
        lifespan.unwrap_or_else(PoisonError::into_inner)
    }
}

async fn run_lifespan(lifespan: LifespanExchange, app: asgi_rules::exchange::RunningApp) {
    let (fault, outcome) = lifespan.run(app).await;
    if let Some(fault) = fault {
        tracing::error!("lifespan: {}", outcome.describe(fault));
    }
}

impl<B> Service<Request<B>> for AppService
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<AppBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<AppBody>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let state = self.shared.state.get().cloned().unwrap_or_default();
        #[cfg(feature = "axum")]
        let (mut parts, body) = request.into_parts();
        #[cfg(not(feature = "axum"))]
        let (parts, body) = request.into_parts();
        #[cfg(feature = "axum")]
        if let Some(handshake) = websocket::HostHandshake::take(&mut parts) {
            let scope = scope::http_scope(parts, state, true);
            let app = self.shared.app.clone();
            let serving = websocket::serve(app, scope, handshake, self.grace);
            return Box::pin(async move { Ok(serving.await) });
        }
        let scope = scope::http_scope(parts, state, body.is_end_stream());
        let started = exchange::start(&self.shared.app, scope, body, self.grace);
        Box::pin(async move { Ok(started.into_response().await) })
    }
}

impl fmt::Debug for AppService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppService")
            .field("grace", &self.grace)
            .finish_non_exhaustive()
    }
}
