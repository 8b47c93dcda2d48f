//! How to write middleware, and [`pipe`] for middleware with a loop of its own.
//!
//! A middleware is an app that wraps another app. It can change the scope, change what the inner
//! app receives, and change what it sends. It must pass on a kind of scope that it does not know
//! (CORE-005).
//!
//! | the middleware | use |
//! | --- | --- |
//! | changes an event | [`Sender::map`], [`Receiver::map`](asgi::Receiver::map) |
//! | counts the events that the server took | [`Sender::observe`] |
//! | drops, delays, adds or splits events | [`pipe`] |
//! | reads the body first | [`Receiver::body`](asgi::Receiver::body), [`Receiver::with_body`](asgi::Receiver::with_body) |
//! | answers in place of the app | its own `send` |
//!
//! A [`pipe`] costs four allocations a request. `map` and `observe` cost one.
//!
//! # Change a header
//!
//! ```
//! use asgi::{App, AppError, Receiver, Scope, SendEvent, Sender};
//! use http::{HeaderValue, header};
//!
//! /// Tells browsers not to guess the type of a response.
//! struct NoSniff<A>(A);
//!
//! impl<A: App> App for NoSniff<A> {
//!     async fn call(&self, scope: Scope, receive: Receiver, send: Sender) -> Result<(), AppError> {
//!         let send = send.map(|mut event| {
//!             if let SendEvent::HttpResponseStart(start) = &mut event {
//!                 let value = HeaderValue::from_static("nosniff");
//!                 start.headers.insert(header::X_CONTENT_TYPE_OPTIONS, value);
//!             }
//!             event
//!         });
//!         self.0.call(scope, receive, send).await
//!     }
//! }
//!
//! # async fn hello(_: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
//! #     Ok(send.respond(asgi::HttpResponseStart::ok(), "hello").await?)
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), AppError> {
//! let response = asgi_testing::Client::new(NoSniff(hello)).get("/").await?;
//! assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
//! # Ok(()) }
//! ```
//!
//! # Drop or delay events
//!
//! The loop decides when the `send` of the inner app resolves. So a slow loop slows the app down,
//! and no queue grows.
//!
//! ```
//! use std::time::Duration;
//!
//! use asgi::{App, AppError, Receiver, Scope, SendEvent, Sender};
//! use asgi_util::middleware::pipe;
//!
//! /// Drops early hints, and waits before each part of a body.
//! struct Slow<A> {
//!     inner: A,
//!     pause: Duration,
//! }
//!
//! impl<A: App> App for Slow<A> {
//!     async fn call(&self, scope: Scope, receive: Receiver, send: Sender) -> Result<(), AppError> {
//!         let Scope::Http(_) = &scope else {
//!             return self.inner.call(scope, receive, send).await;
//!         };
//!         let pause = self.pause;
//!         let (send, pipe) = pipe(send, async move |mut events| {
//!             while let Some((event, reply)) = events.next().await {
//!                 match event {
//!                     // The inner app sees that the hint was taken.
//!                     SendEvent::HttpResponseEarlyHint(_) => reply.taken(),
//!                     SendEvent::HttpResponseBody(_) => {
//!                         tokio::time::sleep(pause).await;
//!                         events.forward(event, reply).await;
//!                     }
//!                     event => {
//!                         events.forward(event, reply).await;
//!                     }
//!                 }
//!             }
//!             Ok(())
//!         });
//!         pipe.drive(self.inner.call(scope, receive, send)).await
//!     }
//! }
//!
//! # async fn hello(_: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
//! #     send.send(asgi::HttpResponseEarlyHint::new([])).await?;
//! #     Ok(send.respond(asgi::HttpResponseStart::ok(), "hello").await?)
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), AppError> {
//! let app = Slow { inner: hello, pause: Duration::from_millis(1) };
//! let response = asgi_testing::Client::new(app).get("/").await?;
//! assert_eq!(response.text(), "hello");
//! assert!(response.early_hints().is_empty());
//! # Ok(()) }
//! ```
//!
//! # Split one event into many
//!
//! ```
//! use asgi::{App, AppError, HttpResponseBody, Receiver, Scope, SendEvent, Sender};
//! use asgi_util::middleware::pipe;
//!
//! /// Sends bodies in parts of at most `size` bytes.
//! struct Chunked<A> {
//!     inner: A,
//!     size: usize,
//! }
//!
//! impl<A: App> App for Chunked<A> {
//!     async fn call(&self, scope: Scope, receive: Receiver, send: Sender) -> Result<(), AppError> {
//!         let size = self.size;
//!         let (send, pipe) = pipe(send, async move |mut events| {
//!             while let Some((event, reply)) = events.next().await {
//!                 let SendEvent::HttpResponseBody(mut part) = event else {
//!                     events.forward(event, reply).await;
//!                     continue;
//!                 };
//!                 let mut result = Ok(());
//!                 while part.body.len() > size && result.is_ok() {
//!                     let piece = part.body.split_to(size);
//!                     result = events.send(HttpResponseBody::more(piece)).await;
//!                 }
//!                 if result.is_ok() {
//!                     result = events.send(part).await;
//!                 }
//!                 reply.answer(result);
//!             }
//!             Ok(())
//!         });
//!         pipe.drive(self.inner.call(scope, receive, send)).await
//!     }
//! }
//!
//! # async fn hello(_: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
//! #     Ok(send.respond(asgi::HttpResponseStart::ok(), "hello").await?)
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), AppError> {
//! let app = Chunked { inner: hello, size: 2 };
//! let response = asgi_testing::Client::new(app).get("/").await?;
//! assert_eq!(response.chunks(), ["he", "ll", "o"]);
//! # Ok(()) }
//! ```
//!
//! # Measure a request
//!
//! A server can drop the future of an app, for example if the client has left. A value with a
//! `Drop` sees every end.
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use std::time::Instant;
//!
//! use asgi::{App, AppError, Receiver, Scope, SendEvent, Sender};
//!
//! /// Writes one line for each request.
//! struct Log<A> {
//!     inner: A,
//!     lines: Arc<Mutex<Vec<String>>>,
//! }
//!
//! struct Record {
//!     lines: Arc<Mutex<Vec<String>>>,
//!     begin: Instant,
//!     /// The status and the length of the body.
//!     sent: Arc<Mutex<(u16, usize)>>,
//!     end: &'static str,
//! }
//!
//! impl Drop for Record {
//!     fn drop(&mut self) {
//!         let (status, bytes) = *self.sent.lock().unwrap();
//!         let _elapsed = self.begin.elapsed();
//!         let line = format!("{status} {bytes} {}", self.end);
//!         self.lines.lock().unwrap().push(line);
//!     }
//! }
//!
//! impl<A: App> App for Log<A> {
//!     async fn call(&self, scope: Scope, receive: Receiver, send: Sender) -> Result<(), AppError> {
//!         let Scope::Http(_) = &scope else {
//!             return self.inner.call(scope, receive, send).await;
//!         };
//!         let sent = Arc::new(Mutex::new((0, 0)));
//!         let mut record = Record {
//!             lines: Arc::clone(&self.lines),
//!             begin: Instant::now(),
//!             sent: Arc::clone(&sent),
//!             end: "dropped",
//!         };
//!         let send = send.observe(
//!             |event| match event {
//!                 SendEvent::HttpResponseStart(start) => (start.status.as_u16(), 0),
//!                 SendEvent::HttpResponseBody(part) => (0, part.body.len()),
//!                 _ => (0, 0),
//!             },
//!             // Only what the server took counts.
//!             move |(status, bytes)| {
//!                 let mut sent = sent.lock().unwrap();
//!                 *sent = (sent.0 + status, sent.1 + bytes);
//!             },
//!         );
//!         let result = self.inner.call(scope, receive, send).await;
//!         record.end = if result.is_ok() { "ok" } else { "failed" };
//!         result
//!     }
//! }
//!
//! # async fn hello(scope: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
//! #     assert!(send.send(asgi::HttpResponseBody::last("too early")).await.unwrap_err().is_misuse());
//! #     send.send(asgi::HttpResponseStart::ok()).await?;
//! #     send.send(asgi::HttpResponseBody::more("hello")).await?;
//! #     if matches!(&scope, Scope::Http(http) if http.raw_path() == "/wait") { send.closed().await; }
//! #     Ok(send.send(asgi::HttpResponseBody::last("")).await?)
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), AppError> {
//! let lines = Arc::new(Mutex::new(Vec::new()));
//! let client = asgi_testing::Client::new(Log { inner: hello, lines: Arc::clone(&lines) });
//! # let client = client.allow_faults(); // `hello` sends an event too early.
//! client.get("/").await?;
//! let mut exchange = client.get("/wait").start();
//! exchange.head().await;
//! drop(exchange);
//! assert_eq!(*lines.lock().unwrap(), ["200 5 ok", "200 5 dropped"]);
//! # Ok(()) }
//! ```
//!
//! # Answer in place of the app
//!
//! ```
//! use asgi::{App, AppError, HttpResponseStart, Receiver, Scope, Sender};
//! use http::{HeaderValue, StatusCode, header};
//!
//! /// Lets only requests with the right token through.
//! struct Guarded<A> {
//!     inner: A,
//!     token: HeaderValue,
//! }
//!
//! impl<A: App> App for Guarded<A> {
//!     async fn call(&self, scope: Scope, receive: Receiver, mut send: Sender) -> Result<(), AppError> {
//!         if let Scope::Http(http) = &scope
//!             && http.headers.get(header::AUTHORIZATION) != Some(&self.token)
//!         {
//!             let start = HttpResponseStart::new(StatusCode::UNAUTHORIZED);
//!             return Ok(send.respond(start, "").await?);
//!         }
//!         self.inner.call(scope, receive, send).await
//!     }
//! }
//!
//! # async fn hello(_: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
//! #     Ok(send.respond(HttpResponseStart::ok(), "hello").await?)
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), AppError> {
//! let token = HeaderValue::from_static("Bearer secret");
//! let client = asgi_testing::Client::new(Guarded { inner: hello, token });
//! assert_eq!(client.get("/").await?.status(), 401);
//! assert_eq!(client.get("/").header("authorization", "Bearer secret").await?.text(), "hello");
//! # Ok(()) }
//! ```
//!
//! A WebSocket needs the same check: [`WebSocket::deny`](crate::WebSocket::deny) answers its
//! handshake.
//!
//! # Read the body first
//!
//! ```
//! use asgi::{App, AppError, HttpResponseStart, Receiver, Scope, Sender};
//! use http::StatusCode;
//!
//! /// Refuses bodies that are not UTF-8.
//! struct TextOnly<A>(A);
//!
//! impl<A: App> App for TextOnly<A> {
//!     async fn call(
//!         &self,
//!         scope: Scope,
//!         mut receive: Receiver,
//!         mut send: Sender,
//!     ) -> Result<(), AppError> {
//!         let Scope::Http(_) = &scope else {
//!             return self.0.call(scope, receive, send).await;
//!         };
//!         let body = match receive.body(64 * 1024).await {
//!             Ok(body) => body,
//!             Err(error) if error.is_too_large() => {
//!                 let start = HttpResponseStart::new(StatusCode::PAYLOAD_TOO_LARGE);
//!                 return Ok(send.respond(start, "").await?);
//!             }
//!             Err(error) => return Err(error.into()),
//!         };
//!         if std::str::from_utf8(&body).is_err() {
//!             let start = HttpResponseStart::new(StatusCode::BAD_REQUEST);
//!             return Ok(send.respond(start, "").await?);
//!         }
//!         // Without `with_body`, the inner app would find no body.
//!         self.0.call(scope, receive.with_body(body), send).await
//!     }
//! }
//!
//! # async fn echo(_: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
//! #     let body = receive.body(1024).await?;
//! #     Ok(send.respond(HttpResponseStart::ok(), body).await?)
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), AppError> {
//! let client = asgi_testing::Client::new(TextOnly(echo));
//! assert_eq!(client.post("/").body("text").await?.text(), "text");
//! assert_eq!(client.post("/").body(vec![0xff]).await?.status(), 400);
//! assert_eq!(client.post("/").body(vec![b'a'; 70_000]).await?.status(), 413);
//! # Ok(()) }
//! ```
//!
//! # Compress a stream
//!
//! ```
//! use std::io::Write;
//!
//! use asgi::{App, AppError, HttpResponseBody, Receiver, Scope, SendEvent, Sender};
//! use asgi_util::middleware::pipe;
//! use flate2::Compression;
//! use flate2::write::GzEncoder;
//! use http::{HeaderValue, header};
//!
//! /// Compresses bodies for clients that accept gzip.
//! struct Gzip<A>(A);
//!
//! impl<A: App> App for Gzip<A> {
//!     async fn call(&self, scope: Scope, receive: Receiver, send: Sender) -> Result<(), AppError> {
//!         let accepted = match &scope {
//!             Scope::Http(http) => http.headers.get(header::ACCEPT_ENCODING),
//!             _ => None,
//!         };
//!         if !accepted.is_some_and(|value| value.to_str().is_ok_and(|text| text.contains("gzip"))) {
//!             return self.0.call(scope, receive, send).await;
//!         }
//!         let (send, pipe) = pipe(send, async move |mut events| {
//!             let mut encoder = None;
//!             while let Some((event, reply)) = events.next().await {
//!                 match (event, &mut encoder) {
//!                     (SendEvent::HttpResponseStart(mut start), _) => {
//!                         let is_encoded = start.headers.contains_key(header::CONTENT_ENCODING);
//!                         if !is_encoded {
//!                             start.headers.remove(header::CONTENT_LENGTH);
//!                             let gzip = HeaderValue::from_static("gzip");
//!                             start.headers.insert(header::CONTENT_ENCODING, gzip);
//!                             let vary = HeaderValue::from_static("accept-encoding");
//!                             start.headers.append(header::VARY, vary);
//!                         }
//!                         let taken = events.forward(start.into(), reply).await;
//!                         if taken && !is_encoded {
//!                             encoder = Some(GzEncoder::new(Vec::new(), Compression::fast()));
//!                         }
//!                     }
//!                     (SendEvent::HttpResponseBody(part), Some(gzip)) => {
//!                         gzip.write_all(&part.body)?;
//!                         if part.more_body {
//!                             // The client gets each part as soon as the app has sent it.
//!                             gzip.flush()?;
//!                         } else {
//!                             gzip.try_finish()?;
//!                         }
//!                         let body = std::mem::take(gzip.get_mut());
//!                         let part = HttpResponseBody::new(body, part.more_body);
//!                         events.forward(part.into(), reply).await;
//!                     }
//!                     (event, _) => {
//!                         events.forward(event, reply).await;
//!                     }
//!                 }
//!             }
//!             Ok(())
//!         });
//!         pipe.drive(self.0.call(scope, receive, send)).await
//!     }
//! }
//!
//! # async fn hello(_: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
//! #     send.send(asgi::HttpResponseStart::ok()).await?;
//! #     send.send(HttpResponseBody::more("hello, ")).await?;
//! #     Ok(send.send(HttpResponseBody::last("client")).await?)
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), AppError> {
//! let client = asgi_testing::Client::new(Gzip(hello));
//! let response = client.get("/").header("accept-encoding", "gzip").await?;
//! assert_eq!(response.header("content-encoding"), Some("gzip"));
//! assert_eq!(response.chunks().len(), 2);
//! let body = std::io::read_to_string(flate2::read::GzDecoder::new(&response.body()[..]))?;
//! assert_eq!(body, "hello, client");
//! # Ok(()) }
//! ```
//!
//! If the app answers in one part, the compressed body is one part too and gets its
//! `content-length` from the server.

mod pipe;

#[cfg(doc)]
use asgi::Sender;

pub use self::pipe::{Pipe, PipeEvents, Reply, pipe};
