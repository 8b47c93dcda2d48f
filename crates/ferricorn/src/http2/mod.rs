//! HTTP/2, on the `h2` crate.

#![cfg_attr(
    not(test),
    expect(dead_code, reason = "no connection speaks HTTP/2 yet")
)]

mod client;
mod fault;
mod flood;
mod frame;
mod guard;
