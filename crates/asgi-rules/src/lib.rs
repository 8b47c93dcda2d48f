//! The rules of one exchange: what an app may send when, and what becomes of it.
//!
//! Each machine here takes the events of an app and gives back what goes on the wire, or why not.
//! None of them knows a socket, a clock or a runtime: a server feeds them and does what they say,
//! and so does the test client, so that an app meets the same rules in both. They are written down
//! in `spec/`; code and tests cite the requirement (`HTTP-017`).
//!
//! Called by `ferricorn` and `asgi-testing`; of use to any other server.

#![forbid(unsafe_code)]

mod end;
mod http;
mod lifespan;
mod response;
mod websocket;

pub use end::{AppEnd, Fault};
pub use http::{Ending, HttpRules, Verdict, WireEvent};
pub use lifespan::{LifespanOutcome, LifespanRules, LifespanVerdict};
pub use response::{Framing, ResponseHead};
pub use websocket::{
    WebSocketDue, WebSocketEnding, WebSocketKeepAlive, WebSocketPing, WebSocketRules,
    WebSocketTimeouts, WebSocketVerdict, WebSocketWireEvent,
};
