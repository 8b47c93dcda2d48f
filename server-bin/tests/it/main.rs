//! Runs the command as a process and checks its options, exit codes, output and log.

#![forbid(unsafe_code)]
// All code here is test code, the helpers too.
#![allow(clippy::unwrap_used)]

mod building;
mod crashes;
mod loading;
mod logs;
mod operator;
mod options;
mod process;
mod reference;
mod sandbox;
mod serving;
mod stops;
mod tls;
