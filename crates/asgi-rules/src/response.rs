//! The head of a response, and the length of the body that may follow it.

use asgi::{HttpResponseStart, SendError};
use http::header::{CONTENT_LENGTH, TRAILER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

/// The head of a final response, without the headers that the connection adds.
#[derive(Debug)]
#[non_exhaustive]
pub struct ResponseHead {
    /// A final status.
    pub status: StatusCode,
    /// The app's headers without those that belong to the connection. They have a `content-length`
    /// if the length is known, unless it [is implied](crate::HttpRules::with_implied_length).
    pub headers: HeaderMap,
    /// How the body ends.
    pub framing: Framing,
    /// Whether the app asks the server to close the connection after this response.
    pub close: bool,
    /// Whether trailers may follow the body.
    pub trailers: bool,
}

impl ResponseHead {
    /// Creates the head of a response that the server makes itself.
    pub fn new(status: StatusCode, headers: HeaderMap, framing: Framing) -> Self {
        Self {
            status,
            headers,
            framing,
            close: false,
            trailers: false,
        }
    }
}

/// How the body of a response ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is no body, whatever the headers say: the response to HEAD, 204, 205 or 304.
    Empty,
    /// The body has this many bytes.
    Length(u64),
    /// The body ends when the app says so.
    Stream,
}

/// The request method, as far as it matters for the response.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum RequestMethod {
    Head,
    #[default]
    Other,
}

/// The content that may follow a head.
#[derive(Debug, Default)]
pub(crate) struct ResponseContent {
    request: RequestMethod,
    explicit_length: bool,
    /// The app has set headers that belong to the connection.
    has_connection_headers: bool,
    /// The status or the method allows no body, so the server discards the app's. (HTTP-026)
    discard_body: bool,
    /// The length that the app has announced; `None` if the server discards the body.
    length: Option<u64>,
    taken: u64,
    trailers_promised: bool,
}

impl ResponseContent {
    /// Returns the content that may follow `start`.
    pub(crate) fn new(
        request: RequestMethod,
        explicit_length: bool,
        start: &HttpResponseStart,
    ) -> Result<Self, SendError> {
        if start.status.is_informational() {
            // HTTP-022
            return Err(SendError::misuse(
                format!("a response with status {}", start.status.as_u16()),
                "a final status, 200 or above",
            ));
        }
        // One pass over all names is faster than one lookup for each name.
        let mut has_length = false;
        let mut has_connection_headers = false;
        for name in start.headers.keys() {
            has_length |= name == CONTENT_LENGTH;
            has_connection_headers |= is_connection_header(name);
        }
        let length = match has_length {
            true => content_length(&start.headers)?,
            false => None,
        };
        let discard_body = request == RequestMethod::Head
            || matches!(
                start.status,
                StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
            );
        Ok(Self {
            request,
            explicit_length: explicit_length || discard_body,
            has_connection_headers,
            discard_body,
            length: length.filter(|_| !discard_body),
            taken: 0,
            trailers_promised: start.trailers,
        })
    }

    /// Counts a part of the body and checks it against the announced length, unless the server
    /// discards the body. (HTTP-030, HTTP-031)
    #[inline]
    pub(crate) fn take(&mut self, part: u64, more_body: bool) -> Result<(), SendError> {
        if let Some(length) = self.length {
            let left = length - self.taken;
            if part > left {
                return Err(SendError::misuse(
                    format!("a body part of {part} bytes"),
                    format!("at most {left}, the rest of the content-length"),
                ));
            }
            if part < left && !more_body {
                return Err(SendError::misuse(
                    format!("a last body part of {part} bytes"),
                    format!("{left}, the rest of the content-length"),
                ));
            }
            self.taken += part;
        }
        Ok(())
    }

    /// Returns whether the server discards the body.
    pub(crate) fn discards_body(&self) -> bool {
        self.discard_body
    }

    /// Returns whether the app has said that trailers may follow.
    pub(crate) fn trailers_promised(&self) -> bool {
        self.trailers_promised
    }

    /// Returns the head for the client. `body_length` is the length of a body in one part.
    pub(crate) fn head(&self, start: HttpResponseStart, body_length: Option<u64>) -> ResponseHead {
        let HttpResponseStart {
            status,
            mut headers,
            ..
        } = start;
        let mut close = false;
        if self.has_connection_headers {
            close = asks_to_close(&headers);
            remove_headers(&mut headers, is_connection_header);
        }
        let trailers = self.trailers_promised && !self.discard_body;
        match status {
            // RFC 9110 §8.6: "A server MUST NOT send a Content-Length header field in any response
            // with a status code of 1xx (Informational) or 204 (No Content)." (HTTP-034)
            StatusCode::NO_CONTENT => {
                headers.remove(CONTENT_LENGTH);
            }
            // RFC 9110 §15.3.6: "a server MUST NOT generate content in a 205 response". (HTTP-034)
            StatusCode::RESET_CONTENT => {
                headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
            }
            // A content-length here would be the length of another response. (RFC 9110 §8.6)
            StatusCode::NOT_MODIFIED => {}
            // RFC 9112 §7.1.2: trailers are part of the chunked coding, so there is no length.
            // (HTTP-052)
            _ if trailers => {
                headers.remove(CONTENT_LENGTH);
            }
            _ => {
                if let Some(length) = body_length.filter(|length| self.adds_length(*length)) {
                    headers
                        .entry(CONTENT_LENGTH)
                        .or_insert_with(|| decimal(length));
                }
            }
        }
        let framing = if self.discard_body {
            Framing::Empty
        } else if trailers {
            Framing::Stream
        } else {
            body_length
                .or(self.length)
                .map_or(Framing::Stream, Framing::Length)
        };
        ResponseHead {
            status,
            headers,
            framing,
            close,
            trailers,
        }
    }

    /// Returns whether the head gets the length of a body in one part as a header. (HTTP-027)
    ///
    /// RFC 9110 §8.6 on HEAD: "a server MUST NOT send Content-Length in such a response unless its
    /// field value equals the decimal number of octets that would have been sent in the content of
    /// a response if the same request had used the GET method." If an app leaves the body out
    /// because the method is HEAD, the length is unknown.
    fn adds_length(&self, length: u64) -> bool {
        self.explicit_length && (self.request == RequestMethod::Other || length > 0)
    }
}

/// Returns a number as a header value. `HeaderValue::from` does the same but allocates twice.
fn decimal(length: u64) -> HeaderValue {
    HeaderValue::try_from(length.to_string()).expect("digits are a valid header value")
}

/// Returns whether a header describes the connection, so that only the server may send it.
/// (HTTP-028)
///
/// RFC 9113 §8.2.2 makes a response with one of them malformed.
pub(crate) fn is_connection_header(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection" | "keep-alive" | "proxy-connection" | "te" | "transfer-encoding" | "upgrade"
    )
}

/// Returns whether a header must not be a trailer. (HTTP-050)
///
/// RFC 9110 §6.5.1: "Many fields cannot be processed outside the header section because their
/// evaluation is necessary prior to receiving the content, such as those that describe message
/// framing".
pub(crate) fn is_forbidden_trailer(name: &HeaderName) -> bool {
    is_connection_header(name) || name == CONTENT_LENGTH || name == TRAILER
}

/// Removes the headers whose name passes `test`. If there are none, this takes one pass.
pub(crate) fn remove_headers(headers: &mut HeaderMap, test: impl Fn(&HeaderName) -> bool) {
    while let Some(name) = headers.keys().find(|name| test(name)).cloned() {
        headers.remove(name);
    }
}

/// Appends the headers of `from` to `to`. Headers with the same name stay.
pub(crate) fn append_all(to: &mut HeaderMap, from: HeaderMap) {
    let mut last = None;
    for (name, value) in from {
        last = name.or(last);
        if let Some(name) = &last {
            to.append(name, value);
        }
    }
}

/// Returns whether the app asks the server to close the connection. (HTTP-032)
fn asks_to_close(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|option| option.trim().eq_ignore_ascii_case("close"))
}

/// Returns the length that the app announces, if it does. (HTTP-029)
fn content_length(headers: &HeaderMap) -> Result<Option<u64>, SendError> {
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    // `parse` alone would accept a sign.
    let length = Some(value.as_bytes())
        .filter(|digits| digits.iter().all(u8::is_ascii_digit))
        .and_then(|digits| str::from_utf8(digits).ok()?.parse().ok());
    match (length, values.next()) {
        (Some(length), None) => Ok(Some(length)),
        _ => Err(SendError::misuse(
            format!("a response with content-length {value:?}"),
            "one content-length with digits only",
        )),
    }
}
