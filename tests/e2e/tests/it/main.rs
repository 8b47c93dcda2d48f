//! End-to-end tests of the server: each test is a script of a client's requests and the expected
//! responses.
//!
//! A test's name is the rule that it checks. If `spec/` has a requirement for the rule, the test cites
//! it. No test sleeps until an event has probably happened: a step waits for the event, at most for
//! [`test_support::LIMIT`].

#![forbid(unsafe_code)]
#![allow(unreachable_pub, reason = "a test binary exports nothing")]
#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod access;
mod app_end;
mod both_versions;
mod chat;
mod connection;
mod disconnect;
mod drain;
mod endurance;
mod fairness;
mod framing;
mod hello;
mod malformed;
mod musts;
mod request;
mod response;
mod slow_reader;
mod tls;
mod traps;
mod websocket;
