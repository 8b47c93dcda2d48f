//! Handles for early hints and server push, in the extensions of a request.

use std::sync::Arc;

use asgi::{
    Closed, Extension, Extensions, HttpResponseEarlyHint, HttpResponsePush, SendError, SendEvent,
    Sender,
};
use http::HeaderValue;
use http::uri::PathAndQuery;
use tokio::sync::Mutex;

/// Sends early hints: 103 responses with `link` headers (RFC 8297).
///
/// A request has this handle in its extensions if its connection supports early hints. Ferricorn
/// supports them on HTTP/2. A handler of axum takes it as `Option<Extension<EarlyHints>>`.
///
/// The handle works until the service has returned its response.
///
/// ```
/// # #[cfg(feature = "axum")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), asgi::AppError> {
/// use asgi_tower::EarlyHints;
/// use axum::{Extension, Router, routing::get};
/// use http::HeaderValue;
///
/// async fn page(hints: Option<Extension<EarlyHints>>) -> &'static str {
///     if let Some(Extension(hints)) = hints {
///         let link = HeaderValue::from_static("</style.css>; rel=preload; as=style");
///         // It fails if the client is gone, and then there is nothing to hint at.
///         let _ = hints.send([link]).await;
///     }
///     // A slow query here.
///     "<link rel=stylesheet href=/style.css>"
/// }
///
/// let client = asgi_testing::Client::new(asgi_tower::app(Router::new().route("/", get(page))));
/// let response = client.get("/").await?;
/// assert_eq!(response.early_hints().len(), 1);
/// # Ok(()) }
/// # #[cfg(not(feature = "axum"))]
/// # fn main() {}
/// ```
#[derive(Debug, Clone)]
pub struct EarlyHints(SharedSender);

impl EarlyHints {
    /// Sends one 103 response with these values of the `link` header (RFC 8288).
    ///
    /// # Errors
    ///
    /// Returns an error if the client is gone, or if the service has returned its response
    /// ([`SendError::is_over`]).
    pub async fn send(
        &self,
        links: impl IntoIterator<Item = HeaderValue>,
    ) -> Result<(), SendError> {
        self.0.send(HttpResponseEarlyHint::new(links)).await
    }
}

/// Pushes responses that the client has not asked for (RFC 9113 §8.4).
///
/// A request has this handle in its extensions if its connection supports push: HTTP/2, with a
/// client that accepts pushes. Browsers do not. The server calls the service again for each push.
///
/// The handle works until the service has returned its response.
#[derive(Debug, Clone)]
pub struct ServerPush(SharedSender);

impl ServerPush {
    /// Promises the response to a GET of `path`, which includes the root path.
    ///
    /// # Errors
    ///
    /// Returns an error if the client is gone, if it takes no more pushes
    /// ([`SendError::is_refused`]), or if the service has returned its response
    /// ([`SendError::is_over`]).
    pub async fn push(&self, path: PathAndQuery) -> Result<(), SendError> {
        self.push_request(HttpResponsePush::new(path)).await
    }

    /// [`push`](Self::push) with headers for the promised request.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`push`](Self::push).
    pub async fn push_request(&self, request: HttpResponsePush) -> Result<(), SendError> {
        self.0.send(request).await
    }
}

/// The sender of an exchange, until the service has returned its response.
#[derive(Debug, Clone)]
struct SharedSender(Arc<Mutex<Option<Sender>>>);

impl SharedSender {
    async fn send(&self, event: impl Into<SendEvent>) -> Result<(), SendError> {
        match &mut *self.0.lock().await {
            Some(send) => send.send(event).await,
            None => Err(SendError::over()),
        }
    }
}

/// The sender while the service works: alone, or shared with handles.
pub(crate) enum WaitingSender {
    Own(Sender),
    Shared(SharedHandle),
}

/// The sender that handles share, and the close of its client.
pub(crate) struct SharedHandle {
    send: SharedSender,
    closed: Closed,
}

impl WaitingSender {
    /// Puts the handles that the connection supports into the extensions of the request.
    pub(crate) fn offer(send: Sender, supported: &Extensions, to: &mut http::Extensions) -> Self {
        let hints = supported.has(Extension::EarlyHint);
        let push = supported.has(Extension::Push);
        if !hints && !push {
            return Self::Own(send);
        }
        let closed = send.closed_handle();
        let send = SharedSender(Arc::new(Mutex::new(Some(send))));
        if hints {
            to.insert(EarlyHints(send.clone()));
        }
        if push {
            to.insert(ServerPush(send.clone()));
        }
        Self::Shared(SharedHandle { send, closed })
    }

    /// Waits until the client has left. Call it once.
    pub(crate) async fn closed(&mut self) -> asgi::DisconnectReason {
        match self {
            Self::Own(send) => send.closed().await,
            Self::Shared(shared) => (&mut shared.closed).await,
        }
    }

    /// Takes the sender from the handles. `None` is impossible: only this takes it.
    pub(crate) async fn into_sender(self) -> Option<Sender> {
        match self {
            Self::Own(send) => Some(send),
            Self::Shared(shared) => shared.send.0.lock().await.take(),
        }
    }
}
