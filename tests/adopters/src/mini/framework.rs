//! The framework: path parameters, shared state, JSON, streams, layers, errors and WebSockets.
//!
//! Everything that it needs of a server is in `asgi` and `asgi-util`. It knows no runtime.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;

use asgi::{
    App, AppError, HttpResponseBody, HttpResponseStart, HttpScope, Receiver, Scope, SendError,
    Sender, WebSocketAccept, WebSocketHttpResponseStart,
};
use asgi_util::WebSocket;
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};
use serde_json::Value;

pub(super) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
pub(super) type Parameters = HashMap<&'static str, String>;

/// What a handler fails with.
pub(super) enum Error {
    /// The client sees this status and text.
    Status(StatusCode, String),
    /// The server logs this error, and the client sees 500.
    Fault(AppError),
}

impl Error {
    pub(super) fn bad_request(why: impl ToString) -> Self {
        Self::Status(StatusCode::BAD_REQUEST, why.to_string())
    }
}

impl<E: Into<AppError>> From<E> for Error {
    fn from(error: E) -> Self {
        Self::Fault(error.into())
    }
}

/// What a handler gets.
pub(super) struct Request<S> {
    pub(super) scope: Box<HttpScope>,
    pub(super) parameters: Parameters,
    pub(super) state: Arc<S>,
    receive: Receiver,
}

impl<S> Request<S> {
    pub(super) async fn json(&mut self) -> Result<Value, Error> {
        let body = match self.receive.body(1 << 20).await {
            Err(error) if error.is_too_large() => {
                let status = StatusCode::PAYLOAD_TOO_LARGE;
                return Err(Error::Status(status, error.to_string()));
            }
            body => body?,
        };
        serde_json::from_slice(&body).map_err(Error::bad_request)
    }
}

type Stream = Box<dyn FnOnce(Writer) -> BoxFuture<Result<(), SendError>> + Send>;

enum Body {
    Full(Bytes),
    Stream(Stream),
}

/// What a handler returns.
pub(super) struct Response {
    start: HttpResponseStart,
    body: Body,
}

impl Response {
    fn new(kind: &'static str, body: Body) -> Self {
        let start = HttpResponseStart::ok().content_type(kind);
        Self { start, body }
    }

    pub(super) fn text(text: impl Into<Bytes>) -> Self {
        Self::new("text/plain; charset=utf-8", Body::Full(text.into()))
    }

    pub(super) fn json(value: &Value) -> Self {
        let body = Bytes::from(value.to_string());
        Self::new("application/json", Body::Full(body))
    }

    /// A body that `write` sends part by part.
    pub(super) fn stream<F>(
        kind: &'static str,
        write: impl FnOnce(Writer) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), SendError>> + Send + 'static,
    {
        let write = move |writer| Box::pin(write(writer)) as BoxFuture<_>;
        Self::new(kind, Body::Stream(Box::new(write)))
    }

    pub(super) fn status(mut self, status: StatusCode) -> Self {
        self.start.status = status;
        self
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<HeaderValue>) -> Self {
        self.start.headers.insert(name, value.into());
        self
    }
}

/// The body of a streamed response.
pub(super) struct Writer(Sender);

impl Writer {
    pub(super) async fn write(&mut self, data: impl Into<Bytes>) -> Result<(), SendError> {
        self.0.send(HttpResponseBody::more(data)).await
    }

    /// Sends a server-sent event.
    pub(super) async fn event(&mut self, data: &str) -> Result<(), SendError> {
        self.write(format!("data: {data}\n\n")).await
    }

    pub(super) async fn finish(mut self) -> Result<(), SendError> {
        self.0.send(HttpResponseBody::last("")).await
    }

    /// Waits until the client has left.
    pub(super) async fn closed(&mut self) {
        self.0.closed().await;
    }
}

type Handler<S> = Arc<dyn Fn(Request<S>) -> BoxFuture<Result<Response, Error>> + Send + Sync>;
type Layer<S> =
    Box<dyn Fn(Request<S>, Next<S>) -> BoxFuture<Result<Response, Error>> + Send + Sync>;
type SocketHandler =
    Box<dyn Fn(WebSocket, Parameters) -> BoxFuture<Result<(), AppError>> + Send + Sync>;

/// The layers that are left, and the handler inside them.
pub(super) struct Next<S> {
    layers: Arc<Vec<Layer<S>>>,
    position: usize,
    handler: Handler<S>,
}

impl<S> Next<S> {
    pub(super) fn run(mut self, request: Request<S>) -> BoxFuture<Result<Response, Error>> {
        let layers = Arc::clone(&self.layers);
        match layers.get(self.position) {
            Some(layer) => {
                self.position += 1;
                layer(request, self)
            }
            None => (self.handler)(request),
        }
    }
}

/// An app that gives each request to the handler of its method and path.
///
/// It needs a lifespan whose state has an `S`.
pub(super) struct Router<S> {
    routes: Vec<(Method, &'static str, Handler<S>)>,
    sockets: Vec<(&'static str, SocketHandler)>,
    layers: Arc<Vec<Layer<S>>>,
}

impl<S: Send + Sync + 'static> Router<S> {
    /// A router without routes. The first layer is the outermost one.
    pub(super) fn new(layers: Vec<Layer<S>>) -> Self {
        Self {
            routes: Vec::new(),
            sockets: Vec::new(),
            layers: Arc::new(layers),
        }
    }

    pub(super) fn route<F>(
        mut self,
        method: Method,
        pattern: &'static str,
        handler: impl Fn(Request<S>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Response, Error>> + Send + 'static,
    {
        let handler: Handler<S> = Arc::new(move |request| Box::pin(handler(request)));
        self.routes.push((method, pattern, handler));
        self
    }

    pub(super) fn socket<F>(
        mut self,
        pattern: &'static str,
        handler: impl Fn(WebSocket, Parameters) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), AppError>> + Send + 'static,
    {
        let handler: SocketHandler = Box::new(move |socket, path| Box::pin(handler(socket, path)));
        self.sockets.push((pattern, handler));
        self
    }

    async fn respond(&self, scope: Box<HttpScope>, receive: Receiver) -> Result<Response, Error> {
        let mut status = StatusCode::NOT_FOUND;
        for (method, pattern, handler) in &self.routes {
            let Some(parameters) = match_path(pattern, &scope.local_path()) else {
                continue;
            };
            if *method != scope.method {
                status = StatusCode::METHOD_NOT_ALLOWED;
                continue;
            }
            let state = scope.state.get().ok_or("the app has not started")?;
            let next = Next {
                layers: Arc::clone(&self.layers),
                position: 0,
                handler: Arc::clone(handler),
            };
            let request = Request {
                scope,
                parameters,
                state,
                receive,
            };
            return next.run(request).await;
        }
        Err(Error::Status(status, format!("{status}\n")))
    }
}

/// Makes a layer of a function.
pub(super) fn layer<S, F>(
    layer: impl Fn(Request<S>, Next<S>) -> F + Send + Sync + 'static,
) -> Layer<S>
where
    F: Future<Output = Result<Response, Error>> + Send + 'static,
{
    Box::new(move |request, next| Box::pin(layer(request, next)))
}

/// Returns the parameters if the pattern matches the whole path. `:name` matches one segment.
fn match_path(pattern: &'static str, path: &str) -> Option<Parameters> {
    let mut parameters = Parameters::new();
    let mut segments = path.split('/');
    for expected in pattern.split('/') {
        let segment = segments.next()?;
        match expected.strip_prefix(':') {
            Some(name) => drop(parameters.insert(name, segment.to_owned())),
            None if expected == segment => {}
            None => return None,
        }
    }
    segments.next().is_none().then_some(parameters)
}

impl<S: Send + Sync + 'static> App for Router<S> {
    async fn call(
        &self,
        scope: Scope,
        receive: Receiver,
        mut send: Sender,
    ) -> Result<(), AppError> {
        match scope {
            Scope::Http(http) => {
                let response = match self.respond(http, receive).await {
                    Ok(response) => response,
                    Err(Error::Status(status, text)) => Response::text(text).status(status),
                    Err(Error::Fault(error)) => return Err(error),
                };
                match response.body {
                    Body::Full(body) => send.respond(response.start, body).await?,
                    Body::Stream(write) => {
                        send.send(response.start).await?;
                        write(Writer(send)).await?;
                    }
                }
                Ok(())
            }
            Scope::WebSocket(scope) => {
                for (pattern, handler) in &self.sockets {
                    if let Some(parameters) = match_path(pattern, &scope.local_path()) {
                        let accept = WebSocketAccept::new();
                        let socket = WebSocket::accept(receive, send, accept).await?;
                        return handler(socket, parameters).await;
                    }
                }
                let start = WebSocketHttpResponseStart::new(StatusCode::NOT_FOUND);
                Ok(WebSocket::deny(&scope, &mut send, start, "").await?)
            }
            other => Err(AppError::unsupported(&other)),
        }
    }
}
