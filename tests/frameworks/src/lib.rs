//! Poem and Salvo on Ferricorn: an adapter for each, and the same small app in both.
//!
//! The adapters are short, so that a program can copy them. `docs/frameworks.md` explains them.

pub mod poem;
mod running;
pub mod salvo;
mod sync_body;

pub use running::Running;
