//! The scope of a call: what the app is called for.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Version};

use crate::{Extensions, State, path};

/// What a server calls an app for: one request, one WebSocket, or the lifespan of the server.
///
/// Spec: core §2.
#[derive(Debug)]
#[non_exhaustive]
pub enum Scope {
    /// One HTTP request.
    Http(Box<HttpScope>),
    /// One WebSocket, including its handshake.
    WebSocket(Box<WebSocketScope>),
    /// The lifespan of the server: start-up and shutdown.
    Lifespan(LifespanScope),
}

impl Scope {
    /// Returns the name of this kind in ASGI: `http`, `websocket` or `lifespan`.
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

/// The address of one end of a connection.
///
/// Spec: http §1.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// An IP address and a port.
    Ip(SocketAddr),
    /// A Unix socket, with its path if it has one. Sockets of clients rarely do.
    Unix(Option<Arc<Path>>),
}

impl Address {
    /// Returns the IP address and port, if this is one.
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

/// One HTTP request without its body.
///
/// Spec: http §1.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HttpScope {
    /// The protocol version: HTTP/1.0, HTTP/1.1 or HTTP/2.
    pub version: Version,
    /// The method, exactly as the client sent it. Methods are case-sensitive (RFC 9110 §9.1).
    pub method: Method,
    /// `http` or `https`.
    pub scheme: Cow<'static, str>,
    /// The path and query, as the client sent them. See [`raw_path`](Self::raw_path) and
    /// [`query_string`](Self::query_string).
    pub target: PathAndQuery,
    /// The decoded path, including [`root_path`](Self::root_path). Bytes that are not valid UTF-8
    /// become U+FFFD.
    pub path: String,
    /// The path at which the app is mounted, without a slash at its end. Usually empty.
    pub root_path: Cow<'static, str>,
    /// The request headers. Repeated headers stay separate and in order. `host` is always the host
    /// that the request is for.
    pub headers: HeaderMap,
    /// The address of the client, if the server knows it.
    pub client: Option<Address>,
    /// The address of the server's end of the connection, if the server knows it.
    pub server: Option<Address>,
    /// The values that the app made at start-up, and those that middleware added for this request.
    pub state: State,
    /// The extensions that this connection supports.
    pub extensions: Extensions,
}

impl HttpScope {
    /// Creates the scope of an HTTP/1.1 request for `target`, with the scheme `http`. Everything
    /// else is empty or unknown.
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

    /// Sets the root path and adds it to the front of `path`. This does not change `target`.
    #[must_use]
    pub fn mounted_at(mut self, root_path: impl Into<Cow<'static, str>>) -> Self {
        self.root_path = root_path.into();
        self.path.insert_str(0, &self.root_path);
        self
    }

    /// Returns the path as the client sent it, still percent-encoded and without
    /// [`root_path`](Self::root_path).
    pub fn raw_path(&self) -> &str {
        self.target.path()
    }

    /// Returns the part after the `?`, still percent-encoded. It is empty if there is none.
    pub fn query_string(&self) -> &str {
        self.target.query().unwrap_or("")
    }

    /// Returns the decoded path without [`root_path`](Self::root_path). A router matches this path.
    pub fn local_path(&self) -> &str {
        path::local(&self.path, &self.root_path)
    }
}

/// One WebSocket, including its handshake.
///
/// Spec: websocket §1.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WebSocketScope {
    /// The protocol version of the handshake: HTTP/1.1 or HTTP/2.
    pub version: Version,
    /// `ws` or `wss`.
    pub scheme: Cow<'static, str>,
    /// The path and query, as the client sent them.
    pub target: PathAndQuery,
    /// The decoded path, including [`root_path`](Self::root_path). Bytes that are not valid UTF-8
    /// become U+FFFD.
    pub path: String,
    /// The path at which the app is mounted, without a slash at its end. Usually empty.
    pub root_path: Cow<'static, str>,
    /// The headers of the handshake.
    pub headers: HeaderMap,
    /// The subprotocols that the client offers, in its order of preference.
    pub subprotocols: Vec<String>,
    /// The address of the client, if the server knows it.
    pub client: Option<Address>,
    /// The address of the server's end of the connection, if the server knows it.
    pub server: Option<Address>,
    /// The values that the app made at start-up, and those that middleware added for this
    /// WebSocket.
    pub state: State,
    /// The extensions that this connection supports.
    pub extensions: Extensions,
}

impl WebSocketScope {
    /// Creates the scope of an HTTP/1.1 handshake for `target`, with the scheme `ws`. Everything
    /// else is empty or unknown.
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

    /// Sets the root path and adds it to the front of `path`. This does not change `target`.
    #[must_use]
    pub fn mounted_at(mut self, root_path: impl Into<Cow<'static, str>>) -> Self {
        self.root_path = root_path.into();
        self.path.insert_str(0, &self.root_path);
        self
    }

    /// Returns the path as the client sent it, still percent-encoded and without
    /// [`root_path`](Self::root_path).
    pub fn raw_path(&self) -> &str {
        self.target.path()
    }

    /// Returns the part after the `?`, still percent-encoded. It is empty if there is none.
    pub fn query_string(&self) -> &str {
        self.target.query().unwrap_or("")
    }

    /// Returns the decoded path without [`root_path`](Self::root_path). A router matches this path.
    pub fn local_path(&self) -> &str {
        path::local(&self.path, &self.root_path)
    }
}

/// The lifespan of one server process.
///
/// Spec: lifespan §1.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct LifespanScope {}

impl LifespanScope {
    /// Creates the scope of a lifespan.
    pub fn new() -> Self {
        Self::default()
    }
}
