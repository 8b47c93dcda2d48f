//! The app of the benchmark in a shared library: exported with the default way of polling, and with
//! each of the two ways forced.

#[path = "../../src/bin/server/app.rs"]
mod app;

asgi_abi::export!(app::app);
asgi_abi::export!(inline: app::app, inline);
asgi_abi::export!(own_runtime: app::app, own_runtime);
