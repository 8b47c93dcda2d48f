//! A TLS stream as the transport of HTTP.
//!
//! What is different from a bare socket: what was written may still lie in the session, what was
//! received may be no data, and the end of the client's side is something that it says
//! (`close_notify`), not only something that happens.

use std::io::{self, IoSlice, Read};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::http1::guard::Position;

/// A TLS stream whose handshake is done.
#[derive(Debug)]
pub(crate) struct TlsTransport(Box<TlsStream<TcpStream>>);

impl TlsTransport {
    pub(crate) fn new(stream: Box<TlsStream<TcpStream>>) -> Self {
        Self(stream)
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        self.0.get_ref().0
    }

    /// Reads what the client has sent; nothing at the end of its side.
    ///
    /// # Errors
    ///
    /// The connection is broken, the client breaks the rules of TLS, or it is cut off in the middle
    /// of a request.
    pub(crate) fn poll_read_at(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        position: Position,
    ) -> Poll<io::Result<()>> {
        match ready!(Pin::new(&mut *self.0).poll_read(cx, buf)) {
            // RFC 9112 §9.8: "A server SHOULD be prepared to receive an incomplete close from the
            // client". Between two requests nothing can be missing, and many clients just leave.
            Err(error)
                if error.kind() == io::ErrorKind::UnexpectedEof
                    && position == Position::Between =>
            {
                Poll::Ready(Ok(()))
            }
            result => Poll::Ready(result),
        }
    }

    /// Whether the client has closed its side, without taking anything of what it has sent.
    ///
    /// For this it decrypts what has come, if nothing that is decrypted waits to be read: at most
    /// one buffer of the session's. Makes `cx` be woken when more comes.
    ///
    /// # Errors
    ///
    /// The connection is broken, or the client breaks the rules of TLS.
    pub(crate) fn poll_closed(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let (socket, session) = self.0.get_mut();
        loop {
            let state = session.process_new_packets().map_err(io::Error::other)?;
            if state.peer_has_closed() {
                return Ok(true);
            }
            if state.plaintext_bytes_to_read() > 0 {
                return Ok(false);
            }
            match socket.poll_read_ready(cx) {
                Poll::Pending => return Ok(false),
                Poll::Ready(ready) => ready?,
            }
            match session.read_tls(&mut ReadNow(socket)) {
                Ok(0) => return Ok(true),
                // Whoever reads may have seen an empty socket before this.
                Ok(_) => cx.waker().wake_by_ref(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Reads what a socket has now.
struct ReadNow<'a>(&'a TcpStream);

impl Read for ReadNow<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buf)
    }
}

impl AsyncRead for TlsTransport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for TlsTransport {
    /// Takes nothing while the session holds what the socket did not take: then a client that does
    /// not read is seen as with a bare socket, and the session does not grow.
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.as_mut().poll_flush(cx))?;
        Pin::new(&mut *self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.as_mut().poll_flush(cx))?;
        Pin::new(&mut *self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(cx)
    }

    /// Says `close_notify`, then closes our side of the socket.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(cx)
    }
}
