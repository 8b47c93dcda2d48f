//! The head of a response, and how much content may follow it.

use asgi::{HttpResponseStart, SendError};
use http::header::{CONTENT_LENGTH, TRAILER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

/// The head of a final response, as it goes on the wire but for what the connection adds.
#[derive(Debug)]
#[non_exhaustive]
pub struct ResponseHead {
    /// A final status.
    pub status: StatusCode,
    /// The app's fields without those that are the connection's; with a `content-length` where the
    /// length is known, unless it [is implied](crate::HttpRules::with_implied_length).
    pub headers: HeaderMap,
    /// How the body ends.
    pub framing: Framing,
    /// Whether the app asked that the connection be closed after this response.
    pub close: bool,
    /// Whether trailers follow the body.
    pub trailers: bool,
}

impl ResponseHead {
    /// The head of a response that a server makes itself.
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
    /// There is none, whatever the fields say: HEAD, 204, 205 and 304.
    Empty,
    /// After so many bytes.
    Length(u64),
    /// When the app says so.
    Stream,
}

/// Whether a response is the answer to HEAD.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum RequestKind {
    Head,
    #[default]
    Other,
}

/// What may follow a head.
#[derive(Debug, Default)]
pub(crate) struct Content {
    request: RequestKind,
    tells_length: bool,
    /// The app set some that are the connection's.
    connection_fields: bool,
    /// The status or the method allows none: what the app sends is swallowed. (HTTP-026)
    swallowed: bool,
    /// What the app announced; not checked where it is swallowed.
    length: Option<u64>,
    taken: u64,
    trailers_promised: bool,
}

impl Content {
    /// What may follow `start`.
    pub(crate) fn new(
        request: RequestKind,
        tells_length: bool,
        start: &HttpResponseStart,
    ) -> Result<Self, SendError> {
        if start.status.is_informational() {
            // HTTP-022
            return Err(SendError::misuse(
                format!("a response with status {}", start.status.as_u16()),
                "a final status, 200 or above",
            ));
        }
        // One look at each name is cheaper than to look for one after the other.
        let mut has_length = false;
        let mut connection_fields = false;
        for name in start.headers.keys() {
            has_length |= name == CONTENT_LENGTH;
            connection_fields |= is_connection_field(name);
        }
        let length = match has_length {
            true => content_length(&start.headers)?,
            false => None,
        };
        let swallowed = request == RequestKind::Head
            || matches!(
                start.status,
                StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
            );
        Ok(Self {
            request,
            tells_length: tells_length || swallowed,
            connection_fields,
            swallowed,
            length: length.filter(|_| !swallowed),
            taken: 0,
            trailers_promised: start.trailers,
        })
    }

    /// Counts a part of the body; one that is swallowed has no length to keep. (HTTP-030, HTTP-031)
    pub(crate) fn take(&mut self, part: u64, more_body: bool) -> Result<(), SendError> {
        if let Some(length) = self.length {
            let left = length - self.taken;
            if part > left {
                return Err(SendError::misuse(
                    format!("a body part of {part} bytes"),
                    format!("at most {left}: that is left of the content-length"),
                ));
            }
            if part < left && !more_body {
                return Err(SendError::misuse(
                    format!("a last body part of {part} bytes"),
                    format!("{left}: that is left of the content-length"),
                ));
            }
            self.taken += part;
        }
        Ok(())
    }

    /// Whether the wire sees none of it.
    pub(crate) fn is_swallowed(&self) -> bool {
        self.swallowed
    }

    /// Whether the app owes trailers.
    pub(crate) fn trailers_promised(&self) -> bool {
        self.trailers_promised
    }

    /// The head as it goes on the wire; `whole` is the length of a body in one part.
    pub(crate) fn head(&self, start: HttpResponseStart, whole: Option<u64>) -> ResponseHead {
        let HttpResponseStart {
            status,
            mut headers,
            ..
        } = start;
        let mut close = false;
        if self.connection_fields {
            close = asks_to_close(&headers);
            remove_fields(&mut headers, is_connection_field);
        }
        let trailers = self.trailers_promised && !self.swallowed;
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
            // Its length would be that of another response. (RFC 9110 §8.6)
            StatusCode::NOT_MODIFIED => {}
            // RFC 9112 §7.1.2: trailers are a part of the chunked coding. (HTTP-052)
            _ if trailers => {
                headers.remove(CONTENT_LENGTH);
            }
            _ => {
                if let Some(length) = whole.filter(|length| self.tells(*length)) {
                    headers
                        .entry(CONTENT_LENGTH)
                        .or_insert_with(|| decimal(length));
                }
            }
        }
        let framing = if self.swallowed {
            Framing::Empty
        } else if trailers {
            Framing::Stream
        } else {
            whole
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

    /// Whether the length of a body in one part is the content's, and not implied. (HTTP-027)
    ///
    /// RFC 9110 §8.6 on HEAD: "a server MUST NOT send Content-Length in such a response unless its
    /// field value equals the decimal number of octets that would have been sent in the content of
    /// a response if the same request had used the GET method." An app that left the body out for
    /// HEAD's sake has not said how long it is.
    fn tells(&self, length: u64) -> bool {
        self.tells_length && (self.request == RequestKind::Other || length > 0)
    }
}

/// As `HeaderValue::from`, which allocates twice.
fn decimal(length: u64) -> HeaderValue {
    HeaderValue::try_from(length.to_string()).expect("digits are a field value")
}

/// Whether a field is about the connection, and so the server's to send. (HTTP-028)
///
/// RFC 9113 §8.2.2 makes a response with one of them malformed.
pub(crate) fn is_connection_field(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection" | "keep-alive" | "proxy-connection" | "te" | "transfer-encoding" | "upgrade"
    )
}

/// Whether a field may not come behind the body. (HTTP-050)
///
/// RFC 9110 §6.5.1: "Many fields cannot be processed outside the header section because their
/// evaluation is necessary prior to receiving the content, such as those that describe message
/// framing".
pub(crate) fn is_no_trailer(name: &HeaderName) -> bool {
    is_connection_field(name) || name == CONTENT_LENGTH || name == TRAILER
}

/// Removes the fields whose name passes `test`; one pass where there are none.
pub(crate) fn remove_fields(headers: &mut HeaderMap, test: impl Fn(&HeaderName) -> bool) {
    while let Some(name) = headers.keys().find(|name| test(name)).cloned() {
        headers.remove(name);
    }
}

/// Adds the fields of `from` behind those of `to`.
pub(crate) fn append_all(to: &mut HeaderMap, from: HeaderMap) {
    let mut last = None;
    for (name, value) in from {
        last = name.or(last);
        if let Some(name) = &last {
            to.append(name, value);
        }
    }
}

/// Whether the app wants the connection closed. (HTTP-032)
fn asks_to_close(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|option| option.trim().eq_ignore_ascii_case("close"))
}

/// The length that the app announces, if it does. (HTTP-029)
fn content_length(headers: &HeaderMap) -> Result<Option<u64>, SendError> {
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    // `parse` alone would take a sign.
    let length = Some(value.as_bytes())
        .filter(|digits| digits.iter().all(u8::is_ascii_digit))
        .and_then(|digits| str::from_utf8(digits).ok()?.parse().ok());
    match (length, values.next()) {
        (Some(length), None) => Ok(Some(length)),
        _ => Err(SendError::misuse(
            format!("a response with content-length {value:?}"),
            "one content-length of digits alone",
        )),
    }
}
