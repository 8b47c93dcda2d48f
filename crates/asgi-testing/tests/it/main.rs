//! The rules of the test client, one a test.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "these are tests, their helpers too")]

mod http;
mod lifespan;
mod preload;
mod websocket;
