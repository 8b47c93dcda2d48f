//! Programs that outside authors would write on `asgi` and `asgi-util`: each shows that the interface
//! is enough for its kind.
//!
//! - [`bridge`] runs a router of axum that does not know `asgi`.
//! - [`mini`] is a small web framework and an app that uses it.
//! - [`middleware`] has middleware that changes, drops, delays, splits and measures.
//!
//! The tests call each app in memory and over a server, linked in and loaded from the library.

#![forbid(unsafe_code)]

pub mod bridge;
pub mod middleware;
pub mod mini;

asgi_abi::export!(bridge: bridge::app());
asgi_abi::export!(mini: mini::app());
asgi_abi::export!(middleware: middleware::app());
