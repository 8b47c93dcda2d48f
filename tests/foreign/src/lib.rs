//! `examples/hello` once more, built apart from everything else: see `Cargo.toml`.

#![forbid(unsafe_code)]

#[path = "../../../examples/hello/src/app.rs"]
mod app;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

asgi_abi::export!(app::app);
