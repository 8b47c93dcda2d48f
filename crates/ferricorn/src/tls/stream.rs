//! A TLS stream as a transport for HTTP.
//!
//! It differs from a plain socket in three ways. Written bytes may still wait in the session. Received
//! bytes may hold no data. And a client must announce the end of its side (`close_notify`); a socket
//! that just closes is an error.

use std::io::{self, IoSlice, Read};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A TLS stream after its handshake.
#[derive(Debug)]
pub(crate) struct TlsTransport(Box<TlsStream<TcpStream>>);

impl TlsTransport {
    pub(crate) fn new(stream: Box<TlsStream<TcpStream>>) -> Self {
        Self(stream)
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        self.0.get_ref().0
    }

    /// Whether the client has closed its side. It leaves the data of the client for the next read.
    ///
    /// If no decrypted data waits to be read, it decrypts what has arrived, at most one buffer of the
    /// session. It registers `cx` to be woken when more arrives.
    ///
    /// # Errors
    ///
    /// The connection is broken, or the client violates TLS.
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
                // The reader may have found the socket empty before, so wake it.
                Ok(_) => cx.waker().wake_by_ref(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Reads the bytes that a socket has now, without waiting.
struct ReadNow<'a>(&'a TcpStream);

impl Read for ReadNow<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buf)
    }
}

impl AsyncRead for TlsTransport {
    /// Reads data. If the socket closes before the client sends `close_notify`, that is an error, not the
    /// end of the data.
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for TlsTransport {
    /// Accepts nothing while the session holds bytes that the socket has not taken. So the server notices a
    /// client that does not read, as with a plain socket, and the session does not grow.
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

    /// Sends `close_notify`, then closes our side of the socket.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::time::Duration;

    use socket2::SockRef;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::time::timeout;
    use tokio_rustls::rustls::pki_types::ServerName;
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};
    use tokio_rustls::{TlsAcceptor, TlsConnector, client};

    use super::*;
    use crate::TlsConfig;
    use crate::http1::Transport;
    use crate::http1::request_framing::LineLimits;
    use crate::net::Socket;

    /// The two sides of a connection. Their sockets have tiny buffers.
    async fn connected() -> (TlsTransport, client::TlsStream<TcpStream>) {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let tls = TlsConfig::new().certificate_pem(certificate.pem(), key.serialize_pem());
        let acceptor = TlsAcceptor::from(Arc::clone(&tls.load().unwrap().current().rustls));
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await;
        let (client, (server, _)) = (client.unwrap(), listener.accept().await.unwrap());
        for socket in [SockRef::from(&client), SockRef::from(&server)] {
            socket.set_send_buffer_size(4096).unwrap();
            socket.set_recv_buffer_size(4096).unwrap();
        }
        let name = ServerName::try_from("localhost").unwrap();
        let (server, client) =
            tokio::join!(acceptor.accept(server), connector.connect(name, client));
        (
            TlsTransport::new(Box::new(server.unwrap())),
            client.unwrap(),
        )
    }

    #[tokio::test]
    async fn bytes_in_the_session_are_sent_without_another_write() {
        let (server, mut client) = connected().await;
        let mut transport = Transport::new(Socket::Tls(server), LineLimits::new(1024, 1024));
        // A session takes 64 KiB. At the end it holds 54 KiB that the socket has no room for.
        let written = vec![b'x'; 120_000];
        transport.push(&written);
        let mut left = written.len();
        let all = poll_fn(|cx| {
            while left > 0 {
                transport.flush(cx).unwrap();
                let mut part = [0; 700];
                let mut part = ReadBuf::new(&mut part);
                ready!(Pin::new(&mut client).poll_read(cx, &mut part)).unwrap();
                left -= part.filled().len();
            }
            Poll::Ready(())
        });
        let done = timeout(Duration::from_secs(10), all).await;
        assert!(done.is_ok(), "{left} bytes never came");
    }

    #[tokio::test]
    async fn a_socket_that_closes_without_close_notify_is_an_error() {
        let (mut server, mut client) = connected().await;
        client.write_all(b"abc").await.unwrap();
        client.flush().await.unwrap();
        client.get_mut().0.shutdown().await.unwrap();
        let error = server.read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
