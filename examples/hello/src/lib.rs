//! An app in a shared library: `cargo build -p hello`, then let a server load
//! `target/debug/libhello.so`.
//!
//! The app itself is in `app.rs` and knows nothing of libraries; this is all that makes one of it.

#![forbid(unsafe_code)]

mod app;

asgi_abi::export!(app::app);
