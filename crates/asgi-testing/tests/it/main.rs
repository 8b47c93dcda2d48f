//! Tests of the test client, with one rule in each test.

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    reason = "this crate contains only tests and their helpers"
)]

mod cookies;
mod faults;
mod http;
mod lifespan;
mod redirects;
mod request;
mod split;
mod streaming;
mod traps;
mod websocket;
