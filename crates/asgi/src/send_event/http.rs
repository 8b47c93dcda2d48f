//! The events of an HTTP response.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::InvalidHeader;
use crate::State;

/// The status and the headers of a response.
///
/// The server holds the head back until the app sends the first part of the body or waits for
/// something. So a body in one part gets a `content-length`, and if the app fails before that, the
/// server can still answer 500.
///
/// Spec: http §3.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HttpResponseStart {
    /// A final status, 200 to 999. Interim responses have their own events.
    pub status: StatusCode,
    /// The headers. The server sets `transfer-encoding` itself and ignores the app's.
    pub headers: HeaderMap,
    /// Whether [`HttpResponseTrailers`] may follow the body. This requires
    /// [`Extension::Trailers`](crate::Extension::Trailers).
    pub trailers: bool,
    pub(crate) invalid: InvalidHeader,
}

impl HttpResponseStart {
    /// Creates a response start without headers.
    pub fn new(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            trailers: false,
            invalid: InvalidHeader::default(),
        }
    }

    /// Creates a response start with the status 200 and no headers.
    pub fn ok() -> Self {
        Self::new(StatusCode::OK)
    }

    header_method! {
        /// Adds a header. Headers with the same name stay.
        ///
        /// If the name or the value is not valid, the start keeps this error, and
        /// [`Sender::send`](crate::Sender::send) returns it as misuse. So a bad value is never sent
        /// without its header, and it never panics.
        ///
        /// ```
        /// # use asgi::HttpResponseStart;
        /// let start = HttpResponseStart::ok().header("x-request-id", format!("{:x}", 0xbeef));
        /// assert_eq!(start.headers["x-request-id"], "beef");
        /// ```
    }

    /// Sets the `content-type` header.
    ///
    /// # Panics
    ///
    /// Panics if `media_type` is not a valid header value.
    #[must_use]
    pub fn content_type(mut self, media_type: &'static str) -> Self {
        let value = HeaderValue::from_static(media_type);
        self.headers.insert(header::CONTENT_TYPE, value);
        self
    }

    /// Adds a `link` header (RFC 8288) for each of `links`.
    ///
    /// `Preload::announce` of the crate `asgi-util` returns such links.
    #[must_use]
    pub fn links(mut self, links: impl IntoIterator<Item = HeaderValue>) -> Self {
        let links = links.into_iter().map(|link| (header::LINK, link));
        self.headers.extend(links);
        self
    }

    /// Says that trailers may follow the body.
    ///
    /// If there are none after all, the app returns without sending any.
    #[must_use]
    pub fn with_trailers(mut self) -> Self {
        self.trailers = true;
        self
    }
}

/// A part of the response body.
///
/// Spec: http §3.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct HttpResponseBody {
    /// The bytes. They may be empty.
    pub body: Bytes,
    /// Whether another part follows. The last part has this unset.
    pub more_body: bool,
}

body_part!(HttpResponseBody);

/// Trailers: headers that follow the body.
///
/// This requires [`Extension::Trailers`](crate::Extension::Trailers), and the app must have set
/// [`HttpResponseStart::trailers`].
///
/// Spec: http §6.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct HttpResponseTrailers {
    /// The trailers.
    pub headers: HeaderMap,
    /// Whether another event with trailers follows.
    pub more_trailers: bool,
}

impl HttpResponseTrailers {
    /// Creates an event with all trailers.
    pub fn new(headers: HeaderMap) -> Self {
        Self {
            headers,
            more_trailers: false,
        }
    }

    /// Creates an event with some of the trailers. More events follow.
    pub fn more(headers: HeaderMap) -> Self {
        Self {
            headers,
            more_trailers: true,
        }
    }
}

/// A server push: a response that the client has not asked for.
///
/// The server promises the response to the client and calls the app again, with the scope of the
/// promised request. That request is a GET of `path` from the same authority. This requires
/// [`Extension::Push`](crate::Extension::Push).
///
/// Spec: http §6.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HttpResponsePush {
    /// The path and query of the promised request, percent-encoded.
    pub path: PathAndQuery,
    /// The headers of the promised request.
    pub headers: HeaderMap,
}

impl HttpResponsePush {
    /// Creates a push without headers.
    pub fn new(path: PathAndQuery) -> Self {
        let headers = HeaderMap::new();
        Self { path, headers }
    }
}

/// A 103 response with `link` headers.
///
/// The app can send it before the start of the response, or after the start while the server still
/// holds the head back. This requires [`Extension::EarlyHint`](crate::Extension::EarlyHint).
///
/// Spec: http §6.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct HttpResponseEarlyHint {
    /// The values of the `link` headers (RFC 8288).
    pub links: Vec<HeaderValue>,
}

impl HttpResponseEarlyHint {
    /// Creates an early hint with these links.
    pub fn new(links: impl IntoIterator<Item = HeaderValue>) -> Self {
        let links = links.into_iter().collect();
        Self { links }
    }
}

/// A file that is the whole response body.
///
/// This requires [`Extension::PathSend`](crate::Extension::PathSend).
///
/// Spec: http §6.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HttpResponsePathSend {
    /// The absolute path of the file.
    pub path: PathBuf,
}

impl HttpResponsePathSend {
    /// Creates an event that sends this file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

/// A part of an open file, as a part of the response body.
///
/// This requires [`Extension::ZeroCopySend`](crate::Extension::ZeroCopySend).
///
/// Spec: http §6.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HttpResponseZeroCopySend {
    /// The file. It is closed when the last clone of the `Arc` is dropped.
    pub file: Arc<File>,
    /// The position in the file to start from, in bytes. `None` means the file's current position.
    pub offset: Option<u64>,
    /// The number of bytes to send. `None` means up to the end of the file.
    pub count: Option<u64>,
    /// Whether another part of the body follows.
    pub more_body: bool,
}

impl HttpResponseZeroCopySend {
    /// Creates an event that sends the rest of the file and ends the body.
    pub fn new(file: impl Into<Arc<File>>) -> Self {
        Self {
            file: file.into(),
            offset: None,
            count: None,
            more_body: false,
        }
    }
}

/// Information about the response for a test client. Servers do not offer this extension.
///
/// Spec: http §6.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct HttpResponseDebug {
    /// The values for the test.
    pub info: State,
}

impl HttpResponseDebug {
    /// Creates an event with these values.
    pub fn new(info: State) -> Self {
        Self { info }
    }
}
