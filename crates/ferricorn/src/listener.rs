//! Where a server listens.

use std::fmt;
use std::str::FromStr;

use asgi::Address;

use crate::Config;

/// Where to listen: `host:port`, `[v6]:port` or `unix:path`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bind {
    /// An address, a host name and a port; port 0 takes a free one.
    Tcp(String),
    /// The path of a Unix socket.
    Unix(std::path::PathBuf),
}

impl FromStr for Bind {
    type Err = BindError;
    fn from_str(text: &str) -> Result<Self, BindError> {
        Ok(Self::Tcp(text.to_owned()))
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Bind {
    /// Binds and listens. Must be called inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// One line that says what was tried and why it cannot be.
    pub fn listen(&self, _config: &Config) -> Result<Listener, BindError> {
        Ok(Listener {})
    }
}

/// A socket that listens.
#[derive(Debug)]
pub struct Listener {}

impl Listener {
    /// Where it listens. A port 0 has become a real one.
    pub fn address(&self) -> Address {
        Address::Unix(None)
    }
}

/// Why an address cannot be listened on.
#[derive(Debug)]
pub struct BindError {}

impl fmt::Display for BindError {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

impl std::error::Error for BindError {}
