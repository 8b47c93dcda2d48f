//! A WebSocket with methods in place of events.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use asgi::{
    Extension, Message, ReceiveEvent, Receiver, SendError, Sender, WebSocketAccept, WebSocketClose,
    WebSocketDisconnect, WebSocketHttpResponseBody, WebSocketHttpResponseStart, WebSocketScope,
    WebSocketSend,
};
use bytes::Bytes;
use futures_core::Stream;
use futures_sink::Sink;

/// An open WebSocket.
///
/// [`accept`](Self::accept) makes it, so there is no socket before the handshake is accepted.
///
/// If the app returns while the socket is open, the server closes it with 1000. If the app fails,
/// the server closes it with 1011.
///
/// ```
/// use asgi::{AppError, Message, Receiver, Scope, Sender, WebSocketAccept, WebSocketClose};
/// use asgi_util::WebSocket;
///
/// async fn echo(scope: Scope, receive: Receiver, send: Sender) -> Result<(), AppError> {
///     let Scope::WebSocket(_) = scope else {
///         return Err(AppError::unsupported(&scope));
///     };
///     let mut socket = WebSocket::accept(receive, send, WebSocketAccept::new()).await?;
///     while let Some(message) = socket.receive().await {
///         if message == Message::text("bye") {
///             return Ok(socket.close(WebSocketClose::new(4000).reason("bye")).await?);
///         }
///         socket.send(message).await?;
///     }
///     Ok(())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), AppError> {
/// let mut client = asgi_testing::Client::new(echo).websocket("/").connect().await?;
/// client.send_text("hello").await;
/// assert_eq!(client.receive().await?, Message::text("hello"));
/// client.send_text("bye").await;
/// assert_eq!(client.receive().await.unwrap_err().code, 4000);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct WebSocket {
    receive: WebSocketReceiver,
    send: WebSocketSender,
    subprotocol: Option<String>,
}

impl WebSocket {
    /// Accepts the handshake and opens the socket.
    ///
    /// # Errors
    ///
    /// Returns an error if the client is gone, or if `accept` breaks the rules. For example, its
    /// subprotocol must be one that the client offers; see [`choose_subprotocol`].
    pub async fn accept(
        mut receive: Receiver,
        mut send: Sender,
        accept: WebSocketAccept,
    ) -> Result<Self, SendError> {
        // The first event is `websocket.connect`, or a disconnect, which comes again later.
        let _ = receive.receive().await;
        let subprotocol = accept.subprotocol.clone();
        send.send(accept).await?;
        Ok(Self {
            receive: WebSocketReceiver {
                receive,
                disconnect: None,
            },
            send: WebSocketSender(send),
            subprotocol,
        })
    }

    /// Denies the handshake with a response. If the connection does not support a response, the
    /// server answers 403.
    ///
    /// # Errors
    ///
    /// Returns an error if the client is gone, or if the status is not from 300 to 999.
    pub async fn deny(
        scope: &WebSocketScope,
        send: &mut Sender,
        start: WebSocketHttpResponseStart,
        body: impl Into<Bytes>,
    ) -> Result<(), SendError> {
        if !scope.extensions.has(Extension::WebSocketHttpResponse) {
            return send.send(WebSocketClose::default()).await;
        }
        send.send(start).await?;
        send.send(WebSocketHttpResponseBody::new(body, false)).await
    }

    /// Returns the subprotocol that the app chose, if any.
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Waits for the next message. Returns `None` once the socket is closed.
    ///
    /// This method is cancel-safe.
    pub async fn receive(&mut self) -> Option<Message> {
        self.receive.receive().await
    }

    /// Returns how the socket was closed, after [`receive`](Self::receive) has returned `None`.
    pub fn disconnect(&self) -> Option<&WebSocketDisconnect> {
        self.receive.disconnect()
    }

    /// Sends a message. This waits until there is room for it.
    ///
    /// A `&str`, a `String` or a [`Text`](asgi::Text) becomes a text message. [`Bytes`] or a
    /// `Vec<u8>` becomes a binary message. This method is cancel-safe.
    ///
    /// # Errors
    ///
    /// Returns an error if the socket is closed.
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), SendError> {
        self.send.send(message).await
    }

    /// Closes the socket.
    ///
    /// # Errors
    ///
    /// Returns an error if the socket is closed already, or if the code or the reason is invalid.
    pub async fn close(self, close: WebSocketClose) -> Result<(), SendError> {
        self.send.close(close).await
    }

    /// Splits the socket into two halves, which two tasks can use at the same time.
    ///
    /// ```
    /// # use asgi::{AppError, Message, Receiver, Scope, Sender, WebSocketAccept};
    /// # use asgi_util::WebSocket;
    /// # async fn app(_: Scope, receive: Receiver, send: Sender) -> Result<(), AppError> {
    /// # let socket = WebSocket::accept(receive, send, WebSocketAccept::new()).await?;
    /// let (mut receive, mut send) = socket.split();
    /// let ticker = tokio::spawn(async move {
    ///     // This fails once the socket is closed.
    ///     while send.send("tick").await.is_ok() {
    ///         tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    ///     }
    /// });
    /// while receive.receive().await.is_some() {}
    /// ticker.await?;
    /// # Ok(()) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), AppError> {
    /// # let mut client = asgi_testing::Client::new(app).websocket("/").connect().await?;
    /// # assert_eq!(client.receive().await?, Message::text("tick"));
    /// # assert_eq!(client.receive().await?, Message::text("tick"));
    /// # client.close(1000, "").await
    /// # }
    /// ```
    pub fn split(self) -> (WebSocketReceiver, WebSocketSender) {
        (self.receive, self.send)
    }
}

/// Returns the first subprotocol of the client that the app supports too.
///
/// The order is the client's order of preference.
///
/// ```
/// # use asgi::{WebSocketAccept, WebSocketScope};
/// # use http::uri::PathAndQuery;
/// use asgi_util::choose_subprotocol;
///
/// # let mut scope = WebSocketScope::new(PathAndQuery::from_static("/"));
/// scope.subprotocols = vec!["chat.v3".into(), "chat.v2".into(), "chat.v1".into()];
/// let mut accept = WebSocketAccept::new();
/// accept.subprotocol = choose_subprotocol(&scope, &["chat.v1", "chat.v2"]).map(String::from);
/// assert_eq!(accept.subprotocol.as_deref(), Some("chat.v2"));
/// ```
pub fn choose_subprotocol<'a>(scope: &'a WebSocketScope, supported: &[&str]) -> Option<&'a str> {
    let offered = scope.subprotocols.iter().map(String::as_str);
    offered.into_iter().find(|name| supported.contains(name))
}

/// The half of a [`WebSocket`] that receives.
///
/// It is also a [`Stream`] of messages.
#[derive(Debug)]
pub struct WebSocketReceiver {
    receive: Receiver,
    disconnect: Option<WebSocketDisconnect>,
}

impl WebSocketReceiver {
    /// Waits for the next message. Returns `None` once the socket is closed.
    ///
    /// This method is cancel-safe.
    pub async fn receive(&mut self) -> Option<Message> {
        std::future::poll_fn(|cx| self.poll_message(cx)).await
    }

    /// Returns how the socket was closed, after [`receive`](Self::receive) has returned `None`.
    pub fn disconnect(&self) -> Option<&WebSocketDisconnect> {
        self.disconnect.as_ref()
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        loop {
            if self.disconnect.is_some() {
                return Poll::Ready(None);
            }
            match ready!(self.receive.poll_receive(cx)) {
                ReceiveEvent::WebSocketReceive(event) => return Poll::Ready(Some(event.message)),
                ReceiveEvent::WebSocketDisconnect(event) => self.disconnect = Some(event),
                // An event that this version does not know.
                _ => {}
            }
        }
    }
}

impl Stream for WebSocketReceiver {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.poll_message(cx)
    }
}

/// The half of a [`WebSocket`] that sends.
///
/// It is also a [`Sink`] for messages. To close the sink closes the socket with code 1000.
#[derive(Debug)]
pub struct WebSocketSender(Sender);

impl WebSocketSender {
    /// Sends a message. This waits until there is room for it.
    ///
    /// A `&str`, a `String` or a [`Text`](asgi::Text) becomes a text message. [`Bytes`] or a
    /// `Vec<u8>` becomes a binary message. This method is cancel-safe.
    ///
    /// # Errors
    ///
    /// Returns an error if the socket is closed.
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), SendError> {
        self.0.send(WebSocketSend::new(message.into())).await
    }

    /// Closes the socket.
    ///
    /// # Errors
    ///
    /// Returns an error if the socket is closed already, or if the code or the reason is invalid.
    pub async fn close(mut self, close: WebSocketClose) -> Result<(), SendError> {
        self.0.send(close).await
    }
}

impl Sink<Message> for WebSocketSender {
    type Error = SendError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.0.poll_ready(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), SendError> {
        self.0.start_send(WebSocketSend::new(message).into())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        ready!(self.0.poll_ready(cx))?;
        Poll::Ready(self.0.start_send(WebSocketClose::default().into()))
    }
}
