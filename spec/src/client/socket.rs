//! The bytes of one connection, with or without TLS.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConnection;

use super::tls::ClientTls;
use super::{Trace, within};
use crate::result::{Checked, Stop, fail, not_supported};

/// How long a peer that makes no progress is taken for one that waits.
pub(crate) const STALL: Duration = Duration::from_millis(400);

/// Where a server listens, and what its connections begin with.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    /// `None` without TLS.
    pub(crate) tls: Option<ClientTls>,
}

/// The protocol for which a connection is opened. Over TLS, the client asks for it with ALPN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WireProtocol {
    Http1,
    Http2,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectionEnding {
    /// The server closed its side, over TLS with a close_notify.
    Closed,
    /// The server reset the connection, or cut TLS off.
    Reset,
}

/// An open connection and the bytes that have come.
pub(crate) struct RawConnection {
    wire: Wire,
    pub(crate) buffer: BytesMut,
    trace: Trace,
    name: String,
    /// HTTP/2 is shown frame by frame instead.
    shows_bytes: bool,
}

enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl RawConnection {
    pub(crate) async fn connect(
        endpoint: &Endpoint,
        protocol: WireProtocol,
        name: String,
        trace: Trace,
    ) -> Checked<Self> {
        let wire = within("a connection", async {
            let tcp = match TcpStream::connect(endpoint.address).await {
                Ok(tcp) => tcp,
                Err(error) => return fail("a connection", error),
            };
            // A case decides itself how its bytes are split.
            tcp.set_nodelay(true).ok();
            let Some(tls) = &endpoint.tls else {
                return Ok(Wire::Plain(tcp));
            };
            // Boxed, so that the futures of cases stay small.
            match Box::pin(tls.handshake(protocol, tcp)).await {
                Ok(stream) => Ok(Wire::Tls(Box::new(stream))),
                Err(error) => fail("a handshake of TLS", error),
            }
        })
        .await?;
        if let (Wire::Tls(stream), WireProtocol::Http2) = (&wire, protocol)
            && stream.get_ref().1.alpn_protocol() != Some(b"h2")
        {
            return not_supported("the server does not choose h2 in ALPN");
        }
        trace.line(format!("{name} connects"));
        Ok(Self {
            wire,
            buffer: BytesMut::new(),
            trace,
            name,
            shows_bytes: protocol == WireProtocol::Http1,
        })
    }

    fn tcp(&self) -> &TcpStream {
        match &self.wire {
            Wire::Plain(tcp) => tcp,
            Wire::Tls(stream) => stream.get_ref().0,
        }
    }

    /// What the handshake of TLS has agreed on. `None` without TLS.
    pub(crate) fn tls(&self) -> Option<&ClientConnection> {
        match &self.wire {
            Wire::Plain(_) => None,
            Wire::Tls(stream) => Some(stream.get_ref().1),
        }
    }

    /// The address of this client and that of the server.
    pub(crate) fn addresses(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.tcp().local_addr()?, self.tcp().peer_addr()?))
    }

    /// Adds a line to the trace of the case.
    pub(crate) fn note(&self, line: impl AsRef<str>) {
        self.trace.line(format!("{} {}", self.name, line.as_ref()));
    }

    /// Sends bytes. If the server is gone, the reads that follow will tell.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Checked {
        if self.shows_bytes {
            self.trace.bytes(&format!("{} →", self.name), bytes);
        }
        within("the server to read", async {
            let sent = match &mut self.wire {
                Wire::Plain(tcp) => tcp.write_all(bytes).await,
                Wire::Tls(stream) => match stream.write_all(bytes).await {
                    Ok(()) => stream.flush().await,
                    Err(error) => Err(error),
                },
            };
            if let Err(error) = sent {
                self.note(format!("can't write: {error}"));
            }
            Ok(())
        })
        .await
    }

    /// Sends as much as the server takes until it makes the client wait, and returns how much that
    /// was. At most a little more than `limit` bytes.
    pub(crate) async fn send_until_it_waits(
        &mut self,
        pattern: &[u8],
        limit: usize,
    ) -> Checked<usize> {
        let mut sent = 0;
        while sent < limit {
            let rest = &pattern[sent % pattern.len()..];
            let writing = async {
                match &mut self.wire {
                    Wire::Plain(tcp) => tcp.write(rest).await,
                    Wire::Tls(stream) => stream.write(rest).await,
                }
            };
            match tokio::time::timeout(STALL, writing).await {
                Err(_) => break,
                Ok(Ok(count)) => sent += count,
                Ok(Err(error)) => return fail("the server to read or to wait", error),
            }
        }
        self.note(format!("→ {sent} bytes"));
        Ok(sent)
    }

    /// Closes the client's side. It can still read.
    pub(crate) async fn close_write(&mut self) {
        self.note("closes its side");
        // The connection may be gone already.
        match &mut self.wire {
            Wire::Plain(tcp) => tcp.shutdown().await.ok(),
            Wire::Tls(stream) => stream.shutdown().await.ok(),
        };
    }

    /// Resets the connection.
    pub(crate) fn reset(self) {
        self.note("resets");
        self.tcp().set_zero_linger().ok();
    }

    /// Reads until the buffer has this many bytes. Returns how the connection ended if it ended
    /// before.
    pub(crate) async fn read_until(
        &mut self,
        wanted: usize,
    ) -> Result<Option<ConnectionEnding>, Stop> {
        while self.buffer.len() < wanted {
            if let Some(ending) = self.read().await {
                return Ok(Some(ending));
            }
        }
        Ok(None)
    }

    pub(crate) async fn read_to_end(&mut self) -> Checked<ConnectionEnding> {
        loop {
            if let Some(ending) = self.read().await {
                return Ok(ending);
            }
        }
    }

    /// Reads once. Returns how the connection ended, if it did.
    async fn read(&mut self) -> Option<ConnectionEnding> {
        let old = self.buffer.len();
        self.buffer.reserve(16 * 1024);
        let read = match &mut self.wire {
            Wire::Plain(tcp) => tcp.read_buf(&mut self.buffer).await,
            Wire::Tls(stream) => stream.read_buf(&mut self.buffer).await,
        };
        match read {
            Ok(0) => {
                self.note("← the end");
                Some(ConnectionEnding::Closed)
            }
            Ok(_) => {
                if self.shows_bytes {
                    let direction = format!("{} ←", self.name);
                    self.trace.bytes(&direction, &self.buffer[old..]);
                }
                None
            }
            Err(error) => {
                self.note(format!("← {error}"));
                Some(ConnectionEnding::Reset)
            }
        }
    }

    /// Takes bytes from the start of the buffer.
    pub(crate) fn take(&mut self, most: usize) -> Vec<u8> {
        let count = most.min(self.buffer.len());
        self.buffer.split_to(count).to_vec()
    }

    /// Drops bytes from the start of the buffer.
    pub(crate) fn skip(&mut self, count: usize) {
        self.buffer.advance(count);
    }
}
