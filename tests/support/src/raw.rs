//! An HTTP/1.1 client that sends exactly the bytes that a test gives it.

use std::fmt;
use std::io;
use std::panic::Location;
use std::path::Path;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use rustls::ClientConnection;
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use crate::LIMIT;

/// The line of the test that a failure names.
type At = &'static Location<'static>;

/// A raw connection.
///
/// It has a strict parser of its own: bytes that are not framed as RFC 9112 says fail the test.
/// Each failure shows the received bytes.
pub struct Client {
    stream: Stream,
    /// Received bytes that the test has not read.
    unread: BytesMut,
    /// All received bytes, for the messages of failures.
    seen: Vec<u8>,
    closed: Option<Closed>,
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// How the server closed the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// With a FIN; over TLS, with a close_notify alert.
    Eof,
    /// With a reset.
    Reset,
    /// Over TLS: the server closed the socket without a close_notify alert.
    Truncated,
}

/// The head of a response.
#[derive(Debug, Clone)]
pub struct Head {
    /// 0 for HTTP/1.0, 1 for HTTP/1.1.
    pub minor_version: u8,
    /// The status code.
    pub status: u16,
    /// The headers in their order, with names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Head {
    /// The value of a header, `None` if there is none. Fails if the header is repeated.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self
            .headers
            .iter()
            .filter(|(other, _)| other == name)
            .map(|(_, value)| value.as_str());
        let value = values.next();
        assert_eq!(values.next(), None, "{name} is repeated in {self:#?}");
        value
    }

    /// Whether the header `connection` has this option.
    pub fn connection_has(&self, option: &str) -> bool {
        self.header("connection").is_some_and(|value| {
            value
                .split(',')
                .any(|one| one.trim().eq_ignore_ascii_case(option))
        })
    }
}

/// A whole response.
#[derive(Debug, Clone)]
pub struct Response {
    /// Its head.
    pub head: Head,
    /// Its body, without the framing.
    pub body: Bytes,
}

impl Response {
    /// [`Head::header`] of its head.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }
}

/// A chunked body.
#[derive(Debug, Clone)]
pub struct Chunked {
    /// The data of each chunk.
    pub chunks: Vec<Bytes>,
    /// The trailers.
    pub trailers: Vec<(String, String)>,
}

impl Chunked {
    /// The data of all chunks.
    pub fn body(&self) -> Bytes {
        Bytes::from(self.chunks.concat())
    }
}

impl Client {
    /// A client on a TCP connection.
    pub fn tcp(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self::new(Stream::Tcp(stream))
    }

    /// Connects to a Unix socket.
    pub async fn unix(path: &Path) -> Self {
        Self::new(Stream::Unix(UnixStream::connect(path).await.unwrap()))
    }

    /// A client on a TLS connection after its handshake.
    pub fn tls(stream: TlsStream<TcpStream>) -> Self {
        stream.get_ref().0.set_nodelay(true).unwrap();
        Self::new(Stream::Tls(Box::new(stream)))
    }

    /// The TLS session of the connection.
    #[track_caller]
    pub fn tls_session(&self) -> &ClientConnection {
        match &self.stream {
            Stream::Tls(stream) => stream.get_ref().1,
            _ => panic!("the connection has no TLS"),
        }
    }

    fn new(stream: Stream) -> Self {
        Self {
            stream,
            unread: BytesMut::new(),
            seen: Vec::new(),
            closed: None,
        }
    }

    /// Sends these bytes, in one segment if they fit.
    #[track_caller]
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) -> impl Future<Output = ()> {
        let at: At = Location::caller();
        async move {
            let bytes = bytes.as_ref();
            match timeout(LIMIT, Self::write_all(&mut self.stream, bytes)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => self.fail(at, format_args!("cannot write: {error}")),
                Err(_) => self.fail(at, format_args!("waited {LIMIT:?} for room to write")),
            }
        }
    }

    /// Sends a GET with the host "a".
    #[track_caller]
    pub fn get(&mut self, target: &str) -> impl Future<Output = ()> {
        self.write(format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n"))
    }

    /// Sends these bytes to a server that may close the connection before it has read them.
    ///
    /// # Errors
    ///
    /// The server closed the connection.
    pub async fn try_write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        timeout(LIMIT, Self::write_all(&mut self.stream, bytes.as_ref())).await?
    }

    /// Sends bytes until the socket accepts none for `patience`, and returns how many it accepted.
    pub async fn write_until_full(&mut self, patience: Duration) -> usize {
        let bytes = vec![b'x'; 64 << 10];
        let mut taken = 0;
        loop {
            let write = async {
                match &mut self.stream {
                    Stream::Tcp(stream) => stream.write(&bytes).await,
                    Stream::Unix(stream) => stream.write(&bytes).await,
                    Stream::Tls(stream) => stream.write(&bytes).await,
                }
            };
            match timeout(patience, write).await {
                Ok(written) => taken += written.unwrap(),
                Err(_) => return taken,
            }
        }
    }

    /// Reads the head of a response, which must have this status.
    #[track_caller]
    pub fn expect_head(&mut self, status: u16) -> impl Future<Output = Head> {
        let at: At = Location::caller();
        async move {
            let head = self.head(at).await;
            if head.status != status {
                self.fail(
                    at,
                    format_args!("expected a response {status}, got {}", head.status),
                );
            }
            head
        }
    }

    /// Reads the head of a response with any status.
    #[track_caller]
    pub fn expect_any_head(&mut self) -> impl Future<Output = Head> {
        self.head(Location::caller())
    }

    /// Reads a whole response, which must have this status. Not for responses to HEAD.
    #[track_caller]
    pub fn expect_response(&mut self, status: u16) -> impl Future<Output = Response> {
        let at: At = Location::caller();
        async move {
            let response = self.response(at).await;
            let got = response.head.status;
            if got != status {
                self.fail(at, format_args!("expected a response {status}, got {got}"));
            }
            response
        }
    }

    /// Reads exactly `length` bytes of a body.
    #[track_caller]
    pub fn read_body(&mut self, length: usize) -> impl Future<Output = Bytes> {
        self.exactly(Location::caller(), length)
    }

    /// Reads one chunk, `None` for the last one. It leaves the trailers to
    /// [`read_trailers`](Self::read_trailers).
    #[track_caller]
    pub fn read_chunk(&mut self) -> impl Future<Output = Option<Bytes>> {
        self.chunk(Location::caller())
    }

    /// Reads the trailers after the last chunk.
    #[track_caller]
    pub fn read_trailers(&mut self) -> impl Future<Output = Vec<(String, String)>> {
        self.headers(Location::caller())
    }

    /// Reads a whole chunked body.
    #[track_caller]
    pub fn read_chunked(&mut self) -> impl Future<Output = Chunked> {
        self.chunked(Location::caller())
    }

    /// Reads until the server closes the connection, and returns how it did.
    #[track_caller]
    pub fn read_until_closed(&mut self) -> impl Future<Output = (Bytes, Closed)> {
        self.until_closed(Location::caller())
    }

    /// Reads until the server closes the connection with [`Closed::Eof`].
    ///
    /// # Errors
    ///
    /// The connection ended in another way.
    pub async fn try_read_until_closed(&mut self) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        match &mut self.stream {
            Stream::Tcp(stream) => stream.read_to_end(&mut all).await?,
            Stream::Unix(stream) => stream.read_to_end(&mut all).await?,
            Stream::Tls(stream) => stream.read_to_end(&mut all).await?,
        };
        Ok(all)
    }

    /// Reads for this long, or until the server closes the connection. Then the result has `true`.
    pub async fn read_for(&mut self, time: Duration) -> (Bytes, bool) {
        let closed = timeout(time, self.until_closed(Location::caller())).await;
        match closed {
            Ok((bytes, _)) => (bytes, true),
            Err(_) => (self.unread.split().freeze(), false),
        }
    }

    /// Checks that the server closes with [`Closed::Eof`], and sends nothing before.
    #[track_caller]
    pub fn expect_eof(&mut self) -> impl Future<Output = ()> {
        self.expect_closed(Location::caller(), Closed::Eof)
    }

    /// Checks that the server resets the connection, and sends nothing before.
    #[track_caller]
    pub fn expect_reset(&mut self) -> impl Future<Output = ()> {
        self.expect_closed(Location::caller(), Closed::Reset)
    }

    /// Checks that the server closes the connection in any way, and sends nothing before.
    #[track_caller]
    pub fn expect_end(&mut self) -> impl Future<Output = ()> {
        let at: At = Location::caller();
        async move {
            let (rest, _) = self.until_closed(at).await;
            if !rest.is_empty() {
                self.fail(at, format_args!("expected the end of the connection"));
            }
        }
    }

    /// Checks that the server sends nothing for this long.
    #[track_caller]
    pub fn expect_silence(&mut self, duration: Duration) -> impl Future<Output = ()> {
        let at: At = Location::caller();
        async move {
            let came = self.unread.len();
            if timeout(duration, self.fill(at, "nothing")).await.is_ok() || came > 0 {
                self.fail(at, format_args!("expected silence"));
            }
        }
    }

    /// Closes the client's side. The server's side can still be read.
    pub async fn half_close(&mut self) {
        match &mut self.stream {
            Stream::Tcp(stream) => stream.shutdown().await.unwrap(),
            Stream::Unix(stream) => stream.shutdown().await.unwrap(),
            Stream::Tls(stream) => stream.shutdown().await.unwrap(),
        }
    }

    /// Over TLS: sends a close_notify alert and leaves the socket open.
    pub async fn close_notify(&mut self) {
        if let Stream::Tls(stream) = &mut self.stream {
            stream.get_mut().1.send_close_notify();
            stream.flush().await.unwrap();
        }
    }

    /// Over TLS: sends these bytes and a close_notify alert, in one segment if they fit.
    pub async fn write_and_close_notify(&mut self, bytes: &str) {
        if let Stream::Tls(stream) = &mut self.stream {
            let session = stream.get_mut().1;
            io::Write::write_all(&mut session.writer(), bytes.as_bytes()).unwrap();
        }
        self.close_notify().await;
    }

    /// Over TLS: closes the client's side of the socket without a close_notify alert.
    pub async fn truncate(&mut self) {
        if let Stream::Tls(stream) = &mut self.stream {
            stream.get_mut().0.shutdown().await.unwrap();
        }
    }

    /// Resets the connection.
    pub fn reset(self) {
        let socket = match &self.stream {
            Stream::Tcp(stream) => SockRef::from(stream),
            Stream::Tls(stream) => SockRef::from(stream.get_ref().0),
            Stream::Unix(_) => return,
        };
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }

    async fn write_all(stream: &mut Stream, bytes: &[u8]) -> io::Result<()> {
        match stream {
            Stream::Tcp(stream) => stream.write_all(bytes).await,
            Stream::Unix(stream) => stream.write_all(bytes).await,
            Stream::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
        }
    }

    async fn head(&mut self, at: At) -> Head {
        let line = self.line(at).await;
        let Some((minor_version, status)) = parse_status_line(&line) else {
            self.fail(at, format_args!("expected a status line, got {line:?}"));
        };
        let headers = self.headers(at).await;
        Head {
            minor_version,
            status,
            headers,
        }
    }

    async fn response(&mut self, at: At) -> Response {
        let head = self.head(at).await;
        let status = head.status;
        let length = head.header("content-length").map(str::to_owned);
        let coding = head.header("transfer-encoding").map(str::to_owned);
        let body = match (status, length, coding) {
            (100..=199 | 204 | 304, _, _) => Bytes::new(),
            (_, Some(_), Some(_)) => self.fail(
                at,
                format_args!("both content-length and transfer-encoding"),
            ),
            (_, Some(length), None) => {
                let length = match length.parse() {
                    Ok(length) => length,
                    Err(error) => self.fail(at, format_args!("content-length {length:?}: {error}")),
                };
                self.exactly(at, length).await
            }
            (_, None, Some(coding)) => {
                if coding != "chunked" {
                    self.fail(at, format_args!("transfer-encoding {coding:?}"));
                }
                self.chunked(at).await.body()
            }
            (_, None, None) => match self.until_closed(at).await {
                (body, Closed::Eof) => body,
                (_, closed) => self.fail(at, format_args!("the body ends in {closed:?}")),
            },
        };
        Response { head, body }
    }

    async fn headers(&mut self, at: At) -> Vec<(String, String)> {
        let mut headers = Vec::new();
        loop {
            let line = self.line(at).await;
            if line.is_empty() {
                return headers;
            }
            match line.split_once(':') {
                Some((name, value)) if !name.is_empty() && name.bytes().all(is_token) => {
                    headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
                }
                _ => self.fail(at, format_args!("expected a header, got {line:?}")),
            }
        }
    }

    async fn chunked(&mut self, at: At) -> Chunked {
        let mut chunks = Vec::new();
        while let Some(chunk) = self.chunk(at).await {
            chunks.push(chunk);
        }
        let trailers = self.headers(at).await;
        Chunked { chunks, trailers }
    }

    async fn chunk(&mut self, at: At) -> Option<Bytes> {
        let line = self.line(at).await;
        let is_size = !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_hexdigit());
        let Some(size) = usize::from_str_radix(&line, 16).ok().filter(|_| is_size) else {
            self.fail(
                at,
                format_args!("expected the size of a chunk, got {line:?}"),
            );
        };
        if size == 0 {
            return None;
        }
        let data = self.exactly(at, size).await;
        let end = self.exactly(at, 2).await;
        if end != "\r\n" {
            self.fail(at, format_args!("expected the end of a chunk, got {end:?}"));
        }
        Some(data)
    }

    /// A line without its CRLF, read as ISO 8859-1.
    async fn line(&mut self, at: At) -> String {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line = self.unread.split_to(end + 1);
                let Some(line) = line.strip_suffix(b"\r\n") else {
                    self.fail(at, format_args!("a line that ends in a bare LF"));
                };
                return line.iter().map(|byte| char::from(*byte)).collect();
            }
            self.fill_or_fail(at, "a line").await;
        }
    }

    async fn exactly(&mut self, at: At, length: usize) -> Bytes {
        while self.unread.len() < length {
            self.fill_or_fail(at, "more of a body").await;
        }
        self.unread.split_to(length).freeze()
    }

    async fn until_closed(&mut self, at: At) -> (Bytes, Closed) {
        loop {
            if let Some(closed) = self.fill(at, "the end of the connection").await {
                return (self.unread.split().freeze(), closed);
            }
        }
    }

    async fn expect_closed(&mut self, at: At, expected: Closed) {
        let (rest, closed) = self.until_closed(at).await;
        if !rest.is_empty() || closed != expected {
            self.fail(
                at,
                format_args!("expected {expected:?}, got {rest:?}, then {closed:?}"),
            );
        }
    }

    async fn fill_or_fail(&mut self, at: At, what: &str) {
        if let Some(closed) = self.fill(at, what).await {
            self.fail(at, format_args!("expected {what}, got {closed:?}"));
        }
    }

    /// Waits for more bytes. Returns how the connection ended if there are no more. Cancel-safe.
    async fn fill(&mut self, at: At, what: &str) -> Option<Closed> {
        if self.closed.is_some() {
            return self.closed;
        }
        let had = self.unread.len();
        let read = async {
            match &mut self.stream {
                Stream::Tcp(stream) => stream.read_buf(&mut self.unread).await,
                Stream::Unix(stream) => stream.read_buf(&mut self.unread).await,
                Stream::Tls(stream) => stream.read_buf(&mut self.unread).await,
            }
        };
        let Ok(read) = timeout(LIMIT, read).await else {
            self.fail(at, format_args!("waited {LIMIT:?} for {what}"));
        };
        self.seen.extend_from_slice(&self.unread[had..]);
        self.closed = match read {
            Ok(0) => Some(Closed::Eof),
            Ok(_) => None,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Some(Closed::Reset),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Some(Closed::Truncated),
            Err(error) => self.fail(at, format_args!("expected {what}: {error}")),
        };
        self.closed
    }

    /// Fails the test and shows the received bytes.
    fn fail(&self, at: At, what: fmt::Arguments<'_>) -> ! {
        const SHOWN: usize = 2000;
        let shown = &self.seen[..self.seen.len().min(SHOWN)];
        panic!(
            "at {at}: {what}\nreceived {} bytes, of which the last {} are unread:\n{}",
            self.seen.len(),
            self.unread.remaining(),
            shown
                .escape_ascii()
                .to_string()
                .replace("\\r\\n", "\\r\\n\n"),
        );
    }
}

fn parse_status_line(line: &str) -> Option<(u8, u16)> {
    let (minor_version, rest) = match line.strip_prefix("HTTP/1.")?.split_at_checked(1)? {
        ("0", rest) => (0, rest),
        ("1", rest) => (1, rest),
        _ => return None,
    };
    // RFC 9112 §4: a space follows the status even if there is no reason.
    let (status, _reason) = rest.strip_prefix(' ')?.split_once(' ')?;
    let is_status = status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit());
    let status = status.parse().ok().filter(|_| is_status)?;
    Some((minor_version, status))
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
