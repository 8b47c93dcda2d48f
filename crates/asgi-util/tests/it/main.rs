//! Tests of the building blocks, with one rule in each test.

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    reason = "this crate contains only tests and their helpers"
)]

mod block_on;
mod body;
mod lifespan;
mod pipe;
mod pipe_random;
mod preload;
mod request;
mod response;
mod websocket;
