//! Building blocks for apps, middleware and frameworks on the interface [`asgi`].
//!
//! - [`into_request_parts`], [`into_request`] and [`from_request_parts`] convert between
//!   [`HttpScope`](asgi::HttpScope) and the types of the crate `http`.
//! - [`ReceiverBody`] is a request body as an `http_body::Body`. It converts into a `Stream` and, with
//!   the feature `tokio`, into an `AsyncRead`.
//! - [`send_response`] sends an `http::Response` with any `http_body::Body`. [`send_denial`] denies a
//!   WebSocket with one.
//! - [`EventStream`] and [`EventSink`] are the events of an exchange as a `Stream` and a `Sink`.
//! - [`WebSocket`] has methods in place of events.
//! - [`lifespan`] builds the lifespan of an app from two functions.
//! - [`middleware`] teaches middleware, and contains [`pipe`](middleware::pipe()) for middleware
//!   with a loop of its own.
//! - [`block_on`] waits for a future on a thread without a runtime.
//! - [`Preload`] announces the resources of a page by push, early hint or `link` header.
//!
//! This crate has no runtime. [Build a framework on asgi] uses it to make a router.
//!
//! ```
//! use asgi::{AppError, Receiver, Scope, Sender};
//! use asgi_util::{ReceiverBody, into_request, send_response};
//! use http::{Request, Response};
//!
//! /// A handler with the types of `http`, as many frameworks have them.
//! async fn handler(request: Request<ReceiverBody>) -> Result<Response<ReceiverBody>, AppError> {
//!     Ok(Response::new(request.into_body()))
//! }
//!
//! async fn app(scope: Scope, receive: Receiver, mut send: Sender) -> Result<(), AppError> {
//!     let Scope::Http(http) = scope else {
//!         return Err(AppError::unsupported(&scope));
//!     };
//!     let extensions = http.extensions.clone();
//!     let response = handler(into_request(*http, receive)).await?;
//!     send_response(&mut send, &extensions, response).await?;
//!     Ok(())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), AppError> {
//! let response = asgi_testing::Client::new(app).post("/").body("echo").await?;
//! assert_eq!(response.text(), "echo");
//! # Ok(()) }
//! ```
//!
//! # Features
//!
//! - `tokio`: [`ReceiverBody`] converts into a reader for `tokio::io`. Off by default.
//!
//! [Build a framework on asgi]: https://github.com/ferricorn/ferricorn/blob/main/docs/build-a-framework.md

#![forbid(unsafe_code)]

mod block_on;
mod body;
mod events;
mod lifespan;
pub mod middleware;
mod preload;
mod request;
mod response;
mod websocket;

pub use block_on::block_on;
#[cfg(feature = "tokio")]
pub use body::BodyReader;
pub use body::{BodyStream, IncompleteBody, ReceiverBody};
pub use events::{EventSink, EventStream};
pub use lifespan::{LifespanApp, WithLifespan, lifespan};
pub use preload::{Destination, Preload};
pub use request::{RequestContext, from_request_parts, into_request, into_request_parts};
pub use response::{ResponseError, send_denial, send_response};
pub use websocket::{WebSocket, WebSocketReceiver, WebSocketSender, choose_subprotocol};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

// The package does not contain the page. Only its doctests need it.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/build-a-framework.md")]
struct BuildAFramework;
