//! What an app sends.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::{Message, State};

/// What an app sends, of any protocol.
///
/// Spec: core §4.
#[derive(Debug)]
#[non_exhaustive]
pub enum SendEvent {
    /// `http.response.start`
    HttpResponseStart(HttpResponseStart),
    /// `http.response.body`
    HttpResponseBody(HttpResponseBody),
    /// `http.response.trailers`
    HttpResponseTrailers(HttpResponseTrailers),
    /// `http.response.push`
    HttpResponsePush(HttpResponsePush),
    /// `http.response.early_hint`
    HttpResponseEarlyHint(HttpResponseEarlyHint),
    /// `http.response.pathsend`
    HttpResponsePathSend(HttpResponsePathSend),
    /// `http.response.zerocopysend`
    HttpResponseZeroCopySend(HttpResponseZeroCopySend),
    /// `http.response.debug`
    HttpResponseDebug(HttpResponseDebug),
    /// `websocket.accept`
    WebSocketAccept(WebSocketAccept),
    /// `websocket.send`
    WebSocketSend(WebSocketSend),
    /// `websocket.close`
    WebSocketClose(WebSocketClose),
    /// `websocket.http.response.start`
    WebSocketHttpResponseStart(WebSocketHttpResponseStart),
    /// `websocket.http.response.body`
    WebSocketHttpResponseBody(WebSocketHttpResponseBody),
    /// `lifespan.startup.complete`
    LifespanStartupComplete(LifespanStartupComplete),
    /// `lifespan.startup.failed`
    LifespanStartupFailed(LifespanStartupFailed),
    /// `lifespan.shutdown.complete`
    LifespanShutdownComplete(LifespanShutdownComplete),
    /// `lifespan.shutdown.failed`
    LifespanShutdownFailed(LifespanShutdownFailed),
}

impl SendEvent {
    /// The name that ASGI gives to this event, such as `http.response.start`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::HttpResponseStart(_) => "http.response.start",
            Self::HttpResponseBody(_) => "http.response.body",
            Self::HttpResponseTrailers(_) => "http.response.trailers",
            Self::HttpResponsePush(_) => "http.response.push",
            Self::HttpResponseEarlyHint(_) => "http.response.early_hint",
            Self::HttpResponsePathSend(_) => "http.response.pathsend",
            Self::HttpResponseZeroCopySend(_) => "http.response.zerocopysend",
            Self::HttpResponseDebug(_) => "http.response.debug",
            Self::WebSocketAccept(_) => "websocket.accept",
            Self::WebSocketSend(_) => "websocket.send",
            Self::WebSocketClose(_) => "websocket.close",
            Self::WebSocketHttpResponseStart(_) => "websocket.http.response.start",
            Self::WebSocketHttpResponseBody(_) => "websocket.http.response.body",
            Self::LifespanStartupComplete(_) => "lifespan.startup.complete",
            Self::LifespanStartupFailed(_) => "lifespan.startup.failed",
            Self::LifespanShutdownComplete(_) => "lifespan.shutdown.complete",
            Self::LifespanShutdownFailed(_) => "lifespan.shutdown.failed",
        }
    }
}

/// The status and the fields of a response.
///
/// The server holds it back until the first part of the body, or until the app waits for
/// something: a body in one part gets a `content-length`, and an app that fails before that still
/// gets a 500 out.
///
/// Spec: http §3.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HttpResponseStart {
    /// A final status, 200 to 999. Interim ones have events of their own.
    pub status: StatusCode,
    /// The fields. `transfer-encoding` is the server's and ignored.
    pub headers: HeaderMap,
    /// Whether [`HttpResponseTrailers`] will follow the body; needs
    /// [`Extension::Trailers`](crate::Extension::Trailers).
    pub trailers: bool,
}

impl HttpResponseStart {
    /// A response without any fields.
    pub fn new(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            trailers: false,
        }
    }

    /// 200.
    pub fn ok() -> Self {
        Self::new(StatusCode::OK)
    }

    /// Adds a field, beside any of the same name.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Sets the type of the body.
    ///
    /// # Panics
    ///
    /// If the text could not be a field's value: it is part of the program.
    #[must_use]
    pub fn content_type(mut self, media_type: &'static str) -> Self {
        let value = HeaderValue::from_static(media_type);
        self.headers.insert(header::CONTENT_TYPE, value);
        self
    }

    /// Adds a `link` field (RFC 8288) for each of these, such as [`Preload`](crate::Preload) gives.
    #[must_use]
    pub fn links(mut self, links: impl IntoIterator<Item = HeaderValue>) -> Self {
        for link in links {
            self.headers.append(header::LINK, link);
        }
        self
    }

    /// Promises trailers behind the body.
    #[must_use]
    pub fn with_trailers(mut self) -> Self {
        self.trailers = true;
        self
    }
}

/// A part of the response's body.
///
/// Spec: http §3.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct HttpResponseBody {
    /// The bytes; may be empty.
    pub body: Bytes,
    /// Whether more is to come. The one without is the last.
    pub more_body: bool,
}

impl HttpResponseBody {
    /// A part of a body.
    pub fn new(body: impl Into<Bytes>, more_body: bool) -> Self {
        Self {
            body: body.into(),
            more_body,
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

/// Fields behind the body; needs [`Extension::Trailers`](crate::Extension::Trailers) and a start
/// that promised them.
///
/// Spec: http §6.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct HttpResponseTrailers {
    /// The fields.
    pub headers: HeaderMap,
    /// Whether more of them are to come.
    pub more_trailers: bool,
}

impl HttpResponseTrailers {
    /// All the trailers.
    pub fn new(headers: HeaderMap) -> Self {
        Self {
            headers,
            more_trailers: false,
        }
    }

    /// Some trailers, which others follow.
    pub fn more(headers: HeaderMap) -> Self {
        Self {
            headers,
            more_trailers: true,
        }
    }
}

/// Promises a response that the client has not asked for; needs
/// [`Extension::Push`](crate::Extension::Push).
///
/// The app is called again, with a scope for the promised request: a GET of `path` from the same
/// authority.
///
/// Spec: http §6.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HttpResponsePush {
    /// Path and query of the promised request, percent-encoded.
    pub path: PathAndQuery,
    /// Fields of the promised request.
    pub headers: HeaderMap,
}

impl HttpResponsePush {
    /// A push without fields of its own.
    pub fn new(path: PathAndQuery) -> Self {
        Self {
            path,
            headers: HeaderMap::new(),
        }
    }
}

/// Sends a 103 response with `link` fields; needs
/// [`Extension::EarlyHint`](crate::Extension::EarlyHint).
///
/// May come before the start, or after it while the server still holds it back.
///
/// Spec: http §6.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct HttpResponseEarlyHint {
    /// The values of the `link` fields (RFC 8288).
    pub links: Vec<HeaderValue>,
}

impl HttpResponseEarlyHint {
    /// Hints for these links.
    pub fn new(links: impl IntoIterator<Item = HeaderValue>) -> Self {
        Self {
            links: links.into_iter().collect(),
        }
    }
}

/// Sends a whole file as the body; needs [`Extension::PathSend`](crate::Extension::PathSend).
///
/// Spec: http §6.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HttpResponsePathSend {
    /// An absolute path.
    pub path: PathBuf,
}

impl HttpResponsePathSend {
    /// The whole body is this file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

/// Sends a part of an open file; needs
/// [`Extension::ZeroCopySend`](crate::Extension::ZeroCopySend).
///
/// Spec: http §6.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HttpResponseZeroCopySend {
    /// The file. It is closed once the last clone is gone.
    pub file: Arc<File>,
    /// Where in the file to begin, in bytes; where the file's cursor is if `None`.
    pub offset: Option<u64>,
    /// How many bytes; to the file's end if `None`.
    pub count: Option<u64>,
    /// Whether more of the body is to come.
    pub more_body: bool,
}

impl HttpResponseZeroCopySend {
    /// The whole file, and nothing after it.
    pub fn new(file: impl Into<Arc<File>>) -> Self {
        Self {
            file: file.into(),
            offset: None,
            count: None,
            more_body: false,
        }
    }
}

/// Tells a test client something about the response; no server offers it.
///
/// Spec: http §6.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct HttpResponseDebug {
    /// Whatever the test wants to see.
    pub info: State,
}

impl HttpResponseDebug {
    /// Something for the test client.
    pub fn new(info: State) -> Self {
        Self { info }
    }
}

/// Completes the handshake of a WebSocket.
///
/// Spec: websocket §2.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct WebSocketAccept {
    /// One of the subprotocols that the client offered.
    pub subprotocol: Option<String>,
    /// Fields of the handshake's response; not `sec-websocket-protocol`.
    pub headers: HeaderMap,
}

impl WebSocketAccept {
    /// Accepts without a subprotocol.
    pub fn new() -> Self {
        Self::default()
    }

    /// Chooses one of the client's subprotocols.
    #[must_use]
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.subprotocol = Some(name.into());
        self
    }
}

/// Sends one message.
///
/// Spec: websocket §3.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WebSocketSend {
    /// What it says.
    pub message: Message,
}

impl WebSocketSend {
    /// A message.
    pub fn new(message: Message) -> Self {
        Self { message }
    }

    /// A text message.
    pub fn text(text: impl Into<crate::Text>) -> Self {
        Self::new(Message::text(text))
    }

    /// A binary message.
    pub fn binary(data: impl Into<Bytes>) -> Self {
        Self::new(Message::binary(data))
    }
}

/// Closes the socket; before an accept it denies the handshake with 403.
///
/// Spec: websocket §4.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebSocketClose {
    /// The code of the close frame (RFC 6455 §7.4).
    pub code: u16,
    /// The reason, at most 123 bytes; mostly empty.
    pub reason: String,
}

impl WebSocketClose {
    /// Closes with a code and no reason.
    pub fn new(code: u16) -> Self {
        Self {
            code,
            reason: String::new(),
        }
    }

    /// Adds a reason.
    #[must_use]
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        self
    }
}

impl Default for WebSocketClose {
    /// 1000, a normal end.
    fn default() -> Self {
        Self::new(1000)
    }
}

/// Denies the handshake with a response of the app's own; needs
/// [`Extension::WebSocketHttpResponse`](crate::Extension::WebSocketHttpResponse).
///
/// Spec: websocket §2.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WebSocketHttpResponseStart {
    /// A final status.
    pub status: StatusCode,
    /// The fields.
    pub headers: HeaderMap,
}

impl WebSocketHttpResponseStart {
    /// A denial without any fields.
    pub fn new(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
        }
    }
}

/// A part of the body of a denial.
///
/// Spec: websocket §2.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct WebSocketHttpResponseBody {
    /// The bytes; may be empty.
    pub body: Bytes,
    /// Whether more is to come. The one without is the last.
    pub more_body: bool,
}

impl WebSocketHttpResponseBody {
    /// A part of a body.
    pub fn new(body: impl Into<Bytes>, more_body: bool) -> Self {
        Self {
            body: body.into(),
            more_body,
        }
    }
}

/// The app is ready to serve.
///
/// Spec: lifespan §2.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct LifespanStartupComplete {
    /// What each later scope gets a clone of.
    pub state: State,
}

impl LifespanStartupComplete {
    /// Ready, with nothing to hand on.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ready; each later scope gets a clone of `state`.
    pub fn with_state(state: State) -> Self {
        Self { state }
    }
}

/// The app cannot serve: the server says so and does not start.
///
/// Spec: lifespan §2.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct LifespanStartupFailed {
    /// Why, for the server's log.
    pub message: String,
}

impl LifespanStartupFailed {
    /// Cannot serve, and why.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }
}

/// The app has cleaned up.
///
/// Spec: lifespan §3.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct LifespanShutdownComplete {}

impl LifespanShutdownComplete {
    /// Done.
    pub fn new() -> Self {
        Self::default()
    }
}

/// The app could not clean up; the server says so and ends all the same.
///
/// Spec: lifespan §3.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct LifespanShutdownFailed {
    /// Why, for the server's log.
    pub message: String,
}

impl LifespanShutdownFailed {
    /// Could not clean up, and why.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }
}

macro_rules! into_send_event {
    ($($event:ident)*) => {$(
        impl From<$event> for SendEvent {
            fn from(event: $event) -> Self {
                Self::$event(event)
            }
        }
    )*};
}

into_send_event! {
    HttpResponseStart HttpResponseBody HttpResponseTrailers HttpResponsePush HttpResponseEarlyHint
    HttpResponsePathSend HttpResponseZeroCopySend HttpResponseDebug
    WebSocketAccept WebSocketSend WebSocketClose WebSocketHttpResponseStart
    WebSocketHttpResponseBody
    LifespanStartupComplete LifespanStartupFailed LifespanShutdownComplete LifespanShutdownFailed
}
