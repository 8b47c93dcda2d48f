//! Drives any [`asgi`] app in memory: for its tests.
//!
//! No server, no sockets and no runtime of its own: the app runs inside the test that awaits a
//! response, on whatever executor that has. It meets the rules that it meets on a server, since both
//! ask the same machines (`asgi-rules`): a head is held back until the body begins or the app
//! waits, a `send` waits until there is room, misuse is not taken, what an app leaves undone is a 500
//! or a response that is broken off.
//!
//! ```
//! use asgi::{AppError, HttpResponseBody, HttpResponseStart, Receiver, Scope, Sender};
//! use asgi_testing::Client;
//! use http::Method;
//!
//! async fn app(scope: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
//!     let Scope::Http(http) = scope else {
//!         return Err(AppError::unsupported(&scope));
//!     };
//!     let body = receive.body(1024).await?;
//!     let text = format!("{} {}: {} bytes", http.method, http.path, body.len());
//!     send.send(HttpResponseStart::ok().content_type("text/plain")).await?;
//!     send.send(HttpResponseBody::last(text)).await?;
//!     Ok(())
//! }
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), AppError> {
//!     let client = Client::new(app);
//!
//!     let response = client.get("/hello").await?;
//!     assert_eq!(response.status(), 200);
//!     assert_eq!(response.header("content-type"), Some("text/plain"));
//!     assert_eq!(response.text(), "GET /hello: 0 bytes");
//!
//!     let response = client
//!         .request(Method::PUT, "/a%20file?v=2")
//!         .header("if-match", "*")
//!         .body("four")
//!         .send()
//!         .await?;
//!     assert_eq!(response.text(), "PUT /a file: 4 bytes");
//!     Ok(())
//! }
//! ```
//!
//! # Event by event
//!
//! [`Request::start`] gives an [`Exchange`]: the test sends the request's body in parts, takes the
//! response piece by piece, and may leave in the middle.
//!
//! ```
//! use asgi::{AppError, DisconnectReason, HttpResponseStart, Receiver, Scope, Sender};
//! use asgi_testing::Client;
//!
//! /// Server-sent events that never end by themselves.
//! async fn app(_: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
//!     send.send(HttpResponseStart::ok().content_type("text/event-stream")).await?;
//!     loop {
//!         send.send(asgi::HttpResponseBody::more("data: tick\n\n")).await?;
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let mut exchange = Client::new(app).get("/events").start();
//! let (status, _) = exchange.head().await;
//! assert_eq!(status, 200);
//! assert_eq!(exchange.data().await.unwrap(), "data: tick\n\n");
//! assert_eq!(exchange.data().await.unwrap(), "data: tick\n\n");
//!
//! exchange.disconnect(DisconnectReason::Lost);
//! let broken = exchange.finish().await.unwrap_err();
//! // The app ended because its client left: nobody's fault.
//! assert!(broken.app_error().unwrap().is_disconnected());
//! assert_eq!(broken.fault(), None);
//! # }
//! ```
//!
//! # Start-up and shutdown
//!
//! They are not run unless the test asks. [`Client::startup`] gives a client whose scopes have the
//! state that the app made.
//!
//! ```
//! # use asgi::*;
//! # async fn app(scope: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
//! #     match scope {
//! #         Scope::Lifespan(_) => {
//! #             receive.receive().await;
//! #             let mut state = State::new();
//! #             state.insert(String::from("pool"));
//! #             send.send(LifespanStartupComplete::with_state(state)).await?;
//! #             receive.receive().await;
//! #             send.send(LifespanShutdownComplete::new()).await?;
//! #         }
//! #         Scope::Http(http) => {
//! #             send.send(HttpResponseStart::ok()).await?;
//! #             let pool = http.state.get::<String>().unwrap();
//! #             send.send(HttpResponseBody::last((*pool).clone())).await?;
//! #         }
//! #         other => return Err(AppError::unsupported(&other)),
//! #     }
//! #     Ok(())
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), AppError> {
//! let client = asgi_testing::Client::new(app).startup().await?;
//! assert_eq!(client.get("/").await?.text(), "pool");
//! client.shutdown().await?;
//! # Ok(()) }
//! ```
//!
//! # WebSockets
//!
//! ```
//! # use asgi::*;
//! # async fn app(_: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
//! #     receive.receive().await;
//! #     send.send(WebSocketAccept::new().subprotocol("chat")).await?;
//! #     while let ReceiveEvent::WebSocketReceive(event) = receive.receive().await {
//! #         send.send(WebSocketSend::new(event.message)).await?;
//! #     }
//! #     Ok(())
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), AppError> {
//! # let client = asgi_testing::Client::new(app);
//! let mut socket = client.websocket("/chat").subprotocols(["chat"]).connect().await?;
//! assert_eq!(socket.subprotocol(), Some("chat"));
//! socket.send_text("hello").await;
//! assert_eq!(socket.receive().await?, Message::text("hello"));
//! socket.close(1000, "bye").await?;
//! # Ok(()) }
//! ```
//!
//! # Where tests go
//!
//! A crate that is only a `cdylib` has nothing that a file in `tests/` could use. There are two ways:
//!
//! - Put the tests inside the crate, in a `#[cfg(test)] mod tests`: they are built with it.
//! - Split the app: an ordinary crate `greeter` with the app and its `tests/*.rs`, and a `cdylib`
//!   that depends on it and on `asgi-abi`, whose whole `src/lib.rs` is
//!
//!   ```text
//!   //! The library that a server loads.
//!   asgi_abi::export!(greeter::app);
//!   ```
//!
//! Either way the crate with the tests has in its `Cargo.toml`
//!
//! ```toml
//! [dev-dependencies]
//! asgi-testing = { path = "../ferricorn/crates/asgi-testing" }
//! tokio = { version = "1", features = ["rt", "macros"] }
//! ```
//!
//! and the tests inside it are
//!
//! ```
//! # use asgi::{AppError, HttpResponseBody, HttpResponseStart, Receiver, Scope, Sender};
//! # async fn app(scope: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
//! #     let Scope::Http(http) = scope else { return Err(AppError::unsupported(&scope)) };
//! #     send.send(HttpResponseStart::ok()).await?;
//! #     send.send(HttpResponseBody::last(format!("Hello from {}\n", http.path))).await?;
//! #     Ok(())
//! # }
//! #[cfg(test)]
//! mod tests {
//!     use asgi_testing::Client;
//!
//!     #[tokio::test]
//!     async fn it_greets() -> Result<(), asgi::AppError> {
//!         let response = Client::new(super::app).get("/you").await?;
//!         assert_eq!(response.text(), "Hello from /you\n");
//!         Ok(())
//!     }
//! }
//! ```
//!
//! # What a test should know
//!
//! - A test that returns `Result<(), asgi::AppError>` can use `?` on everything here.
//! - An app that panics panics in the test.
//! - An app that waits for ever hangs its test. The crate has no clock: put a time limit around the
//!   test, as with `tokio::time::timeout`.
//! - The app is polled only when it was woken, so that one which loses its waker hangs here too.
//! - The client sees what the app sent, not what a server adds to it (`date`, `server`, framing).

#![forbid(unsafe_code)]

mod client;
mod exchange;
mod http;
mod lifespan;
mod request;
mod response;
mod wake;
mod websocket;
mod websocket_halves;

pub use asgi_rules::Fault;
pub use client::{Client, Started};
pub use exchange::{Event, Exchange};
pub use lifespan::LifespanError;
pub use request::Request;
pub use response::{Broken, Pushed, Response};
pub use websocket::{Closed, Denied, Handshake, WebSocket};
