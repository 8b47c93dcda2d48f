//! HTTP/1.0 on the wire: reads the head of a request, writes a response.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant, SystemTime};

use asgi::http::header::{CONTENT_LENGTH, DATE, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING};
use asgi::http::{Method, StatusCode, Uri, Version};
use asgi::{DisconnectReason, HttpScope, State};
use asgi_rules::{ResponseHead, WireEvent};

/// The longest head of a request, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// How long the server reads what it does not need.
const LINGER: Duration = Duration::from_secs(1);

/// A request whose body has not been read.
pub(crate) struct Request {
    pub(crate) scope: HttpScope,
    /// The bytes that came with the head.
    pub(crate) body: Vec<u8>,
    pub(crate) body_length: u64,
}

/// Reads the head of a request. Returns the status of the server's own answer if it is not valid.
pub(crate) fn read_request(
    mut stream: &TcpStream,
    state: State,
) -> io::Result<Result<Request, StatusCode>> {
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    loop {
        let length = stream.read(&mut part)?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&part[..length]);
        let mut headers = [httparse::EMPTY_HEADER; 100];
        let mut head = httparse::Request::new(&mut headers);
        match head.parse(&bytes) {
            Ok(httparse::Status::Complete(end)) => {
                let Some(mut scope) = scope(&head) else {
                    return Ok(Err(StatusCode::BAD_REQUEST));
                };
                scope.client = stream.peer_addr().ok().map(Into::into);
                scope.server = stream.local_addr().ok().map(Into::into);
                scope.state = state;
                return Ok(request(scope, bytes.split_off(end)));
            }
            Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD => {}
            Ok(_) | Err(httparse::Error::TooManyHeaders) => {
                return Ok(Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
            }
            Err(_) => return Ok(Err(StatusCode::BAD_REQUEST)),
        }
    }
}

fn scope(head: &httparse::Request<'_, '_>) -> Option<HttpScope> {
    let uri: Uri = head.path?.parse().ok()?;
    let target = uri.path_and_query().cloned();
    let method = Method::from_bytes(head.method?.as_bytes()).ok()?;
    let mut scope = HttpScope::new(method, target.unwrap_or("/".parse().ok()?));
    scope.version = match head.version {
        Some(0) => Version::HTTP_10,
        _ => Version::HTTP_11,
    };
    for header in head.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        let value = HeaderValue::from_bytes(header.value).ok()?;
        scope.headers.append(name, value);
    }
    // HTTP-010
    if let Some(authority) = uri.authority() {
        let host = HeaderValue::from_str(authority.as_str()).ok()?;
        scope.headers.insert(HOST, host);
    }
    Some(scope)
}

fn request(scope: HttpScope, mut body: Vec<u8>) -> Result<Request, StatusCode> {
    // HTTP-066
    if scope.method == Method::CONNECT || scope.headers.contains_key(TRANSFER_ENCODING) {
        return Err(StatusCode::NOT_IMPLEMENTED);
    }
    let mut lengths = scope.headers.get_all(CONTENT_LENGTH).iter();
    let body_length = match (lengths.next(), lengths.next()) {
        (None, _) => 0,
        (Some(length), None) => parse_length(length).ok_or(StatusCode::BAD_REQUEST)?,
        (Some(_), Some(_)) => return Err(StatusCode::BAD_REQUEST),
    };
    body.truncate(usize::try_from(body_length).unwrap_or(usize::MAX));
    Ok(Request {
        scope,
        body,
        body_length,
    })
}

fn parse_length(value: &HeaderValue) -> Option<u64> {
    let text = value.to_str().ok()?;
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// Writes what the app has sent. At the end of the response, the client sees the end of the stream.
pub(crate) fn write(mut stream: &TcpStream, event: WireEvent) -> io::Result<()> {
    let is_last = matches!(event, WireEvent::Response(..) | WireEvent::Last(_));
    let (mut bytes, body) = match event {
        WireEvent::Response(head, body) | WireEvent::Head(head, body) => (head_bytes(&head), body),
        WireEvent::Data(body) | WireEvent::Last(body) => (Vec::new(), body),
        // Hints, pushes and trailers: the scope does not offer them, so the rules refuse them.
        _ => return Ok(()),
    };
    bytes.extend_from_slice(&body);
    stream.write_all(&bytes)?;
    if is_last {
        stream.shutdown(Shutdown::Write)?;
    }
    Ok(())
}

fn head_bytes(head: &ResponseHead) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.0 {}\r\n", head.status).into_bytes();
    for (name, value) in &head.headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    // HTTP-070
    if !head.headers.contains_key(DATE) {
        let date = httpdate::fmt_http_date(SystemTime::now());
        bytes.extend_from_slice(format!("date: {date}\r\n").as_bytes());
    }
    bytes.extend_from_slice(b"connection: close\r\n\r\n");
    bytes
}

/// Returns what an error of the socket means for the app.
pub(crate) fn reason(error: &io::Error) -> DisconnectReason {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => DisconnectReason::TimedOut,
        _ => DisconnectReason::Lost,
    }
}

/// Reads the rest of a request body, within limits: if the server closed now, the kernel would reset
/// the connection, and the client could lose the response.
pub(crate) fn drain(mut stream: &TcpStream, unread: u64) -> io::Result<()> {
    let (end, mut part) = (Instant::now() + LINGER, [0; 4096]);
    stream.set_read_timeout(Some(LINGER))?;
    while unread > 0 && Instant::now() < end && stream.read(&mut part)? > 0 {}
    Ok(())
}

/// Sends an answer of the server's own.
pub(crate) fn refuse(mut stream: &TcpStream, status: StatusCode) -> io::Result<()> {
    write!(
        stream,
        "HTTP/1.0 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    )?;
    stream.shutdown(Shutdown::Write)
}
