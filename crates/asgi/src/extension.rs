//! What a connection can do beyond the core of the spec.

use std::fmt;
use std::sync::Arc;

/// Something that not every connection can do.
///
/// Spec: core §7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[repr(u8)]
pub enum Extension {
    /// `http.response.push`: the client takes server pushes now.
    Push = 0,
    /// `http.response.early_hint`: 103 responses reach the client.
    EarlyHint = 1,
    /// `http.response.trailers`: the client said that it takes trailers.
    Trailers = 2,
    /// `http.response.pathsend`: the server sends a file by its path.
    PathSend = 3,
    /// `http.response.zerocopysend`: the server sends from an open file.
    ZeroCopySend = 4,
    /// `http.response.debug`: offered by test clients alone.
    Debug = 5,
    /// `websocket.http.response`: a handshake may be denied with a whole response.
    WebSocketHttpResponse = 6,
}

impl Extension {
    const ALL: [Self; 7] = [
        Self::Push,
        Self::EarlyHint,
        Self::Trailers,
        Self::PathSend,
        Self::ZeroCopySend,
        Self::Debug,
        Self::WebSocketHttpResponse,
    ];

    /// The name that ASGI gives it, such as `http.response.push`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Push => "http.response.push",
            Self::EarlyHint => "http.response.early_hint",
            Self::Trailers => "http.response.trailers",
            Self::PathSend => "http.response.pathsend",
            Self::ZeroCopySend => "http.response.zerocopysend",
            Self::Debug => "http.response.debug",
            Self::WebSocketHttpResponse => "websocket.http.response",
        }
    }

    const fn bit(self) -> u64 {
        1 << self as u64
    }
}

/// The extensions that one connection can do at this moment.
///
/// An event of an extension that is not in here is answered with an error
/// ([`SendError::is_refused`](crate::SendError::is_refused)); the exchange goes on.
///
/// Spec: core §7.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Extensions {
    bits: u64,
    /// What TLS knows of the connection; `None` where there is no TLS.
    pub tls: Option<Arc<Tls>>,
}

impl Extensions {
    /// None at all.
    pub const fn new() -> Self {
        Self { bits: 0, tls: None }
    }

    /// These and one more.
    #[must_use]
    pub const fn with(mut self, extension: Extension) -> Self {
        self.bits |= extension.bit();
        self
    }

    /// These without one.
    #[must_use]
    pub const fn without(mut self, extension: Extension) -> Self {
        self.bits &= !extension.bit();
        self
    }

    /// Whether the connection can do it now.
    pub const fn has(&self, extension: Extension) -> bool {
        self.bits & extension.bit() != 0
    }

    /// All that the connection can do.
    pub fn iter(&self) -> impl Iterator<Item = Extension> + '_ {
        Extension::ALL.into_iter().filter(|one| self.has(*one))
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut set = f.debug_set();
        set.entries(self.iter());
        if let Some(tls) = &self.tls {
            set.entry(tls);
        }
        set.finish()
    }
}

/// What TLS knows of a connection: ASGI's TLS extension, version 0.2.
///
/// Spec: core §7.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Tls {
    /// The protocol version as on the wire: 0x0303 for TLS 1.2, 0x0304 for TLS 1.3.
    pub version: Option<u16>,
    /// The cipher suite's number.
    pub cipher_suite: Option<u16>,
    /// The server's certificate, PEM.
    pub server_cert: Option<String>,
    /// The client's certificates, PEM, its own first. Empty if it sent none.
    pub client_cert_chain: Vec<String>,
    /// The subject of the client's certificate, as RFC 4514 writes it.
    pub client_cert_name: Option<String>,
    /// Why the client's certificate was not accepted, if the server asked for none that is.
    pub client_cert_error: Option<String>,
    /// The host name that the client asked for (SNI).
    pub server_name: Option<String>,
}

impl Tls {
    /// Nothing known yet.
    pub fn new() -> Self {
        Self::default()
    }
}
