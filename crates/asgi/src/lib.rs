//! An interface between web servers and web apps, after Python's ASGI.
//!
//! An **app** is called once for each request, WebSocket or life of a server with three things:
//! a [`Scope`] that says what it is about, a [`Receiver`] that yields the events of the other side
//! and a [`Sender`] that takes the app's own. A **server** calls it. They meet here and nowhere
//! else: this crate has no runtime, no sockets and no protocol, only the types and their contract.
//! The written contract is the folder `spec/` of the repository; each item names its section.
//!
//! # An app
//!
//! ```
//! use asgi::{AppError, HttpResponseBody, HttpResponseStart, Receiver, Scope, Sender};
//!
//! async fn app(scope: Scope, _receive: Receiver, mut send: Sender) -> Result<(), AppError> {
//!     let Scope::Http(http) = scope else {
//!         return Err(AppError::unsupported(&scope));
//!     };
//!     send.send(HttpResponseStart::ok().content_type("text/plain; charset=utf-8")).await?;
//!     send.send(HttpResponseBody::last(format!("Hello from {}\n", http.path))).await?;
//!     Ok(())
//! }
//! # fn is_app(_: impl asgi::App) {}
//! # is_app(app);
//! ```
//!
//! # A middleware
//!
//! It holds an app and is one. Events are mapped on their way; no future is boxed.
//!
//! ```
//! use asgi::{App, AppError, Receiver, Scope, SendEvent, Sender};
//! use http::{HeaderValue, header};
//!
//! /// Forbids that a response is shown in a frame.
//! struct NoFrames<A>(A);
//!
//! impl<A: App> App for NoFrames<A> {
//!     async fn call(&self, scope: Scope, receive: Receiver, send: Sender) -> Result<(), AppError> {
//!         let send = send.map(|mut event| {
//!             if let SendEvent::HttpResponseStart(start) = &mut event {
//!                 start.headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
//!             }
//!             event
//!         });
//!         // A scope that this middleware knows nothing about passes through all the same.
//!         self.0.call(scope, receive, send).await
//!     }
//! }
//! ```
//!
//! # A server's own halves
//!
//! A server gives each app two objects of its own, behind [`ReceiveHalf`] and [`SendHalf`]. This one
//! has no runtime: it polls an app once and keeps what it sent.
//!
//! ```
//! use asgi::*;
//! use std::sync::{Arc, Mutex};
//! use std::task::{Context, Poll, Waker};
//!
//! struct Request(Option<HttpRequest>);
//! impl ReceiveHalf for Request {
//!     fn poll_receive(&mut self, _: &mut Context<'_>) -> Poll<ReceiveEvent> {
//!         Poll::Ready(match self.0.take() {
//!             Some(request) => request.into(),
//!             None => HttpDisconnect::new(DisconnectReason::Complete).into(),
//!         })
//!     }
//! }
//!
//! #[derive(Clone, Default)]
//! struct Sent(Arc<Mutex<Vec<SendEvent>>>);
//! impl SendHalf for Sent {
//!     fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
//!         Poll::Ready(Ok(()))
//!     }
//!     fn start_send(&mut self, event: SendEvent) -> Result<(), SendError> {
//!         self.0.lock().unwrap().push(event);
//!         Ok(())
//!     }
//!     fn poll_closed(&mut self, _: &mut Context<'_>) -> Poll<DisconnectReason> {
//!         Poll::Pending
//!     }
//! }
//!
//! async fn app(scope: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
//!     let body = receive.body(1024).await?;
//!     send.send(HttpResponseStart::ok()).await?;
//!     send.send(HttpResponseBody::last(body)).await?;
//!     Ok(())
//! }
//!
//! let app = DynApp::new(app);
//! let scope = HttpScope::new(http::Method::POST, "/echo".parse()?);
//! let receive = Receiver::new(Request(Some(HttpRequest::last("ping"))));
//! let sent = Sent::default();
//! let mut running = app.start(scope.into(), receive, Sender::new(sent.clone()));
//! let ended = running.as_mut().poll(&mut Context::from_waker(Waker::noop()));
//! assert!(matches!(ended, Poll::Ready(Ok(()))));
//! assert_eq!(sent.0.lock().unwrap().len(), 2);
//! # Ok::<(), http::uri::InvalidUri>(())
//! ```
//!
//! # Features and stability
//!
//! There are no Cargo features. Enums and structs are `#[non_exhaustive]`: a new kind of scope or
//! event is no breaking change, and an app must have an arm for what it does not know. Of other
//! crates only [`bytes`] 1 and [`http`] 1 appear in public signatures.

#![forbid(unsafe_code)]
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

mod app;
mod error;
mod extension;
mod halves;
mod path;
mod preload;
mod receive;
mod receive_event;
mod scope;
mod send;
mod send_event;
mod state;
mod text;

/// The types of a body: the `bytes` that the events are made of.
pub use bytes;
/// The types of a head: the `http` that the scopes and events are made of.
pub use http;

pub use app::{App, AppFuture, DynApp};
pub use error::{AppError, BodyError, SendError};
pub use extension::{Extension, Extensions, Tls};
pub use halves::{SharedHalves, halves};
pub use preload::{Destination, Preload};
pub use receive::{ReceiveHalf, Receiver};
pub use receive_event::{
    DisconnectReason, HttpDisconnect, HttpRequest, LifespanShutdown, LifespanStartup, ReceiveEvent,
    WebSocketConnect, WebSocketDisconnect, WebSocketReceive,
};
pub use scope::{Address, HttpScope, LifespanScope, Scope, WebSocketScope};
pub use send::{SendHalf, Sender};
pub use send_event::{
    HttpResponseBody, HttpResponseDebug, HttpResponseEarlyHint, HttpResponsePathSend,
    HttpResponsePush, HttpResponseStart, HttpResponseTrailers, HttpResponseZeroCopySend,
    LifespanShutdownComplete, LifespanShutdownFailed, LifespanStartupComplete,
    LifespanStartupFailed, SendEvent, WebSocketAccept, WebSocketClose, WebSocketHttpResponseBody,
    WebSocketHttpResponseStart, WebSocketSend,
};
pub use state::State;
pub use text::{Message, Text};
