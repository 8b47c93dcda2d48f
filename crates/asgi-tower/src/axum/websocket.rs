//! An open WebSocket with the methods of axum's.

use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use asgi::{
    DisconnectReason, Message as AsgiMessage, ReceiveEvent, Receiver, SendError, Sender, Text,
    WebSocketClose, WebSocketDisconnect, WebSocketSend,
};
use axum::Error;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes};
use bytes::Bytes;
use futures_util::stream::FusedStream;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use http::HeaderValue;
use tokio::sync::oneshot;

/// An open WebSocket, with the methods of [`axum::extract::ws::WebSocket`].
///
/// It is a `Stream` and a `Sink` of axum's [`Message`]s. It differs from axum's socket in this:
///
/// - If the handler drops the socket without a close frame, the server closes it with 1000.
///   On axum's own server, the client sees 1006.
/// - `Close(None)` closes with 1000. A reserved code is an error.
/// - Pings of the client do not arrive, because the server answers them. A ping of the handler does
///   not reach the client: this crate answers it with a pong. The server sends pings of its own, and
///   ends a socket whose client does not answer.
#[derive(Debug)]
pub struct WebSocket {
    receive: Receiver,
    send: Sender,
    protocol: Option<HeaderValue>,
    max_message_size: usize,
    /// The answer to the last ping of the handler. (RFC 6455 §5.5.3 allows to answer only the last.)
    pong: Option<Bytes>,
    /// The task that waits for a message.
    receiving: Option<Waker>,
    /// A task waits for room to send.
    sending: bool,
    stage: HandlerStage,
    /// The app waits until this is dropped.
    _open: oneshot::Sender<()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HandlerStage {
    Open,
    /// The handler has sent a close frame.
    Closing,
    /// The stream has yielded its last item.
    Ended,
}

/// What a handler chooses before the socket is open.
pub(super) struct SocketOptions {
    pub(super) protocol: Option<HeaderValue>,
    pub(super) max_message_size: usize,
}

impl WebSocket {
    pub(super) fn new(
        receive: Receiver,
        send: Sender,
        options: SocketOptions,
        open: oneshot::Sender<()>,
    ) -> Self {
        Self {
            receive,
            send,
            protocol: options.protocol,
            max_message_size: options.max_message_size,
            pong: None,
            receiving: None,
            sending: false,
            stage: HandlerStage::Open,
            _open: open,
        }
    }

    /// Receives the next message. Returns `None` once the stream has ended.
    ///
    /// This method is cancel-safe.
    pub async fn recv(&mut self) -> Option<Result<Message, Error>> {
        self.next().await
    }

    /// Sends a message. This waits until there is room for it.
    ///
    /// # Errors
    ///
    /// Returns an error if the socket is closed, or if a close frame has an invalid code or reason.
    pub async fn send(&mut self, message: Message) -> Result<(), Error> {
        SinkExt::send(self, message).await
    }

    /// Returns the subprotocol that the handler has chosen, if any.
    pub fn protocol(&self) -> Option<&HeaderValue> {
        self.protocol.as_ref()
    }

    /// Ends the stream with its last item.
    fn end(&mut self, last: Result<Message, Error>) -> Option<Result<Message, Error>> {
        self.stage = HandlerStage::Ended;
        Some(last)
    }

    fn received(
        &mut self,
        message: AsgiMessage,
        cx: &mut Context<'_>,
    ) -> Option<Result<Message, Error>> {
        if message.as_bytes().len() > self.max_message_size {
            // The client learns why the handler ends. (RFC 6455 §7.4.1)
            if !self.sending && self.send.poll_ready(cx).is_ready() {
                // It fails if the client is gone.
                let _ = self.send.start_send(WebSocketClose::new(1009).into());
            }
            return self.end(Err(Error::new(TooLarge(self.max_message_size))));
        }
        Some(match message {
            AsgiMessage::Text(text) => Utf8Bytes::try_from(text.into_bytes())
                .map(Message::Text)
                .map_err(Error::new),
            message => Ok(Message::Binary(message.into_bytes())),
        })
    }

    fn disconnected(&mut self, end: WebSocketDisconnect) -> Option<Result<Message, Error>> {
        self.end(match end.code {
            // As axum: no close frame is an error.
            1006 => Err(Error::new(SendError::disconnected(DisconnectReason::Lost))),
            1005 => Ok(Message::Close(None)),
            code => Ok(Message::Close(Some(CloseFrame {
                code,
                reason: end.reason.into(),
            }))),
        })
    }
}

impl Stream for WebSocket {
    type Item = Result<Message, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if this.stage == HandlerStage::Ended {
                return Poll::Ready(None);
            }
            if let Some(payload) = this.pong.take() {
                return Poll::Ready(Some(Ok(Message::Pong(payload))));
            }
            let Poll::Ready(event) = this.receive.poll_receive(cx) else {
                this.receiving = Some(cx.waker().clone());
                return Poll::Pending;
            };
            match event {
                ReceiveEvent::WebSocketReceive(event) => {
                    return Poll::Ready(this.received(event.message, cx));
                }
                ReceiveEvent::WebSocketDisconnect(end) => {
                    return Poll::Ready(this.disconnected(end));
                }
                // An event that this version does not know.
                _ => {}
            }
        }
    }
}

impl FusedStream for WebSocket {
    fn is_terminated(&self) -> bool {
        self.stage == HandlerStage::Ended
    }
}

impl Sink<Message> for WebSocket {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let ready = self.send.poll_ready(cx);
        self.sending = ready.is_pending();
        ready.map_err(Error::new)
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        let this = self.get_mut();
        let event = match message {
            Message::Text(text) => {
                let text = Text::try_from(Bytes::from(text)).map_err(Error::new)?;
                WebSocketSend::text(text).into()
            }
            Message::Binary(data) => WebSocketSend::binary(data).into(),
            Message::Close(frame) => {
                let close = frame.map_or_else(WebSocketClose::default, |frame| {
                    WebSocketClose::new(frame.code).reason(frame.reason.as_str())
                });
                this.send.start_send(close.into()).map_err(Error::new)?;
                if this.stage == HandlerStage::Open {
                    this.stage = HandlerStage::Closing;
                }
                return Ok(());
            }
            Message::Ping(payload) => {
                this.pong = Some(payload);
                if let Some(receiving) = this.receiving.take() {
                    receiving.wake();
                }
                return Ok(());
            }
            // No one waits for it. (RFC 6455 §5.5.3)
            Message::Pong(_) => return Ok(()),
        };
        this.send.start_send(event).map_err(Error::new)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.stage != HandlerStage::Open {
            return Poll::Ready(Ok(()));
        }
        ready!(self.as_mut().poll_ready(cx))?;
        Poll::Ready(self.start_send(Message::Close(None)))
    }
}

/// A message that is larger than the handler allows.
#[derive(Debug)]
struct TooLarge(usize);

impl std::fmt::Display for TooLarge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the message is larger than {} bytes", self.0)
    }
}

impl std::error::Error for TooLarge {}
