//! The scope of a call: what the app is called for.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Version};

use crate::{Extensions, State, path};

/// What a server calls an app for: one request, one WebSocket, or the lifespan of the server.
///
/// Spec: core §2.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Scope {
    /// One HTTP request.
    Http(Box<HttpScope>),
    /// One WebSocket, including its handshake.
    WebSocket(Box<WebSocketScope>),
    /// The lifespan of the server: startup and shutdown.
    Lifespan(LifespanScope),
}

/// Reads a member that the scopes of requests and WebSockets have.
macro_rules! of_request {
    ($all:ident, $scope:ident => $member:expr) => {
        match $all {
            Self::Http($scope) => Some($member),
            Self::WebSocket($scope) => Some($member),
            Self::Lifespan(_) => None,
        }
    };
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

    /// Returns the headers of a request or of the handshake of a WebSocket.
    pub fn headers(&self) -> Option<&HeaderMap> {
        of_request!(self, scope => &scope.headers)
    }

    /// Returns the decoded path of a request or a WebSocket. See [`HttpScope::path`].
    pub fn path(&self) -> Option<Cow<'_, str>> {
        of_request!(self, scope => scope.path())
    }

    /// Returns the state of a request or a WebSocket, for a middleware that adds a value to it.
    pub fn state_mut(&mut self) -> Option<&mut State> {
        of_request!(self, scope => &mut scope.state)
    }
}

conversions! {
    HttpScope => Scope: scope => Self::Http(Box::new(scope));
    WebSocketScope => Scope: scope => Self::WebSocket(Box::new(scope));
    LifespanScope => Scope: scope => Self::Lifespan(scope);
    SocketAddr => Address: address => Self::Ip(address);
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

/// The methods of a scope with the members `target` and `root_path`.
macro_rules! path_methods {
    () => {
        /// Returns the path as the client sent it, still percent-encoded and without
        /// [`root_path`](Self::root_path).
        pub fn raw_path(&self) -> &str {
            self.target.path()
        }

        /// Returns the part after the `?`, still percent-encoded. It is empty if there is none.
        pub fn query_string(&self) -> &str {
            self.target.query().unwrap_or("")
        }

        /// Returns the decoded path, including [`root_path`](Self::root_path). Bytes that are not valid
        /// UTF-8 become U+FFFD.
        ///
        /// This decodes the path each time. It allocates only if there is a root path or an escape.
        pub fn path(&self) -> Cow<'_, str> {
            path::full(&self.root_path, &self.target)
        }

        /// Returns the decoded path without [`root_path`](Self::root_path). A router matches this path.
        pub fn local_path(&self) -> Cow<'_, str> {
            path::percent_decode(self.target.path())
        }

        /// Moves a prefix of the path to the end of [`root_path`](Self::root_path), as a router does for
        /// an app that is mounted at `prefix`.
        ///
        /// Returns whether the local path begins with `prefix`, a decoded path that begins with a slash.
        /// Only whole segments match. If it does not begin with the prefix, this changes nothing. If
        /// nothing follows the prefix, the local path becomes `/`.
        ///
        /// ```
        /// # use asgi::HttpScope;
        /// let mut scope = HttpScope::new(http::Method::GET, "/a%20b/c%20d?q".parse()?);
        /// assert!(!scope.nest("/a"));
        /// assert!(scope.nest("/a b"));
        /// assert_eq!(scope.root_path, "/a b");
        /// assert_eq!(scope.raw_path(), "/c%20d");
        /// assert_eq!(scope.local_path(), "/c d");
        /// assert_eq!(scope.path(), "/a b/c d");
        /// # Ok::<(), http::uri::InvalidUri>(())
        /// ```
        pub fn nest(&mut self, prefix: &str) -> bool {
            path::nest(&mut self.root_path, &mut self.target, prefix)
        }

        /// Replaces the target, for a middleware that rewrites paths. The root path stays.
        pub fn set_target(&mut self, target: PathAndQuery) {
            self.target = target;
        }
    };
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
    /// The path and query, percent-encoded as the client sent them, without
    /// [`root_path`](Self::root_path). See [`path`](Self::path), [`raw_path`](Self::raw_path) and
    /// [`query_string`](Self::query_string).
    pub target: PathAndQuery,
    /// The decoded path at which the app is mounted, without a slash at its end. Usually empty. A
    /// router changes it with [`nest`](Self::nest).
    pub root_path: Cow<'static, str>,
    /// The request headers. Repeated headers stay separate and in order. `host` is always the host
    /// that the request is for.
    pub headers: HeaderMap,
    /// The address of the client, if the server knows it.
    pub client: Option<Address>,
    /// The address of the server's end of the connection, if the server knows it.
    pub server: Option<Address>,
    /// The values that the app made at startup, and those that middleware added for this request.
    pub state: State,
    /// The extensions that this connection supports.
    pub extensions: Extensions,
    /// The server knows that no body follows.
    ended: bool,
}

impl HttpScope {
    /// Creates the scope of an HTTP/1.1 request for `target`, with the scheme `http`. Everything
    /// else is empty or unknown.
    pub fn new(method: Method, target: PathAndQuery) -> Self {
        Self {
            version: Version::HTTP_11,
            method,
            scheme: Cow::Borrowed("http"),
            target,
            root_path: Cow::Borrowed(""),
            headers: HeaderMap::new(),
            client: None,
            server: None,
            state: State::new(),
            extensions: Extensions::new(),
            ended: false,
        }
    }

    path_methods!();

    /// Returns the length of the request body, if the client announces one.
    pub fn content_length(&self) -> Option<u64> {
        let mut values = self.headers.get_all(CONTENT_LENGTH).iter();
        let value = values.next().filter(|_| values.next().is_none())?;
        let digits = value.to_str().ok()?;
        // `parse` alone would accept a sign.
        let valid = digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|_| valid)
    }

    /// Returns whether a request body may follow.
    ///
    /// On HTTP/1, the headers tell. On HTTP/2, a request without `content-length` may have a body,
    /// unless the server knows better ([`set_without_body`](Self::set_without_body)).
    pub fn has_body(&self) -> bool {
        if self.headers.contains_key(TRANSFER_ENCODING) {
            return true;
        }
        match self.content_length() {
            Some(length) => length > 0,
            None => self.version > Version::HTTP_11 && !self.ended,
        }
    }

    /// Says that no body follows, for servers that know it when the scope is made.
    pub fn set_without_body(&mut self) {
        self.ended = true;
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
    /// The path and query, percent-encoded as the client sent them, without
    /// [`root_path`](Self::root_path).
    pub target: PathAndQuery,
    /// The decoded path at which the app is mounted, without a slash at its end. Usually empty. A
    /// router changes it with [`nest`](Self::nest).
    pub root_path: Cow<'static, str>,
    /// The headers of the handshake.
    pub headers: HeaderMap,
    /// The subprotocols that the client offers, in its order of preference.
    pub subprotocols: Vec<String>,
    /// The address of the client, if the server knows it.
    pub client: Option<Address>,
    /// The address of the server's end of the connection, if the server knows it.
    pub server: Option<Address>,
    /// The values that the app made at startup, and those that middleware added for this
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

    path_methods!();
}

/// The lifespan of one server process.
///
/// Spec: lifespan §1.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct LifespanScope {}

new_is_default!(LifespanScope);
