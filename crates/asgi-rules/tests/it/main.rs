//! Tests the state machines against the written spec.

// clippy.toml allows these in `#[test]` functions, but not in the functions that they call.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod exchange;
mod http;
mod http1;
mod lifespan;
mod spec;
mod support;
mod websocket;
mod websocket_keep_alive;
