//! Every edge of HTTP/2 that this server was found or feared to cut itself on, a script each.
//!
//! A test is named after the rule that it holds; `edges.txt` says where each edge was met, and the
//! two are compared both ways. Nothing sleeps to be in time: a step waits for what it expects.

#![forbid(unsafe_code)]
#![allow(
    unreachable_pub,
    reason = "nothing is reached from outside a test binary"
)]
#![allow(clippy::unwrap_used, reason = "these are tests, their support too")]

mod connect;

mod access;
mod adversary;
mod disconnect;
mod drain;
mod edges;
mod ends;
mod flood;
mod flow;
mod life;
mod load;
mod preface;
mod protocol;
mod push;
mod request;
mod response;
