//! The client: an app, and the values for its scopes.

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;

use asgi::{App, DynApp, Extension, Extensions, State};
use http::Method;

use crate::lifespan::{LifespanError, LifespanTask};
use crate::request::Request;
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
        }
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
    pub async fn startup(&self) -> Result<Started, LifespanError> {
        let mut client = self.clone();
        let lifespan = LifespanTask::start(&client.app);
        if let Some(state) = lifespan.startup().await? {
            client.state = state;
            client.lifespan = Some(lifespan);
        }
        Ok(Started { client })
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
    pub async fn shutdown(self) -> Result<(), LifespanError> {
        match &self.client.lifespan {
            Some(lifespan) => lifespan.shutdown().await,
            None => Ok(()),
        }
    }
}

impl Deref for Started {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}
