//! The library that a server loads. The app is in `app/`.

#![forbid(unsafe_code)]

mod app;

pub use app::{app, pb, with_service};

asgi_abi::export!(app());

// The tests build the library a second time, in place of the one that doctests would link. So the
// page must not use `tonic_app`.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/grpc.md")]
struct Grpc;
