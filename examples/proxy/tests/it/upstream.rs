//! An upstream that reads and writes exactly the bytes that a test wants.

use std::net::SocketAddr;

use test_support::{Client, within};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};

/// A listener on a free port.
pub(crate) struct Upstream(TcpListener);

impl Upstream {
    pub(crate) async fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// Accepts a connection and reads the head of the first request on it.
    pub(crate) async fn accept(&self) -> Connection {
        let (stream, _) = within("a connection of the proxy", self.0.accept())
            .await
            .unwrap();
        Connection::read(stream).await
    }
}

/// A connection after the head of a request.
pub(crate) struct Connection {
    stream: TcpStream,
    /// The request line and the headers, each as a line.
    pub(crate) head: Vec<String>,
}

impl Connection {
    async fn read(mut stream: TcpStream) -> Self {
        let mut head = Vec::new();
        within("the head of a request", async {
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
        })
        .await;
        let head = String::from_utf8(head).unwrap();
        let head = head.trim_end().lines().map(str::to_owned).collect();
        Self { stream, head }
    }

    /// Reads the head of the next request.
    pub(crate) async fn next(self) -> Self {
        Self::read(self.stream).await
    }

    /// The values of a header.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let lines = self.head.iter().filter_map(|line| line.split_once(": "));
        lines
            .filter(|(one, _)| *one == name)
            .map(|(_, value)| value)
            .collect()
    }

    pub(crate) async fn read_exact(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        within("a body", self.stream.read_exact(&mut bytes))
            .await
            .unwrap();
        bytes
    }

    pub(crate) async fn write(&mut self, bytes: &str) {
        use tokio::io::AsyncWriteExt as _;
        within("room to write", self.stream.write_all(bytes.as_bytes()))
            .await
            .unwrap();
    }

    /// The connection without the parser of requests.
    pub(crate) fn raw(self) -> Client {
        Client::tcp(self.stream)
    }
}
