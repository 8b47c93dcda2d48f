//! The events that an app receives.

use std::error::Error;
use std::fmt;

use bytes::Bytes;
use http::HeaderMap;

use crate::Message;

/// An event that an app receives, in any protocol.
///
/// Spec: core §3.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ReceiveEvent {
    /// `http.request`: a part of the request body.
    HttpRequest(HttpRequest),
    /// `http.disconnect`: the exchange is complete or the client has left.
    HttpDisconnect(HttpDisconnect),
    /// `websocket.connect`: the handshake waits for the app's answer.
    WebSocketConnect(WebSocketConnect),
    /// `websocket.receive`: a message of the client.
    WebSocketReceive(WebSocketReceive),
    /// `websocket.disconnect`: the WebSocket is closed.
    WebSocketDisconnect(WebSocketDisconnect),
    /// `lifespan.startup`: the server is about to serve.
    LifespanStartup(LifespanStartup),
    /// `lifespan.shutdown`: the server has served its last request.
    LifespanShutdown(LifespanShutdown),
}

/// A part of the request body.
///
/// Every request has at least one part, which may be empty. The last part has `more_body` unset.
///
/// Spec: http §2.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct HttpRequest {
    /// The bytes, after any transfer coding is removed.
    pub body: Bytes,
    /// Whether another part follows.
    pub more_body: bool,
    /// The request trailers. Only the last part has them, and only if the client sent some.
    pub trailers: Option<Box<HeaderMap>>,
}

body_part!(HttpRequest);

/// The end of an HTTP exchange.
///
/// The app receives this event once the response is complete or the client has left. After that,
/// each call of `receive` returns it again.
///
/// With the reason [`Closed`](DisconnectReason::Closed), the client may still read and `send` still
/// works. [`DisconnectReason::is_gone`] tells the difference.
///
/// Spec: http §5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpDisconnect {
    /// How the exchange ended.
    pub reason: DisconnectReason,
}

impl HttpDisconnect {
    /// Creates the event.
    pub fn new(reason: DisconnectReason) -> Self {
        Self { reason }
    }
}

/// How an exchange ended.
///
/// This is also an error, the source of each [`SendError`](crate::SendError) that says that the
/// client is gone. An app that returns it says the same.
///
/// Spec: http §5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The response is complete, or the app has returned.
    Complete,
    /// The client closed its side of the connection. It may still read, so the server still writes.
    /// On a WebSocket: the client sent a close frame, so it takes no more messages.
    Closed,
    /// The connection is broken, so the server can write nothing more.
    Lost,
    /// The client cancelled only this exchange, with this error code: of RST_STREAM on HTTP/2, or of
    /// RESET_STREAM or STOP_SENDING on HTTP/3, whose codes have 62 bits.
    Reset(u64),
    /// The client was too slow.
    TimedOut,
    /// The client broke the protocol.
    ProtocolError,
    /// The server stops and cannot wait any longer.
    Shutdown,
}

impl DisconnectReason {
    /// Returns whether nothing that the app sends can reach an HTTP client any more.
    ///
    /// That is so for every reason except [`Complete`](Self::Complete) and
    /// [`Closed`](Self::Closed). A WebSocket is over with any reason.
    pub fn is_gone(self) -> bool {
        !matches!(self, Self::Complete | Self::Closed)
    }
}

impl Error for DisconnectReason {}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete => f.write_str("the exchange is over"),
            Self::Closed => f.write_str("it closed the connection"),
            Self::Lost => f.write_str("the connection was lost"),
            Self::Reset(code) => write!(f, "it reset the stream with code {code}"),
            Self::TimedOut => f.write_str("it was too slow"),
            Self::ProtocolError => f.write_str("it broke the protocol"),
            Self::Shutdown => f.write_str("the server stops"),
        }
    }
}

/// A client wants to open a WebSocket. The handshake waits for the app's answer.
///
/// Spec: websocket §2.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct WebSocketConnect {}

/// A complete message of the client.
///
/// Spec: websocket §3.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WebSocketReceive {
    /// The message.
    pub message: Message,
}

impl WebSocketReceive {
    /// Creates the event.
    pub fn new(message: Message) -> Self {
        Self { message }
    }
}

/// The WebSocket is closed. After this event, each call of `receive` returns it again.
///
/// Spec: websocket §4.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebSocketDisconnect {
    /// The code of the close frame. It is 1005 if the frame had no code, and 1006 if there was no
    /// close frame.
    pub code: u16,
    /// The reason in the close frame. Often empty.
    pub reason: String,
}

impl WebSocketDisconnect {
    /// Creates the event.
    pub fn new(code: u16, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { code, reason }
    }
}

/// The server is about to serve. The app prepares, then sends
/// [`LifespanStartupComplete`](crate::LifespanStartupComplete).
///
/// Spec: lifespan §2.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct LifespanStartup {}

/// All connections are closed. The app cleans up, then sends
/// [`LifespanShutdownComplete`](crate::LifespanShutdownComplete).
///
/// Spec: lifespan §3.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct LifespanShutdown {}

new_is_default!(WebSocketConnect LifespanStartup LifespanShutdown);

event_names! {
    ReceiveEvent
    HttpRequest = "http.request",
    HttpDisconnect = "http.disconnect",
    WebSocketConnect = "websocket.connect",
    WebSocketReceive = "websocket.receive",
    WebSocketDisconnect = "websocket.disconnect",
    LifespanStartup = "lifespan.startup",
    LifespanShutdown = "lifespan.shutdown",
}
