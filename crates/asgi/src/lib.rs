//! An interface between web servers and web apps, modelled on Python's [ASGI].
//!
//! This crate defines types and their contract, and nothing else. It has no runtime, no sockets and
//! no HTTP implementation. Frameworks and middleware that depend on it run on every server that
//! does the same.
//!
//! - [`App`] is the trait of web apps. A server calls the app once for each [`Scope`].
//! - [`Scope`] describes one HTTP request, one WebSocket, or the lifespan of the server.
//! - [`Receiver`] yields the [`ReceiveEvent`]s that the server has for the app, such as a part of
//!   the request body.
//! - [`Sender`] takes the [`SendEvent`]s of the app, such as the start of the response.
//! - [`ReceiveHalf`] and [`SendHalf`] are the traits that a server implements.
//!
//! The folder `spec/` of the repository contains the written contract. Each item names its section,
//! as in "Spec: core §1".
//!
//! [ASGI]: https://asgi.readthedocs.io/
//!
//! # Writing an app
//!
//! An app is an async function. It returns an error for every kind of scope that it does not serve.
//!
//! ```
//! use asgi::{AppError, HttpResponseBody, HttpResponseStart, Receiver, Scope, Sender};
//!
//! async fn app(scope: Scope, _receive: Receiver, mut send: Sender) -> Result<(), AppError> {
//!     let Scope::Http(http) = scope else {
//!         return Err(AppError::unsupported(&scope));
//!     };
//!     send.send(HttpResponseStart::ok().content_type("text/plain; charset=utf-8")).await?;
//!     send.send(HttpResponseBody::last(format!("Hello from {}\n", http.path()))).await?;
//!     Ok(())
//! }
//! # fn is_app(_: impl asgi::App) {}
//! # is_app(app);
//! ```
//!
//! # Writing a middleware
//!
//! A middleware is an app that wraps another app. It can change the scope, and it can change events
//! on their way with [`Receiver::map`] and [`Sender::map`]. This boxes no future.
//!
//! ```
//! use asgi::{App, AppError, Receiver, Scope, SendEvent, Sender};
//! use http::{HeaderValue, header};
//!
//! /// Tells browsers not to show any response in a frame.
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
//!         // Every kind of scope passes through, even one that this middleware does not know.
//!         self.0.call(scope, receive, send).await
//!     }
//! }
//! ```
//!
//! # Writing a server
//!
//! A server implements [`ReceiveHalf`] and [`SendHalf`] and wraps them in a [`Receiver`] and a
//! [`Sender`]. This example polls an app once, without a runtime, and collects the events that the
//! app sends.
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
//!     fn closed_handle(&self) -> Closed {
//!         Closed::new(std::future::pending())
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
//! let mut future = app.start(scope.into(), receive, Sender::new(sent.clone()));
//! let result = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
//! assert!(matches!(result, Poll::Ready(Ok(()))));
//! assert_eq!(sent.0.lock().unwrap().len(), 2);
//! # Ok::<(), http::uri::InvalidUri>(())
//! ```
//!
//! # Features and stability
//!
//! This crate has no Cargo features. Enums and structs are `#[non_exhaustive]`, so that a new kind
//! of scope or event is not a breaking change. Every `match` on them needs a `_` arm. Public
//! signatures use types from two other crates only: [`bytes`] 1 and [`http`] 1.

#![forbid(unsafe_code)]
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

#[macro_use]
mod macros;

mod app;
mod error;
mod extension;
mod halves;
mod path;
mod receive;
mod receive_event;
mod scope;
mod send;
mod send_event;
mod state;
mod text;

/// The crate `bytes`. Events use its types for bodies.
pub use bytes;
/// The crate `http`. Scopes and events use its types for methods, statuses and headers.
pub use http;

pub use app::{App, AppFuture, DynApp};
pub use error::{AppError, BodyError, SendError};
pub use extension::{Extension, Extensions, Tls};
pub use halves::{SharedHalves, halves};
pub use path::percent_decode;
pub use receive::{ReceiveHalf, Receiver};
pub use receive_event::{
    DisconnectReason, HttpDisconnect, HttpRequest, LifespanShutdown, LifespanStartup, ReceiveEvent,
    WebSocketConnect, WebSocketDisconnect, WebSocketReceive,
};
pub use scope::{Address, HttpScope, LifespanScope, Scope, WebSocketScope};
pub use send::{Closed, SendHalf, Sender};
pub use send_event::{
    HttpResponseBody, HttpResponseDebug, HttpResponseEarlyHint, HttpResponsePathSend,
    HttpResponsePush, HttpResponseStart, HttpResponseTrailers, HttpResponseZeroCopySend,
    LifespanShutdownComplete, LifespanShutdownFailed, LifespanStartupComplete,
    LifespanStartupFailed, SendEvent, WebSocketAccept, WebSocketClose, WebSocketHttpResponseBody,
    WebSocketHttpResponseStart, WebSocketSend,
};
pub use state::State;
pub use text::{Message, Text};
