//! Every answer that is the server's own, for both versions of HTTP: its status, text and headers, and
//! whether the connection closes after it.
//!
//! Only hyper's answers to a head that it cannot parse (400, 414, 431) are not made here.

use asgi::HttpScope;
use asgi_rules::{Framing, ResponseHead};
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use tracing::debug;

use crate::config::Config;
use crate::server_headers;

/// An answer of the server's own, in place of the app's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// For the log.
    pub(crate) why: &'static str,
    text: &'static str,
    /// Headers that only this answer has.
    headers: &'static [(&'static str, &'static str)],
    /// Whether an HTTP/1 connection closes after it. HTTP/2 only ever ends the stream.
    closes: bool,
}

impl Refusal {
    /// Too many exchanges run, or the server drains and another server may take the WebSocket.
    pub(crate) const UNAVAILABLE: Self = Self::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "too many exchanges run, or the server drains",
    )
    .with_headers(&[("retry-after", "1")]);

    /// An HTTP/1 connection stays open only after 404, 500 and 503. After every other answer it is
    /// unsafe, or useless, to read another request.
    pub(crate) const fn new(status: StatusCode, why: &'static str) -> Self {
        Self {
            status,
            why,
            text: text(status),
            headers: &[],
            closes: !matches!(status.as_u16(), 404 | 500 | 503),
        }
    }

    pub(crate) const fn bad_request(why: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, why)
    }

    /// Checks the length of a body before the app is called.
    ///
    /// RFC 9110 §15.5.14: "The server MAY terminate the request".
    pub(crate) fn check_length(scope: &HttpScope, most: Option<u64>) -> Result<(), Self> {
        let Some(most) = most else {
            return Ok(());
        };
        match scope.content_length() {
            Some(length) if length > most => Err(Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "a body larger than --max-body-size",
            )),
            _ => Ok(()),
        }
    }

    /// Checks the size of each header: its name and its value together.
    ///
    /// RFC 6585 §5: the status is also for a single header that is too large.
    pub(crate) fn check_header_sizes(headers: &HeaderMap, most: Option<u64>) -> Result<(), Self> {
        let Some(most) = most else {
            return Ok(());
        };
        let is_large = |(name, value): (&HeaderName, &HeaderValue)| {
            (name.as_str().len() + value.len()) as u64 > most
        };
        if headers.iter().any(is_large) {
            let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            return Err(Self::new(status, "a header larger than --max-header-size"));
        }
        Ok(())
    }

    pub(crate) const fn not_implemented(why: &'static str) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, why)
    }

    /// Replaces the text, which is the status's reason phrase.
    pub(crate) const fn with_text(self, text: &'static str) -> Self {
        Self { text, ..self }
    }

    pub(crate) const fn with_headers(
        self,
        headers: &'static [(&'static str, &'static str)],
    ) -> Self {
        Self { headers, ..self }
    }

    /// Keeps the connection open: nothing is wrong with it.
    pub(crate) const fn keeping_the_connection(self) -> Self {
        Self {
            closes: false,
            ..self
        }
    }

    pub(crate) fn closes(&self) -> bool {
        self.closes
    }

    pub(crate) fn log(&self, exchange: u64) {
        let Self { status, why, .. } = self;
        debug!(exchange, "request refused with {status}: {why}");
    }

    /// The text, which an answer to HEAD does not have.
    pub(crate) fn body(&self, method: &Method) -> Bytes {
        match *method {
            Method::HEAD => Bytes::new(),
            _ => Bytes::from_static(self.text.as_bytes()),
        }
    }

    /// The whole answer but for `server`, `date` and `connection: close`.
    pub(crate) fn response(&self, method: &Method) -> Response<Bytes> {
        let mut response = Response::new(self.body(method));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers();
        response
    }

    /// The head of the answer, for an exchange to send.
    pub(crate) fn head(&self) -> ResponseHead {
        let framing = Framing::Length(self.text.len() as u64);
        let mut head = ResponseHead::new(self.status, self.headers(), framing);
        head.close = self.closes;
        head
    }

    /// The bytes of the answer on a connection of HTTP/1.1 that closes after it, for use when hyper
    /// has no request to answer.
    pub(crate) fn to_http1(self, config: &Config, method: &Method) -> Vec<u8> {
        let mut headers = self.headers();
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        server_headers::add_server(&mut headers, config);
        server_headers::add_date(&mut headers, config);
        let mut bytes = format!("HTTP/1.1 {}\r\n", self.status).into_bytes();
        for (name, value) in &headers {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body(method));
        bytes
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        headers.insert(CONTENT_LENGTH, HeaderValue::from(self.text.len()));
        for (name, value) in self.headers {
            headers.insert(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        headers
    }
}

const fn text(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "Bad Request\n",
        403 => "Forbidden\n",
        404 => "Not Found\n",
        405 => "Method Not Allowed\n",
        408 => "Request Timeout\n",
        413 => "Content Too Large\n",
        414 => "URI Too Long\n",
        417 => "Expectation Failed\n",
        426 => "Upgrade Required\n",
        431 => "Request Header Fields Too Large\n",
        500 => "Internal Server Error\n",
        501 => "Not Implemented\n",
        503 => "Service Unavailable\n",
        505 => "HTTP Version Not Supported\n",
        _ => "error\n",
    }
}

#[cfg(test)]
mod tests {
    use http::{Method, StatusCode};

    use super::{Refusal, text};
    use crate::config::Config;

    #[test]
    fn every_status_that_the_server_sends_has_its_reason_as_text() {
        for code in [400, 403, 405, 408, 414, 417, 426, 431, 500, 501, 503, 505] {
            let status = StatusCode::from_u16(code).unwrap();
            let reason = status.canonical_reason().unwrap();
            assert_eq!(text(status), format!("{reason}\n"));
        }
    }

    #[test]
    fn a_refusal_is_the_same_in_every_form() {
        let refusal = Refusal::UNAVAILABLE;
        let response = refusal.response(&Method::GET);
        assert_eq!(response.body(), "Service Unavailable\n");
        assert_eq!(response.headers()["content-length"], "20");
        assert_eq!(response.headers()["retry-after"], "1");
        assert_eq!(refusal.head().headers, *response.headers());
        assert!(!refusal.head().close);
        let response = refusal.response(&Method::HEAD);
        assert_eq!(response.headers()["content-length"], "20");
        assert!(response.body().is_empty());
    }

    #[test]
    fn the_bytes_of_a_refusal_are_a_whole_response() {
        let refusal = Refusal::new(StatusCode::REQUEST_TIMEOUT, "");
        let text = String::from_utf8(refusal.to_http1(&Config::default(), &Method::GET)).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines = head.lines();
        assert_eq!(lines.next(), Some("HTTP/1.1 408 Request Timeout"));
        let names: Vec<_> = lines.map(|line| line.split_once(": ").unwrap().0).collect();
        for name in [
            "content-type",
            "content-length",
            "connection",
            "date",
            "server",
        ] {
            assert!(names.contains(&name), "{name}");
        }
        assert_eq!(body, "Request Timeout\n");
        let config = Config {
            date_header: false,
            server_header: false,
            ..Config::default()
        };
        let text = String::from_utf8(refusal.to_http1(&config, &Method::HEAD)).unwrap();
        assert!(!text.contains("date:") && !text.contains("server:"));
        assert!(text.ends_with("\r\n\r\n"), "a response to HEAD has no body");
    }
}
