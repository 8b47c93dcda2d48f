//! The app of the benchmark in a shared library.

#[path = "../../src/bin/server/app.rs"]
mod app;

asgi_abi::export!(app::app);
