//! Heads of HTTP/1, for a server that parses and writes its connections itself: which requests it
//! refuses, and which bytes a response is.

use asgi::HttpScope;
use http::header::{CONTENT_LENGTH, DATE, HOST, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, Version};

use crate::{ResponseHead, WireEvent};

/// Makes the scope of a request of HTTP/1.0 or 1.1 whose body has no transfer coding.
///
/// The arguments are the parts of its head, as a parser finds them. The state and the addresses are
/// left to the server. `content_length` of the scope is the length of the body that follows, or
/// `None` if there is none.
///
/// # Errors
///
/// Returns the status with which the server refuses the request: 400 if the head is malformed, or if
/// its framing is ambiguous (HTTP-013, HTTP-063), and 501 for a CONNECT and for a transfer coding
/// (HTTP-066).
///
/// ```
/// use asgi_rules::http1::request_scope;
/// use http::Version;
///
/// let fields = [("host", &b"a"[..]), ("content-length", &b"4"[..])];
/// let scope = request_scope("POST", "http://b/c?d", Version::HTTP_11, fields)?;
/// assert_eq!((scope.raw_path(), scope.content_length()), ("/c", Some(4)));
/// assert_eq!(scope.headers["host"], "b");
///
/// let fields = [("host", &b"a"[..]), ("content-length", &b"+4"[..])];
/// assert_eq!(request_scope("POST", "/", Version::HTTP_11, fields).unwrap_err(), 400);
/// # Ok::<(), http::StatusCode>(())
/// ```
pub fn request_scope<'a>(
    method: &str,
    target: &str,
    version: Version,
    fields: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Result<HttpScope, StatusCode> {
    let scope = parse(method, target, version, fields).ok_or(StatusCode::BAD_REQUEST)?;
    if scope.method == Method::CONNECT || scope.headers.contains_key(TRANSFER_ENCODING) {
        return Err(StatusCode::NOT_IMPLEMENTED);
    }
    if scope.headers.contains_key(CONTENT_LENGTH) && scope.content_length().is_none() {
        return Err(StatusCode::BAD_REQUEST);
    }
    Ok(scope)
}

fn parse<'a>(
    method: &str,
    target: &str,
    version: Version,
    fields: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Option<HttpScope> {
    let uri: Uri = target.parse().ok()?;
    let target = match uri.path_and_query() {
        Some(target) => target.clone(),
        None => "/".parse().ok()?,
    };
    let mut scope = HttpScope::new(method.parse().ok()?, target);
    scope.version = version;
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        let value = HeaderValue::from_bytes(value).ok()?;
        scope.headers.append(name, value);
    }
    // RFC 9112 §3.2: "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1
    // request message that lacks a Host header field and to any request message that contains more
    // than one Host header field line".
    let hosts = scope.headers.get_all(HOST).iter().count();
    if hosts > 1 || (hosts == 0 && version == Version::HTTP_11) {
        return None;
    }
    // HTTP-010
    if let Some(authority) = uri.authority() {
        let authority = authority.as_str();
        // RFC 9110 §7.2: the field has no user information.
        let host = authority.rsplit('@').next().unwrap_or(authority);
        scope.headers.insert(HOST, host.parse().ok()?);
    }
    Some(scope)
}

/// Returns the bytes of an output on an HTTP/1.0 connection, where the end of the connection ends a
/// body without a length. (HTTP-033)
///
/// `date` is the field of a response to which the app adds none. (HTTP-070) What HTTP/1.0 does not
/// have is empty: a server must not offer the extensions for it.
pub fn encode_http10(output: &WireEvent, date: &str) -> Vec<u8> {
    match output {
        WireEvent::Response(head, body) | WireEvent::Head(head, body) => {
            let mut bytes = encode_head(head, date);
            bytes.extend_from_slice(body);
            bytes
        }
        WireEvent::Data(body) | WireEvent::Last(body) => body.to_vec(),
        _ => Vec::new(),
    }
}

fn encode_head(head: &ResponseHead, date: &str) -> Vec<u8> {
    // RFC 9112 §4: a reason phrase may be empty, but not the space before it.
    let reason = head.status.canonical_reason().unwrap_or("");
    let mut bytes = format!("HTTP/1.0 {} {reason}\r\n", head.status.as_str()).into_bytes();
    let mut field = |name: &str, value: &[u8]| {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    };
    for (name, value) in &head.headers {
        field(name.as_str(), value.as_bytes());
    }
    if !head.headers.contains_key(DATE) {
        field(DATE.as_str(), date.as_bytes());
    }
    field("connection", b"close");
    bytes.extend_from_slice(b"\r\n");
    bytes
}
