//! The boundary of compiled apps: an app is a shared library, a server loads it.
//!
//! Rust promises no ABI between two compilations, and a library brings its own copy of tokio with
//! its own thread-locals. So no Rust type crosses here: what does is a small C ABI, written by hand
//! ([`abi`], and the same in C: `include/asgi.h`). An app may be built by another compiler, with
//! another tokio, or be written in C.
//!
//! # An app's side
//!
//! A crate with `crate-type = ["cdylib"]` and one line (feature `export`, on by default):
//!
//! ```
//! # use asgi::{AppError, Receiver, Scope, Sender};
//! async fn app(scope: Scope, receive: Receiver, send: Sender) -> Result<(), AppError> {
//!     // …
//!     # drop((scope, receive, send));
//!     Ok(())
//! }
//!
//! asgi_abi::export!(app);
//! # fn main() {}
//! ```
//!
//! The app runs within a tokio runtime of its own, so `spawn`, timers, sockets and `spawn_blocking`
//! work: on the server's threads, and on the library's once it waits for something of its own.
//!
//! # A server's side
//!
//! With feature `loader`:
//!
//! ```no_run
//! # #[cfg(feature = "loader")]
//! # fn f() -> Result<(), asgi_abi::LoadError> {
//! let library = asgi_abi::Library::load("target/release/libhello.so")?;
//! let app: asgi::DynApp = asgi::DynApp::new(library.app());
//! # Ok(()) }
//! ```
//!
//! # What crosses
//!
//! Every scope, every event and every extension but `http.response.debug`, whose values are Rust's:
//! a scope that crossed does not offer it. A file of `zerocopysend` crosses as a descriptor that
//! the server duplicates: the app's own may be closed, and both have one position in the file. A
//! scope's `state` is what the app handed over at start-up: it never leaves the library, and what a
//! middleware of the server's puts in does not reach it.

//! What an app may and may not do, and how versions are judged, stands in the crate's `README.md`.

#![deny(unsafe_op_in_unsafe_fn)]
// The one crate that may: a foreign function interface cannot do without. The rules that each
// SAFETY comment refers to are those of the module `abi`.
#![allow(unsafe_code)]

pub mod abi;

mod buffer;
#[cfg(feature = "loader")]
mod crash;
#[cfg(feature = "export")]
mod export;
#[cfg(any(feature = "export", feature = "loader"))]
mod extensions;
#[cfg(any(feature = "export", feature = "loader"))]
mod headers;
#[cfg(feature = "loader")]
mod host;
#[cfg(any(feature = "export", feature = "loader"))]
mod inline_storage;
#[cfg(feature = "loader")]
mod loader;
#[cfg(any(feature = "export", feature = "loader"))]
mod panic;
#[cfg(any(feature = "export", feature = "loader"))]
mod reason;
#[cfg(any(feature = "export", feature = "loader"))]
mod waker;

#[cfg(feature = "loader")]
pub use crash::report_crashes;
#[cfg(feature = "export")]
pub use export::Config;
#[doc(hidden)]
#[cfg(feature = "export")]
pub use export::{Exported, declare};
#[cfg(feature = "loader")]
pub use host::LoadedApp;
#[cfg(feature = "loader")]
pub use loader::{Library, LoadError, LoadOptions};

/// For the macro's own use.
#[doc(hidden)]
#[cfg(feature = "export")]
pub mod private {
    pub use crate::export::{Runs, make, start};
    pub use asgi::{AppError, DynApp};
}
