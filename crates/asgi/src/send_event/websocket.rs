//! The events that an app sends on a WebSocket.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::InvalidHeader;
use crate::{Message, Text};

/// Accepts the handshake.
///
/// Spec: websocket §2.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct WebSocketAccept {
    /// The chosen subprotocol. It must be one of those that the client offers.
    pub subprotocol: Option<String>,
    /// Headers for the response to the handshake. They must not contain `sec-websocket-*` headers.
    pub headers: HeaderMap,
    pub(crate) invalid: InvalidHeader,
}

impl WebSocketAccept {
    /// Creates an event that accepts without a subprotocol.
    pub fn new() -> Self {
        Self::default()
    }

    /// Chooses one of the subprotocols that the client offers.
    #[must_use]
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.subprotocol = Some(name.into());
        self
    }

    header_method! {
        /// Adds a header. An error is kept as in
        /// [`HttpResponseStart::header`](crate::HttpResponseStart::header).
    }
}

/// A message for the client.
///
/// Spec: websocket §3.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WebSocketSend {
    /// The message.
    pub message: Message,
}

impl WebSocketSend {
    /// Creates the event.
    pub fn new(message: Message) -> Self {
        Self { message }
    }

    /// Creates an event with a text message.
    pub fn text(text: impl Into<Text>) -> Self {
        Self::new(Message::text(text))
    }

    /// Creates an event with a binary message.
    pub fn binary(data: impl Into<Bytes>) -> Self {
        Self::new(Message::binary(data))
    }
}

/// Closes the WebSocket. Before an accept, it denies the handshake with status 403.
///
/// Spec: websocket §4.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebSocketClose {
    /// The code of the close frame (RFC 6455 §7.4).
    pub code: u16,
    /// The reason, at most 123 bytes. Usually empty.
    pub reason: String,
}

impl WebSocketClose {
    /// Creates a close with this code and no reason.
    pub fn new(code: u16) -> Self {
        let reason = String::new();
        Self { code, reason }
    }

    /// Sets the reason.
    #[must_use]
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        self
    }
}

impl Default for WebSocketClose {
    /// Creates a close with code 1000, which means a normal end.
    fn default() -> Self {
        Self::new(1000)
    }
}

/// Denies the handshake with the app's own HTTP response.
///
/// This requires [`Extension::WebSocketHttpResponse`](crate::Extension::WebSocketHttpResponse).
///
/// Spec: websocket §2.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WebSocketHttpResponseStart {
    /// The status, 300 to 999.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    pub(crate) invalid: InvalidHeader,
}

impl WebSocketHttpResponseStart {
    /// Creates a response start without headers.
    pub fn new(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            invalid: InvalidHeader::default(),
        }
    }

    header_method! {
        /// Adds a header. An error is kept as in
        /// [`HttpResponseStart::header`](crate::HttpResponseStart::header).
    }
}

/// A part of the body of the response that denies the handshake.
///
/// Spec: websocket §2.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct WebSocketHttpResponseBody {
    /// The bytes. They may be empty.
    pub body: Bytes,
    /// Whether another part follows. The last part has this unset.
    pub more_body: bool,
}

body_part!(WebSocketHttpResponseBody);
