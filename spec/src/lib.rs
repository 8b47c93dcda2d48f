//! The spec of the interface [`asgi`] as an executable suite, for authors of servers.
//!
//! - [`requirements`] are the numbered sentences of the spec, with their reasons and sources.
//! - [`probe::Probe`] is an app that does what each request tells it and reports what it saw.

#![forbid(unsafe_code)]

mod requirement;

pub mod probe;

pub use requirement::{Level, Requirement, requirement, requirements};
