//! Apps for the tests, in few words.

use asgi::{
    App, AppError, HttpResponseBody, HttpResponseStart, HttpScope, Message, ReceiveEvent, Receiver,
    Scope, SendError, Sender, WebSocketAccept, WebSocketDisconnect, WebSocketScope, WebSocketSend,
};
use bytes::Bytes;
use tokio::sync::mpsc;

/// One request, as an app gets it.
pub struct Http {
    pub scope: HttpScope,
    pub receive: Receiver,
    pub send: Sender,
}

impl Http {
    /// Answers 200 with a body in one part.
    pub async fn respond(&mut self, body: impl Into<Bytes>) -> Result<(), AppError> {
        respond(&mut self.send, body).await
    }

    /// Begins a response of 200, to be streamed.
    pub async fn begin(&mut self) -> Result<(), AppError> {
        self.send.send(HttpResponseStart::ok()).await?;
        Ok(())
    }

    /// Sends a part of the body that others follow.
    pub async fn more(&mut self, body: impl Into<Bytes>) -> Result<(), AppError> {
        self.send.send(HttpResponseBody::more(body)).await?;
        Ok(())
    }

    /// Sends the last part of the body.
    pub async fn last(&mut self, body: impl Into<Bytes>) -> Result<(), AppError> {
        self.send.send(HttpResponseBody::last(body)).await?;
        Ok(())
    }

    /// Receives until the end of the exchange and gives what that says.
    pub async fn disconnect(&mut self) -> asgi::DisconnectReason {
        loop {
            if let ReceiveEvent::HttpDisconnect(end) = self.receive.receive().await {
                return end.reason;
            }
        }
    }
}

/// Answers 200 with a body in one part.
pub async fn respond(send: &mut Sender, body: impl Into<Bytes>) -> Result<(), AppError> {
    send.send(HttpResponseStart::ok()).await?;
    send.send(HttpResponseBody::last(body)).await?;
    Ok(())
}

/// An app that serves HTTP alone.
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

/// An app that serves HTTP alone and gets a clone of `context` with each request: a channel to the
/// test, mostly.
pub fn http_with<T, F, Fut>(context: T, app: F) -> impl App
where
    T: Clone + Send + Sync + 'static,
    F: Fn(T, Http) -> Fut + Send + Sync + Clone + 'static,
    Fut: Future<Output = Result<(), AppError>> + Send,
{
    http(move |http| app(context.clone(), http))
}

/// One socket, as an app gets it.
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

    /// The next message, or how the socket was closed.
    pub async fn next(&mut self) -> Result<Message, WebSocketDisconnect> {
        match self.receive.receive().await {
            ReceiveEvent::WebSocketReceive(event) => Ok(event.message),
            ReceiveEvent::WebSocketDisconnect(end) => Err(end),
            other => panic!("{other:?} on an open socket"),
        }
    }

    pub async fn text(&mut self, text: &str) -> Result<(), SendError> {
        self.send.send(WebSocketSend::text(text)).await
    }

    /// Sends back what comes; how the socket was closed.
    pub async fn echo(&mut self) -> Result<WebSocketDisconnect, SendError> {
        loop {
            match self.next().await {
                Ok(message) => self.send.send(WebSocketSend::new(message)).await?,
                Err(end) => return Ok(end),
            }
        }
    }
}

/// An app that serves WebSockets, and answers any request with `http`.
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

/// [`websocket`] with a clone of `context` for each socket.
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

/// An app whose lifespan is one function and whose requests are another.
pub struct WithLifespan<L, A> {
    pub lifespan: L,
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

/// Tells the test when it is dropped.
pub struct Dropped<T: Clone>(mpsc::UnboundedSender<T>, T);

impl<T: Clone> Dropped<T> {
    pub fn new(told: mpsc::UnboundedSender<T>, what: T) -> Self {
        Self(told, what)
    }
}

impl<T: Clone> Drop for Dropped<T> {
    fn drop(&mut self) {
        // A test that is over does not want to know.
        let _ = self.0.send(self.1.clone());
    }
}
