//! A client for tests that calls any [`asgi`] app in memory.
//!
//! It needs no server and no sockets. It has no runtime of its own: the app runs inside the test
//! that awaits a response, on the executor of that test.
//!
//! The app meets the same rules as on a server, because both use `asgi-rules`. The head is held
//! back until the body starts or the app waits. A `send` waits until there is room. Misuse is an
//! error. If the app does not finish its response, the client gets a 500 or an aborted response.
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
//!     let text = format!("{} {}: {} bytes", http.method, http.path(), body.len());
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
//! # Requests
//!
//! A [`Request`] has JSON (feature `json`), a form, a [`Multipart`] form or bytes as its body; a query,
//! credentials, cookies, a version, a scheme and an address. A [`Client`] can keep cookies and follow
//! redirects. The assertions of a [`Response`] print what happened if they fail.
//!
//! ```
//! # use asgi::*;
//! # async fn app(scope: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
//! #     let Scope::Http(http) = scope else { return Err(AppError::unsupported(&scope)) };
//! #     if http.path() == "/login" {
//! #         assert_eq!(receive.body(100).await?, "name=ann&password=a%26b");
//! #         let start = HttpResponseStart::new(http::StatusCode::SEE_OTHER);
//! #         let start = start.header("location", "/home").header("set-cookie", "id=7; Path=/");
//! #         return Ok(send.respond(start, "").await?);
//! #     }
//! #     let id = http.headers["cookie"].to_str()?.to_owned();
//! #     Ok(send.respond(HttpResponseStart::ok(), format!("home of {id}")).await?)
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), AppError> {
//! # use asgi_testing::Client;
//! let client = Client::new(app).keep_cookies().follow_redirects(5);
//! let login = client.post("/login").form([("name", "ann"), ("password", "a&b")]).await?;
//! login.assert_status(200).assert_text("home of id=7");
//! assert_eq!(login.redirects()[0].status(), 303);
//! # Ok(()) }
//! ```
//!
//! # Event by event
//!
//! [`Request::start`] returns an [`Exchange`]. With it, a test can send the request body in parts,
//! take the response event by event, see who waits for whom
//! ([`until_app_waits`](Exchange::until_app_waits)), and disconnect at any point.
//!
//! ```
//! use asgi::{AppError, DisconnectReason, HttpResponseStart, Receiver, Scope, Sender};
//! use asgi_testing::{AppWait, Client};
//!
//! /// Sends server-sent events until the client leaves.
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
//! // The app waits until the client reads on.
//! assert_eq!(exchange.until_app_waits().await, AppWait::Room);
//!
//! exchange.disconnect(DisconnectReason::Lost);
//! let broken = exchange.finish().await.unwrap_err();
//! // The app ended because its client left, so this is not a fault.
//! assert!(broken.app_error().unwrap().is_disconnected());
//! assert_eq!(broken.fault(), None);
//! # }
//! ```
//!
//! # Apps that misbehave
//!
//! A test fails if its app panics, is stuck, or has a fault that the response does not show: it
//! answered twice, sent something after its end, failed after its response or left a task running.
//! The failure has the line of the test and the [`History`] of the exchange.
//! [`Client::allow_faults`] returns the response instead, and [`Client::limit`] says how long an app
//! may do nothing.
//!
//! ```should_panic
//! # use asgi::*;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! async fn app(_: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
//!     send.respond(HttpResponseStart::ok(), "first").await?;
//!     let _ = send.respond(HttpResponseStart::ok(), "second").await;
//!     Ok(())
//! }
//! // "the app broke a rule: it sent http.response.start, expected nothing: the response is complete"
//! let _ = asgi_testing::Client::new(app).get("/").await;
//! # }
//! ```
//!
//! # Paused time
//!
//! The limit is real time, so a test can pause the clock of tokio. While the test is idle, the paused
//! clock moves on by itself, so an app that sleeps for an hour ends at once:
//!
//! ```
//! # use asgi::*;
//! # fn main() { tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
//! // In a test: #[tokio::test(start_paused = true)]
//! async fn app(_: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
//!     tokio::time::sleep(std::time::Duration::from_secs(3_600)).await;
//!     Ok(send.respond(HttpResponseStart::ok(), "late").await?)
//! }
//! let response = asgi_testing::Client::new(app).get("/").await.unwrap();
//! response.assert_text("late");
//! # }) }
//! ```
//!
//! # Startup and shutdown
//!
//! The client runs the app's lifespan only if the test asks for it. [`Client::startup`] returns a
//! client whose scopes have the state that the app made.
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
//! [`WebSocket::split`] makes two halves for two tasks.
//!
//! # Where to put the tests
//!
//! Files in `tests/` cannot use a crate that is only a `cdylib`. There are two solutions:
//!
//! - Put the tests inside the crate, in a `#[cfg(test)] mod tests`.
//! - Split the app into two crates. An ordinary crate `greeter` contains the app and its
//!   `tests/*.rs`. A `cdylib` depends on it and on `asgi-abi`, and its whole `src/lib.rs` is
//!
//!   ```text
//!   //! The library that a server loads.
//!   asgi_abi::export!(greeter::app);
//!   ```
//!
//! In both cases, add this to the `Cargo.toml` of the crate with the tests:
//!
//! ```toml
//! [dev-dependencies]
//! asgi-testing = { path = "../ferricorn/crates/asgi-testing" }
//! tokio = { version = "1", features = ["rt", "macros"] }
//! ```
//!
//! Tests inside the crate look like this:
//!
//! ```
//! # use asgi::{AppError, HttpResponseBody, HttpResponseStart, Receiver, Scope, Sender};
//! # async fn app(scope: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
//! #     let Scope::Http(http) = scope else { return Err(AppError::unsupported(&scope)) };
//! #     send.send(HttpResponseStart::ok()).await?;
//! #     send.send(HttpResponseBody::last(format!("Hello from {}\n", http.path()))).await?;
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
//! # Notes
//!
//! - A test that returns `Result<(), asgi::AppError>` can use `?` on all errors of this crate.
//! - The app is polled only after its waker was called. An app that loses its waker is stuck here, as
//!   it is on a server.
//! - An app that blocks its thread stops the test too. After the limit, a report with the history goes
//!   to the standard error.
//! - The client sees what the app sends. A server adds to that: `date`, `server` and the framing.
//!
//! # Features
//!
//! - `json`, off by default: bodies and messages in JSON. It brings `serde` and `serde_json`.

#![forbid(unsafe_code)]

mod alarm;
mod assertions;
mod client;
mod cookies;
mod describe;
mod exchange;
mod halves;
mod history;
mod lifespan;
mod multipart;
mod record;
mod redirect;
mod report;
mod request;
mod response;
mod wake;
mod websocket;

pub use asgi_rules::Fault;
pub use client::{Client, Started};
pub use cookies::CookieJar;
pub use exchange::{AppWait, Event, Exchange};
pub use history::History;
pub use lifespan::LifespanError;
pub use multipart::Multipart;
pub use request::Request;
pub use response::{Broken, Pushed, Response};
pub use websocket::{Denied, Handshake, SocketReceiver, SocketSender, WebSocket, WebSocketClosed};
