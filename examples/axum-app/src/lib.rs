//! The library that a server loads. The app is in `app/mod.rs`, and is plain axum.

mod app;

pub use app::router;

asgi_abi::export!(asgi_tower::app(router()));
