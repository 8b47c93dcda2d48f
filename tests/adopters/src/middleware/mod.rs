//! Middleware, and an app inside it. Each is one file, and each works with every app.

mod app;
mod chopped;
mod slow;
mod timed;
mod upper;
mod without_empty_parts;

pub use self::app::app;
