//! The client: an app, and the values for its scopes.

use std::borrow::Cow;
use std::ops::Deref;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use asgi::{App, DynApp, Extension, Extensions, State};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

use crate::cookies::CookieJar;
use crate::lifespan::{LifespanError, LifespanTask};
use crate::report::Checks;
use crate::request::{Request, add_header};
use crate::websocket::Handshake;

/// Sends requests to an app that runs inside the test, without a server.
///
/// A clone is cheap and refers to the same app.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) app: DynApp,
    pub(crate) state: State,
    pub(crate) extensions: Extensions,
    pub(crate) root_path: Cow<'static, str>,
    pub(crate) lifespan: Option<Arc<LifespanTask>>,
    pub(crate) checks: Checks,
    pub(crate) defaults: Defaults,
}

/// What each request of a client begins with.
#[derive(Debug, Clone)]
pub(crate) struct Defaults {
    pub(crate) headers: HeaderMap,
    pub(crate) scheme: Cow<'static, str>,
    pub(crate) version: Version,
    pub(crate) redirects: usize,
    pub(crate) cookies: Option<CookieJar>,
}

impl Client {
    /// Creates a client for `app`.
    ///
    /// This does not run the app's lifespan; see [`startup`](Self::startup).
    pub fn new(app: impl App) -> Self {
        Self {
            app: DynApp::new(app),
            state: State::new(),
            extensions: Extensions::new()
                .with(Extension::EarlyHint)
                .with(Extension::Trailers)
                .with(Extension::Debug)
                .with(Extension::WebSocketHttpResponse),
            root_path: Cow::Borrowed(""),
            lifespan: None,
            checks: Checks::default(),
            defaults: Defaults {
                headers: HeaderMap::new(),
                scheme: Cow::Borrowed("http"),
                version: Version::HTTP_11,
                redirects: 0,
                cookies: None,
            },
        }
    }

    /// Adds a header to each request and each handshake, such as an `authorization` or another
    /// `host`.
    ///
    /// # Panics
    ///
    /// Panics if `name` or `value` is not valid in a header.
    #[must_use]
    #[track_caller]
    pub fn default_header<K, V>(mut self, name: K, value: V) -> Self
    where
        HeaderName: TryFrom<K>,
        HeaderValue: TryFrom<V>,
    {
        add_header(&mut self.defaults.headers, name, value);
        self
    }

    /// Sets the scheme of each request: `http`, which is the default, or `https`. A handshake then
    /// has `wss`.
    #[must_use]
    pub fn scheme(mut self, scheme: impl Into<Cow<'static, str>>) -> Self {
        self.defaults.scheme = scheme.into();
        self
    }

    /// Sets the version of each request and each handshake. The default is HTTP/1.1.
    #[must_use]
    pub fn version(mut self, version: Version) -> Self {
        self.defaults.version = version;
        self
    }

    /// Keeps the cookies that the app sets, and sends them with later requests and handshakes, as a
    /// browser does.
    ///
    /// The jar begins empty. Clones of this client share it, and [`cookies`](Self::cookies) returns
    /// it.
    #[must_use]
    pub fn keep_cookies(mut self) -> Self {
        self.defaults.cookies = Some(CookieJar::default());
        self
    }

    /// Returns the cookies that this client keeps.
    ///
    /// # Panics
    ///
    /// Panics if the client does not keep cookies; see [`keep_cookies`](Self::keep_cookies).
    #[track_caller]
    pub fn cookies(&self) -> &CookieJar {
        match &self.defaults.cookies {
            Some(jar) => jar,
            None => panic!("this client keeps no cookies: call `keep_cookies` first"),
        }
    }

    /// Follows at most `limit` redirects of each request that is awaited or sent with
    /// [`Request::send`]. The default is 0: the test gets the redirect.
    ///
    /// The client follows the statuses 301, 302, 303, 307 and 308 with a `location` (RFC 9110
    /// §15.4). After 303, and after 301 and 302 to a POST, the next request is a GET without a body.
    /// Otherwise the method and the body stay. Each host is the same app. A request to another host
    /// or scheme has a new `host`, and no `authorization`. The client does not follow a redirect to a
    /// path at which the app is not mounted, or to a scheme other than `http` and `https`.
    ///
    /// [`Response::redirects`](crate::Response::redirects) returns the responses before the last
    /// one. The test panics if the app redirects more often.
    #[must_use]
    pub fn follow_redirects(mut self, limit: usize) -> Self {
        self.defaults.redirects = limit;
        self
    }

    /// Sets how long the app may do nothing while the test waits for it, in real time. The default
    /// is 10 seconds.
    ///
    /// After this time the test panics, and prints what the app waits for and the history of the
    /// exchange. Each event of the exchange starts the time anew. The time is real time, measured by
    /// a thread: a clock of tokio that is paused or moved forward does not change it. It does not
    /// end an app that blocks its thread.
    ///
    /// ```should_panic
    /// # use asgi::*;
    /// use std::time::Duration;
    ///
    /// # async fn app(_: Scope, _: Receiver, _: Sender) -> Result<(), AppError> {
    /// #     std::future::pending().await
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// // This app never answers.
    /// let client = asgi_testing::Client::new(app).limit(Duration::from_millis(50));
    /// let _ = client.get("/").await;
    /// # }
    /// ```
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.checks.limit = limit;
        self
    }

    /// Returns the responses of apps that misbehave, instead of panicking.
    ///
    /// Use this to test how a middleware, a framework or this client treats a fault. Without it, the
    /// test panics if
    ///
    /// - the app panics,
    /// - the response is complete and the app broke a rule, although it may have ignored the error
    ///   of `send`: it answered twice, or a task of it sent something after it had returned,
    /// - the response is complete and the app failed afterwards, or
    /// - the app has returned and something still holds its `Receiver`, its `Sender` or a handle of
    ///   [`Sender::closed_handle`](asgi::Sender::closed_handle), after at most a second. That is a
    ///   task that the app left running. A task that holds none of them cannot be seen.
    ///
    /// A fault that the response shows is no panic: the result is a response with status 500, or
    /// [`Broken`](crate::Broken).
    #[must_use]
    pub fn allow_faults(mut self) -> Self {
        self.checks.allows_faults = true;
        self
    }

    /// Sets the extensions that each scope offers.
    ///
    /// The default is early hints, trailers, debug, and the denial of a WebSocket with a response.
    /// There are no pushes by default.
    ///
    /// With [`Extension::Push`], the client accepts pushes. It calls the app for each promised
    /// request, and [`Response::pushes`](crate::Response::pushes) returns the responses. The client
    /// does not support files ([`Extension::PathSend`], [`Extension::ZeroCopySend`]).
    ///
    /// ```
    /// use asgi::{Extension, Extensions};
    /// # async fn app(_: asgi::Scope, _: asgi::Receiver, _: asgi::Sender) -> Result<(), asgi::AppError> { Ok(()) }
    /// let client = asgi_testing::Client::new(app)
    ///     .extensions(Extensions::new().with(Extension::Push));
    /// # let _ = client;
    /// ```
    #[must_use]
    pub fn extensions(mut self, extensions: Extensions) -> Self {
        self.extensions = extensions;
        self
    }

    /// Sets the state of which each scope gets a clone. Use this if the test does not run the
    /// lifespan.
    #[must_use]
    pub fn state(mut self, state: State) -> Self {
        self.state = state;
        self
    }

    /// Sets the path at which the app is mounted: the
    /// [`root_path`](asgi::HttpScope::root_path) of each scope.
    #[must_use]
    pub fn mounted_at(mut self, root_path: impl Into<Cow<'static, str>>) -> Self {
        self.root_path = root_path.into();
        self
    }

    /// Runs the app's startup.
    ///
    /// The returned client puts a clone of the state that the app made into each scope. If the app
    /// returns [`AppError::unsupported`](asgi::AppError::unsupported), the client works without a
    /// lifespan.
    ///
    /// # Errors
    ///
    /// Returns an error if the app refused to start, failed, or returned before it was ready.
    #[track_caller]
    pub fn startup(&self) -> impl Future<Output = Result<Started, LifespanError>> + Send {
        let caller = Location::caller();
        let mut client = self.clone();
        async move {
            let lifespan = LifespanTask::start(&client.app, client.checks);
            if let Some(state) = lifespan.startup(caller).await? {
                client.state = state;
                client.lifespan = Some(lifespan);
            }
            Ok(Started { client })
        }
    }

    /// Creates a request.
    ///
    /// To send it, await it or call [`Request::send`] or [`Request::start`].
    ///
    /// # Panics
    ///
    /// Panics if `target` is not a path with an optional query.
    #[track_caller]
    pub fn request(&self, method: Method, target: &str) -> Request {
        Request::new(self.clone(), method, target)
    }

    /// Creates a GET request.
    ///
    /// # Panics
    ///
    /// Panics under the same condition as [`request`](Self::request).
    #[track_caller]
    pub fn get(&self, target: &str) -> Request {
        self.request(Method::GET, target)
    }

    /// Creates a HEAD request.
    ///
    /// # Panics
    ///
    /// Panics under the same condition as [`request`](Self::request).
    #[track_caller]
    pub fn head(&self, target: &str) -> Request {
        self.request(Method::HEAD, target)
    }

    /// Creates a POST request. Set its body with [`Request::body`].
    ///
    /// # Panics
    ///
    /// Panics under the same condition as [`request`](Self::request).
    #[track_caller]
    pub fn post(&self, target: &str) -> Request {
        self.request(Method::POST, target)
    }

    /// Creates a PUT request. Set its body with [`Request::body`].
    ///
    /// # Panics
    ///
    /// Panics under the same condition as [`request`](Self::request).
    #[track_caller]
    pub fn put(&self, target: &str) -> Request {
        self.request(Method::PUT, target)
    }

    /// Creates a PATCH request. Set its body with [`Request::body`].
    ///
    /// # Panics
    ///
    /// Panics under the same condition as [`request`](Self::request).
    #[track_caller]
    pub fn patch(&self, target: &str) -> Request {
        self.request(Method::PATCH, target)
    }

    /// Creates a DELETE request.
    ///
    /// # Panics
    ///
    /// Panics under the same condition as [`request`](Self::request).
    #[track_caller]
    pub fn delete(&self, target: &str) -> Request {
        self.request(Method::DELETE, target)
    }

    /// Creates an OPTIONS request.
    ///
    /// # Panics
    ///
    /// Panics under the same condition as [`request`](Self::request).
    #[track_caller]
    pub fn options(&self, target: &str) -> Request {
        self.request(Method::OPTIONS, target)
    }

    /// Creates a WebSocket handshake. Open it with [`Handshake::connect`].
    ///
    /// # Panics
    ///
    /// Panics under the same condition as [`request`](Self::request).
    #[track_caller]
    pub fn websocket(&self, target: &str) -> Handshake {
        Handshake::new(self.clone(), target)
    }
}

/// A client of an app that has started. [`Client::startup`] returns it.
///
/// The app's lifespan runs while the test awaits a request of this client, as on a server. If you
/// drop the client and its clones, the lifespan is dropped without a shutdown.
#[derive(Debug)]
pub struct Started {
    client: Client,
}

impl Started {
    /// Runs the app's shutdown.
    ///
    /// # Errors
    ///
    /// Returns an error if the app could not clean up, or if its lifespan has failed before.
    #[track_caller]
    pub fn shutdown(self) -> impl Future<Output = Result<(), LifespanError>> + Send {
        let caller = Location::caller();
        async move {
            match &self.client.lifespan {
                Some(lifespan) => lifespan.shutdown(caller).await,
                None => Ok(()),
            }
        }
    }
}

impl Deref for Started {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}
