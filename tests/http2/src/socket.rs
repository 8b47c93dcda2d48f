//! A blocking socket with time limits.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How the server closed the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    /// With a FIN.
    Eof,
    /// With a reset.
    Reset,
}

/// The result of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    Some,
    Nothing,
    Closed(Closed),
}

#[derive(Debug)]
pub(crate) struct Socket(TcpStream);

impl Socket {
    pub(crate) fn connect(address: SocketAddr, limit: Duration) -> Self {
        let stream = TcpStream::connect_timeout(&address, limit).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_write_timeout(Some(limit)).unwrap();
        Self(stream)
    }

    /// Reads bytes, and waits for them until `deadline` at most; `None` does not wait.
    pub(crate) fn read(&mut self, unread: &mut Vec<u8>, deadline: Option<Instant>) -> Read {
        let mut buffer = [0; 64 * 1024];
        let timeout = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        match timeout {
            None => self.0.set_nonblocking(true).unwrap(),
            Some(Duration::ZERO) => return Read::Nothing,
            some => self.0.set_read_timeout(some).unwrap(),
        }
        let read = self.0.read(&mut buffer);
        if timeout.is_none() {
            self.0.set_nonblocking(false).unwrap();
        }
        match read {
            Ok(0) => Read::Closed(Closed::Eof),
            Ok(length) => {
                unread.extend(&buffer[..length]);
                Read::Some
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {
                    Read::Nothing
                }
                _ => Read::Closed(Closed::Reset),
            },
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.write_all(bytes)
    }

    /// Writes as many bytes as the socket accepts now.
    pub(crate) fn write_some(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.set_nonblocking(true)?;
        let written = self.0.write(bytes);
        self.0.set_nonblocking(false)?;
        match written {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            other => other,
        }
    }

    /// Closes the client's side.
    pub(crate) fn shut(&self) {
        // It fails after a reset.
        let _ = self.0.shutdown(std::net::Shutdown::Write);
    }
}
