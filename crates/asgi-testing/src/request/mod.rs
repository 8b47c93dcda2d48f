//! Builds a request.

mod body;
mod encode;

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::Location;
use std::pin::Pin;

use asgi::{Address, Extension, HttpRequest, HttpScope};
use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE, HOST};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

use self::encode::base64;
pub(crate) use self::encode::urlencoded;
use crate::client::Defaults;
use crate::cookies::CookiePlace;
use crate::exchange::{Exchange, ExchangeStart};
use crate::record::CallRecord;
use crate::report::Waiter;
use crate::{Broken, Client, Response};

/// A request before it is sent.
///
/// By default, it is an HTTP/1.1 request with the scheme `http`, from 127.0.0.1, for the host
/// `localhost`. If the client accepts pushes, it is an HTTP/2 request. To await it is the same as to
/// call [`send`](Self::send).
#[derive(Debug, Clone)]
#[must_use = "a request does nothing until it is sent"]
pub struct Request {
    pub(crate) client: Client,
    pub(crate) scope: HttpScope,
    pub(crate) body: Option<Bytes>,
    pub(crate) trailers: Option<Box<HeaderMap>>,
    body_is_open: bool,
    room: usize,
    /// How many redirects the client follows.
    pub(crate) redirects: usize,
}

impl Request {
    #[track_caller]
    pub(crate) fn new(client: Client, method: Method, target: &str) -> Self {
        let mut scope = HttpScope::new(method, parse_target(target));
        scope.root_path = client.root_path.clone();
        scope.headers = default_headers(&client.defaults);
        scope.scheme = client.defaults.scheme.clone();
        scope.version = client.defaults.version;
        scope.client = Some(local(50_000));
        scope.server = Some(local(80));
        scope.state = client.state.clone();
        scope.extensions = client
            .extensions
            .clone()
            .without(Extension::WebSocketHttpResponse);
        if scope.extensions.has(Extension::Push) {
            // Only a client of HTTP/2 can take pushes. (PUSH-001)
            scope.version = Version::HTTP_2;
        }
        Self {
            scope,
            body: None,
            trailers: None,
            body_is_open: false,
            room: 1,
            redirects: client.defaults.redirects,
            client,
        }
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

    /// Adds pairs to the query, percent-encoded as a browser encodes a form.
    ///
    /// ```
    /// # async fn app(_: asgi::Scope, _: asgi::Receiver, _: asgi::Sender) -> Result<(), asgi::AppError> { Ok(()) }
    /// # let client = asgi_testing::Client::new(app);
    /// // The target is `/search?lang=en&q=black+cat&page=2`.
    /// let request = client.get("/search?lang=en").query([("q", "black cat")]).query([("page", 2)]);
    /// # let _ = request;
    /// ```
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

    /// Adds a cookie for this request only. [`Client::keep_cookies`] keeps those that the app sets.
    ///
    /// # Panics
    ///
    /// Panics if the name or the value is not valid in a header.
    #[track_caller]
    pub fn cookie(mut self, name: &str, value: &str) -> Self {
        add_cookie(&mut self.scope.headers, &format!("{name}={value}"));
        self
    }

    /// Sets the version: `HTTP/1.0`, `HTTP/1.1` or `HTTP/2`. The default is that of the
    /// [client](Client::version), or HTTP/2 if it accepts pushes.
    ///
    /// It changes the scope, and how the headers announce a body. [`Client::extensions`] says what
    /// the connection can do.
    pub fn version(mut self, version: Version) -> Self {
        self.scope.version = version;
        self
    }

    /// Sets the scheme. The default is `http`.
    pub fn scheme(mut self, scheme: impl Into<Cow<'static, str>>) -> Self {
        self.scope.scheme = scheme.into();
        self
    }

    /// Sets the address of the client. The default is port 50000 of 127.0.0.1.
    pub fn client_address(mut self, address: impl Into<Address>) -> Self {
        self.scope.client = Some(address.into());
        self
    }

    /// Follows at most `limit` redirects; see [`Client::follow_redirects`].
    pub fn follow_redirects(mut self, limit: usize) -> Self {
        self.redirects = limit;
        self
    }

    /// Sets how many bytes the app can send before it waits for the test, with
    /// [`start`](Self::start). Each event counts one byte more than its body.
    ///
    /// The default is 1: each `send` waits until the test has taken the event before.
    pub fn room(mut self, bytes: usize) -> Self {
        self.room = bytes;
        self
    }

    /// Changes the scope, for everything that has no method here.
    ///
    /// ```
    /// # async fn app(_: asgi::Scope, _: asgi::Receiver, _: asgi::Sender) -> Result<(), asgi::AppError> { Ok(()) }
    /// # let client = asgi_testing::Client::new(app);
    /// let request = client.get("/").scope(|scope| scope.server = None);
    /// # let _ = request;
    /// ```
    pub fn scope(mut self, change: impl FnOnce(&mut HttpScope)) -> Self {
        change(&mut self.scope);
        self
    }

    /// Sends the request and waits until the app has ended.
    ///
    /// If the app fails before its response has started, the result is a response with status 500,
    /// as on a server.
    ///
    /// # Errors
    ///
    /// Returns an error if the app does not finish its response.
    ///
    /// # Panics
    ///
    /// Panics if the body was left open, and under the conditions of [`Exchange::finish`] and of
    /// [`Client::follow_redirects`].
    #[track_caller]
    pub fn send(self) -> impl Future<Output = Result<Response, Broken>> + Send {
        assert!(
            !self.body_is_open,
            "a request with an open body must be sent with `start`"
        );
        let caller = Location::caller();
        async move {
            match self.redirects {
                0 => self.start_at(caller).run().await,
                _ => self.follow(caller).await,
            }
        }
    }

    /// Sends the request and returns an exchange to follow it event by event.
    ///
    /// The app runs only while the test awaits a method of the exchange. The exchange follows no
    /// redirects.
    #[track_caller]
    pub fn start(self) -> Exchange {
        self.start_at(Location::caller())
    }

    pub(crate) fn start_at(mut self, caller: &'static Location<'static>) -> Exchange {
        self.add_framing();
        let Self {
            client,
            mut scope,
            body,
            trailers,
            body_is_open,
            room,
            ..
        } = self;
        if body.is_none() && !body_is_open && trailers.is_none() {
            scope.set_without_body();
        }
        let first = match (body_is_open, body) {
            (true, body) => body.map(HttpRequest::more),
            (false, body) => {
                let mut part = HttpRequest::last(body.unwrap_or_default());
                part.trailers = trailers;
                Some(part)
            }
        };
        if let Some(jar) = &client.defaults.cookies
            && let Some(pairs) = jar.header(&CookiePlace::of(&scope))
        {
            add_cookie(&mut scope.headers, &pairs);
        }
        let title = format!("{} {}", scope.method, scope.target);
        Exchange::new(ExchangeStart {
            waiter: Waiter {
                record: CallRecord::new(title, None),
                checks: client.checks,
                caller,
            },
            app: client.app,
            scope,
            first,
            lifespan: client.lifespan,
            room,
            cookies: client.defaults.cookies,
        })
    }
}

impl IntoFuture for Request {
    type Output = Result<Response, Broken>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    #[track_caller]
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

#[track_caller]
pub(crate) fn parse_target(target: &str) -> PathAndQuery {
    match target.parse() {
        Ok(target) => target,
        Err(error) => panic!("{target:?} is not a path with an optional query: {error}"),
    }
}

#[track_caller]
pub(crate) fn add_header<K, V>(headers: &mut HeaderMap, name: K, value: V)
where
    HeaderName: TryFrom<K>,
    HeaderValue: TryFrom<V>,
{
    let Ok(name) = HeaderName::try_from(name) else {
        panic!("invalid header name");
    };
    let Ok(value) = HeaderValue::try_from(value) else {
        panic!("invalid value for the header {name}");
    };
    if name == HOST {
        headers.insert(name, value);
    } else {
        headers.append(name, value);
    }
}

/// Adds a pair to the one `cookie` header. (RFC 6265 §5.4: "the user agent MUST NOT attach more than
/// one Cookie header field.")
#[track_caller]
pub(crate) fn add_cookie(headers: &mut HeaderMap, pair: &str) {
    let value = match headers.get(COOKIE) {
        Some(before) => [before.as_bytes(), b"; ", pair.as_bytes()].concat(),
        None => pair.as_bytes().to_vec(),
    };
    match HeaderValue::try_from(value) {
        Ok(value) => headers.insert(COOKIE, value),
        Err(_) => panic!("{pair:?} is not valid in a `cookie` header"),
    };
}

pub(crate) fn add_query(target: &mut PathAndQuery, pairs: &str) {
    if pairs.is_empty() {
        return;
    }
    let text = match target.query() {
        None | Some("") => format!("{}?{pairs}", target.path()),
        Some(query) => format!("{}?{query}&{pairs}", target.path()),
    };
    *target = text.parse().expect("an encoded pair is valid in a query");
}

#[track_caller]
pub(crate) fn basic(name: &str, password: &str) -> String {
    // RFC 7617 §2: "a user-id containing a colon character is invalid"
    assert!(!name.contains(':'), "the name {name:?} contains a colon");
    let pair = format!("{name}:{password}");
    format!("Basic {}", base64(pair.as_bytes()))
}

pub(crate) fn default_headers(defaults: &Defaults) -> HeaderMap {
    let mut headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static("localhost"))]);
    for (name, value) in &defaults.headers {
        add_header(&mut headers, name.clone(), value.clone());
    }
    headers
}

pub(crate) fn local(port: u16) -> Address {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port).into()
}
