//! Optional features of a connection.

use std::fmt;
use std::sync::Arc;

use crate::State;

/// A feature that not every connection supports.
///
/// Spec: core §7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[repr(u8)]
pub enum Extension {
    /// `http.response.push`: the client accepts server pushes now.
    Push = 0,
    /// `http.response.early_hint`: the server can send 103 responses to the client.
    EarlyHint = 1,
    /// `http.response.trailers`: the client has said that it accepts trailers.
    Trailers = 2,
    /// `http.response.pathsend`: the server can send a file by its path.
    PathSend = 3,
    /// `http.response.zerocopysend`: the server can send from an open file.
    ZeroCopySend = 4,
    /// `http.response.debug`: only test clients offer this.
    Debug = 5,
    /// `websocket.http.response`: the app can deny a handshake with a response of its own.
    WebSocketHttpResponse = 6,
}

impl Extension {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Push, "http.response.push"),
        (Self::EarlyHint, "http.response.early_hint"),
        (Self::Trailers, "http.response.trailers"),
        (Self::PathSend, "http.response.pathsend"),
        (Self::ZeroCopySend, "http.response.zerocopysend"),
        (Self::Debug, "http.response.debug"),
        (Self::WebSocketHttpResponse, "websocket.http.response"),
    ];

    /// Returns its name in ASGI, such as `http.response.push`.
    pub const fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    const fn bit(self) -> u64 {
        1 << self as u64
    }
}

/// The extensions that a connection supports for one exchange.
///
/// If the app sends an event of another extension, the server refuses the event
/// ([`SendError::is_refused`](crate::SendError::is_refused)) and the exchange continues.
///
/// Spec: core §7.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Extensions {
    bits: u64,
    /// The TLS properties of the client's connection; `None` if it does not use TLS.
    pub tls: Option<Arc<Tls>>,
    others: State,
}

impl Extensions {
    /// Creates an empty set.
    pub const fn new() -> Self {
        Self {
            bits: 0,
            tls: None,
            others: State::new(),
        }
    }

    /// Adds an extension.
    #[must_use]
    pub const fn with(mut self, extension: Extension) -> Self {
        self.bits |= extension.bit();
        self
    }

    /// Removes an extension.
    #[must_use]
    pub const fn without(mut self, extension: Extension) -> Self {
        self.bits &= !extension.bit();
        self
    }

    /// Returns whether the connection supports an extension.
    pub const fn has(&self, extension: Extension) -> bool {
        self.bits & extension.bit() != 0
    }

    /// Returns an iterator over the extensions in this set.
    pub fn iter(&self) -> impl Iterator<Item = Extension> + '_ {
        let all = Extension::ALL.into_iter().map(|(extension, _)| extension);
        all.filter(|extension| self.has(*extension))
    }

    /// Inserts an extension that this crate does not know, and replaces any value of the same type.
    ///
    /// A server offers its own features with types of its own. They do not reach an app in a loaded
    /// library.
    pub fn insert<T: Send + Sync + 'static>(&mut self, extension: T) {
        self.others.insert(extension);
    }

    /// Returns the extension of type `T`, if the server offers it.
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.others.get_ref()
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut set = f.debug_set();
        set.entries(self.iter());
        if let Some(tls) = &self.tls {
            set.entry(tls);
        }
        if !self.others.is_empty() {
            set.entry(&self.others);
        }
        set.finish()
    }
}

/// The TLS properties of a connection, as in version 0.2 of ASGI's TLS extension.
///
/// Spec: core §7.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Tls {
    /// The number of the protocol version: 0x0303 for TLS 1.2, 0x0304 for TLS 1.3.
    pub version: Option<u16>,
    /// The number of the cipher suite.
    pub cipher_suite: Option<u16>,
    /// The server's certificate in PEM format.
    pub server_cert: Option<String>,
    /// The client's certificates in PEM format, with its own first. Empty if it sent none.
    pub client_cert_chain: Vec<String>,
    /// The subject of the client's certificate, in the format of RFC 4514.
    pub client_cert_name: Option<String>,
    /// Why the client's certificate is not valid, if the server accepts connections without a valid
    /// one.
    pub client_cert_error: Option<String>,
    /// The host name that the client asks for (SNI).
    pub server_name: Option<String>,
}

new_is_default!(Tls);
