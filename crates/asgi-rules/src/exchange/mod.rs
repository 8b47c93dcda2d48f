//! The server's part of one exchange: what every author of a server would write around the rules.
//!
//! Each handle holds the rules of one exchange, the client's input that the app has not received,
//! and the output that the server has not written. It makes the app's [`Receiver`] and [`Sender`],
//! and it knows which task to wake. Like the rules, it has no socket, no clock and no runtime: the
//! server tells it what the client does, and takes from it what goes on the wire.
//!
//! ```text
//!             push_body, disconnected             poll_receive
//!          ────────────────────────────▶        ───────────────▶  Receiver
//!  server        HttpExchange                                               app
//!          ◀────────────────────────────        ◀───────────────  Sender
//!             poll_output, poll_wants_body         start_send
//! ```
//!
//! A server drives an exchange in a loop:
//!
//! 1. Poll the app, such as a [`RunningApp`], which catches its panics. If it returns `Pending`, call
//!    `app_is_waiting`: this sends a head that is held back (HTTP-024). Call it again after each
//!    wake-up, because another task of the app may have sent the start.
//! 2. Write what `poll_output` returns. Each output that the server takes makes room for the next
//!    event, so a server that waits for its socket makes the app wait, too.
//! 3. If the app wants input, read from the socket and push what has come. A server that reads only
//!    then keeps HTTP-019.
//! 4. When the app has ended, call `ended`. Write the rest of the output, then do what the verdict
//!    says. A server that drops an app calls `ended` with [`AppEnd::Cancelled`](crate::AppEnd).
//!
//! Every handle is cheap to clone, and its methods work from any task and thread. Each `poll_*`
//! method wakes the task that polled it last.
//!
//! [`Receiver`]: asgi::Receiver
//! [`Sender`]: asgi::Sender

mod content;
mod http;
mod lifespan;
mod running;
mod shared;
mod wakers;
mod websocket;

pub use http::HttpExchange;
pub use lifespan::LifespanExchange;
pub use running::{AppOutcome, RunningApp};
pub use websocket::WebSocketExchange;
