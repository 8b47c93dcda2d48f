//! The extractor for WebSockets, and the callback that it leaves for the app.

use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use asgi::{AppError, Receiver, Sender, WebSocketAccept};
use axum::Error;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::extract::ws::OnFailedUpgrade;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use tokio::sync::oneshot;

use super::websocket::{SocketOptions, WebSocket};

/// The largest message by default, as in axum: 64 MiB. The server's limit is usually smaller.
const MAX_MESSAGE_SIZE: usize = 64 << 20;

/// An extractor for WebSockets, with the methods of [`axum::extract::ws::WebSocketUpgrade`].
///
/// axum's own extractor works too. This one has no connection between the handler and the server, so
/// a message costs no second framing, and a socket needs no buffers of its own. To use it, change the
/// import; the messages are those of axum:
///
/// ```
/// use asgi_tower::axum::{WebSocket, WebSocketUpgrade};
/// use axum::extract::ws::Message;
/// use axum::{Router, response::Response, routing::any};
///
/// async fn handler(upgrade: WebSocketUpgrade) -> Response {
///     upgrade.protocols(["echo"]).on_upgrade(echo)
/// }
///
/// async fn echo(mut socket: WebSocket) {
///     while let Some(Ok(message @ Message::Text(_))) = socket.recv().await {
///         if socket.send(message).await.is_err() {
///             return;
///         }
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), asgi::AppError> {
/// let app = asgi_tower::app(Router::new().route("/ws", any(handler)));
/// let handshake = asgi_testing::Client::new(app).websocket("/ws").subprotocols(["echo"]);
/// let mut socket = handshake.connect().await?;
/// assert_eq!(socket.subprotocol(), Some("echo"));
/// socket.send_text("hello").await;
/// assert_eq!(socket.receive().await?, asgi::Message::text("hello"));
/// # Ok(()) }
/// ```
///
/// The methods of axum's extractor for buffers, frames and masks are missing: the server decides
/// about these.
///
/// The callback runs in the future of the app, and not in a task of its own. So if it panics, the
/// server logs that and closes with 1011.
#[must_use = "the handshake is denied unless the response of `on_upgrade` is returned"]
pub struct WebSocketUpgrade<F = fn(Error)> {
    handshake: OpenHandshake,
    offered: Vec<HeaderValue>,
    options: SocketOptions,
    on_failed_upgrade: F,
}

impl<F> WebSocketUpgrade<F> {
    /// Sets the largest message that the socket receives, in bytes. Default: 64 MiB.
    ///
    /// A larger one closes the socket with 1009, and the stream ends with an error. The server
    /// has a limit of its own, which comes first if it is smaller.
    pub fn max_message_size(mut self, max: usize) -> Self {
        self.options.max_message_size = max;
        self
    }

    /// Chooses the first of `protocols` that the client offers.
    pub fn protocols<I>(mut self, protocols: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Cow<'static, str>>,
    {
        let mut protocols = protocols.into_iter().map(Into::into);
        self.options.protocol = protocols.find_map(|name: Cow<'static, str>| {
            let offered = self.offered.iter();
            let mut found = offered.filter(|one| one.as_bytes() == name.as_bytes());
            found.next().cloned()
        });
        self
    }

    /// Returns the subprotocols that the client offers, in its order of preference.
    pub fn requested_protocols(&self) -> impl Iterator<Item = &HeaderValue> {
        self.offered.iter()
    }

    /// Chooses a subprotocol. If the client does not offer it, the handshake fails.
    pub fn set_selected_protocol(&mut self, protocol: HeaderValue) {
        self.options.protocol = Some(protocol);
    }

    /// Returns the chosen subprotocol, if any.
    pub fn selected_protocol(&self) -> Option<&HeaderValue> {
        self.options.protocol.as_ref()
    }

    /// Sets a callback for a handshake that fails, for example because the client has left.
    ///
    /// Default: nothing.
    pub fn on_failed_upgrade<C: OnFailedUpgrade>(self, callback: C) -> WebSocketUpgrade<C> {
        WebSocketUpgrade {
            handshake: self.handshake,
            offered: self.offered,
            options: self.options,
            on_failed_upgrade: callback,
        }
    }

    /// Accepts the handshake, and calls `callback` with the socket.
    ///
    /// The handler must return the response. A middleware may add headers to it, or deny the
    /// handshake with another response.
    #[must_use = "to open the WebSocket, return this response"]
    pub fn on_upgrade<C, Fut>(self, callback: C) -> Response
    where
        C: FnOnce(WebSocket) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
        F: OnFailedUpgrade,
    {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        if let Some(protocol) = &self.options.protocol {
            let headers = response.headers_mut();
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol.clone());
        }
        let (options, on_failed_upgrade) = (self.options, self.on_failed_upgrade);
        self.handshake.set(move |mut receive, mut send, accept| {
            Box::pin(async move {
                // The first event is `websocket.connect`, or a disconnect, which comes again.
                let _ = receive.receive().await;
                if let Err(error) = send.send(accept).await {
                    on_failed_upgrade.call(Error::new(error.clone()));
                    return Err(error.into());
                }
                let (open, closed) = oneshot::channel();
                callback(WebSocket::new(receive, send, options, open)).await;
                // The handler may have given the socket to another task. An error says that the
                // socket has been dropped.
                let _ = closed.await;
                Ok(())
            })
        });
        response
    }
}

impl<S: Send + Sync> FromRequestParts<S> for WebSocketUpgrade {
    type Rejection = WebSocketUpgradeRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let Some(handshake) = parts.extensions.remove::<OpenHandshake>() else {
            return Err(WebSocketUpgradeRejection(()));
        };
        let names = parts.headers.get_all(header::SEC_WEBSOCKET_PROTOCOL);
        let names = names
            .iter()
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        let names = names.filter_map(|name| HeaderValue::from_bytes(name.trim_ascii()).ok());
        Ok(Self {
            handshake,
            offered: names.collect(),
            options: SocketOptions {
                protocol: None,
                max_message_size: MAX_MESSAGE_SIZE,
            },
            on_failed_upgrade: |_| {},
        })
    }
}

impl<F> fmt::Debug for WebSocketUpgrade<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketUpgrade")
            .field("offered", &self.offered)
            .field("protocol", &self.options.protocol)
            .finish_non_exhaustive()
    }
}

/// The answer to a request that is no handshake of a WebSocket: 400.
///
/// The extractor also rejects every request if the router does not run in [`asgi_tower::app`](crate::app()).
#[derive(Debug)]
pub struct WebSocketUpgradeRejection(());

impl fmt::Display for WebSocketUpgradeRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request is not a WebSocket handshake that asgi-tower has passed on")
    }
}

impl std::error::Error for WebSocketUpgradeRejection {}

impl IntoResponse for WebSocketUpgradeRejection {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, self.to_string()).into_response()
    }
}

type AppResult = Pin<Box<dyn Future<Output = Result<(), AppError>> + Send>>;

/// What runs after the response of `on_upgrade` has come back through all middleware.
pub(super) type AcceptedHandshake =
    Box<dyn FnOnce(Receiver, Sender, WebSocketAccept) -> AppResult + Send>;

/// A handshake that no handler has accepted, in the extensions of its request.
#[derive(Clone, Default)]
pub(super) struct OpenHandshake(Arc<Mutex<Option<AcceptedHandshake>>>);

impl OpenHandshake {
    fn set(
        &self,
        accepted: impl FnOnce(Receiver, Sender, WebSocketAccept) -> AppResult + Send + 'static,
    ) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(accepted));
    }

    /// Takes what the handler has left.
    pub(super) fn take(&self) -> Option<AcceptedHandshake> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
