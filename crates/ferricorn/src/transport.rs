//! The socket of one connection, shared by hyper and by the task that drives the connection.
//!
//! hyper reads and writes through [`TransportIo`]. Between the two stand three things that hyper
//! does not do: small writes are gathered and leave together once a turn ([`Transport::flush`]),
//! the bytes of requests pass the [`Guard`], and that the peer went away is noticed even while
//! nobody reads ([`Transport::poll_peer`]).

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready};
use tokio::net::{TcpStream, UnixStream, tcp, unix};

use crate::http1::guard::{Guard, Position, Refusal, Seen};
use crate::tls::TlsTransport;

/// Writes up to this size in all are gathered; larger ones go to the socket as they are. Sixteen
/// pipelined responses of a kilobyte fit, and a connection never holds much more than this.
const GATHER: usize = 16 * 1024;

/// One accepted socket.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// Behind a handshake.
    Tls(TlsTransport),
}

impl Socket {
    pub(crate) async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        match self {
            Self::Tcp(stream) => stream.ready(interest).await,
            Self::Unix(stream) => stream.ready(interest).await,
            Self::Tls(stream) => stream.socket().ready(interest).await,
        }
    }

    /// Does I/O on the socket itself, and notes if it would block.
    pub(crate) fn try_io<R>(
        &self,
        interest: Interest,
        io: impl FnOnce() -> io::Result<R>,
    ) -> io::Result<R> {
        match self {
            Self::Tcp(stream) => stream.try_io(interest, io),
            Self::Unix(stream) => stream.try_io(interest, io),
            Self::Tls(stream) => stream.socket().try_io(interest, io),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
            Self::Tls(stream) => stream.socket().as_fd(),
        }
    }
}

/// What the driver of a connection knows of, and does with, its socket.
#[derive(Debug)]
pub(crate) struct Transport(Mutex<Shared>);

#[derive(Debug)]
struct Shared {
    writer: Writer,
    /// What was written and has not left yet.
    gathered: BytesMut,
    guard: Guard,
    /// The peer has closed its side and everything before that was read.
    read_end: bool,
    /// When a part of a request's body was last read.
    body_read: Option<Instant>,
    /// Since when the socket has taken nothing although there was something.
    stuck_since: Option<Instant>,
}

/// How both directions stand at the end of a turn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    /// Where the next byte that will be read belongs.
    pub(crate) position: Position,
    /// Since when the peer has taken nothing of what waits to be written.
    pub(crate) stuck_since: Option<Instant>,
}

/// How the other end of the connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// It is there, as far as anybody can tell.
    There,
    /// It has closed its side (FIN); it may still read.
    Closed,
    /// The connection is broken (RST, or closed both ways).
    Lost,
}

impl Transport {
    /// Splits a socket into what the driver keeps and what hyper gets.
    pub(crate) fn new(socket: Socket, max_head_size: usize) -> (Arc<Self>, TransportIo) {
        let (reader, writer) = match socket {
            Socket::Tcp(stream) => {
                let (reader, writer) = stream.into_split();
                (Reader::Tcp(reader), Writer::Tcp(writer))
            }
            Socket::Unix(stream) => {
                let (reader, writer) = stream.into_split();
                (Reader::Unix(reader), Writer::Unix(writer))
            }
            Socket::Tls(stream) => (Reader::Tls, Writer::Tls(stream)),
        };
        let transport = Arc::new(Self(Mutex::new(Shared {
            writer,
            gathered: BytesMut::new(),
            guard: Guard::new(max_head_size),
            read_end: false,
            body_read: None,
            stuck_since: None,
        })));
        let io = TransportIo {
            reader,
            transport: Arc::clone(&transport),
            body_fault: None,
        };
        (transport, io)
    }

    /// What the guard knows of the request of this number.
    ///
    /// # Errors
    ///
    /// It must be refused, whatever hyper made of it.
    pub(crate) fn check(&self, request: u64) -> Result<Seen, Refusal> {
        self.lock().guard.check(request)
    }

    /// When a part of a request's body was last read.
    pub(crate) fn body_read(&self) -> Option<Instant> {
        self.lock().body_read
    }

    /// Since when the peer has taken nothing of what waits to be written.
    pub(crate) fn stuck_since(&self) -> Option<Instant> {
        self.lock().stuck_since
    }

    /// Whether the peer's end of the stream was read.
    pub(crate) fn is_read_end(&self) -> bool {
        self.lock().read_end
    }

    /// Adds bytes behind what hyper has written. Only right between two responses.
    pub(crate) fn push(&self, bytes: &[u8]) {
        self.lock().gathered.extend_from_slice(bytes);
    }

    /// Sends what was gathered, as far as the socket takes it, and says how things stand then.
    ///
    /// # Errors
    ///
    /// The socket takes nothing any more, and never will.
    pub(crate) fn flush(&self, cx: &mut Context<'_>) -> io::Result<Standing> {
        let mut shared = self.lock();
        if let Poll::Ready(result) = shared.poll_drain(cx) {
            result?;
        }
        Ok(Standing {
            position: shared.guard.position(),
            stuck_since: shared.stuck_since,
        })
    }

    /// Where the next byte that will be read belongs.
    pub(crate) fn position(&self) -> Position {
        self.lock().guard.position()
    }

    /// Looks whether the peer is still there, without reading anything.
    ///
    /// Unless the socket is readable this also makes `cx` be woken when that changes. While bytes
    /// lie unread there is nothing to wake anybody, so ask again now and then.
    pub(crate) fn poll_peer(&self, cx: &mut Context<'_>) -> Peer {
        let mut shared = self.lock();
        let peer = match shared.writer.poll_read_ready(cx) {
            Poll::Pending => Peer::There,
            Poll::Ready(_) => shared.writer.peer(),
        };
        match (peer, &mut shared.writer) {
            // What has come may be the client's word that it has closed.
            (Peer::There, Writer::Tls(stream)) => match stream.poll_closed(cx) {
                Ok(false) => Peer::There,
                Ok(true) => Peer::Closed,
                Err(_) => Peer::Lost,
            },
            (peer, _) => peer,
        }
    }

    /// Reads and throws away. `true` once the peer has closed its side.
    pub(crate) fn poll_discard(&self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut trash = [0; 8 * 1024];
        let mut shared = self.lock();
        for _ in 0..16 {
            if ready!(shared.writer.poll_read_ready(cx)).is_err() {
                return Poll::Ready(true);
            }
            match shared.writer.try_read(&mut trash) {
                Ok(0) => {
                    shared.read_end = true;
                    return Poll::Ready(true);
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Poll::Ready(true),
            }
        }
        Poll::Ready(false)
    }

    /// Sends what was gathered and then the end of our side.
    pub(crate) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut shared = self.lock();
        ready!(shared.poll_drain(cx))?;
        Pin::new(shared.writer.as_async()).poll_shutdown(cx)
    }

    /// Makes the close that follows a reset: the peer can tell that something is missing.
    pub(crate) fn reset_on_close(&self) {
        let mut shared = self.lock();
        shared.gathered.clear();
        // It fails only on a socket that is broken already, which is what is wanted.
        let _ = match &shared.writer {
            Writer::Tcp(writer) => writer.as_ref().set_zero_linger(),
            Writer::Tls(stream) => stream.socket().set_zero_linger(),
            Writer::Unix(_) | Writer::Forgotten => Ok(()),
        };
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // Nothing in here is left half done by a panic that matters to the next caller.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        let shared = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        shared.writer.forget();
    }
}

impl Shared {
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.gathered.is_empty() {
            match Pin::new(self.writer.as_async()).poll_write(cx, &self.gathered) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => {
                    if written == self.gathered.len() {
                        // Unlike `advance` this gives the room back without another look for it.
                        self.gathered.clear();
                    } else {
                        self.gathered.advance(written);
                    }
                    self.stuck_since = None;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.stuck_since.get_or_insert_with(Instant::now);
                    return Poll::Pending;
                }
            }
        }
        // What was gathered once is mostly gathered again, but a burst should not stay.
        if self.gathered.capacity() > GATHER {
            self.gathered = BytesMut::new();
        }
        match &mut self.writer {
            // The session takes more than the socket does.
            Writer::Tls(stream) => {
                let flushed = Pin::new(stream).poll_flush(cx);
                self.note_progress(flushed.is_ready());
                flushed
            }
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Keeps in mind since when the socket has taken nothing.
    fn note_progress(&mut self, progress: bool) {
        if progress {
            self.stuck_since = None;
        } else {
            self.stuck_since.get_or_insert_with(Instant::now);
        }
    }

    fn poll_read_tls(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.writer {
            Writer::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
            _ => unreachable!("only a TLS stream has a reader that is in its writer"),
        }
    }

    /// How many of the bytes that were read hyper may see, and what is wrong with the rest.
    fn read(&mut self, bytes: &[u8]) -> (usize, Option<Refusal>) {
        if bytes.is_empty() {
            self.read_end = true;
            return (0, None);
        }
        let in_body = self.guard.position() == Position::Body;
        let sound = self.guard.read(bytes);
        if in_body || self.guard.position() == Position::Body {
            self.body_read = Some(Instant::now());
        }
        match sound {
            Ok(()) => (bytes.len(), None),
            Err(sound) => (sound, self.guard.body_fault()),
        }
    }
}

/// The side of a connection that hyper reads and writes.
#[derive(Debug)]
pub(crate) struct TransportIo {
    reader: Reader,
    transport: Arc<Transport>,
    /// What is wrong with the body that is being read: nothing behind it is to be trusted.
    body_fault: Option<Refusal>,
}

impl TransportIo {
    fn check_body(&self) -> io::Result<()> {
        match self.body_fault {
            None => Ok(()),
            Some(fault) => Err(io::Error::new(io::ErrorKind::InvalidData, fault.as_str())),
        }
    }
}

impl AsyncRead for TransportIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        this.check_body()?;
        ready!(match &mut this.reader {
            Reader::Tcp(reader) => Pin::new(reader).poll_read(cx, buf),
            Reader::Unix(reader) => Pin::new(reader).poll_read(cx, buf),
            Reader::Tls => this.transport.lock().poll_read_tls(cx, buf),
        })?;
        let sound;
        (sound, this.body_fault) = this.transport.lock().read(&buf.filled()[before..]);
        buf.set_filled(before + sound);
        if sound == 0 {
            // Nothing would be the end of the stream: then the fault is told now, else next time.
            this.check_body()?;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TransportIo {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut shared = self.transport.lock();
        let total: usize = bufs.iter().map(|buf| buf.len()).sum();
        if shared.gathered.len() + total <= GATHER {
            for buf in bufs {
                shared.gathered.extend_from_slice(buf);
            }
            return Poll::Ready(Ok(total));
        }
        ready!(shared.poll_drain(cx))?;
        let written = Pin::new(shared.writer.as_async()).poll_write_vectored(cx, bufs);
        match &written {
            Poll::Ready(_) => shared.stuck_since = None,
            Poll::Pending => {
                shared.stuck_since.get_or_insert_with(Instant::now);
            }
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// The driver flushes once a turn, after hyper has done all that it can.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.transport.poll_shutdown(cx)
    }
}

#[derive(Debug)]
enum Reader {
    Tcp(tcp::OwnedReadHalf),
    Unix(unix::OwnedReadHalf),
    /// The stream cannot be split: it is in the writer.
    Tls,
}

/// The writing half; it also gives access to the socket itself.
#[derive(Debug)]
enum Writer {
    Tcp(tcp::OwnedWriteHalf),
    Unix(unix::OwnedWriteHalf),
    Tls(TlsTransport),
    Forgotten,
}

impl Writer {
    fn as_async(&mut self) -> &mut (dyn AsyncWrite + Unpin + Send) {
        match self {
            Self::Tcp(writer) => writer,
            Self::Unix(writer) => writer,
            Self::Tls(stream) => stream,
            Self::Forgotten => unreachable!("only Transport::drop forgets the writer"),
        }
    }

    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(writer) => writer.as_ref().poll_read_ready(cx),
            Self::Unix(writer) => writer.as_ref().poll_read_ready(cx),
            Self::Tls(stream) => stream.socket().poll_read_ready(cx),
            Self::Forgotten => Poll::Pending,
        }
    }

    fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(writer) => writer.as_ref().try_read(buf),
            Self::Unix(writer) => writer.as_ref().try_read(buf),
            Self::Tls(stream) => stream.socket().try_read(buf),
            Self::Forgotten => Ok(0),
        }
    }

    /// What the kernel last reported of the socket; no system call.
    fn peer(&self) -> Peer {
        let both = Interest::READABLE | Interest::WRITABLE;
        let mut cx = Context::from_waker(Waker::noop());
        let ready = match self {
            Self::Tcp(writer) => pin!(writer.as_ref().ready(both)).poll(&mut cx),
            Self::Unix(writer) => pin!(writer.as_ref().ready(both)).poll(&mut cx),
            Self::Tls(stream) => pin!(stream.socket().ready(both)).poll(&mut cx),
            Self::Forgotten => return Peer::Lost,
        };
        match ready {
            Poll::Ready(Ok(ready)) if ready.is_write_closed() || ready.is_error() => Peer::Lost,
            Poll::Ready(Ok(ready)) if ready.is_read_closed() => Peer::Closed,
            Poll::Ready(Ok(_)) | Poll::Pending => Peer::There,
            Poll::Ready(Err(_)) => Peer::Lost,
        }
    }

    /// Lets go of the half without the FIN that its own drop would send: the close of the socket
    /// sends one, or the reset that was asked for.
    fn forget(&mut self) {
        match std::mem::replace(self, Self::Forgotten) {
            Self::Tcp(writer) => writer.forget(),
            Self::Unix(writer) => writer.forget(),
            // It is whole: the close of the socket is its only end.
            Self::Tls(_) | Self::Forgotten => {}
        }
    }
}
