//! A request before it is sent.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;

use asgi::{Address, Extension, HttpRequest, HttpScope};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::{Broken, Client, Exchange, Response};

/// A request before it is sent.
///
/// It is a GET of HTTP/1.1 over `http` from 127.0.0.1 for the host `localhost`, unless told
/// otherwise. Awaiting it is the same as [`send`](Self::send).
#[derive(Debug)]
#[must_use = "a request does nothing until it is sent"]
pub struct Request {
    client: Client,
    scope: HttpScope,
    body: Option<Bytes>,
    trailers: Option<Box<HeaderMap>>,
    open: bool,
}

impl Request {
    #[track_caller]
    pub(crate) fn new(client: Client, method: Method, target: &str) -> Self {
        let mut scope = HttpScope::new(method, parse_target(target));
        if !client.root_path.is_empty() {
            scope = scope.mounted_at(client.root_path.clone());
        }
        scope.headers = default_headers();
        scope.client = Some(local(50_000));
        scope.server = Some(local(80));
        scope.state = client.state.clone();
        scope.extensions = client
            .extensions
            .clone()
            .without(Extension::WebSocketHttpResponse);
        Self {
            client,
            scope,
            body: None,
            trailers: None,
            open: false,
        }
    }

    /// Adds a field, beside any of the same name. A `host` takes the place of the default one.
    ///
    /// # Panics
    ///
    /// If these are no field's name and value.
    #[track_caller]
    pub fn header<K, V>(mut self, name: K, value: V) -> Self
    where
        HeaderName: TryFrom<K>,
        HeaderValue: TryFrom<V>,
    {
        add_header(&mut self.scope.headers, name, value);
        self
    }

    /// Sets the body, and the `content-length` that goes with it.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sends trailers behind the body.
    pub fn trailers(mut self, trailers: HeaderMap) -> Self {
        self.trailers = Some(Box::new(trailers));
        self
    }

    /// Leaves the body open: [`Exchange::send_body`] sends more of it. For [`start`](Self::start).
    pub fn open_body(mut self) -> Self {
        self.open = true;
        self
    }

    /// Changes anything of the scope that has no method here.
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
    /// # Errors
    ///
    /// The app broke its response off. One that failed before its response had begun gives a 500,
    /// as on a server.
    ///
    /// # Panics
    ///
    /// With the app's panic; and if the body was left open.
    pub async fn send(self) -> Result<Response, Broken> {
        assert!(
            !self.open,
            "a request with an open body is sent with `start`"
        );
        self.start().finish().await
    }

    /// Sends the request, to be followed event by event. The app runs once the exchange is awaited.
    pub fn start(self) -> Exchange {
        let Self {
            client,
            mut scope,
            body,
            trailers,
            open,
        } = self;
        if let Some(body) = &body
            && !open
            && trailers.is_none()
        {
            scope
                .headers
                .entry(CONTENT_LENGTH)
                .or_insert_with(|| HeaderValue::from(body.len()));
        }
        let first = match (open, body) {
            (true, body) => body.map(HttpRequest::more),
            (false, body) => {
                let mut whole = HttpRequest::last(body.unwrap_or_default());
                whole.trailers = trailers;
                Some(whole)
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

#[track_caller]
pub(crate) fn parse_target(target: &str) -> PathAndQuery {
    match target.parse() {
        Ok(target) => target,
        Err(error) => panic!("{target:?} is no path with an optional query: {error}"),
    }
}

#[track_caller]
pub(crate) fn add_header<K, V>(headers: &mut HeaderMap, name: K, value: V)
where
    HeaderName: TryFrom<K>,
    HeaderValue: TryFrom<V>,
{
    let Ok(name) = HeaderName::try_from(name) else {
        panic!("this cannot be the name of a field");
    };
    let Ok(value) = HeaderValue::try_from(value) else {
        panic!("this cannot be a value of the field {name}");
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
