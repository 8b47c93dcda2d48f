//! A WebSocket from the client's side.

mod expected;
mod running;
mod socket;

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::panic::Location;

use asgi::{Address, Extension, WebSocketScope};
use asgi_rules::WebSocketWireEvent;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use self::running::RunningSocket;
use crate::cookies::CookiePlace;
use crate::record::CallRecord;
use crate::report::Waiter;
use crate::request::{
    add_cookie, add_header, add_query, basic, default_headers, local, parse_target, urlencoded,
};
use crate::response::ResponseRecord;
use crate::{Broken, Client, Response};

pub use self::socket::{SocketReceiver, SocketSender, WebSocket, WebSocketClosed};

/// A WebSocket before it is opened. [`Client::websocket`] returns it.
#[derive(Debug)]
#[must_use = "a handshake does nothing until `connect` is called"]
pub struct Handshake {
    client: Client,
    scope: WebSocketScope,
}

impl Handshake {
    #[track_caller]
    pub(crate) fn new(client: Client, target: &str) -> Self {
        let mut scope = WebSocketScope::new(parse_target(target));
        scope.root_path = client.root_path.clone();
        scope.headers = default_headers(&client.defaults);
        scope.scheme = match &*client.defaults.scheme {
            "https" => Cow::Borrowed("wss"),
            _ => Cow::Borrowed("ws"),
        };
        scope.version = client.defaults.version;
        scope.client = Some(local(50_000));
        scope.server = Some(local(80));
        scope.state = client.state.clone();
        if client.extensions.has(Extension::WebSocketHttpResponse) {
            scope.extensions = scope.extensions.with(Extension::WebSocketHttpResponse);
        }
        scope.extensions.tls = client.extensions.tls.clone();
        Self { client, scope }
    }

    /// Offers subprotocols, in order of preference.
    pub fn subprotocols<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.scope.subprotocols = names.into_iter().map(Into::into).collect();
        self
    }

    /// Adds a header. Headers with the same name stay, but a `host` replaces the default one.
    ///
    /// # Panics
    ///
    /// Panics if `name` or `value` is not valid in a header.
    #[track_caller]
    pub fn header<K, V>(mut self, name: K, value: V) -> Self
    where
        HeaderName: TryFrom<K>,
        HeaderValue: TryFrom<V>,
    {
        add_header(&mut self.scope.headers, name, value);
        self
    }

    /// Adds pairs to the query; see [`Request::query`](crate::Request::query).
    pub fn query<K: fmt::Display, V: fmt::Display>(
        mut self,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        add_query(&mut self.scope.target, &urlencoded(pairs));
        self
    }

    /// Adds an `authorization` header with a bearer token (RFC 6750).
    ///
    /// # Panics
    ///
    /// Panics if the token is not valid in a header.
    #[track_caller]
    pub fn bearer(self, token: &str) -> Self {
        self.header(AUTHORIZATION, format!("Bearer {token}"))
    }

    /// Adds an `authorization` header with a name and a password (RFC 7617).
    ///
    /// # Panics
    ///
    /// Panics if the name contains a colon.
    #[track_caller]
    pub fn basic(self, name: &str, password: &str) -> Self {
        self.header(AUTHORIZATION, basic(name, password))
    }

    /// Adds a cookie for this handshake only.
    ///
    /// # Panics
    ///
    /// Panics if the name or the value is not valid in a header.
    #[track_caller]
    pub fn cookie(mut self, name: &str, value: &str) -> Self {
        add_cookie(&mut self.scope.headers, &format!("{name}={value}"));
        self
    }

    /// Sets the address of the client. The default is port 50000 of 127.0.0.1.
    pub fn client_address(mut self, address: impl Into<Address>) -> Self {
        self.scope.client = Some(address.into());
        self
    }

    /// Changes the scope, for everything that has no method here.
    pub fn scope(mut self, change: impl FnOnce(&mut WebSocketScope)) -> Self {
        change(&mut self.scope);
        self
    }

    /// Opens the WebSocket. This waits until the app accepts.
    ///
    /// # Errors
    ///
    /// Returns an error if the app denied the handshake or ended without an answer.
    ///
    /// # Panics
    ///
    /// Panics under the same conditions as [`Exchange::finish`](crate::Exchange::finish).
    #[track_caller]
    pub fn connect(mut self) -> impl Future<Output = Result<WebSocket, Denied>> + Send {
        let jar = self.client.defaults.cookies.clone();
        let path = format!("{}{}", self.scope.root_path, self.scope.raw_path());
        let place = CookiePlace::new(&self.scope.headers, path, &self.scope.scheme);
        if let Some(pairs) = jar.as_ref().and_then(|jar| jar.header(&place)) {
            add_cookie(&mut self.scope.headers, &pairs);
        }
        let store = move |headers: &HeaderMap| {
            if let Some(jar) = &jar {
                jar.store_all(headers, &place);
            }
        };
        let waiter = Waiter {
            record: CallRecord::new(format!("the WebSocket {}", self.scope.target), None),
            checks: self.client.checks,
            caller: Location::caller(),
        };
        async move {
            let running = RunningSocket::start(self.client, self.scope, waiter.record.clone());
            let mut denial = ResponseRecord::new(waiter.record.history().clone());
            while let Some(event) = running.event(&waiter, "the accept").await {
                match event {
                    WebSocketWireEvent::Accept(accept) => {
                        store(&accept.headers);
                        return Ok(WebSocket::new(running, waiter, accept));
                    }
                    WebSocketWireEvent::Denial(event) => denial.add(event),
                    _ => {}
                }
            }
            if let Some((_, headers)) = &denial.head {
                store(headers);
            }
            let seen = running.end_of_denial(&mut denial);
            waiter.check_end(seen).await;
            Err(Denied(denial.into_response()))
        }
    }
}

/// The error of a handshake that the app did not accept.
///
/// `Debug` prints the response and the history too, because a test that calls `unwrap` prints it.
pub struct Denied(Result<Response, Broken>);

impl Denied {
    /// Returns the status.
    ///
    /// It is 403 if the app closed before the accept or does not know WebSockets, and 500 if the app
    /// ended without an answer.
    /// Otherwise it is the status of the app's own response, or `None` if that has no head.
    pub fn status(&self) -> Option<StatusCode> {
        match &self.0 {
            Ok(response) => Some(response.status()),
            Err(broken) => broken.status(),
        }
    }

    /// Returns the response that denied the handshake.
    ///
    /// # Errors
    ///
    /// Returns an error if the app did not finish the response.
    pub fn response(&self) -> Result<&Response, &Broken> {
        self.0.as_ref()
    }
}

impl fmt::Debug for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Ok(response) => write!(f, "{self}: {response:?}\n{}", response.history()),
            Err(broken) => write!(f, "{self}: {broken:?}"),
        }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status() {
            Some(status) => write!(f, "the app denied the handshake with {}", status.as_u16()),
            None => f.write_str("the app denied the handshake with an incomplete response"),
        }
    }
}

impl Error for Denied {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            Ok(response) => response.app_error().map(|error| error.as_error() as _),
            Err(broken) => Some(broken),
        }
    }
}
