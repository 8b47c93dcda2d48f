//! What the author of the halves of WebSockets implements.

use asgi::{AppError, DisconnectReason, Message, Receiver, Sender, WebSocketScope};

use crate::halves::sent::SentToClient;

/// The client's side of one WebSocket, and what the server does around the app.
///
/// The author of the halves implements it with what the server does when the same happens on a
/// connection. No method may wait.
pub trait WebSocketClientSide {
    /// A message comes. None comes after the client's close, and none after it has left.
    fn message(&mut self, message: Message);

    /// The client sends a close frame. `code` is 1005 if it has none.
    fn close(&mut self, code: u16, reason: &str);

    /// The client leaves without a close frame.
    fn leave(&mut self, reason: DisconnectReason);

    /// The client reads: returns what has been sent since the last call, or a part of it. Empty if
    /// there is nothing. This makes room for what the app sends.
    fn take(&mut self) -> Vec<SentToSocket>;

    /// A poll of the app has returned `Pending`. (HTTP-024)
    fn app_waits(&mut self);

    /// The app's future has returned. [`take`](Self::take) then returns the rest of what it has sent.
    fn app_ended(&mut self, result: &Result<(), AppError>);
}

/// What a server sends to a client of a WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SentToSocket {
    /// The handshake is accepted, with this subprotocol.
    Accept(Option<String>),
    /// A message.
    Message(Message),
    /// A close frame that the app has sent, with its code and its reason.
    Close(u16, String),
    /// A part of the response that denies the handshake.
    Denial(SentToClient),
}

/// A function that makes halves for a handshake.
pub(crate) type MakeSocket =
    dyn Fn(WebSocketScope) -> (Receiver, Sender, Box<dyn WebSocketClientSide>) + Send + Sync;
