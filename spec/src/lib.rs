//! The spec of the interface [`asgi`] as an executable suite, for authors of servers.
//!
//! - [`requirements`] are the numbered sentences of the spec, with their reasons and sources.
//! - [`probe::Probe`] is an app that does what each request tells it and reports what it saw.
//! - [`Suite`] starts a server with that app and checks it from the wire, one case for each
//!   requirement.
//! - [`Lint`] is an app around any app that checks both sides as they run.
//! - [`halves`] drives the halves of a server without sockets.
//! - The command `asgi-spec` (feature `cli`) does the same to a server that runs elsewhere.
//!
//! This crate shares no code with a server, so that both cannot make the same mistake.
//!
//! # In the tests of a server
//!
//! ```no_run
//! use std::net::SocketAddr;
//!
//! use asgi::DynApp;
//! use asgi_spec::Suite;
//!
//! /// Starts the server on a free port, and returns its address once it serves.
//! fn start(app: DynApp) -> Result<SocketAddr, std::io::Error> {
//!     # drop(app);
//!     # Ok(SocketAddr::from(([127, 0, 0, 1], 8000)))
//! }
//!
//! Suite::new(start)
//!     .expect_fail("HTTP-054", "this server does not send early hints yet")
//!     .run()
//!     .assert();
//! ```
//!
//! An expected failure that passes fails the assertion too, so the list stays true.

#![forbid(unsafe_code)]

mod cases;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
mod client;
pub mod halves;
mod lint;
mod requirement;
mod result;
mod suite;

pub mod probe;

pub use lint::{Lint, Side, Violation};
pub use requirement::{Level, Requirement, requirement, requirements};
pub use result::Mismatch;
pub use suite::{Grade, Graded, Interface, Results, ServerUnderTest, StatedLimit, Suite, SuiteTls};
