//! The machines against the written spec.

// What clippy.toml allows in tests it allows in `#[test]` functions, not in their helpers.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod http;
mod lifespan;
mod spec;
mod support;
mod websocket;
mod websocket_keep_alive;
