//! The traps of the first version of this interface, one test each.
//!
//! Each test prints what happened in the first version ("before") and asserts what happens now.

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    reason = "this crate contains only tests and their helpers"
)]

mod body;
mod errors;
mod paths;
mod send;
mod start;
mod support;
