//! Runs [axum] routers and other [tower] services as apps of [`asgi`].
//!
//! [`app`](app()) makes an app of any tower service that takes an `http::Request` and returns an
//! `http::Response`. The app runs on every server for `asgi`, such as Ferricorn.
//!
//! # Two lines for an axum program
//!
//! In a library that a server loads, `export!` replaces `main`:
//!
//! ```
//! # #[cfg(feature = "axum")]
//! # mod library {
//! use axum::{Router, routing::get};
//!
//! fn router() -> Router {
//!     Router::new().route("/", get(async || "Hello"))
//! }
//!
//! asgi_abi::export!(asgi_tower::app(router()));
//! # }
//! # fn main() {}
//! ```
//!
//! In a program with the server linked in, `main` has the server's whole command line:
//!
//! ```no_run
//! # #[cfg(feature = "axum")]
//! # mod program {
//! # use axum::{Router, routing::get};
//! # fn router() -> Router { Router::new() }
//! fn main() -> std::process::ExitCode {
//!     ferricorn::cli::main(asgi_tower::app(router()))
//! }
//! # }
//! # fn main() {}
//! ```
//!
//! Handlers, extractors and middleware stay as they are. [`at_startup`](at_startup()) makes the router
//! in an async function, for programs that connect to a database first.
//!
//! # The other way
//!
//! [`service`](service()) makes a tower service of any app, to nest it in an axum router or to serve it with
//! hyper.
//!
//! [Bring your axum app] says what works, what differs, and what it costs.
//!
//! # Features
//!
//! - `axum`: `ConnectInfo` and WebSockets for handlers of axum. Off by default.
//!
//! [Bring your axum app]: https://github.com/ferricorn/ferricorn/blob/main/docs/axum.md
//! [axum]: https://docs.rs/axum
//! [tower]: https://docs.rs/tower

#![forbid(unsafe_code)]

mod app;
#[cfg(feature = "axum")]
pub mod axum;
mod body;
mod call;
mod hints;
mod service;
mod startup;

pub use app::{TowerApp, app};
pub use body::TowerBody;
pub use hints::{EarlyHints, ServerPush};
pub use service::{AppBody, AppService, IncompleteResponse, service};
pub use startup::{StartupApp, at_startup};

#[cfg(all(doctest, feature = "axum"))]
#[doc = include_str!("../README.md")]
struct TowerReadme;

// The package does not contain the page. Only its doctests need it.
#[cfg(all(doctest, feature = "axum"))]
#[doc = include_str!("../../../docs/axum.md")]
struct BringYourAxumApp;
