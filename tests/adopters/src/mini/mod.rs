//! A small web framework, and an app that uses it.

mod app;
mod framework;

pub use self::app::app;
