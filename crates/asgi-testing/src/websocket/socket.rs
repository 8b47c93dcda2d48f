//! An open WebSocket, whole or split into its two halves.

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::panic::Location;
use std::sync::Arc;
use std::task::Poll;

use asgi::{AppError, Message, Text, WebSocketAccept, WebSocketClose};
use asgi_rules::WebSocketWireEvent;
use bytes::Bytes;
use http::HeaderMap;

use super::running::RunningSocket;
use crate::history::History;
use crate::report::{Seen, Waiter};

/// The error of [`WebSocket::receive`] after the WebSocket is closed.
///
/// `Debug` prints the history too, because a test that calls `unwrap` prints it. Two of them are
/// equal if their code and reason are.
#[derive(Clone)]
#[non_exhaustive]
pub struct WebSocketClosed {
    /// The code of the close frame. It is 1000 if the app returned `Ok` without a close, 1011 if the
    /// app failed, and 1006 if the app sent none. After the test's own close, it is the code of that.
    pub code: u16,
    /// The reason in the close frame.
    pub reason: String,
    history: History,
}

impl WebSocketClosed {
    /// Returns what happened on the WebSocket.
    pub fn history(&self) -> &History {
        &self.history
    }
}

impl PartialEq for WebSocketClosed {
    fn eq(&self, other: &Self) -> bool {
        (self.code, &self.reason) == (other.code, &other.reason)
    }
}

impl Eq for WebSocketClosed {}

impl fmt::Display for WebSocketClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the app closed the WebSocket with code {}", self.code)?;
        if !self.reason.is_empty() {
            write!(f, ": {}", self.reason)?;
        }
        Ok(())
    }
}

impl fmt::Debug for WebSocketClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}\n{}", self.history)
    }
}

impl Error for WebSocketClosed {}

/// The client's side of an open WebSocket. [`Handshake::connect`](crate::Handshake::connect) returns
/// it.
///
/// The app runs only while the test awaits one of the `async` methods. There is room for one
/// message between the app and the test. If you drop the WebSocket, the app is dropped too.
/// [`split`](Self::split) makes two halves for two tasks.
///
/// # Panics
///
/// Each `async` method panics if the app panics, and if the app does nothing for the
/// [time limit](crate::Client::limit) while the test waits. The text has the history of the
/// WebSocket and the line of the test. The methods that wait for the end of the app also panic under
/// the conditions of [`Client::allow_faults`](crate::Client::allow_faults).
pub struct WebSocket {
    pub(super) sender: SocketSender,
    pub(super) receiver: SocketReceiver,
}

impl WebSocket {
    pub(super) fn new(
        running: Arc<RunningSocket>,
        waiter: Waiter,
        accept: WebSocketAccept,
    ) -> Self {
        Self {
            sender: SocketSender {
                running: Arc::clone(&running),
                waiter: waiter.clone(),
            },
            receiver: SocketReceiver {
                running,
                waiter,
                accept,
                closed: None,
            },
        }
    }

    /// Returns the subprotocol that the app chose.
    pub fn subprotocol(&self) -> Option<&str> {
        self.receiver.accept.subprotocol.as_deref()
    }

    /// Returns the headers that the app added to the response to the handshake.
    pub fn headers(&self) -> &HeaderMap {
        &self.receiver.accept.headers
    }

    /// Returns what has happened so far.
    pub fn history(&self) -> &History {
        self.receiver.history()
    }

    /// Splits the WebSocket into two halves, so that one task can send while another receives.
    ///
    /// The app runs while either task awaits. It is dropped with the second half.
    ///
    /// ```
    /// # use asgi::*;
    /// # async fn app(_: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
    /// #     receive.receive().await;
    /// #     send.send(WebSocketAccept::new()).await?;
    /// #     while let ReceiveEvent::WebSocketReceive(event) = receive.receive().await {
    /// #         send.send(WebSocketSend::new(event.message)).await?;
    /// #     }
    /// #     Ok(())
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), AppError> {
    /// # let client = asgi_testing::Client::new(app);
    /// let socket = client.websocket("/echo").connect().await?;
    /// let (mut sender, mut receiver) = socket.split();
    /// let sending = tokio::spawn(async move {
    ///     for number in 0..3 {
    ///         sender.send_text(number.to_string()).await;
    ///     }
    ///     sender
    /// });
    /// for number in 0..3 {
    ///     assert_eq!(receiver.receive().await?, Message::text(number.to_string()));
    /// }
    /// sending.await?.close(1000, "done");
    /// receiver.finish().await?;
    /// # Ok(()) }
    /// ```
    pub fn split(self) -> (SocketSender, SocketReceiver) {
        (self.sender, self.receiver)
    }

    /// Sends a message and lets the app run until it waits.
    #[track_caller]
    pub fn send(&mut self, message: Message) -> impl Future<Output = ()> + Send + '_ {
        self.sender.send(message)
    }

    /// Sends a text message; see [`send`](Self::send).
    #[track_caller]
    pub fn send_text(&mut self, text: impl Into<Text>) -> impl Future<Output = ()> + Send {
        self.sender.send(Message::text(text))
    }

    /// Sends a binary message; see [`send`](Self::send).
    #[track_caller]
    pub fn send_binary(&mut self, data: impl Into<Bytes>) -> impl Future<Output = ()> + Send {
        self.sender.send(Message::binary(data))
    }

    /// Waits for the app's next message.
    ///
    /// This method is cancel-safe.
    ///
    /// # Errors
    ///
    /// Returns an error if the app closed the WebSocket or ended. Each later call returns it again.
    #[track_caller]
    pub fn receive(
        &mut self,
    ) -> impl Future<Output = Result<Message, WebSocketClosed>> + Send + '_ {
        self.receiver.receive()
    }

    /// Sends a close frame and waits until the app has ended. Messages that the test has not
    /// received are dropped.
    ///
    /// # Errors
    ///
    /// Returns the app's error, unless it only says that the client is gone.
    #[track_caller]
    pub fn close(
        mut self,
        code: u16,
        reason: &str,
    ) -> impl Future<Output = Result<(), AppError>> + Send + use<> {
        self.sender.close(code, reason);
        self.finish()
    }

    /// Breaks the connection without a close frame, so that the app receives the code 1006. Then
    /// waits until the app has ended.
    ///
    /// # Errors
    ///
    /// Returns an error under the same condition as [`close`](Self::close).
    #[track_caller]
    pub fn lose(mut self) -> impl Future<Output = Result<(), AppError>> + Send {
        self.sender.lose();
        self.finish()
    }

    /// Waits until the app has ended, without a close frame. Messages that the test has not
    /// received are dropped.
    ///
    /// # Errors
    ///
    /// Returns an error under the same condition as [`close`](Self::close).
    #[track_caller]
    pub fn finish(self) -> impl Future<Output = Result<(), AppError>> + Send {
        // The sender's half stays open.
        let Self { sender, receiver } = self;
        let finished = receiver.finish();
        async move {
            let result = finished.await;
            drop(sender);
            result
        }
    }
}

/// The sending half of a WebSocket. [`WebSocket::split`] returns it.
///
/// The WebSocket stays open if you drop this half.
pub struct SocketSender {
    running: Arc<RunningSocket>,
    waiter: Waiter,
}

impl SocketSender {
    /// Sends a message and lets the app run until it waits.
    #[track_caller]
    pub fn send(&mut self, message: Message) -> impl Future<Output = ()> + Send + use<'_> {
        self.waiter.caller = Location::caller();
        async move {
            self.running.push_message(message);
            poll_fn(|cx| {
                // The next `receive` notices if the app has ended.
                let _ = self.running.poll_app(&self.waiter, cx);
                Poll::Ready(())
            })
            .await;
        }
    }

    /// Sends a text message; see [`send`](Self::send).
    #[track_caller]
    pub fn send_text(&mut self, text: impl Into<Text>) -> impl Future<Output = ()> + Send {
        self.send(Message::text(text))
    }

    /// Sends a binary message; see [`send`](Self::send).
    #[track_caller]
    pub fn send_binary(&mut self, data: impl Into<Bytes>) -> impl Future<Output = ()> + Send {
        self.send(Message::binary(data))
    }

    /// Sends a close frame. This does not wait: [`SocketReceiver::finish`] waits for the app.
    ///
    /// A frame without a code is 1005. The app drops what comes later.
    pub fn close(&mut self, code: u16, reason: &str) {
        self.running.close(code, reason);
    }

    /// Breaks the connection without a close frame, so that the app receives the code 1006.
    pub fn lose(&mut self) {
        self.running.lose();
    }
}

/// The receiving half of a WebSocket. [`WebSocket::split`] returns it.
pub struct SocketReceiver {
    running: Arc<RunningSocket>,
    waiter: Waiter,
    accept: WebSocketAccept,
    closed: Option<WebSocketClosed>,
}

impl SocketReceiver {
    /// Returns what has happened so far.
    pub fn history(&self) -> &History {
        self.waiter.record.history()
    }

    /// Waits for the app's next message, as [`WebSocket::receive`] does.
    ///
    /// This method is cancel-safe.
    ///
    /// # Errors
    ///
    /// Returns an error if the app closed the WebSocket or ended. Each later call returns it again.
    #[track_caller]
    pub fn receive(
        &mut self,
    ) -> impl Future<Output = Result<Message, WebSocketClosed>> + Send + '_ {
        self.receive_at(Location::caller())
    }

    pub(super) async fn receive_at(
        &mut self,
        caller: &'static Location<'static>,
    ) -> Result<Message, WebSocketClosed> {
        self.waiter.caller = caller;
        if let Some(closed) = &self.closed {
            return Err(closed.clone());
        }
        let (code, reason) = loop {
            match self.running.event(&self.waiter, "a message").await {
                Some(WebSocketWireEvent::Message(message)) => return Ok(message),
                Some(WebSocketWireEvent::Close(WebSocketClose { code, reason, .. })) => {
                    break (code, reason);
                }
                Some(_) => {}
                None => break (self.running.code_of_ended_app(), String::new()),
            }
        };
        let history = self.history().clone();
        let closed = WebSocketClosed {
            code,
            reason,
            history,
        };
        self.closed = Some(closed.clone());
        Err(closed)
    }

    /// Waits until the app has ended. Messages that the test has not received are dropped.
    ///
    /// # Errors
    ///
    /// Returns the app's error, unless it only says that the client is gone.
    #[track_caller]
    pub fn finish(mut self) -> impl Future<Output = Result<(), AppError>> + Send {
        self.waiter.caller = Location::caller();
        async move {
            let what = "the end of the app";
            while self.running.event(&self.waiter, what).await.is_some() {}
            let result = self.running.take_error();
            let seen = match &result {
                Ok(()) => Seen::Success,
                Err(_) => Seen::Failure,
            };
            self.waiter.check_end(seen).await;
            result
        }
    }
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket")
            .field("subprotocol", &self.receiver.accept.subprotocol)
            .field("closed", &self.receiver.closed)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SocketSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketSender").finish_non_exhaustive()
    }
}

impl fmt::Debug for SocketReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketReceiver")
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}
