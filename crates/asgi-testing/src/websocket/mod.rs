//! A WebSocket from the client's side.

mod session;
mod socket;

use std::error::Error;
use std::fmt;
use std::panic::Location;

use asgi::{Extension, WebSocketScope};
use asgi_rules::WebSocketWireEvent;
use http::{HeaderName, HeaderValue, StatusCode};

use self::session::Session;
use crate::record::Record;
use crate::report::Waiter;
use crate::request::{add_header, default_headers, local, parse_target};
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
        scope.headers = default_headers();
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
    pub fn connect(self) -> impl Future<Output = Result<WebSocket, Denied>> + Send {
        let waiter = Waiter {
            record: Record::new(format!("the WebSocket {}", self.scope.target), None),
            checks: self.client.checks,
            caller: Location::caller(),
        };
        async move {
            let session = Session::start(self.client, self.scope, waiter.record.clone());
            let mut denial = ResponseRecord::new(waiter.record.history().clone());
            while let Some(event) = session.event(&waiter, "the accept").await {
                match event {
                    WebSocketWireEvent::Accept(accept) => {
                        return Ok(WebSocket::new(session, waiter, accept));
                    }
                    WebSocketWireEvent::Denial(event) => denial.add(event),
                    _ => {}
                }
            }
            let seen = session.end_of_denial(&mut denial);
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
