//! A tower service as an app.

use std::error::Error;
use std::fmt;

use asgi::{App, AppError, HttpScope, Receiver, Scope, Sender};
use asgi_util::{into_request, send_response};
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::TowerBody;
use crate::call::call_while_connected;
use crate::hints::WaitingSender;

/// Makes an app of a tower service.
///
/// The service is cloned for each request, and `poll_ready` and `call` of that clone are called. To box
/// a service, use `tower::util::BoxCloneSyncService`: `BoxCloneService` is not `Sync`.
///
/// - The request has an [`asgi_util::RequestContext`] in its extensions. With the feature `axum`, it
///   also has axum's `ConnectInfo<SocketAddr>` if the client has an IP address. If the connection
///   supports it, it has [`EarlyHints`](crate::EarlyHints) and [`ServerPush`](crate::ServerPush).
/// - The URI has a path and a query, and no authority, in every version of HTTP. The `host` header
///   is always there.
/// - If the client leaves, the future of the service is dropped, and so is the body of its response.
/// - The app has no lifespan. [`asgi_util::lifespan`] adds one, and [`at_startup`](crate::at_startup())
///   makes the service when the server starts.
/// - WebSockets need the feature `axum`, see [`asgi_tower::axum`](crate::axum). Without it, the server
///   refuses them.
///
/// If the service returns an error, the server logs it and answers 500. If the body of the response
/// fails, the server logs it and breaks the response off.
///
/// ```
/// use std::convert::Infallible;
/// use asgi_tower::TowerBody;
/// use http::{Request, Response};
/// use http_body_util::Full;
///
/// async fn hello(request: Request<TowerBody>) -> Result<Response<Full<&'static [u8]>>, Infallible> {
///     Ok(Response::new(Full::new(b"Hello")))
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), asgi::AppError> {
/// let app = asgi_tower::app(tower::service_fn(hello));
/// let response = asgi_testing::Client::new(app).get("/").await?;
/// assert_eq!(response.text(), "Hello");
/// # Ok(()) }
/// ```
pub fn app<S, B>(service: S) -> TowerApp<S>
where
    S: Service<Request<TowerBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    S::Future: Send,
    B: Body + Send,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    TowerApp(service)
}

/// A tower service as an app. [`app`] returns it.
#[derive(Clone)]
pub struct TowerApp<S>(S);

impl<S, B> App for TowerApp<S>
where
    S: Service<Request<TowerBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    S::Future: Send,
    B: Body + Send,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    async fn call(&self, scope: Scope, receive: Receiver, send: Sender) -> Result<(), AppError> {
        match scope {
            Scope::Http(http) => self.http(*http, receive, send).await,
            #[cfg(feature = "axum")]
            Scope::WebSocket(websocket) => {
                crate::axum::serve(self.0.clone(), *websocket, receive, send).await
            }
            other => Err(AppError::unsupported(&other)),
        }
    }
}

impl<S, B> TowerApp<S>
where
    S: Service<Request<TowerBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    S::Future: Send,
    B: Body + Send,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    async fn http(
        &self,
        scope: HttpScope,
        receive: Receiver,
        send: Sender,
    ) -> Result<(), AppError> {
        let extensions = scope.extensions.clone();
        #[cfg(feature = "axum")]
        let client = scope.client.clone();
        let mut request = into_request(scope, receive).map(TowerBody::from);
        #[cfg(feature = "axum")]
        crate::axum::insert_connect_info(&mut request, client.as_ref());
        let mut send = WaitingSender::offer(send, &extensions, request.extensions_mut());
        let service = self.0.clone();
        let Some(response) = call_while_connected(service, request, send.closed()).await? else {
            return Ok(());
        };
        let mut send = send.into_sender().await.ok_or("the sender is gone")?;
        Ok(send_response(&mut send, &extensions, response).await?)
    }
}

impl<S> fmt::Debug for TowerApp<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TowerApp").finish_non_exhaustive()
    }
}
