//! The server from the outside: each test is a script of what a client sends and what it gets.
//!
//! A test is named after the rule that it holds, and cites the requirement in `spec/` where there is
//! one. Nothing sleeps to be in time: a step waits for what it expects, at most for
//! [`test_support::LIMIT`].

#![forbid(unsafe_code)]
#![allow(
    unreachable_pub,
    reason = "nothing is reached from outside a test binary"
)]
#![allow(clippy::unwrap_used, reason = "these are tests, their support too")]

mod app_end;
mod chat;
mod connection;
mod disconnect;
mod drain;
mod endurance;
mod hello;
mod malformed;
mod request;
mod response;
mod tls;
mod websocket;
