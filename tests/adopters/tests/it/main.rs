//! Calls the apps of this package in each form: in memory and over a server, linked in and loaded.

#![forbid(unsafe_code)]
#![allow(unreachable_pub, reason = "a test binary exports nothing")]
#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod all;
mod bridge;
mod forms;
mod middleware;
mod mini;
mod tiny;
