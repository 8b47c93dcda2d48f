//! What the scripts are written in, beside the peer: a server, its apps and its log.

pub mod app;
pub mod log;
pub mod server;

pub use self::app::{Http, http, http_with};
pub use self::server::Server;

use std::time::{Duration, Instant};

use http2::LIMIT;

/// Waits until `condition` is true: for what nothing tells of.
#[track_caller]
pub fn eventually(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < LIMIT, "waited {LIMIT:?} until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The next thing that an app tells its test.
#[track_caller]
pub fn told<T>(tells: &std::sync::mpsc::Receiver<T>) -> T {
    match tells.recv_timeout(LIMIT) {
        Ok(what) => what,
        Err(error) => panic!("the app told nothing: {error}"),
    }
}
