//! Small apps, and what they need to be short.

use asgi::{
    App, AppError, DisconnectReason, HttpResponseBody, HttpResponseStart, HttpScope, Message,
    ReceiveEvent, Receiver, Scope, SendError, Sender, WebSocketAccept, WebSocketDisconnect,
    WebSocketScope, WebSocketSend,
};
use bytes::Bytes;
use http::HeaderMap;
use tokio::sync::{mpsc, watch};

/// One HTTP request, as an app gets it.
#[expect(missing_docs, reason = "the arguments of an app")]
pub struct Http {
    pub scope: HttpScope,
    pub receive: Receiver,
    pub send: Sender,
}

impl Http {
    /// Responds with 200 and a body in one part.
    pub async fn respond(&mut self, body: impl Into<Bytes>) -> Result<(), AppError> {
        respond(&mut self.send, body).await
    }

    /// Starts a streamed response with status 200.
    pub async fn begin(&mut self) -> Result<(), AppError> {
        self.send.send(HttpResponseStart::ok()).await?;
        Ok(())
    }

    /// Sends a part of the body. More parts follow.
    pub async fn more(&mut self, body: impl Into<Bytes>) -> Result<(), AppError> {
        self.send.send(HttpResponseBody::more(body)).await?;
        Ok(())
    }

    /// Sends the last part of the body.
    pub async fn last(&mut self, body: impl Into<Bytes>) -> Result<(), AppError> {
        self.send.send(HttpResponseBody::last(body)).await?;
        Ok(())
    }

    /// Receives the whole body and its trailers.
    ///
    /// # Errors
    ///
    /// The exchange ended before the body did.
    pub async fn body(&mut self) -> Result<(Vec<u8>, Option<HeaderMap>), DisconnectReason> {
        let mut body = Vec::new();
        loop {
            match self.receive.receive().await {
                ReceiveEvent::HttpRequest(part) => {
                    body.extend(part.body);
                    if !part.more_body {
                        return Ok((body, part.trailers.map(|trailers| *trailers)));
                    }
                }
                ReceiveEvent::HttpDisconnect(end) => return Err(end.reason),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Receives until the exchange ends, and returns the reason.
    pub async fn disconnect(&mut self) -> DisconnectReason {
        loop {
            if let ReceiveEvent::HttpDisconnect(end) = self.receive.receive().await {
                return end.reason;
            }
        }
    }
}

/// Responds with 200 and a body in one part.
pub async fn respond(send: &mut Sender, body: impl Into<Bytes>) -> Result<(), AppError> {
    send.send(HttpResponseStart::ok()).await?;
    send.send(HttpResponseBody::last(body)).await?;
    Ok(())
}

/// An app that serves HTTP and nothing else.
pub fn http<F, Fut>(app: F) -> impl App
where
    F: Fn(Http) -> Fut + Send + Sync + Clone + 'static,
    Fut: Future<Output = Result<(), AppError>> + Send,
{
    move |scope: Scope, receive: Receiver, send: Sender| {
        let app = app.clone();
        async move {
            match scope {
                Scope::Http(scope) => {
                    let scope = *scope;
                    app(Http {
                        scope,
                        receive,
                        send,
                    })
                    .await
                }
                other => Err(AppError::unsupported(&other)),
            }
        }
    }
}

/// [`http()`], with a clone of `context` for each request. Most contexts are channels to the test.
pub fn http_with<T, F, Fut>(context: T, app: F) -> impl App
where
    T: Clone + Send + Sync + 'static,
    F: Fn(T, Http) -> Fut + Send + Sync + Clone + 'static,
    Fut: Future<Output = Result<(), AppError>> + Send,
{
    http(move |http| app(context.clone(), http))
}

/// An app that responds with "hello" to every request, and reads no body.
pub fn hello() -> impl App {
    http(async |mut http: Http| http.respond("hello").await)
}

/// An app that reads the whole body and responds with it.
pub fn echo() -> impl App {
    http(async |mut http: Http| match http.body().await {
        Ok((body, _)) => http.respond(body).await,
        Err(_) => Ok(()),
    })
}

/// An app that responds with the path.
pub fn echo_path() -> impl App {
    http(async |mut http: Http| {
        let path = http.scope.path().into_owned();
        http.respond(path).await
    })
}

/// An app that waits until the test sends `true`, and then responds with "finished".
pub fn gated() -> (watch::Sender<bool>, impl App) {
    let (go, gate) = watch::channel(false);
    let app = http_with(gate, async |mut gate, mut http: Http| {
        gate.wait_for(|open| *open).await?;
        http.respond("finished").await
    });
    (go, app)
}

/// An app that responds with the head of the request: method and target, then one line per header.
pub fn mirror() -> impl App {
    http(async |mut http: Http| {
        let mut text = format!("{} {}\n", http.scope.method, http.scope.target);
        for (name, value) in &http.scope.headers {
            text += &format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()));
        }
        http.respond(text).await
    })
}

/// One WebSocket, as an app gets it.
#[expect(missing_docs, reason = "the arguments of an app")]
pub struct WebSocket {
    pub scope: WebSocketScope,
    pub receive: Receiver,
    pub send: Sender,
}

impl WebSocket {
    /// Waits for the handshake and accepts it.
    pub async fn accept(&mut self) -> Result<(), AppError> {
        let ReceiveEvent::WebSocketConnect(_) = self.receive.receive().await else {
            return Err("no connect".into());
        };
        self.send.send(WebSocketAccept::new()).await?;
        Ok(())
    }

    /// The next message.
    ///
    /// # Errors
    ///
    /// The WebSocket was closed.
    pub async fn next(&mut self) -> Result<Message, WebSocketDisconnect> {
        match self.receive.receive().await {
            ReceiveEvent::WebSocketReceive(event) => Ok(event.message),
            ReceiveEvent::WebSocketDisconnect(end) => Err(end),
            other => panic!("{other:?} on an open WebSocket"),
        }
    }

    /// Sends a text message.
    pub async fn text(&mut self, text: &str) -> Result<(), SendError> {
        self.send.send(WebSocketSend::text(text)).await
    }

    /// Sends every message back until the WebSocket is closed.
    pub async fn echo(&mut self) -> Result<WebSocketDisconnect, SendError> {
        loop {
            match self.next().await {
                Ok(message) => self.send.send(WebSocketSend::new(message)).await?,
                Err(end) => return Ok(end),
            }
        }
    }
}

/// An app that serves WebSockets, and responds with "http" to any HTTP request.
pub fn websocket<F, Fut>(app: F) -> impl App
where
    F: Fn(WebSocket) -> Fut + Send + Sync + Clone + 'static,
    Fut: Future<Output = Result<(), AppError>> + Send,
{
    move |scope: Scope, receive: Receiver, mut send: Sender| {
        let app = app.clone();
        async move {
            match scope {
                Scope::WebSocket(scope) => {
                    let scope = *scope;
                    app(WebSocket {
                        scope,
                        receive,
                        send,
                    })
                    .await
                }
                Scope::Http(_) => respond(&mut send, "http").await,
                other => Err(AppError::unsupported(&other)),
            }
        }
    }
}

/// [`websocket`], with a clone of `context` for each WebSocket.
pub fn websocket_with<T, F, Fut>(context: T, app: F) -> impl App
where
    T: Clone + Send + Sync + 'static,
    F: Fn(T, WebSocket) -> Fut + Send + Sync + Clone + 'static,
    Fut: Future<Output = Result<(), AppError>> + Send,
{
    websocket(move |socket| app(context.clone(), socket))
}

/// A channel from an app to its test.
pub fn channel<T>() -> (mpsc::UnboundedSender<T>, mpsc::UnboundedReceiver<T>) {
    mpsc::unbounded_channel()
}

/// An app with one function for its lifespan and another app for its requests.
pub struct WithLifespan<L, A> {
    /// Runs for the lifespan scope.
    pub lifespan: L,
    /// Runs for the other scopes.
    pub http: A,
}

impl<L, Fut, A> App for WithLifespan<L, A>
where
    L: Fn(Receiver, Sender) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), AppError>> + Send,
    A: App,
{
    async fn call(&self, scope: Scope, receive: Receiver, send: Sender) -> Result<(), AppError> {
        match scope {
            Scope::Lifespan(_) => (self.lifespan)(receive, send).await,
            other => self.http.call(other, receive, send).await,
        }
    }
}

/// Sends a value to the test when it is dropped.
pub struct Dropped<T: Clone>(mpsc::UnboundedSender<T>, T);

impl<T: Clone> Dropped<T> {
    /// Sends `value` to `reports` when this is dropped.
    pub fn new(reports: mpsc::UnboundedSender<T>, value: T) -> Self {
        Self(reports, value)
    }
}

impl<T: Clone> Drop for Dropped<T> {
    fn drop(&mut self) {
        // It fails if the test is over.
        let _ = self.0.send(self.1.clone());
    }
}
