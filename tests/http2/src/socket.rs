//! A blocking socket whose waits have a limit.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How the other side ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    /// In order.
    Eof,
    /// With a reset.
    Reset,
}

/// What a read gave.
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

    /// Reads what is there, or waits for it until `deadline`; `None` does not wait.
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

    /// Writes what there is room for.
    pub(crate) fn write_some(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.set_nonblocking(true)?;
        let written = self.0.write(bytes);
        self.0.set_nonblocking(false)?;
        match written {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            other => other,
        }
    }

    /// Says that nothing more will be written.
    pub(crate) fn shut(&self) {
        // One that was reset needs it no more.
        let _ = self.0.shutdown(std::net::Shutdown::Write);
    }
}
