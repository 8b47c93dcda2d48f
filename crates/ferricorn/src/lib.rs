//! A web server for [`asgi`] apps: HTTP/1.1, HTTP/2, WebSockets and TLS.
//!
//! ```no_run
//! use asgi::{AppError, HttpResponseBody, HttpResponseStart, Receiver, Scope, Sender};
//! use ferricorn::{Bind, Config};
//!
//! async fn app(scope: Scope, _receive: Receiver, mut send: Sender) -> Result<(), AppError> {
//!     let Scope::Http(_) = scope else {
//!         return Err(AppError::unsupported(&scope));
//!     };
//!     send.send(HttpResponseStart::ok()).await?;
//!     send.send(HttpResponseBody::last("Hello, world!\n")).await?;
//!     Ok(())
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let config = Config::default();
//!     let listener = "127.0.0.1:8000".parse::<Bind>()?.listen(&config)?;
//!     let server = ferricorn::serve(vec![listener], app, config);
//!     let handle = server.handle();
//!     tokio::spawn(async move {
//!         if tokio::signal::ctrl_c().await.is_ok() {
//!             handle.drain();
//!         }
//!     });
//!     server.await?;
//!     Ok(())
//! }
//! ```
//!
//! # Features
//!
//! `cli` adds the module `cli` with the complete command line, for a program that is an app and its
//! server in one. It needs clap and tracing-subscriber, so it is off by default:
//!
//! ```toml
//! ferricorn = { version = "0.1", features = ["cli"] }
//! ```

#![forbid(unsafe_code)]

mod access_log;
#[cfg(feature = "cli")]
mod backtraces;
#[cfg(feature = "cli")]
pub mod cli;
mod config;
mod connection;
mod connection_end;
mod connection_info;
mod counts;
mod deadlines;
mod error;
mod exchange;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod handle;
mod hints;
mod http1;
mod http2;
mod lifecycle;
mod lifespan;
mod multiplexed;
mod net;
mod panic;
mod proxy_header;
mod refusal;
mod scope;
mod serve;
mod server;
mod server_headers;
mod syntax;
mod tls;
mod websocket;

pub use config::Config;
pub use counts::Statistics;
pub use error::ServeError;
#[doc(hidden)]
pub use exchange::{app_is_working, current_exchange};
pub use handle::Handle;
pub use net::{Bind, BindError, Listener};
pub use serve::{Serve, serve};
pub use tls::{ClientCertificates, Tls, TlsConfig, TlsError, TlsVersion};
