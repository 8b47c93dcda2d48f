//! An app in a shared library: `cargo build -p hello` builds `target/debug/libhello.so`, and a server
//! loads it.
//!
//! The app is in `app.rs`. Only this file makes a library of it.

#![forbid(unsafe_code)]

mod app;

asgi_abi::export!(app::app);
