//! A service that is made when the server starts.

use std::error::Error;
use std::fmt;
use std::sync::OnceLock;

use asgi::{
    App, AppError, LifespanShutdownComplete, LifespanStartupComplete, LifespanStartupFailed,
    ReceiveEvent, Receiver, Scope, Sender,
};
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::{TowerApp, TowerBody, app};

/// Makes an app of a tower service that `make` makes when the server starts.
///
/// This is for what an axum program does in its `main` before it serves, such as connecting to a
/// database. If `make` fails, the server does not start and prints the error.
///
/// ```
/// # #[cfg(feature = "axum")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), asgi::AppError> {
/// use axum::{Router, extract::State, routing::get};
///
/// # #[derive(Clone)]
/// # struct Pool;
/// # impl Pool {
/// #     async fn connect(_: &str) -> Result<Self, std::io::Error> { Ok(Self) }
/// #     fn name(&self) -> &'static str { "todos" }
/// # }
/// async fn name(State(pool): State<Pool>) -> &'static str {
///     pool.name()
/// }
///
/// async fn make() -> Result<Router, asgi::AppError> {
///     let pool = Pool::connect("postgres://localhost/todos").await?;
///     Ok(Router::new().route("/", get(name)).with_state(pool))
/// }
///
/// let app = asgi_tower::at_startup(make);
/// let client = asgi_testing::Client::new(app).startup().await?;
/// assert_eq!(client.get("/").await?.text(), "todos");
/// client.shutdown().await?;
/// # Ok(()) }
/// # #[cfg(not(feature = "axum"))]
/// # fn main() {}
/// ```
pub fn at_startup<F, Fut, S, E, B>(make: F) -> StartupApp<F, S>
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<S, E>> + Send,
    E: Into<AppError>,
    S: Service<Request<TowerBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    S::Future: Send,
    B: Body + Send,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    StartupApp {
        make,
        app: OnceLock::new(),
    }
}

/// A tower service that is made when the server starts. [`at_startup`] returns it.
pub struct StartupApp<F, S> {
    make: F,
    app: OnceLock<TowerApp<S>>,
}

impl<F, Fut, S, E, B> App for StartupApp<F, S>
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<S, E>> + Send,
    E: Into<AppError>,
    S: Service<Request<TowerBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    S::Future: Send,
    B: Body + Send,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    async fn call(
        &self,
        scope: Scope,
        mut receive: Receiver,
        mut send: Sender,
    ) -> Result<(), AppError> {
        if !matches!(scope, Scope::Lifespan(_)) {
            let app = self.app.get().ok_or("the server did not start the app")?;
            return app.call(scope, receive, send).await;
        }
        while !matches!(receive.receive().await, ReceiveEvent::LifespanStartup(_)) {}
        match (self.make)().await.map_err(Into::into) {
            // A second startup keeps the first service.
            Ok(service) => drop(self.app.set(app(service))),
            Err(error) => {
                let error: AppError = error;
                let message = error.chain().to_string();
                return Ok(send.send(LifespanStartupFailed::new(message)).await?);
            }
        }
        send.send(LifespanStartupComplete::new()).await?;
        while !matches!(receive.receive().await, ReceiveEvent::LifespanShutdown(_)) {}
        Ok(send.send(LifespanShutdownComplete::new()).await?)
    }
}

impl<F, S> fmt::Debug for StartupApp<F, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartupApp").finish_non_exhaustive()
    }
}
