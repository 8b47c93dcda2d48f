//! The boundary between a server and a compiled app: the app is a shared library, the server loads
//! it.
//!
//! Rust has no stable ABI, and a library brings its own copy of tokio with its own thread-locals.
//! So no Rust type crosses the boundary. App and server share a small C ABI, written by hand: the
//! module [`abi`], and the same in C, `include/asgi.h`. The app can use another compiler or another
//! version of tokio than the server, or it can be written in C.
//!
//! # The app's side
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
//! The app has its own tokio runtime, so `spawn`, timers, sockets and `spawn_blocking` work. The
//! server's threads poll a call until it waits for its own I/O; from then on, the app's runtime
//! polls it.
//!
//! # The server's side
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
//! Every scope, every event and every extension crosses, except `http.response.debug` and the
//! extensions of a server's own types (`Extensions::insert`): their values are Rust types, so an app
//! in a library is not offered them. The file of a `zerocopysend` crosses as
//! a descriptor that the server duplicates. The app may close its own; both share one position in
//! the file. The `state` of a scope is the state that the app passed on at startup. It never leaves
//! the library, and values that a middleware of the server adds do not reach the app.
//!
//! The crate's `README.md` says what an app may and must not do, and which versions fit together.

#![deny(unsafe_op_in_unsafe_fn)]
// A foreign function interface needs unsafe code, so this is the one crate that allows it. The
// SAFETY comments refer to the rules in the module `abi`.
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
pub mod heap;
#[cfg(feature = "loader")]
mod host;
#[cfg(any(feature = "export", feature = "loader"))]
mod inline_storage;
#[cfg(feature = "loader")]
mod loader;
#[cfg(any(feature = "export", feature = "loader"))]
mod panic;
#[cfg(feature = "loader")]
mod process_exit;
#[cfg(any(feature = "export", feature = "loader"))]
mod reason;
#[cfg(any(feature = "export", feature = "loader"))]
mod waker;

#[cfg(feature = "loader")]
pub use crash::{report_crashes, running_calls};
#[cfg(feature = "export")]
pub use export::Config;
#[doc(hidden)]
#[cfg(feature = "export")]
pub use export::{Exported, declare};
#[cfg(feature = "loader")]
pub use host::LoadedApp;
#[cfg(feature = "loader")]
pub use loader::{Library, LoadError, LoadOptions};
#[cfg(feature = "loader")]
pub use process_exit::{ExpectedExit, exit_now, report_exits};

#[doc(hidden)]
#[cfg(all(feature = "loader", any(test, fuzzing)))]
pub mod fuzzing {
    //! Properties that hold for any bytes, for `fuzz/` and the tests.

    pub use crate::loader::fuzzing::elf;
}

/// Only for the macro `export!`.
#[doc(hidden)]
#[cfg(feature = "export")]
pub mod private {
    pub use crate::export::{PollMode, make, start};
    pub use asgi::{AppError, DynApp};
}
