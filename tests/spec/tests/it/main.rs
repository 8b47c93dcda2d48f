//! The suite of the spec against the servers of this workspace.

mod command;
mod linked;
mod tiny;
