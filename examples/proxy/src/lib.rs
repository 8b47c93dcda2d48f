//! The library that a server loads. The app is in `app/`.

#![forbid(unsafe_code)]

mod app;

pub use app::Proxy;

asgi_abi::export!(start = app::start);
