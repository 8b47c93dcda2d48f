//! Lint against scripted apps and servers that break one rule each.

mod app_side;
mod passes;
mod script;
mod server_side;
mod table;
