//! The same axum routers on Ferricorn, by `asgi-tower`, and on `axum::serve`: the answers are equal.

#![forbid(unsafe_code)]
#![allow(unreachable_pub, reason = "a test binary exports nothing")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a panic fails the test, and the output says what has failed"
)]

mod answer;
mod differences;
mod drain;
mod hints;
mod hosts;
mod http;
mod page;
mod router;
mod websockets;
