//! The client: an app, and what each of its scopes gets.

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;

use asgi::{App, DynApp, Extension, Extensions, State};
use http::Method;

use crate::lifespan::{Lifespan, LifespanError};
use crate::request::Request;
use crate::websocket::Handshake;

/// Sends requests to an app that runs in this very test, without a server.
///
/// Cloning it is cheap and gives the same app.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) app: DynApp,
    pub(crate) state: State,
    pub(crate) extensions: Extensions,
    pub(crate) root_path: Cow<'static, str>,
    pub(crate) lifespan: Option<Arc<Lifespan>>,
}

impl Client {
    /// A client of `app`. The app's lifespan is not run: see [`startup`](Self::startup).
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

    /// Says what the client can do. Default: early hints, trailers, debug and the denial of a
    /// WebSocket with a response; no pushes.
    ///
    /// With [`Extension::Push`] the client takes pushes: the app is called for each promised
    /// request, and [`Response::pushes`](crate::Response::pushes) has the responses. Files
    /// ([`Extension::PathSend`], [`Extension::ZeroCopySend`]) are not understood.
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

    /// Gives each scope a clone of this state, for an app whose lifespan is not run.
    #[must_use]
    pub fn state(mut self, state: State) -> Self {
        self.state = state;
        self
    }

    /// Says where the app is mounted; see [`HttpScope::mounted_at`](asgi::HttpScope::mounted_at).
    #[must_use]
    pub fn mounted_at(mut self, root_path: impl Into<Cow<'static, str>>) -> Self {
        self.root_path = root_path.into();
        self
    }

    /// Runs the app's start-up. Each scope of the client that comes back gets a clone of the state
    /// that the app made.
    ///
    /// An app that answers [`AppError::unsupported`](asgi::AppError::unsupported) is served without
    /// a lifespan.
    ///
    /// # Errors
    ///
    /// The app refused to start, failed, or returned before it was ready.
    pub async fn startup(&self) -> Result<Started, LifespanError> {
        let mut client = self.clone();
        let lifespan = Lifespan::start(&client.app);
        if let Some(state) = lifespan.startup().await? {
            client.state = state;
            client.lifespan = Some(lifespan);
        }
        Ok(Started { client })
    }

    /// A request. It is sent when it is awaited, or by [`Request::send`] or [`Request::start`].
    ///
    /// # Panics
    ///
    /// If the target is no path with an optional query.
    #[track_caller]
    pub fn request(&self, method: Method, target: &str) -> Request {
        Request::new(self.clone(), method, target)
    }

    /// A GET request.
    ///
    /// # Panics
    ///
    /// As [`request`](Self::request).
    #[track_caller]
    pub fn get(&self, target: &str) -> Request {
        self.request(Method::GET, target)
    }

    /// A HEAD request.
    ///
    /// # Panics
    ///
    /// As [`request`](Self::request).
    #[track_caller]
    pub fn head(&self, target: &str) -> Request {
        self.request(Method::HEAD, target)
    }

    /// A POST request; the body is set with [`Request::body`].
    ///
    /// # Panics
    ///
    /// As [`request`](Self::request).
    #[track_caller]
    pub fn post(&self, target: &str) -> Request {
        self.request(Method::POST, target)
    }

    /// A PUT request; the body is set with [`Request::body`].
    ///
    /// # Panics
    ///
    /// As [`request`](Self::request).
    #[track_caller]
    pub fn put(&self, target: &str) -> Request {
        self.request(Method::PUT, target)
    }

    /// A PATCH request; the body is set with [`Request::body`].
    ///
    /// # Panics
    ///
    /// As [`request`](Self::request).
    #[track_caller]
    pub fn patch(&self, target: &str) -> Request {
        self.request(Method::PATCH, target)
    }

    /// A DELETE request.
    ///
    /// # Panics
    ///
    /// As [`request`](Self::request).
    #[track_caller]
    pub fn delete(&self, target: &str) -> Request {
        self.request(Method::DELETE, target)
    }

    /// A WebSocket, to be opened with [`Handshake::connect`].
    ///
    /// # Panics
    ///
    /// As [`request`](Self::request).
    #[track_caller]
    pub fn websocket(&self, target: &str) -> Handshake {
        Handshake::new(self.clone(), target)
    }
}

/// A client of an app that has started: made by [`Client::startup`].
///
/// The app's lifespan goes on while a request of this client is awaited, as on a server. Dropping
/// the client and its clones drops the lifespan without a shutdown.
#[derive(Debug)]
pub struct Started {
    client: Client,
}

impl Started {
    /// Runs the app's shutdown.
    ///
    /// # Errors
    ///
    /// The app could not clean up, or its lifespan failed before.
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
