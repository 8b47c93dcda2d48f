//! gRPC over real sockets: clients of tonic and of hyper, a server with the app.

#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, but not in the functions that they call"
)]

mod calls;
mod cancellation;
mod client;
mod deadlines;
mod drain;
mod many;
mod watched;
