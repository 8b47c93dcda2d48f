//! A WebSocket client that sends exactly the frames that a test gives it, over HTTP/1.1 or HTTP/2.

use std::io;
use std::net::SocketAddr;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Method, Request, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::server::Server;
use crate::{LIMIT, run, within};

/// The opcodes of frames (RFC 6455 §5.2).
#[expect(missing_docs, reason = "named by the RFC")]
pub mod opcode {
    pub const CONTINUATION: u8 = 0;
    pub const TEXT: u8 = 1;
    pub const BINARY: u8 = 2;
    pub const CLOSE: u8 = 8;
    pub const PING: u8 = 9;
    pub const PONG: u8 = 10;
}

pub use self::opcode::*;

/// The headers of an HTTP/1.1 handshake, without `host`.
pub const HANDSHAKE: &str = "upgrade: websocket\r\nconnection: Upgrade\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// The version of HTTP that carries a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// HTTP/1.1, with an upgrade.
    Http1,
    /// HTTP/2, with an extended CONNECT.
    Http2,
}

/// Runs a test over HTTP/1.1 and over HTTP/2.
#[allow(clippy::print_stdout, reason = "shows which version fails")]
pub fn over_both(test: impl AsyncFn(Over)) {
    for over in [Over::Http1, Over::Http2] {
        println!("over {over:?}");
        run(test(over));
    }
}

impl Over {
    /// Opens a WebSocket, which the app must accept.
    #[track_caller]
    pub fn open(self, server: &Server, target: &str) -> impl Future<Output = Peer> + use<> {
        self.open_with(server, target, &[])
    }

    /// [`open`](Self::open), with these headers in the handshake.
    #[track_caller]
    pub fn open_with(
        self,
        server: &Server,
        target: &str,
        headers: &[(&'static str, &str)],
    ) -> impl Future<Output = Peer> + use<> {
        let answer = self.ask(server, target, headers);
        async move {
            let answer = answer.await;
            let accepted = match self {
                Self::Http1 => 101,
                Self::Http2 => 200,
            };
            assert_eq!(answer.status.as_u16(), accepted, "{answer:?}");
            answer.peer
        }
    }

    /// Sends a handshake and returns the response.
    #[track_caller]
    pub fn ask(
        self,
        server: &Server,
        target: &str,
        headers: &[(&'static str, &str)],
    ) -> impl Future<Output = Answer> + use<> {
        self.ask_at(server.address(), target, headers)
    }

    /// [`ask`](Self::ask) for a server of any kind.
    #[track_caller]
    pub fn ask_at(
        self,
        address: SocketAddr,
        target: &str,
        headers: &[(&'static str, &str)],
    ) -> impl Future<Output = Answer> + use<> {
        let target = target.to_owned();
        let headers: Vec<(&'static str, String)> = headers
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
        within("the response to a handshake", async move {
            let stream = TcpStream::connect(address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            match self {
                Self::Http1 => ask_http1(stream, &target, &headers).await,
                Self::Http2 => ask_http2(stream, &target, &headers).await,
            }
        })
    }
}

/// The response to a handshake.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// The connection or the stream after the head.
    pub peer: Peer,
}

async fn ask_http1(stream: TcpStream, target: &str, headers: &[(&str, String)]) -> Answer {
    let mut peer = Peer::new(Box::new(stream));
    let mut head = format!("GET {target} HTTP/1.1\r\nhost: a\r\n{HANDSHAKE}");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    peer.raw(head + "\r\n").await;
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut headers);
        if let httparse::Status::Complete(length) = response.parse(&peer.unread).unwrap() {
            let status = StatusCode::from_u16(response.code.unwrap()).unwrap();
            let headers = response
                .headers
                .iter()
                .map(|header| {
                    let value = header.value.try_into().unwrap();
                    (header.name.parse().unwrap(), value)
                })
                .collect();
            peer.unread.advance(length);
            return Answer {
                status,
                headers,
                peer,
            };
        }
        let read = peer.stream.read_buf(&mut peer.unread).await.unwrap();
        assert_ne!(read, 0, "no response: {:?}", peer.unread);
    }
}

async fn ask_http2(stream: TcpStream, target: &str, headers: &[(&str, String)]) -> Answer {
    let (mut requests, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(async move {
        // A failed connection also fails its stream.
        let _ = connection.await;
    });
    while !requests.is_extended_connect_protocol_enabled() {
        tokio::task::yield_now().await;
    }
    let mut request = Request::builder()
        .method(Method::CONNECT)
        .uri(format!("http://a{target}"))
        .header("sec-websocket-version", "13")
        .extension(h2::ext::Protocol::from_static("websocket"));
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let request = request.body(()).unwrap();
    let (response, send) = requests.send_request(request, false).unwrap();
    let (parts, body) = response.await.unwrap().into_parts();
    let stream = Stream {
        send,
        body,
        chunk: Bytes::new(),
        _connection: AbortOnDrop(connection),
        requests,
    };
    Answer {
        status: parts.status,
        headers: parts.headers,
        peer: Peer::new(Box::new(stream)),
    }
}

/// An HTTP/2 stream that is read and written like a connection.
struct Stream {
    send: SendStream<Bytes>,
    body: RecvStream,
    chunk: Bytes,
    _connection: AbortOnDrop,
    /// Keeps the connection open.
    #[allow(dead_code)]
    requests: h2::client::SendRequest<Bytes>,
}

/// Aborts the connection's task when it is dropped, as if the client had died.
struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.chunk.is_empty() {
            match ready!(this.body.poll_data(cx)) {
                None => return Poll::Ready(Ok(())),
                Some(Ok(data)) => this.chunk = data,
                Some(Err(error)) => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionReset, error)));
                }
            }
        }
        let length = this.chunk.len().min(buf.remaining());
        buf.put_slice(&this.chunk.split_to(length));
        let _ = this.body.flow_control().release_capacity(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let reset = |error| io::Error::new(io::ErrorKind::ConnectionReset, error);
        if let Poll::Ready(result) = this.send.poll_reset(cx) {
            let error = result.map_or_else(reset, |reason| reset(reason.into()));
            return Poll::Ready(Err(error));
        }
        this.send.reserve_capacity(buf.len());
        while this.send.capacity() == 0 {
            if let Err(error) = ready!(this.send.poll_capacity(cx)).unwrap() {
                return Poll::Ready(Err(reset(error)));
            }
        }
        let length = this.send.capacity().min(buf.len());
        let data = Bytes::copy_from_slice(&buf[..length]);
        this.send.send_data(data, false).map_err(reset)?;
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = self.get_mut().send.send_data(Bytes::new(), true);
        Poll::Ready(ended.map_err(io::Error::other))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.send.send_reset(Reason::CANCEL);
    }
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// The client's side of a WebSocket.
pub struct Peer {
    stream: Box<dyn Duplex>,
    /// Received bytes that the test has not read.
    unread: BytesMut,
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peer")
            .field("unread", &self.unread)
            .finish()
    }
}

/// A frame, masked with zeroes so that the payload is easy to read.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length @ 126..65_536 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

/// The payload of a close frame.
pub fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes()[..], reason.as_bytes()].concat()
}

impl Peer {
    fn new(stream: Box<dyn Duplex>) -> Self {
        Self {
            stream,
            unread: BytesMut::new(),
        }
    }

    /// Writes bytes.
    #[track_caller]
    pub fn raw(&mut self, bytes: impl AsRef<[u8]>) -> impl Future<Output = ()> {
        let at = Location::caller();
        async move {
            let written = timeout(LIMIT, self.stream.write_all(bytes.as_ref())).await;
            let written = written.unwrap_or_else(|_| panic!("at {at}: the server does not read"));
            written.unwrap_or_else(|error| panic!("at {at}: cannot write: {error}"));
            self.stream.flush().await.unwrap();
        }
    }

    /// Writes `bytes` at most `most` times, until a write takes longer than `patience`. Returns how
    /// many bytes it has written.
    pub async fn write_until_full(
        &mut self,
        bytes: &[u8],
        most: usize,
        patience: Duration,
    ) -> usize {
        let mut times = 0;
        while times < most
            && let Ok(written) = timeout(patience, self.stream.write_all(bytes)).await
        {
            written.unwrap();
            times += 1;
        }
        times * bytes.len()
    }

    /// Sends a frame with FIN.
    #[track_caller]
    pub fn send(&mut self, opcode: u8, payload: impl AsRef<[u8]>) -> impl Future<Output = ()> {
        self.raw(frame(0x80 | opcode, payload.as_ref()))
    }

    /// Sends a text message in one frame.
    #[track_caller]
    pub fn text(&mut self, text: &str) -> impl Future<Output = ()> {
        self.send(TEXT, text)
    }

    /// Sends a close frame.
    #[track_caller]
    pub fn close(&mut self, code: u16, reason: &str) -> impl Future<Output = ()> {
        self.send(CLOSE, close_payload(code, reason))
    }

    /// Reads the next frame: its first byte and its payload.
    #[track_caller]
    pub fn next_frame(&mut self) -> impl Future<Output = (u8, Bytes)> {
        let at = Location::caller();
        async move {
            let next = timeout(LIMIT, self.read_frame()).await;
            let next = next.unwrap_or_else(|_| panic!("at {at}: waited for a frame"));
            next.unwrap_or_else(|| panic!("at {at}: expected a frame, got the end"))
        }
    }

    async fn read_frame(&mut self) -> Option<(u8, Bytes)> {
        loop {
            if let Some(frame) = take_frame(&mut self.unread) {
                return Some(frame);
            }
            match self.stream.read_buf(&mut self.unread).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Reads the next frame, which must be this one with FIN.
    #[track_caller]
    pub fn expect(&mut self, opcode: u8, payload: impl AsRef<[u8]>) -> impl Future<Output = ()> {
        let at = Location::caller();
        let next = self.next_frame();
        async move {
            let (first, came) = next.await;
            assert_eq!(
                (first, String::from_utf8_lossy(&came)),
                (0x80 | opcode, String::from_utf8_lossy(payload.as_ref())),
                "at {at}"
            );
        }
    }

    /// Reads the next frame, which must be this close frame.
    #[track_caller]
    pub fn expect_close(&mut self, code: u16, reason: &str) -> impl Future<Output = ()> {
        self.expect(CLOSE, close_payload(code, reason))
    }

    /// Checks that the server ends its side with END_STREAM or FIN, and sends nothing before.
    #[track_caller]
    pub fn expect_end(&mut self) -> impl Future<Output = ()> {
        let at = Location::caller();
        async move {
            let end = self.end(at).await;
            assert!(end, "at {at}: expected the end, got a reset");
        }
    }

    /// Checks that the server ends its side in any way, and sends nothing before.
    #[track_caller]
    pub fn expect_gone(&mut self) -> impl Future<Output = ()> {
        let at = Location::caller();
        async move {
            self.end(at).await;
        }
    }

    async fn end(&mut self, at: &Location<'_>) -> bool {
        let read = timeout(LIMIT, self.stream.read_buf(&mut self.unread)).await;
        let read = read.unwrap_or_else(|_| panic!("at {at}: waited for the end"));
        assert!(self.unread.is_empty(), "at {at}: {:?}", self.unread);
        read.is_ok()
    }

    /// Reads until the server ends its side.
    pub async fn rest(&mut self) -> Bytes {
        let mut rest = self.unread.split().to_vec();
        within("the end", self.stream.read_to_end(&mut rest))
            .await
            .unwrap();
        rest.into()
    }

    /// Ends the client's side with END_STREAM or FIN.
    pub async fn end_side(&mut self) {
        self.stream.shutdown().await.unwrap();
    }
}

fn take_frame(unread: &mut BytesMut) -> Option<(u8, Bytes)> {
    let (first, second) = (*unread.first()?, *unread.get(1)?);
    assert_eq!(second & 0x80, 0, "a server must not mask");
    let (length, head) = match second {
        126 => (
            u16::from_be_bytes(unread.get(2..4)?.try_into().unwrap()) as usize,
            4,
        ),
        127 => (
            u64::from_be_bytes(unread.get(2..10)?.try_into().unwrap()) as usize,
            10,
        ),
        length => (usize::from(length), 2),
    };
    if unread.len() < head + length {
        return None;
    }
    unread.advance(head);
    Some((first, unread.split_to(length).freeze()))
}
