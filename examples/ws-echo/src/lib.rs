//! The library that a server loads. The app is in `app.rs`.

#![forbid(unsafe_code)]

mod app;
#[cfg(test)]
mod tests;

asgi_abi::export!(app::app);
