//! What an app receives.

use std::fmt;

use bytes::Bytes;
use http::HeaderMap;

use crate::Message;

/// What an app receives, of any protocol.
///
/// Spec: core §3.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReceiveEvent {
    /// `http.request`: a part of the request's body.
    HttpRequest(HttpRequest),
    /// `http.disconnect`: nobody will see more of the response.
    HttpDisconnect(HttpDisconnect),
    /// `websocket.connect`: the handshake waits for an answer.
    WebSocketConnect(WebSocketConnect),
    /// `websocket.receive`: a message.
    WebSocketReceive(WebSocketReceive),
    /// `websocket.disconnect`: the socket is closed.
    WebSocketDisconnect(WebSocketDisconnect),
    /// `lifespan.startup`: the server is about to serve.
    LifespanStartup(LifespanStartup),
    /// `lifespan.shutdown`: the server has served its last request.
    LifespanShutdown(LifespanShutdown),
}

/// A part of the request's body.
///
/// There is always at least one of these, if only an empty one. The one without `more_body` is
/// the last.
///
/// Spec: http §2.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct HttpRequest {
    /// The bytes, without any transfer coding.
    pub body: Bytes,
    /// Whether more is to come.
    pub more_body: bool,
    /// The request's trailers; only with the last part, and only if the client sent some.
    pub trailers: Option<Box<HeaderMap>>,
}

impl HttpRequest {
    /// A part of a body.
    pub fn new(body: impl Into<Bytes>, more_body: bool) -> Self {
        Self {
            body: body.into(),
            more_body,
            trailers: None,
        }
    }

    /// A part that others follow.
    pub fn more(body: impl Into<Bytes>) -> Self {
        Self::new(body, true)
    }

    /// The last part, or the only one.
    pub fn last(body: impl Into<Bytes>) -> Self {
        Self::new(body, false)
    }
}

/// The client will see nothing more of this exchange.
///
/// It comes once the response is complete or the client is gone; who receives again gets it again.
///
/// Spec: http §5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpDisconnect {
    /// How it came to that.
    pub reason: DisconnectReason,
}

impl HttpDisconnect {
    /// The end of the exchange.
    pub fn new(reason: DisconnectReason) -> Self {
        Self { reason }
    }
}

/// How an exchange came to its end.
///
/// Spec: http §5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The exchange is over: the response is complete, or the app has returned.
    Complete,
    /// The client closed its side. It may still read: what is sent is still written.
    Closed,
    /// The connection is broken: nothing can be written.
    Lost,
    /// The client cancelled this exchange alone, with this code (HTTP/2's RST_STREAM).
    Reset(u32),
    /// The client was too slow.
    TimedOut,
    /// The client broke the protocol.
    ProtocolError,
    /// The server stops and could wait no longer.
    Shutdown,
}

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

/// A client wants to open a WebSocket; the handshake waits for the app's answer.
///
/// Spec: websocket §2.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct WebSocketConnect {}

impl WebSocketConnect {
    /// The first event of a socket.
    pub fn new() -> Self {
        Self::default()
    }
}

/// A whole message of the client's.
///
/// Spec: websocket §3.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WebSocketReceive {
    /// What it says.
    pub message: Message,
}

impl WebSocketReceive {
    /// A message.
    pub fn new(message: Message) -> Self {
        Self { message }
    }
}

/// The socket is closed; who receives again gets this again.
///
/// Spec: websocket §4.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebSocketDisconnect {
    /// The code of the close frame: 1005 if it had none, 1006 if there was no close frame.
    pub code: u16,
    /// The reason in the close frame; often empty.
    pub reason: String,
}

impl WebSocketDisconnect {
    /// The end of a socket.
    pub fn new(code: u16, reason: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.into(),
        }
    }
}

/// The server is about to serve: prepare, then send
/// [`LifespanStartupComplete`](crate::LifespanStartupComplete).
///
/// Spec: lifespan §2.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct LifespanStartup {}

impl LifespanStartup {
    /// The first event of a lifespan.
    pub fn new() -> Self {
        Self::default()
    }
}

/// All connections are closed: clean up, then send
/// [`LifespanShutdownComplete`](crate::LifespanShutdownComplete).
///
/// Spec: lifespan §3.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct LifespanShutdown {}

impl LifespanShutdown {
    /// The last event of a lifespan.
    pub fn new() -> Self {
        Self::default()
    }
}

macro_rules! into_receive_event {
    ($($event:ident)*) => {$(
        impl From<$event> for ReceiveEvent {
            fn from(event: $event) -> Self {
                Self::$event(event)
            }
        }
    )*};
}

into_receive_event! {
    HttpRequest HttpDisconnect WebSocketConnect WebSocketReceive WebSocketDisconnect
    LifespanStartup LifespanShutdown
}
