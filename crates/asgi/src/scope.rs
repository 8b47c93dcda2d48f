//! What an app is called for.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Version};

use crate::{Extensions, State, path};

/// What an app is called for: one request, one WebSocket or the life of the server.
///
/// Spec: core §2.
#[derive(Debug)]
#[non_exhaustive]
pub enum Scope {
    /// One HTTP request.
    Http(Box<HttpScope>),
    /// One WebSocket, from its handshake on.
    WebSocket(Box<WebSocketScope>),
    /// The life of the server: start-up and shutdown.
    Lifespan(LifespanScope),
}

impl Scope {
    /// The name that ASGI gives to this kind: `http`, `websocket` or `lifespan`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            Self::WebSocket(_) => "websocket",
            Self::Lifespan(_) => "lifespan",
        }
    }
}

impl From<HttpScope> for Scope {
    fn from(scope: HttpScope) -> Self {
        Self::Http(Box::new(scope))
    }
}

impl From<WebSocketScope> for Scope {
    fn from(scope: WebSocketScope) -> Self {
        Self::WebSocket(Box::new(scope))
    }
}

impl From<LifespanScope> for Scope {
    fn from(scope: LifespanScope) -> Self {
        Self::Lifespan(scope)
    }
}

/// Where one end of a connection is.
///
/// Spec: http §1.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// An address and a port.
    Ip(SocketAddr),
    /// A Unix socket; clients seldom have a name.
    Unix(Option<Arc<Path>>),
}

impl Address {
    /// The address and port, if this is one.
    pub fn as_ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

/// One HTTP request, without its body.
///
/// Spec: http §1.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HttpScope {
    /// The protocol: HTTP/1.0, HTTP/1.1 or HTTP/2.
    pub version: Version,
    /// The method, as it was sent: methods are case-sensitive (RFC 9110 §9.1).
    pub method: Method,
    /// `http` or `https`.
    pub scheme: Cow<'static, str>,
    /// Path and query as they came on the wire. See [`raw_path`](Self::raw_path) and
    /// [`query_string`](Self::query_string).
    pub target: PathAndQuery,
    /// The decoded path, [`root_path`](Self::root_path) included. What is no UTF-8 is U+FFFD.
    pub path: String,
    /// Where the app is mounted, without a slash at its end; mostly empty.
    pub root_path: Cow<'static, str>,
    /// The request's fields. Repeated ones are kept apart and in order; `host` is always the one
    /// that the request is for.
    pub headers: HeaderMap,
    /// The other end of the connection, if it is known.
    pub client: Option<Address>,
    /// Our end of the connection, if it is known.
    pub server: Option<Address>,
    /// What the app put in at start-up, and what middleware added for this request.
    pub state: State,
    /// What this connection can do beyond the core.
    pub extensions: Extensions,
}

impl HttpScope {
    /// A request of HTTP/1.1 over `http` for `target`, with nothing else known.
    pub fn new(method: Method, target: PathAndQuery) -> Self {
        Self {
            version: Version::HTTP_11,
            method,
            scheme: Cow::Borrowed("http"),
            path: path::decode(target.path()),
            target,
            root_path: Cow::Borrowed(""),
            headers: HeaderMap::new(),
            client: None,
            server: None,
            state: State::new(),
            extensions: Extensions::new(),
        }
    }

    /// Says where the app is mounted: `path` gets this prefix, the target stays as it was.
    #[must_use]
    pub fn mounted_at(mut self, root_path: impl Into<Cow<'static, str>>) -> Self {
        self.root_path = root_path.into();
        self.path.insert_str(0, &self.root_path);
        self
    }

    /// The path as it came on the wire, still encoded, without [`root_path`](Self::root_path).
    pub fn raw_path(&self) -> &str {
        self.target.path()
    }

    /// What follows the `?`, still encoded; empty if there is none.
    pub fn query_string(&self) -> &str {
        self.target.query().unwrap_or("")
    }

    /// The decoded path behind [`root_path`](Self::root_path): what a router matches.
    pub fn local_path(&self) -> &str {
        path::local(&self.path, &self.root_path)
    }
}

/// One WebSocket, from its handshake on.
///
/// Spec: websocket §1.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WebSocketScope {
    /// The protocol of the handshake: HTTP/1.1 or HTTP/2.
    pub version: Version,
    /// `ws` or `wss`.
    pub scheme: Cow<'static, str>,
    /// Path and query as they came on the wire.
    pub target: PathAndQuery,
    /// The decoded path, [`root_path`](Self::root_path) included. What is no UTF-8 is U+FFFD.
    pub path: String,
    /// Where the app is mounted, without a slash at its end; mostly empty.
    pub root_path: Cow<'static, str>,
    /// The handshake's fields.
    pub headers: HeaderMap,
    /// The subprotocols that the client offers, the best first.
    pub subprotocols: Vec<String>,
    /// The other end of the connection, if it is known.
    pub client: Option<Address>,
    /// Our end of the connection, if it is known.
    pub server: Option<Address>,
    /// What the app put in at start-up, and what middleware added for this socket.
    pub state: State,
    /// What this connection can do beyond the core.
    pub extensions: Extensions,
}

impl WebSocketScope {
    /// A handshake of HTTP/1.1 over `ws` for `target`, with nothing else known.
    pub fn new(target: PathAndQuery) -> Self {
        Self {
            version: Version::HTTP_11,
            scheme: Cow::Borrowed("ws"),
            path: path::decode(target.path()),
            target,
            root_path: Cow::Borrowed(""),
            headers: HeaderMap::new(),
            subprotocols: Vec::new(),
            client: None,
            server: None,
            state: State::new(),
            extensions: Extensions::new(),
        }
    }

    /// Says where the app is mounted: `path` gets this prefix, the target stays as it was.
    #[must_use]
    pub fn mounted_at(mut self, root_path: impl Into<Cow<'static, str>>) -> Self {
        self.root_path = root_path.into();
        self.path.insert_str(0, &self.root_path);
        self
    }

    /// The path as it came on the wire, still encoded, without [`root_path`](Self::root_path).
    pub fn raw_path(&self) -> &str {
        self.target.path()
    }

    /// What follows the `?`, still encoded; empty if there is none.
    pub fn query_string(&self) -> &str {
        self.target.query().unwrap_or("")
    }

    /// The decoded path behind [`root_path`](Self::root_path): what a router matches.
    pub fn local_path(&self) -> &str {
        path::local(&self.path, &self.root_path)
    }
}

/// The life of one server process.
///
/// Spec: lifespan §1.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct LifespanScope {}

impl LifespanScope {
    /// The life of a server.
    pub fn new() -> Self {
        Self::default()
    }
}
