//! The rules of one exchange: what an app may send when, and what becomes of it.
//!
//! Each machine here takes the events of an app and gives back what goes on the wire, or why not.
//! None of them knows a socket, a clock or a runtime: a server feeds them and does what they say,
//! and so does the test client, so that an app meets the same rules in both. They are written down
//! in `spec/`; code and tests cite the requirement (`HTTP-017`).
//!
//! Called by `ferricorn` and `asgi-testing`; of use to any other server.

#![forbid(unsafe_code)]

mod http;

pub use http::{AppEnd, Ending, Fault, Framing, HttpExchange, ResponseHead, Verdict, WireEvent};
