//! The machines against the written spec.

mod http;
mod http_random;
mod lifespan;
mod spec;
mod support;
mod websocket;
