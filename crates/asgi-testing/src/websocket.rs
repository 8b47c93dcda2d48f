//! A WebSocket from the client's side.

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use asgi::{AppError, DisconnectReason, Extension, Message, Text, WebSocketClose, WebSocketScope};
use asgi_rules::exchange::WebSocketExchange;
use asgi_rules::{
    AppEnd, Fault, WebSocketEnding, WebSocketRules, WebSocketVerdict, WebSocketWireEvent,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::lifespan::LifespanTask;
use crate::request::{add_header, default_headers, local, parse_target};
use crate::response::ResponseRecord;
use crate::wake::AppTask;
use crate::{Broken, Client, Response};

/// A WebSocket before it is opened. [`Client::websocket`] returns it.
#[derive(Debug)]
#[must_use = "a handshake does nothing until `connect` is called"]
pub struct Handshake {
    client: Client,
    scope: WebSocketScope,
}

impl Handshake {
    #[track_caller]
    pub(crate) fn new(client: Client, target: &str) -> Self {
        let mut scope = WebSocketScope::new(parse_target(target));
        scope.root_path = client.root_path.clone();
        scope.headers = default_headers();
        scope.client = Some(local(50_000));
        scope.server = Some(local(80));
        scope.state = client.state.clone();
        if client.extensions.has(Extension::WebSocketHttpResponse) {
            scope.extensions = scope.extensions.with(Extension::WebSocketHttpResponse);
        }
        scope.extensions.tls = client.extensions.tls.clone();
        Self { client, scope }
    }

    /// Offers subprotocols, in order of preference.
    pub fn subprotocols<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.scope.subprotocols = names.into_iter().map(Into::into).collect();
        self
    }

    /// Adds a header. Headers with the same name stay, but a `host` replaces the default one.
    ///
    /// # Panics
    ///
    /// Panics if `name` or `value` is not valid in a header.
    #[track_caller]
    pub fn header<K, V>(mut self, name: K, value: V) -> Self
    where
        HeaderName: TryFrom<K>,
        HeaderValue: TryFrom<V>,
    {
        add_header(&mut self.scope.headers, name, value);
        self
    }

    /// Changes the scope, for everything that has no method here.
    pub fn scope(mut self, change: impl FnOnce(&mut WebSocketScope)) -> Self {
        change(&mut self.scope);
        self
    }

    /// Opens the WebSocket. This waits until the app accepts.
    ///
    /// # Errors
    ///
    /// Returns an error if the app denied the handshake or ended without an answer.
    pub async fn connect(self) -> Result<WebSocket, Denied> {
        let rules = WebSocketRules::new(
            self.scope.subprotocols.clone(),
            self.scope.extensions.clone(),
        );
        let exchange = WebSocketExchange::new(rules);
        let (receive, send) = exchange.halves();
        let future = self.client.app.start(self.scope.into(), receive, send);
        let mut socket = WebSocket {
            exchange,
            app: Some(AppTask::new(future)),
            app_error: None,
            verdict: None,
            lifespan: self.client.lifespan,
            subprotocol: None,
            headers: HeaderMap::new(),
            closed: None,
        };
        let mut denial = ResponseRecord::default();
        while let Some(event) = poll_fn(|cx| socket.poll_wire(cx)).await {
            match event {
                WebSocketWireEvent::Accept(accept) => {
                    socket.subprotocol = accept.subprotocol;
                    socket.headers = accept.headers;
                    return Ok(socket);
                }
                WebSocketWireEvent::Denial(event) => denial.add(event),
                _ => {}
            }
        }
        if let Some(verdict) = socket.verdict {
            if verdict.ending == WebSocketEnding::ServerError {
                let status = match verdict.fault {
                    Some(Fault::Unsupported) => StatusCode::FORBIDDEN,
                    _ => StatusCode::INTERNAL_SERVER_ERROR,
                };
                denial.head = Some((status, HeaderMap::new()));
                denial.complete = true;
            }
            denial.fault = verdict.fault;
        }
        denial.app_error = socket.app_error.take();
        Err(Denied(denial.into_response()))
    }
}

/// The error of a handshake that the app did not accept.
#[derive(Debug)]
pub struct Denied(Result<Response, Broken>);

impl Denied {
    /// Returns the status.
    ///
    /// It is 403 if the app closed before the accept or does not know WebSockets, and 500 if the app
    /// ended without an answer.
    /// Otherwise it is the status of the app's own response, or `None` if that has no head.
    pub fn status(&self) -> Option<StatusCode> {
        match &self.0 {
            Ok(response) => Some(response.status()),
            Err(broken) => broken.status(),
        }
    }

    /// Returns the response that denied the handshake.
    ///
    /// # Errors
    ///
    /// Returns an error if the app did not finish the response.
    pub fn response(&self) -> Result<&Response, &Broken> {
        self.0.as_ref()
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status() {
            Some(status) => write!(f, "the app denied the handshake with {}", status.as_u16()),
            None => f.write_str("the app denied the handshake with an incomplete response"),
        }
    }
}

impl Error for Denied {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            Ok(response) => response.app_error().map(|error| error.as_error() as _),
            Err(broken) => Some(broken),
        }
    }
}

/// The error of [`WebSocket::receive`] after the WebSocket is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebSocketClosed {
    /// The code of the close frame. It is 1000 if the app returned `Ok` without a close, and 1011
    /// if the app failed.
    pub code: u16,
    /// The reason in the close frame.
    pub reason: String,
}

impl fmt::Display for WebSocketClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the app closed the WebSocket with code {}", self.code)?;
        if !self.reason.is_empty() {
            write!(f, ": {}", self.reason)?;
        }
        Ok(())
    }
}

impl Error for WebSocketClosed {}

/// The client's side of an open WebSocket. [`Handshake::connect`] returns it.
///
/// The app runs only while the test awaits one of the `async` methods. There is room for one
/// message between the app and the test. If you drop the WebSocket, the app is dropped too.
pub struct WebSocket {
    exchange: WebSocketExchange,
    app: Option<AppTask>,
    app_error: Option<AppError>,
    verdict: Option<WebSocketVerdict>,
    lifespan: Option<Arc<LifespanTask>>,
    subprotocol: Option<String>,
    headers: HeaderMap,
    closed: Option<WebSocketClosed>,
}

impl WebSocket {
    /// Returns the subprotocol that the app chose.
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Returns the headers that the app added to the response to the handshake.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Sends a message and lets the app run until it waits.
    pub async fn send(&mut self, message: Message) {
        self.exchange.push_message(message);
        poll_fn(|cx| {
            // The next `receive` notices if the app has ended.
            let _ = self.poll_app(cx);
            Poll::Ready(())
        })
        .await;
    }

    /// Sends a text message; see [`send`](Self::send).
    pub async fn send_text(&mut self, text: impl Into<Text>) {
        self.send(Message::text(text)).await;
    }

    /// Sends a binary message; see [`send`](Self::send).
    pub async fn send_binary(&mut self, data: impl Into<Bytes>) {
        self.send(Message::binary(data)).await;
    }

    /// Waits for the app's next message.
    ///
    /// This method is cancel-safe.
    ///
    /// # Errors
    ///
    /// Returns an error if the app closed the WebSocket or ended. Each later call returns it again.
    pub async fn receive(&mut self) -> Result<Message, WebSocketClosed> {
        if let Some(closed) = &self.closed {
            return Err(closed.clone());
        }
        let closed = loop {
            match poll_fn(|cx| self.poll_wire(cx)).await {
                Some(WebSocketWireEvent::Message(message)) => return Ok(message),
                Some(WebSocketWireEvent::Close(WebSocketClose { code, reason, .. })) => {
                    break WebSocketClosed { code, reason };
                }
                Some(_) => {}
                None => break self.close_of_ended_app(),
            }
        };
        self.closed = Some(closed.clone());
        Err(closed)
    }

    /// Sends a close frame and waits until the app has ended. Messages that the test has not
    /// received are dropped.
    ///
    /// # Errors
    ///
    /// Returns the app's error, unless it only says that the client is gone.
    pub async fn close(self, code: u16, reason: &str) -> Result<(), AppError> {
        self.exchange.closed(code, reason);
        self.finish().await
    }

    /// Breaks the connection without a close frame, so that the app receives the code 1006. Then
    /// waits until the app has ended.
    ///
    /// # Errors
    ///
    /// Returns an error under the same condition as [`close`](Self::close).
    pub async fn lose(self) -> Result<(), AppError> {
        self.exchange.disconnected(DisconnectReason::Lost);
        self.finish().await
    }

    /// Waits until the app has ended, without a close frame. Messages that the test has not
    /// received are dropped.
    ///
    /// # Errors
    ///
    /// Returns an error under the same condition as [`close`](Self::close).
    pub async fn finish(mut self) -> Result<(), AppError> {
        while poll_fn(|cx| self.poll_wire(cx)).await.is_some() {}
        match self.app_error.take() {
            Some(error) if !error.is_disconnected() => Err(error),
            _ => Ok(()),
        }
    }

    /// Returns the close frame that a server sends for an app that has ended, or 1006 if it sends none.
    fn close_of_ended_app(&self) -> WebSocketClosed {
        let code = match self.verdict.map(|verdict| verdict.ending) {
            Some(WebSocketEnding::Close(code)) => code,
            _ => 1006,
        };
        WebSocketClosed {
            code,
            reason: String::new(),
        }
    }

    /// Polls for the next event of the app. Returns `None` after the app has ended.
    fn poll_wire(&mut self, cx: &mut Context<'_>) -> Poll<Option<WebSocketWireEvent>> {
        if let Poll::Ready(event) = self.exchange.poll_output(cx) {
            return Poll::Ready(Some(event));
        }
        let ended = self.poll_app(cx).is_ready();
        match self.exchange.poll_output(cx) {
            Poll::Ready(event) => Poll::Ready(Some(event)),
            Poll::Pending if ended => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_app(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(lifespan) = &self.lifespan {
            lifespan.poll_in_background(cx);
        }
        let Some(app) = &mut self.app else {
            return Poll::Ready(());
        };
        let Poll::Ready(result) = app.poll(cx) else {
            self.exchange.app_is_waiting();
            return Poll::Pending;
        };
        self.app = None;
        self.verdict = Some(self.exchange.ended(&result));
        self.app_error = result.err();
        Poll::Ready(())
    }
}

impl Drop for WebSocket {
    /// Ends the app, so that `send` fails with `is_over` in other tasks.
    fn drop(&mut self) {
        if self.app.take().is_some() {
            self.exchange.ended(AppEnd::Cancelled);
        }
    }
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket")
            .field("subprotocol", &self.subprotocol)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}
