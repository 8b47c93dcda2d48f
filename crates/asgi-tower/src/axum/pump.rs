//! Passes messages between the server and a handler at the other end of a private connection.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use asgi::{AppError, Message, Receiver, Sender, Text, WebSocketAccept, WebSocketClose};
use asgi_util::{WebSocket, WebSocketReceiver, WebSocketSender};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, Stream, StreamExt};
use tokio::io::DuplexStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::{Message as WireMessage, Utf8Bytes};

type Handler = WebSocketStream<DuplexStream>;

/// Opens the WebSocket and passes messages until one side closes.
///
/// Neither direction waits for the other: if both are full, they would wait for each other.
pub(super) async fn pump(
    handler: Handler,
    accept: WebSocketAccept,
    receive: Receiver,
    send: Sender,
) -> Result<(), AppError> {
    let (receive, send) = WebSocket::accept(receive, send, accept).await?.split();
    let (to_handler, from_handler) = handler.split();
    let client_has_closed = AtomicBool::new(false);
    let mut incoming = pin!(incoming(receive, to_handler, &client_has_closed));
    let mut outgoing = pin!(outgoing(from_handler, send));
    let result = tokio::select! {
        result = &mut outgoing => result,
        end = &mut incoming => match end? {
            // The handler sees the close and may end by itself. The server's grace limits that.
            Departure::Told => outgoing.await,
            Departure::Lost => Ok(()),
        },
    };
    match result {
        // A handler that ends at the close of its client often sends no reply. The server has sent one.
        Err(error) if error.is_aborted() && client_has_closed.load(Ordering::Relaxed) => Ok(()),
        result => result,
    }
}

/// How the messages of the client have ended.
enum Departure {
    /// The handler has got a close frame, or it takes no more messages.
    Told,
    /// There was no close frame, so the connection of the handler just ends.
    Lost,
}

async fn incoming(
    mut receive: WebSocketReceiver,
    mut to_handler: SplitSink<Handler, WireMessage>,
    client_has_closed: &AtomicBool,
) -> Result<Departure, AppError> {
    while let Some(message) = receive.receive().await {
        let message = match message {
            // `Utf8Bytes` checks the text a second time.
            Message::Text(text) => WireMessage::Text(Utf8Bytes::try_from(text.into_bytes())?),
            Message::Binary(data) => WireMessage::Binary(data),
            _ => continue,
        };
        if to_handler.send(message).await.is_err() {
            return Ok(Departure::Told);
        }
    }
    let close = match receive.disconnect() {
        None => return Ok(Departure::Lost),
        Some(disconnect) => match disconnect.code {
            1006 => return Ok(Departure::Lost),
            1005 => None,
            code => Some(CloseFrame {
                code: code.into(),
                reason: disconnect.reason.clone().into(),
            }),
        },
    };
    client_has_closed.store(true, Ordering::Relaxed);
    // It fails if the handler has ended.
    let _ = to_handler.send(WireMessage::Close(close)).await;
    Ok(Departure::Told)
}

async fn outgoing(
    mut from_handler: SplitStream<Handler>,
    mut send: WebSocketSender,
) -> Result<(), AppError> {
    while let Some(Ok(message)) = from_handler.next().await {
        match message {
            WireMessage::Text(text) => send.send(Text::try_from(Bytes::from(text))?).await?,
            WireMessage::Binary(data) => send.send(data).await?,
            WireMessage::Close(frame) => {
                let close = frame.map_or_else(WebSocketClose::default, |frame| {
                    WebSocketClose::new(frame.code.into()).reason(frame.reason.as_str())
                });
                send.close(close).await?;
                // This writes the reply that the handler may wait for.
                let _ = poll_once(&mut from_handler).await;
                return Ok(());
            }
            // tungstenite answers a ping itself.
            _ => {}
        }
    }
    // The handler has dropped its socket without a close frame.
    Err(AppError::aborted())
}

async fn poll_once<S: Stream + Unpin>(stream: &mut S) -> Poll<Option<S::Item>> {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *stream).poll_next(cx))).await
}
