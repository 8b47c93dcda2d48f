//! Programs that outside authors would write on `asgi` and `asgi-util`: each shows that the interface
//! is enough for its kind.
//!
//! - [`bridge`] runs a router of axum that does not know `asgi`, with `asgi-tower`.
//! - [`mini`] is a small web framework and an app that uses it.
//! - [`middleware`] has middleware that changes, drops, delays, splits and measures.
//!
//! [`app`] is all of them under one root. The tests call each app in memory and over a server, linked in and loaded from the library.

#![forbid(unsafe_code)]

pub mod bridge;
pub mod middleware;
pub mod mini;
mod mounts;

use asgi::{App, DynApp};

use self::mounts::Mounts;

/// All programs as one app, each below its own path.
pub fn app() -> impl App {
    Mounts(vec![
        ("/mini", DynApp::new(mini::app())),
        ("/bridge", DynApp::new(bridge::app())),
        ("/middleware", DynApp::new(middleware::app())),
    ])
}

asgi_abi::export!(app());
asgi_abi::export!(bridge: bridge::app());
asgi_abi::export!(mini: mini::app());
asgi_abi::export!(middleware: middleware::app());
