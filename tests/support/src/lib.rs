//! What the integration tests of this workspace share: apps, clients, servers and logs.
//!
//! [`Server`] runs in the runtime of its test, with [`Client`] and the other async clients.
//! [`blocking::Server`] has threads of its own, for tests that are plain functions. The HTTP/2 peer
//! is not here: it is the library of `tests/http2`, which must share no code with the server.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a panic fails the test")]
#![allow(missing_debug_implementations, reason = "no test prints these types")]

pub mod app;
pub mod blocking;
pub mod certificates;
pub mod hyper_client;
pub mod library;
pub mod logs;
pub mod raw;
pub mod server;
pub mod tls_client;
pub mod websocket_client;

use std::fmt::Display;
use std::panic::Location;
use std::time::Duration;

use tokio::time::{Instant, timeout};

pub use self::app::{Http, WebSocket, WithLifespan, http, http_with, websocket, websocket_with};
pub use self::raw::Client;
pub use self::server::Server;

/// How long one step may take. Only a failing test waits that long, and a machine may stand still for a
/// while.
pub const LIMIT: Duration = Duration::from_secs(30);

/// How long a whole test may take.
const TEST_LIMIT: Duration = Duration::from_secs(120);

/// Runs a test on this thread, with a runtime and a log of its own.
///
/// Afterwards each server of the test must end cleanly, and the test must have expected every
/// logged error with [`logs::expect_error`].
#[track_caller]
pub fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let log = logs::Log::default();
    logs::install(&log);
    runtime.block_on(async {
        if timeout(TEST_LIMIT, test).await.is_err() {
            panic!("the test took longer than {TEST_LIMIT:?}");
        }
        server::expect_clean_ends().await;
    });
    log.expect_no_more_errors();
}

/// Waits for `future`, at most for [`LIMIT`].
#[track_caller]
pub fn within<F: Future>(what: &str, future: F) -> impl Future<Output = F::Output> {
    let caller = Location::caller();
    async move {
        match timeout(LIMIT, future).await {
            Ok(output) => output,
            Err(_) => panic!("at {caller}: waited {LIMIT:?} for {what}"),
        }
    }
}

/// Polls `condition` until it is true, at most for [`LIMIT`].
///
/// For conditions that no event reports.
#[track_caller]
pub fn eventually<W: Display, C: Fn() -> bool>(
    what: W,
    condition: C,
) -> impl Future<Output = ()> + use<W, C> {
    let caller = Location::caller();
    async move {
        let began = Instant::now();
        while !condition() {
            assert!(
                began.elapsed() < LIMIT,
                "at {caller}: waited {LIMIT:?} until {what}"
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}
