//! The app of the benchmark in a shared library: as it is exported by default, and with either way
//! of polling its calls forced.

#[path = "../../src/bin/server/app.rs"]
mod app;

asgi_abi::export!(app::app);
asgi_abi::export!(inline: app::app, inline);
asgi_abi::export!(own_runtime: app::app, own_runtime);
