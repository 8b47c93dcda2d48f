//! Listens on an address, accepts connections, and stops without losing any.

use std::error::Error;
use std::fmt;
use std::fs::Metadata;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use asgi::Address;
use rustix::io::Errno;
use socket2::{Domain, SockAddr, SockFilter, SockRef, Socket as RawSocket, Type};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::socket::Socket;
use crate::config::Config;
use crate::connection_info::ConnectionInfo;
use crate::tls::Tls;

/// How long a closing listener waits for TCP handshakes in progress: a client may believe that it is
/// connected before its last packet arrives. This is more than a round trip within a region.
const HANDSHAKE: Duration = Duration::from_millis(50);

/// Where to listen: `host:port`, `[v6]:port` or `unix:path`.
///
/// ```
/// use ferricorn::Bind;
///
/// let bind: Bind = "[::1]:8000".parse()?;
/// assert_eq!(bind.to_string(), "[::1]:8000");
/// assert!("localhost".parse::<Bind>().is_err());
/// # Ok::<(), ferricorn::BindError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bind {
    /// An address or a host name, and a port. Port 0 takes a free port. The server looks a name up when
    /// it binds, and takes the first address.
    Tcp {
        /// The address or name, without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// The path of a Unix socket. The server replaces a socket that a dead process left there.
    Unix(PathBuf),
}

impl Default for Bind {
    /// `127.0.0.1:8000`, which only this machine can reach.
    fn default() -> Self {
        Self::Tcp {
            host: "127.0.0.1".to_owned(),
            port: 8000,
        }
    }
}

impl FromStr for Bind {
    type Err = BindError;

    fn from_str(text: &str) -> Result<Self, BindError> {
        let malformed = || BindError(BindErrorKind::Malformed(text.to_owned()));
        if let Some(path) = text.strip_prefix("unix:") {
            if path.is_empty() {
                return Err(malformed());
            }
            return Ok(Self::Unix(path.into()));
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(malformed)?;
        let host = match host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
        {
            Some(host) => host,
            None if host.contains(':') => return Err(malformed()),
            None => host,
        };
        if host.is_empty() {
            return Err(malformed());
        }
        Ok(Self::Tcp {
            host: host.to_owned(),
            port: port.parse().map_err(|_| malformed())?,
        })
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Bind {
    /// Binds and listens. Must be called inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// One line that says which address was tried, and why it failed.
    pub fn listen(&self, config: &Config) -> Result<Listener, BindError> {
        let kind = match self {
            Self::Tcp { host, port } => listen_tcp(host, *port, config.backlog),
            Self::Unix(path) => listen_unix(path, config.backlog),
        };
        let kind = kind.map_err(|error| BindError(BindErrorKind::Io(self.clone(), error)))?;
        let address = kind
            .address()
            .map_err(|error| BindError(BindErrorKind::Io(self.clone(), error)))?;
        Ok(Listener {
            kind,
            address,
            tls: None,
        })
    }
}

fn listen_tcp(host: &str, port: u16, backlog: u32) -> io::Result<ListenerKind> {
    let address = (host, port)
        .to_socket_addrs()?
        .next()
        .ok_or_else(|| io::Error::other("the name has no address"))?;
    let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        // The same on every machine: `[::]` means IPv6, `0.0.0.0` means IPv4.
        socket.set_only_v6(true)?;
    }
    // Dying connections of an earlier process must not block the port.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog.try_into().unwrap_or(i32::MAX))?;
    Ok(ListenerKind::Tcp(TcpListener::from_std(socket.into())?))
}

fn listen_unix(path: &Path, backlog: u32) -> io::Result<ListenerKind> {
    remove_stale(path)?;
    let socket = RawSocket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let file = SocketFile {
        path: path.to_owned(),
        // The socket itself does not know its file.
        metadata: std::fs::symlink_metadata(path)?,
    };
    socket.listen(backlog.try_into().unwrap_or(i32::MAX))?;
    let listener = UnixListener::from_std(StdUnixListener::from(socket))?;
    Ok(ListenerKind::Unix(file, listener))
}

/// Removes a socket that no process listens on. Anything else at that path stays.
fn remove_stale(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {
            match std::os::unix::net::UnixStream::connect(path) {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    // Another server may have put its own socket there just now.
                    remove_if_same(path, &found)
                }
                _ => Err(io::ErrorKind::AddrInUse.into()),
            }
        }
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// A listening socket.
#[derive(Debug)]
pub struct Listener {
    kind: ListenerKind,
    address: Address,
    tls: Option<Tls>,
}

#[derive(Debug)]
enum ListenerKind {
    Tcp(TcpListener),
    /// The file goes first: as long as the listener is open, no other file gets the same inode.
    Unix(SocketFile, UnixListener),
}

/// The file of a Unix socket. Dropping it removes the file, if that is still the same.
///
/// Another server may have removed it and put its own there: a path alone does not say whose it is.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    metadata: Metadata,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // It fails if someone else has removed the file, which is fine.
        let _ = remove_if_same(&self.path, &self.metadata);
    }
}

/// Removes a file, if the path still leads to the one with this metadata.
fn remove_if_same(path: &Path, file: &Metadata) -> io::Result<()> {
    let now = std::fs::symlink_metadata(path)?;
    if (now.dev(), now.ino()) == (file.dev(), file.ino()) {
        std::fs::remove_file(path)?;
    }
    Ok(())
}

impl TryFrom<std::net::TcpListener> for Listener {
    type Error = io::Error;

    /// Takes a socket that already listens, for example one that this process inherited. Must be called
    /// inside a tokio runtime.
    fn try_from(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let kind = ListenerKind::Tcp(TcpListener::from_std(listener)?);
        let address = kind.address()?;
        Ok(Self {
            kind,
            address,
            tls: None,
        })
    }
}

impl Listener {
    /// The address that it listens on. A port 0 has become a real one.
    pub fn address(&self) -> Address {
        self.address.clone()
    }

    /// Makes the listener speak TLS only. The answer to plain HTTP is a 400 that says so.
    ///
    /// # Errors
    ///
    /// The listener is a Unix socket, for which TLS is not offered.
    pub fn with_tls(mut self, tls: &Tls) -> Result<Self, BindError> {
        if let ListenerKind::Unix(file, _) = &self.kind {
            return Err(BindError(BindErrorKind::TlsOnUnix(file.path.clone())));
        }
        self.tls = Some(tls.clone());
        Ok(self)
    }

    /// The TLS of this listener, if it has any.
    pub fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// Waits for the next connection.
    pub(crate) async fn accept(&self) -> io::Result<(Socket, ConnectionInfo)> {
        match &self.kind {
            ListenerKind::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                self.accepted_tcp(stream, peer)
            }
            ListenerKind::Unix(_, listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Socket::Unix(stream), self.unix_info()))
            }
        }
    }

    /// Closes the listener. `take` gets each connection whose TCP handshake was complete before.
    pub(crate) async fn close(self, mut take: impl FnMut(Socket, ConnectionInfo)) {
        let unix_info = self.unix_info();
        match self.kind {
            ListenerKind::Tcp(ref listener) => {
                if refuse_newcomers(listener) {
                    let in_progress = async {
                        while let Ok((socket, info)) = self.accept().await {
                            take(socket, info);
                        }
                    };
                    // No new handshake begins, so only the time-out ends this.
                    let _ = tokio::time::timeout(HANDSHAKE, in_progress).await;
                }
                while let Some((stream, peer)) = accept_now(listener) {
                    if let Ok((socket, info)) = self.accepted_tcp(stream, peer) {
                        take(socket, info);
                    }
                }
            }
            ListenerKind::Unix(file, listener) => {
                // Remove the file first, so that no client comes after the last accept.
                drop(file);
                while let Some(stream) = accept_unix_now(&listener) {
                    take(Socket::Unix(stream), unix_info.clone());
                }
            }
        }
    }

    fn accepted_tcp(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> io::Result<(Socket, ConnectionInfo)> {
        // A response leaves when it is written, not when the client has acknowledged the one before.
        stream.set_nodelay(true)?;
        let info = ConnectionInfo {
            client: Some(peer.into()),
            server: Some(stream.local_addr()?.into()),
            tls: None,
        };
        Ok((Socket::Tcp(stream), info))
    }

    fn unix_info(&self) -> ConnectionInfo {
        ConnectionInfo {
            client: None,
            server: Some(self.address.clone()),
            tls: None,
        }
    }
}

impl ListenerKind {
    fn address(&self) -> io::Result<Address> {
        match self {
            Self::Tcp(listener) => Ok(listener.local_addr()?.into()),
            Self::Unix(file, _) => Ok(Address::Unix(Some(Arc::from(file.path.as_path())))),
        }
    }
}

/// Makes the kernel drop the packets that begin a connection. Returns whether it does.
///
/// Without this, the kernel could complete a connection between the last accept and the close, and the
/// close would reset it. The filter drops SYN packets only: a new client tries again and then finds
/// the port closed. It must let the last packet of a handshake pass, because the client believes that
/// it is connected.
#[cfg(target_os = "linux")]
fn refuse_newcomers(listener: &TcpListener) -> bool {
    // The filter of a socket sees a packet from its TCP header on. Byte 13 has the flags.
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_IF_SET: u16 = 0x45;
    const RETURN: u16 = 0x06;
    const SYN: u32 = 0x02;
    let filter = [
        SockFilter::new(LOAD_BYTE, 0, 0, 13),
        SockFilter::new(JUMP_IF_SET, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ];
    match SockRef::from(listener).attach_filter(&filter) {
        Ok(()) => true,
        Err(error) => {
            tracing::debug!(
                "no filter on the listener, its last connections may be reset: {error}"
            );
            false
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn refuse_newcomers(_: &TcpListener) -> bool {
    false
}

/// Takes the next connection from the kernel's queue, if there is one. Asks the kernel directly: the
/// event loop may not know of it yet.
fn accept_now(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    loop {
        match SockRef::from(listener).accept() {
            Ok((socket, peer)) => {
                let stream = nonblocking(socket)
                    .and_then(|socket| TcpStream::from_std(socket.into()))
                    .ok();
                if let (Some(stream), Some(peer)) = (stream, peer.as_socket()) {
                    return Some((stream, peer));
                }
            }
            // The connection was complete, and is gone again.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(_) => return None,
        }
    }
}

fn accept_unix_now(listener: &UnixListener) -> Option<UnixStream> {
    let (socket, _) = SockRef::from(listener).accept().ok()?;
    let socket = nonblocking(socket).ok()?;
    UnixStream::from_std(socket.into()).ok()
}

fn nonblocking(socket: RawSocket) -> io::Result<RawSocket> {
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Why the server cannot listen on an address.
#[derive(Debug)]
pub struct BindError(BindErrorKind);

#[derive(Debug)]
enum BindErrorKind {
    Malformed(String),
    Io(Bind, io::Error),
    TlsOnUnix(PathBuf),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            BindErrorKind::Malformed(text) => {
                write!(
                    f,
                    "cannot listen on {text:?}: expected host:port, [v6]:port or unix:path"
                )
            }
            BindErrorKind::TlsOnUnix(path) => write!(
                f,
                "TLS is not offered on a Unix socket (unix:{}); bind it without TLS, or an address \
                 and a port",
                path.display()
            ),
            BindErrorKind::Io(bind, error) => {
                write!(f, "cannot listen on {bind}")?;
                match explanation(error) {
                    Some(explanation) => write!(f, ": {explanation}"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl Error for BindError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            BindErrorKind::Malformed(_) | BindErrorKind::TlsOnUnix(_) => None,
            // The explanation replaces the error's own text.
            BindErrorKind::Io(_, error) => match explanation(error) {
                Some(_) => None,
                None => Some(error),
            },
        }
    }
}

/// What an operator can do about an error of the system.
fn explanation(error: &io::Error) -> Option<&'static str> {
    if Errno::from_io_error(error) == Some(Errno::MFILE) {
        return Some("this process has too many open files; raise the limit (ulimit -n)");
    }
    Some(match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another process listens there; stop it or choose another address"
        }
        io::ErrorKind::PermissionDenied => {
            "permission denied; ports below 1024 need CAP_NET_BIND_SERVICE, \
             a path needs a folder that can be written"
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address; 0.0.0.0 or [::] takes all it has"
        }
        io::ErrorKind::NotFound => "the folder of the socket does not exist; make it first",
        io::ErrorKind::AlreadyExists => {
            "there is a file that is no socket; remove it or choose another path"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::Bind;

    #[test]
    fn an_address_is_written_as_it_is_read() {
        for text in [
            "127.0.0.1:8000",
            "localhost:0",
            "[::1]:80",
            "unix:/run/x.sock",
            "unix:x",
        ] {
            assert_eq!(text.parse::<Bind>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn an_invalid_address_is_an_error_that_names_the_valid_forms() {
        for text in [
            "",
            "localhost",
            ":80",
            "::1:80",
            "a:b",
            "a:65536",
            "unix:",
            "[::1]",
        ] {
            let error = text.parse::<Bind>().unwrap_err().to_string();
            assert_eq!(
                error,
                format!("cannot listen on {text:?}: expected host:port, [v6]:port or unix:path")
            );
        }
    }
}
