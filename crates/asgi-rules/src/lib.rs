//! The rules of one exchange: which event an app may send when, and what it means.
//!
//! Each state machine here takes the events of an app. It returns what the server must send to the
//! client, or an error. The machines know no socket, no clock and no runtime: a server or a test
//! client feeds them and does what they say. So an app meets the same rules in production and in
//! its tests.
//!
//! A machine decides, and nothing else. The module [`exchange`] adds what every server needs around
//! it: the app's two halves, the wakers, and the queues for input and output.
//!
//! The module [`http1`] has the heads of HTTP/1 for servers without an HTTP library.
//!
//! The folder `spec/` contains the rules in words. Code and tests cite their ids, such as
//! `HTTP-017`.
//!
//! `ferricorn` and `asgi-testing` use this crate, and other servers can use it too.

#![forbid(unsafe_code)]

mod closed;
mod end;
pub mod exchange;
mod http;
pub mod http1;
mod lifespan;
mod response;
mod websocket;

pub use closed::{ClosedSource, ClosedWaiter, ClosedWakers, closed_handle};
pub use end::{AppEnd, Fault};
pub use http::{Ending, HttpRules, Verdict, WireEvent};
pub use lifespan::{LifespanFailure, LifespanOutcome, LifespanRules, LifespanVerdict};
pub use response::{Framing, ResponseHead};
pub use websocket::{
    WebSocketDue, WebSocketEnding, WebSocketKeepAlive, WebSocketPing, WebSocketRules,
    WebSocketTimeouts, WebSocketVerdict, WebSocketWireEvent,
};
