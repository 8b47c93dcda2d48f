//! A bridge for axum, and an app for it.
//!
//! A router of axum runs unchanged: its handlers do not know `asgi`.

mod app;
mod websocket;

use asgi::{Address, App, AppError, HttpScope, Receiver, Scope, Sender};
use asgi_util::{into_request, send_response};
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::Request;
use tower::ServiceExt;

pub use self::app::app;

/// A router of axum as an app.
struct Axum(Router);

impl App for Axum {
    async fn call(&self, scope: Scope, receive: Receiver, send: Sender) -> Result<(), AppError> {
        match scope {
            Scope::Http(http) => self.http(*http, receive, send).await,
            Scope::WebSocket(socket) => self.websocket(*socket, receive, send).await,
            other => Err(AppError::unsupported(&other)),
        }
    }
}

impl Axum {
    async fn http(
        &self,
        scope: HttpScope,
        receive: Receiver,
        mut send: Sender,
    ) -> Result<(), AppError> {
        let extensions = scope.extensions.clone();
        let client = scope.client.clone();
        let mut request = into_request(scope, receive).map(Body::new);
        set_peer(&mut request, client.as_ref());
        // As on axum's own server, the handler is dropped when its client leaves.
        let closed = send.closed_handle();
        let left = async {
            if !closed.await.is_gone() {
                std::future::pending::<()>().await;
            }
        };
        let response = tokio::select! {
            response = self.0.clone().oneshot(request) => response?,
            () = left => return Ok(()),
        };
        Ok(send_response(&mut send, &extensions, response).await?)
    }
}

/// Tells the extractor `ConnectInfo` who the client is.
fn set_peer<B>(request: &mut Request<B>, client: Option<&Address>) {
    if let Some(peer) = client.and_then(Address::as_ip) {
        request.extensions_mut().insert(ConnectInfo(peer));
    }
}
