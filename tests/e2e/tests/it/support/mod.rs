//! What the tests are written in: a server, clients, apps and the log.

pub mod app;
pub mod certificates;
pub mod hyper_client;
pub mod library;
pub mod logs;
pub mod peer;
pub mod raw;
pub mod server;
pub mod tls_client;

use std::panic::Location;
use std::time::Duration;

use tokio::time::{Instant, timeout};

pub use self::app::{Http, WebSocket, WithLifespan, http, http_with, websocket, websocket_with};
pub use self::raw::Client;
pub use self::server::Server;

/// How long one step may take. Only a failing test waits for so long.
pub const LIMIT: Duration = Duration::from_secs(10);

/// How long a whole test may take.
const TEST_LIMIT: Duration = Duration::from_secs(60);

/// Runs a test on a runtime of its own, on this thread, with a log of its own.
///
/// After it each of its servers has to end cleanly, and what was logged as an error has to be what
/// the test expected with [`logs::expect_error`].
#[track_caller]
pub fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let logs = logs::Logs::install();
    runtime.block_on(async {
        if timeout(TEST_LIMIT, test).await.is_err() {
            panic!("the test took longer than {TEST_LIMIT:?}");
        }
        server::all_end_cleanly().await;
    });
    logs.all_errors_were_expected();
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

/// Waits until `condition` is true, at most for [`LIMIT`]: for what nothing tells of.
#[track_caller]
pub fn eventually(what: &str, condition: impl Fn() -> bool) -> impl Future<Output = ()> {
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
