//! End-to-end tests of the server: each test is a script of a client's requests and the expected
//! responses.
//!
//! A test's name is the rule that it checks. If `spec/` has a requirement for the rule, the test cites
//! it. A step waits for the expected event, at most for [`test_support::LIMIT`], and does not sleep.

#![forbid(unsafe_code)]
#![allow(unreachable_pub, reason = "a test binary exports nothing")]
#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

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
