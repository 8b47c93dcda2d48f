//! The command as a process: its options, its exit codes, what it says and when.

#![forbid(unsafe_code)]
// Everything here is a test, the helpers too.
#![allow(clippy::unwrap_used)]

mod building;
mod loading;
mod options;
mod process;
mod reference;
mod serving;
mod tls;
