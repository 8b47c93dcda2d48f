//! The suite of the spec against the servers of this workspace.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod broken;
mod command;
mod files;
mod linked;
mod lint;
mod python;
mod streams;
mod tiny;
