//! The events that an app sends, one file for each protocol.

/// The method `header` of an event with the members `headers` and `invalid`.
macro_rules! header_method {
    ($(#[$doc:meta])*) => {
        $(#[$doc])*
        #[must_use]
        pub fn header(
            mut self,
            name: impl TryInto<HeaderName>,
            value: impl TryInto<HeaderValue>,
        ) -> Self {
            self.invalid.append(&mut self.headers, name, value);
            self
        }
    };
}

mod http;
mod lifespan;
mod websocket;

use ::http::{HeaderMap, HeaderName, HeaderValue};

use crate::{Message, SendError};

pub use self::http::{
    HttpResponseBody, HttpResponseDebug, HttpResponseEarlyHint, HttpResponsePathSend,
    HttpResponsePush, HttpResponseStart, HttpResponseTrailers, HttpResponseZeroCopySend,
};
pub use self::lifespan::{
    LifespanShutdownComplete, LifespanShutdownFailed, LifespanStartupComplete,
    LifespanStartupFailed,
};
pub use self::websocket::{
    WebSocketAccept, WebSocketClose, WebSocketHttpResponseBody, WebSocketHttpResponseStart,
    WebSocketSend,
};

/// An event that an app sends, in any protocol.
///
/// Spec: core §4.
#[derive(Debug, Clone)]
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
    /// The invalid header that was added to this event, if there is one.
    #[inline]
    fn invalid_header(&self) -> Option<&str> {
        let invalid = match self {
            Self::HttpResponseStart(start) => &start.invalid,
            Self::WebSocketAccept(accept) => &accept.invalid,
            Self::WebSocketHttpResponseStart(start) => &start.invalid,
            _ => return None,
        };
        invalid.0.as_deref()
    }

    /// Returns an error if an invalid header was added to this event.
    #[inline]
    pub(crate) fn check(&self) -> Result<(), SendError> {
        match self.invalid_header() {
            None => Ok(()),
            Some(header) => Err(self.refuse_header(header)),
        }
    }

    #[cold]
    fn refuse_header(&self, header: &str) -> SendError {
        SendError::misuse(
            format!("{} with {header}", self.name()),
            "valid names and values of headers",
        )
    }
}

/// The first invalid header that was added to an event, in words.
#[derive(Debug, Clone, Default)]
pub(crate) struct InvalidHeader(pub(crate) Option<Box<str>>);

impl InvalidHeader {
    fn append(
        &mut self,
        headers: &mut HeaderMap,
        name: impl TryInto<HeaderName>,
        value: impl TryInto<HeaderValue>,
    ) {
        let invalid = match (name.try_into(), value.try_into()) {
            (Ok(name), Ok(value)) => {
                headers.append(name, value);
                return;
            }
            (Ok(name), Err(_)) => format!("an invalid value for the header {name}"),
            (Err(_), _) => String::from("an invalid header name"),
        };
        self.0.get_or_insert_with(|| invalid.into());
    }
}

event_names! {
    SendEvent
    HttpResponseStart = "http.response.start",
    HttpResponseBody = "http.response.body",
    HttpResponseTrailers = "http.response.trailers",
    HttpResponsePush = "http.response.push",
    HttpResponseEarlyHint = "http.response.early_hint",
    HttpResponsePathSend = "http.response.pathsend",
    HttpResponseZeroCopySend = "http.response.zerocopysend",
    HttpResponseDebug = "http.response.debug",
    WebSocketAccept = "websocket.accept",
    WebSocketSend = "websocket.send",
    WebSocketClose = "websocket.close",
    WebSocketHttpResponseStart = "websocket.http.response.start",
    WebSocketHttpResponseBody = "websocket.http.response.body",
    LifespanStartupComplete = "lifespan.startup.complete",
    LifespanStartupFailed = "lifespan.startup.failed",
    LifespanShutdownComplete = "lifespan.shutdown.complete",
    LifespanShutdownFailed = "lifespan.shutdown.failed",
}

conversions! {
    Message => SendEvent: message => WebSocketSend::new(message).into();
}
