//! The level without sockets: it drives the halves of a server directly, with the client's side in
//! its hands.
//!
//! A server's author gives a function that makes the two halves of an exchange, and a small type that
//! does what happens on a connection: a part of the body comes, the client leaves, the client reads.
//! The level plays random sequences of what an app and its client do, and compares the results with a
//! model that is written from the spec. It checks
//!
//! - wakers: a wait that is over wakes the task that polled last, and each handle of the close has
//!   its own (CORE-009, CORE-030);
//! - back-pressure: `send` waits while the client reads nothing, at some bound, and not when it has
//!   read everything (CORE-011, CORE-016);
//! - order: nothing that the server has taken is lost, doubled or out of order, in both directions
//!   (CORE-007, CORE-010);
//! - errors: an event that is not taken changes nothing, and the error is the right one (CORE-004,
//!   CORE-012 to CORE-015, CORE-027, HTTP-083);
//! - everything that [`Lint`](crate::Lint) checks.
//!
//! A sequence has a seed. A failure shows it with all steps, and [`HalvesSuite::only_seed`] repeats it.
//!
//! ```
//! use std::collections::VecDeque;
//! # use std::sync::{Arc, Mutex};
//! # use std::task::{Context, Poll};
//! use asgi::{AppError, DisconnectReason, HttpRequest, HttpScope, Receiver, Sender};
//! # use asgi::{Closed, ReceiveEvent, SendError, SendEvent, SharedHalves};
//! use asgi_spec::halves::{HalvesSuite, HttpClientSide, SentToClient};
//!
//! /// An exchange of the server, with the client's side of it.
//! struct Connection {
//!     parts: VecDeque<HttpRequest>,
//!     sent: Vec<SentToClient>,
//! }
//!
//! impl HttpClientSide for Connection {
//!     fn body(&mut self, part: HttpRequest) {
//!         self.parts.push_back(part); // This server forgets to wake the app.
//!     }
//!     fn leave(&mut self, _: DisconnectReason) {}
//!     fn take(&mut self) -> Vec<SentToClient> {
//!         std::mem::take(&mut self.sent)
//!     }
//!     fn app_waits(&mut self) {}
//!     fn app_ended(&mut self, _: &Result<(), AppError>) {}
//! }
//! # struct Nothing;
//! # impl SharedHalves for Nothing {
//! #     fn poll_receive(&self, _: &mut Context<'_>) -> Poll<ReceiveEvent> { Poll::Pending }
//! #     fn poll_ready(&self, _: &mut Context<'_>) -> Poll<Result<(), SendError>> { Poll::Pending }
//! #     fn start_send(&self, _: SendEvent) -> Result<(), SendError> { Err(SendError::over()) }
//! #     fn poll_closed(&self, _: &mut Context<'_>) -> Poll<DisconnectReason> { Poll::Pending }
//! #     fn closed_handle(self: Arc<Self>) -> Closed { Closed::new(std::future::pending()) }
//! # }
//!
//! fn make(scope: HttpScope) -> (Receiver, Sender, Connection) {
//!     // Make the halves as for a request.
//!     # drop(scope);
//!     # let (receive, send) = asgi::halves(Arc::new(Nothing));
//!     # (receive, send, Connection { parts: VecDeque::new(), sent: Vec::new() })
//! }
//!
//! let failures = HalvesSuite::http(make).run();
//! println!("{}", failures[0]); // A test calls `assert` instead of `run`.
//! ```

mod failure;
mod http;
mod random;
mod sent;
mod socket;
mod waits;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use asgi::{HttpScope, Receiver, Sender, WebSocketScope};

pub use self::failure::HalvesFailure;
pub use self::http::HttpClientSide;
use self::http::{HttpRun, MakeHttp};
pub use self::sent::SentToClient;
use self::socket::{MakeSocket, SocketRun};
pub use self::socket::{SentToSocket, WebSocketClientSide};

/// The halves of a server, to be checked without sockets. See the [module](self).
#[derive(Clone)]
#[must_use]
pub struct HalvesSuite {
    make: Make,
    seeds: Range<u64>,
    expected: Vec<(&'static str, &'static str)>,
}

#[derive(Clone)]
enum Make {
    Http(Arc<MakeHttp>),
    Socket(Arc<MakeSocket>),
}

/// How many sequences run by default.
const SEQUENCES: u64 = 2_000;

/// A sequence has fewer steps than this before the app ends.
const MOST_STEPS: u64 = 60;

impl HalvesSuite {
    /// Checks the halves of HTTP exchanges.
    ///
    /// `make` makes them for the scope of a request that came over HTTP/2, whose body is open. The
    /// level calls no app: it is the app.
    pub fn http<C: HttpClientSide + 'static>(
        make: impl Fn(HttpScope) -> (Receiver, Sender, C) + Send + Sync + 'static,
    ) -> Self {
        Self::new(Make::Http(Arc::new(move |scope| {
            let (receive, send, client) = make(scope);
            (receive, send, Box::new(client))
        })))
    }

    /// Checks the halves of WebSockets.
    ///
    /// `make` makes them for the scope of a handshake.
    pub fn websocket<C: WebSocketClientSide + 'static>(
        make: impl Fn(WebSocketScope) -> (Receiver, Sender, C) + Send + Sync + 'static,
    ) -> Self {
        Self::new(Make::Socket(Arc::new(move |scope| {
            let (receive, send, client) = make(scope);
            (receive, send, Box::new(client))
        })))
    }

    fn new(make: Make) -> Self {
        Self {
            make,
            seeds: 0..SEQUENCES,
            expected: Vec::new(),
        }
    }

    /// Sets how many sequences run. The default is 2,000, which takes about a second without
    /// optimisation.
    pub fn sequences(mut self, count: u64) -> Self {
        self.seeds = 0..count;
        self
    }

    /// Runs only the sequence with this seed, to find out why it fails.
    pub fn only_seed(mut self, seed: u64) -> Self {
        self.seeds = seed..seed + 1;
        self
    }

    /// Expects the halves to break a requirement, for this reason. [`assert`](Self::assert) then fails
    /// if they don't.
    pub fn expect_fail(mut self, id: &'static str, reason: &'static str) -> Self {
        self.expected.push((id, reason));
        self
    }

    /// Runs the sequences. Returns the first failure for each requirement that the halves break.
    pub fn run(&self) -> Vec<HalvesFailure> {
        let mut failures: Vec<HalvesFailure> = Vec::new();
        for seed in self.seeds.clone() {
            let failure = match &self.make {
                Make::Http(make) => HttpRun::failure(&**make, seed),
                Make::Socket(make) => SocketRun::failure(&**make, seed),
            };
            if let Some(failure) = failure
                && !failures.iter().any(|known| known.id == failure.id)
            {
                failures.push(failure);
            }
        }
        failures
    }

    /// Runs the sequences, for a test.
    ///
    /// # Panics
    ///
    /// Panics if the halves break a requirement that is not expected to fail, or if they keep one
    /// that is. The message has the seeds and the steps.
    pub fn assert(&self) {
        let failures = self.run();
        let mut wrong = Vec::new();
        for failure in &failures {
            if !self.expected.iter().any(|(id, _)| *id == failure.id) {
                wrong.push(failure.to_string());
            }
        }
        for (id, reason) in &self.expected {
            if !failures.iter().any(|failure| failure.id == *id) {
                wrong.push(format!("the halves keep {id}, although {reason}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    }
}

impl fmt::Debug for HalvesSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HalvesSuite")
            .field("seeds", &self.seeds)
            .field("expected", &self.expected)
            .finish_non_exhaustive()
    }
}
