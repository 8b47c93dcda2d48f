//! One scripted test for each HTTP/2 edge case that this server must handle.
//!
//! A test's name is the rule that it checks. `edges.txt` says where each edge case comes from, and
//! `edges.rs` compares the list with the tests. No test sleeps until an event has probably happened: a
//! step waits for the event.

#![forbid(unsafe_code)]
#![allow(unreachable_pub, reason = "a test binary exports nothing")]
#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod connect;

mod access;
mod adversary;
mod app_end;
mod disconnect;
mod drain;
mod edges;
mod flood;
mod flow;
mod hostile;
mod lifetime;
mod load;
mod preface;
mod protocol;
mod push;
mod request;
mod response;
mod states;
