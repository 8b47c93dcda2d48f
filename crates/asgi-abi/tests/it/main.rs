//! Tests of the boundary, from both sides.
//!
//! Most tests need no library: the host's side calls the static that `export!` makes in this
//! process. `hello` loads a real library. `host_in_c` and `app_in_c` use the functions of the ABI
//! directly, as code in another language does.

// These tests call the functions of the ABI directly.
#![allow(unsafe_code, clippy::unwrap_used)]

mod app_in_c;
mod ends;
mod header;
mod hello;
mod host_in_c;
mod lifespan;
mod load;
mod probe;
mod receive;
mod scope;
mod send;
mod support;
mod tasks;

asgi_abi::export!(support::current);
