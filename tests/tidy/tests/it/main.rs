//! Checks what `docs/architecture.md` says about the workspace, and rules that no compiler checks.

#![allow(clippy::unwrap_used, reason = "a test: a panic is its failure")]

mod docs;
mod imports;
mod layout;
mod modules;
mod size;
mod workspace;
