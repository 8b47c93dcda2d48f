//! Builds a request.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;

use asgi::{Address, Extension, HttpRequest, HttpScope};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

use crate::{Broken, Client, Exchange, Response};

/// A request before it is sent.
///
/// By default, it is an HTTP/1.1 request with the scheme `http`, from 127.0.0.1, for the host
/// `localhost`. If the client accepts pushes, it is an HTTP/2 request. To await it is the same as to call [`send`](Self::send).
#[derive(Debug)]
#[must_use = "a request does nothing until it is sent"]
pub struct Request {
    client: Client,
    scope: HttpScope,
    body: Option<Bytes>,
    trailers: Option<Box<HeaderMap>>,
    body_is_open: bool,
}

impl Request {
    #[track_caller]
    pub(crate) fn new(client: Client, method: Method, target: &str) -> Self {
        let mut scope = HttpScope::new(method, parse_target(target));
        scope.root_path = client.root_path.clone();
        scope.headers = default_headers();
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
            client,
            scope,
            body: None,
            trailers: None,
            body_is_open: false,
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

    /// Sets the body and its `content-length`, or `transfer-encoding` if there are trailers.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sets the trailers that follow the body.
    pub fn trailers(mut self, trailers: HeaderMap) -> Self {
        self.trailers = Some(Box::new(trailers));
        self
    }

    /// Leaves the body open, so that [`Exchange::send_body`] can send more of it. On HTTP/1.1, the
    /// request then has `transfer-encoding: chunked`, unless it has a `content-length`.
    ///
    /// Use this with [`start`](Self::start).
    pub fn open_body(mut self) -> Self {
        self.body_is_open = true;
        self
    }

    /// Changes the scope, for everything that has no method here.
    ///
    /// ```
    /// # async fn app(_: asgi::Scope, _: asgi::Receiver, _: asgi::Sender) -> Result<(), asgi::AppError> { Ok(()) }
    /// # let client = asgi_testing::Client::new(app);
    /// let request = client.get("/").scope(|scope| scope.scheme = "https".into());
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
    /// Panics if the app panics, or if the body was left open.
    pub async fn send(self) -> Result<Response, Broken> {
        assert!(
            !self.body_is_open,
            "a request with an open body must be sent with `start`"
        );
        self.start().finish().await
    }

    /// Sends the request and returns an exchange to follow it event by event.
    ///
    /// The app runs only while the test awaits a method of the exchange.
    pub fn start(self) -> Exchange {
        let Self {
            client,
            mut scope,
            body,
            trailers,
            body_is_open,
        } = self;
        add_framing(
            &mut scope,
            body.as_ref(),
            body_is_open || trailers.is_some(),
        );
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
        Exchange::new(client.app, scope, first, client.lifespan)
    }
}

impl IntoFuture for Request {
    type Output = Result<Response, Broken>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// Adds the headers that a client sends with a body. `streams` says that the length is not known when
/// the request is sent.
fn add_framing(scope: &mut HttpScope, body: Option<&Bytes>, streams: bool) {
    let headers = &mut scope.headers;
    if headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING) {
        return;
    }
    if !streams {
        if let Some(body) = body {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
    } else if scope.version == Version::HTTP_11 {
        // HTTP/1.0 and HTTP/2 have no transfer codings.
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
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

pub(crate) fn default_headers() -> HeaderMap {
    HeaderMap::from_iter([(HOST, HeaderValue::from_static("localhost"))])
}

pub(crate) fn local(port: u16) -> Address {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port).into()
}
