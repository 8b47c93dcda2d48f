//! Tests of tower services as apps and of apps as tower services, with one rule in each test.

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    reason = "this crate contains only tests and their helpers"
)]

mod app;
mod axum_upgrade;
mod hints;
mod service;
mod service_websocket;
mod upgrade;
