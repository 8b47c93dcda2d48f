//! The boundary, from both sides.
//!
//! Most tests need no library: the static that `export!` makes is driven by the host's side in this
//! very process. `hello` loads a real one; `host_in_c` and `app_in_c` play the other side by hand,
//! as code in another language would.

// The functions of the boundary are called by hand here.
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
