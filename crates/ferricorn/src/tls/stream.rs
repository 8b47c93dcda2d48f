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
    /// A socket that is closed before the client has said `close_notify` is an error, never an end.
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
    use crate::net::Socket;

    /// Two ends of a connection whose sockets hold next to nothing.
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
    async fn what_lies_in_the_session_leaves_without_another_write() {
        let (server, mut client) = connected().await;
        let mut transport = Transport::new(Socket::Tls(server), 1024);
        // A session takes 64 KiB: at last 54 KiB lie in it for which the socket has no room yet.
        let all_that_is_written = vec![b'x'; 120_000];
        transport.push(&all_that_is_written);
        let mut left = all_that_is_written.len();
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
    async fn a_socket_that_is_closed_without_a_word_is_no_end() {
        let (mut server, mut client) = connected().await;
        client.write_all(b"abc").await.unwrap();
        client.flush().await.unwrap();
        client.get_mut().0.shutdown().await.unwrap();
        let error = server.read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
