//! A client of a case: the same steps over HTTP/1.1 and HTTP/2.

use std::io;
use std::net::SocketAddr;

use tokio_rustls::rustls::ClientConnection;

use super::http1::Http1;
use super::http2::{Http2, StreamEnding, pairs};
use super::parse::{Head, Received};
use super::request::{CaseRequest, Upload};
use super::socket::ConnectionEnding;
use crate::result::{Checked, fail};

/// A connection and the last exchange on it.
pub(crate) struct CaseClient {
    wire: ClientWire,
    upload: Upload,
}

enum ClientWire {
    Http1(Http1),
    Http2 { http2: Box<Http2>, stream: u32 },
}

impl From<Http1> for CaseClient {
    fn from(http1: Http1) -> Self {
        Self {
            wire: ClientWire::Http1(http1),
            upload: Upload::Nothing,
        }
    }
}

impl From<Http2> for CaseClient {
    fn from(http2: Http2) -> Self {
        Self {
            wire: ClientWire::Http2 {
                http2: Box::new(http2),
                stream: 0,
            },
            upload: Upload::Nothing,
        }
    }
}

impl CaseClient {
    /// The connection over HTTP/2 and the stream of the last exchange.
    pub(crate) fn as_http2(&mut self) -> Option<(&mut Http2, u32)> {
        match &mut self.wire {
            ClientWire::Http1(_) => None,
            ClientWire::Http2 { http2, stream } => Some((http2, *stream)),
        }
    }

    /// What the handshake of TLS has agreed on. `None` without TLS.
    pub(crate) fn tls(&self) -> Option<&ClientConnection> {
        match &self.wire {
            ClientWire::Http1(http1) => http1.connection.tls(),
            ClientWire::Http2 { http2, .. } => http2.connection.tls(),
        }
    }

    /// The address of this client and that of the server.
    pub(crate) fn addresses(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        match &self.wire {
            ClientWire::Http1(http1) => http1.connection.addresses(),
            ClientWire::Http2 { http2, .. } => http2.connection.addresses(),
        }
    }

    /// Sends the head of a request. What its headers announce may follow.
    pub(crate) async fn send(&mut self, request: CaseRequest) -> Checked {
        self.upload = request.upload();
        match &mut self.wire {
            ClientWire::Http1(http1) => http1.send(request.http1()).await,
            ClientWire::Http2 { http2, stream } => {
                let headers = request.http2(http2.scheme());
                let end = self.upload == Upload::Nothing;
                *stream = http2.begin(&pairs(&headers), end).await?;
                Ok(())
            }
        }
    }

    /// Sends a part of the body. The last byte of a body of a known length ends it.
    pub(crate) async fn part(&mut self, bytes: impl AsRef<[u8]>) -> Checked {
        let bytes = bytes.as_ref();
        if let Upload::Length(rest) = &mut self.upload {
            *rest = rest.saturating_sub(bytes.len());
        }
        let end = self.upload == Upload::Length(0);
        match &mut self.wire {
            ClientWire::Http1(http1) if self.upload == Upload::Open => {
                let size = format!("{:x}\r\n", bytes.len());
                http1.send([size.as_bytes(), bytes, b"\r\n"].concat()).await
            }
            ClientWire::Http1(http1) => http1.send(bytes).await,
            ClientWire::Http2 { http2, stream } => http2.data(*stream, bytes, end).await,
        }
    }

    /// Ends a body of unknown length, with these trailers.
    pub(crate) async fn finish(&mut self, trailers: &[(&str, &str)]) -> Checked {
        match &mut self.wire {
            ClientWire::Http1(http1) => {
                let lines = trailers.iter();
                let lines: String = lines
                    .map(|(name, value)| format!("{name}: {value}\r\n"))
                    .collect();
                http1.send(format!("0\r\n{lines}\r\n")).await
            }
            ClientWire::Http2 { http2, stream } if trailers.is_empty() => {
                http2.data(*stream, &[], true).await
            }
            ClientWire::Http2 { http2, stream } => http2.headers(*stream, trailers, true).await,
        }
    }

    /// Sends bytes of a WebSocket as they are.
    pub(crate) async fn raw(&mut self, bytes: impl AsRef<[u8]>) -> Checked {
        match &mut self.wire {
            ClientWire::Http1(http1) => http1.send(bytes).await,
            ClientWire::Http2 { http2, stream } => http2.data(*stream, bytes.as_ref(), false).await,
        }
    }

    /// Sends as much as the server takes until it makes the client wait, and returns how much that
    /// was. At most a little more than `limit` bytes. The pattern is repeated.
    pub(crate) async fn send_until_it_waits(
        &mut self,
        pattern: &[u8],
        limit: usize,
    ) -> Checked<usize> {
        match &mut self.wire {
            ClientWire::Http1(http1) => http1.connection.send_until_it_waits(pattern, limit).await,
            ClientWire::Http2 { http2, stream } => {
                http2.data_until_it_waits(*stream, pattern, limit).await
            }
        }
    }

    /// Ends what the client sends: its side of the connection, or of the stream.
    pub(crate) async fn close_write(&mut self) -> Checked {
        match &mut self.wire {
            ClientWire::Http1(http1) => http1.close_write().await,
            ClientWire::Http2 { http2, stream } => http2.data(*stream, &[], true).await?,
        }
        Ok(())
    }

    /// Resets the connection.
    pub(crate) fn reset(self) {
        match self.wire {
            ClientWire::Http1(http1) => http1.connection.reset(),
            ClientWire::Http2 { http2, .. } => http2.connection.reset(),
        }
    }

    /// Reads the next head, also that of an interim response.
    pub(crate) async fn head(&mut self) -> Checked<Head> {
        match &mut self.wire {
            ClientWire::Http1(http1) => http1.head().await,
            ClientWire::Http2 { http2, stream } => http2.head(*stream).await,
        }
    }

    /// Reads a response to a request with a method other than HEAD.
    pub(crate) async fn response(&mut self) -> Checked<Received> {
        self.response_to("GET").await
    }

    /// Reads a response to a request with this method, with the interim ones before it.
    pub(crate) async fn response_to(&mut self, method: &str) -> Checked<Received> {
        let mut interim = Vec::new();
        let head = loop {
            let head = self.head().await?;
            if !head.is_interim() {
                break head;
            }
            interim.push(head);
        };
        self.body_of(interim, head, method).await
    }

    /// Reads the body of a response whose head has come.
    pub(crate) async fn body_of(
        &mut self,
        interim: Vec<Head>,
        head: Head,
        method: &str,
    ) -> Checked<Received> {
        match &mut self.wire {
            ClientWire::Http1(http1) => http1.body_of(interim, head, method).await,
            ClientWire::Http2 { http2, stream } => {
                http2.body_of(*stream, interim, head, method).await
            }
        }
    }

    /// Waits until these bytes have come, and takes all up to their end.
    pub(crate) async fn expect_bytes(&mut self, bytes: &[u8]) -> Checked {
        match &mut self.wire {
            ClientWire::Http1(http1) => http1.expect_bytes(bytes).await,
            ClientWire::Http2 { http2, stream } => http2.expect_bytes(*stream, bytes).await,
        }
    }

    /// Waits for this many bytes, and takes them.
    pub(crate) async fn exactly(&mut self, count: usize, what: &str) -> Checked<Vec<u8>> {
        match &mut self.wire {
            ClientWire::Http1(http1) => http1.exactly(count, what).await,
            ClientWire::Http2 { http2, stream } => http2.exactly(*stream, count, what).await,
        }
    }

    /// Waits for the end of the connection, or of the stream if that comes first, and returns what came
    /// before. An end with RST_STREAM counts as a reset.
    pub(crate) async fn end(&mut self) -> Checked<(Vec<u8>, ConnectionEnding)> {
        match &mut self.wire {
            ClientWire::Http1(http1) => http1.end().await,
            ClientWire::Http2 { http2, stream } => {
                let ending = http2.ending_of_either(*stream).await?;
                Ok((take_all(http2, *stream), ending))
            }
        }
    }

    /// Fails unless the server breaks the exchange off, and returns the bytes that came before: on
    /// HTTP/1 the connection ends, on HTTP/2 the stream with INTERNAL_ERROR.
    pub(crate) async fn broken_off(&mut self) -> Checked<Vec<u8>> {
        let Some((http2, stream)) = self.as_http2() else {
            return Ok(self.end().await?.0);
        };
        let ending = http2.ending(stream).await?;
        if ending != StreamEnding::Reset(super::http2::code::INTERNAL_ERROR) {
            return fail("RST_STREAM with INTERNAL_ERROR", format!("{ending:?}"));
        }
        Ok(take_all(http2, stream))
    }

    /// Waits for the first bytes of an answer over HTTP/1, and returns what has come. `None` if the
    /// connection ends without any.
    pub(crate) async fn first_bytes(&mut self) -> Checked<Option<Vec<u8>>> {
        match &mut self.wire {
            ClientWire::Http1(http1) => http1.first_bytes().await,
            ClientWire::Http2 { .. } => fail("a connection over HTTP/1", "one over HTTP/2"),
        }
    }

    /// Returns the bytes that have come, or come within a short time. For things that must not
    /// happen.
    pub(crate) async fn anything(&mut self) -> Checked<Vec<u8>> {
        match &mut self.wire {
            ClientWire::Http1(http1) => http1.anything().await,
            ClientWire::Http2 { http2, stream } => {
                http2.settle().await?;
                Ok(take_all(http2, *stream))
            }
        }
    }
}

/// The data of a stream, after a word for each head that no case has read.
fn take_all(http2: &mut Http2, stream: u32) -> Vec<u8> {
    let arrived = http2.stream(stream);
    let heads = arrived.heads.drain(..);
    let mut all: Vec<u8> = heads
        .flat_map(|head| format!("HEADERS {}\r\n", head.status).into_bytes())
        .collect();
    all.extend(arrived.data.split());
    all
}
