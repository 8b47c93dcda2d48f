//! Backtraces of the library's panics, if RUST_BACKTRACE asks for them.
//!
//! The frames of a backtrace are collected in microseconds. Their names take up to half a second,
//! because the debug information must be read. So a thread of its own finds the names and logs them,
//! and the thread of the server that has panicked goes on.
//!
//! A client that finds a panic can repeat it. So only some panics have a backtrace, see [`PER_MINUTE`].
//! The server does the same for apps that are linked in.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::log;
use crate::abi;

/// How many backtraces are made in a minute.
///
/// One is enough to find a fault, and ten leave room for several faults. Each has up to 30 KB, so this
/// is at most 300 KB of log in a minute.
const PER_MINUTE: u32 = 10;

static RECENT: Mutex<RecentBacktraces> = Mutex::new(RecentBacktraces {
    minute: None,
    made: 0,
    left_out: 0,
    naming: 0,
});

/// Logs the backtrace of the panic at `place` on this thread, unless there were too many.
pub(super) fn log_backtrace(host: &'static abi::Host, target: &'static str, place: &str) {
    if !is_wanted() {
        return;
    }
    let Some(left_out) = recent().begin(Instant::now()) else {
        return;
    };
    let frames = Backtrace::capture();
    if frames.status() != BacktraceStatus::Captured {
        return;
    }
    let exchange = log::current_exchange();
    let place = place.to_owned();
    let log = move || {
        let naming = FindingNames::begin();
        let frames = frames.to_string();
        drop(naming);
        let note = match left_out {
            0 => String::new(),
            left_out => format!(" ({left_out} since the last one were left out)"),
        };
        let text = format!("backtrace of the panic at {place}{note}:\n{frames}");
        log::with_exchange(exchange, || log::line(host, abi::LOG_ERROR, target, &text));
    };
    let thread = thread::Builder::new().name("backtrace".to_owned());
    if let Err(error) = thread.spawn(log) {
        let text = format!("a backtrace is missing, because its thread cannot start: {error}");
        log::line(host, abi::LOG_ERROR, target, &text);
    }
}

/// A thread finds names while this exists.
struct FindingNames(());

impl FindingNames {
    fn begin() -> Self {
        recent().naming += 1;
        Self(())
    }
}

impl Drop for FindingNames {
    fn drop(&mut self) {
        recent().naming -= 1;
    }
}

/// Whether RUST_BACKTRACE asks for backtraces. The standard library also reads it only once.
fn is_wanted() -> bool {
    static IS_WANTED: OnceLock<bool> = OnceLock::new();
    *IS_WANTED.get_or_init(|| {
        let variable = std::env::var_os("RUST_LIB_BACKTRACE");
        let variable = variable.or_else(|| std::env::var_os("RUST_BACKTRACE"));
        variable.is_some_and(|value| value != "0")
    })
}

fn recent() -> MutexGuard<'static, RecentBacktraces> {
    RECENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Decides which panics have a backtrace.
struct RecentBacktraces {
    /// When the current minute began.
    minute: Option<Instant>,
    /// How many were made in this minute.
    made: u32,
    /// How many were left out since the last one.
    left_out: u64,
    /// How many threads find names. Meanwhile they hold a lock of the standard library, and a thread
    /// that collects frames would wait for that lock.
    naming: u32,
}

impl RecentBacktraces {
    /// Allows one backtrace, and returns how many were left out before it. `None` if it is left out.
    fn begin(&mut self, now: Instant) -> Option<u64> {
        let is_new = |began| now.saturating_duration_since(began) >= Duration::from_secs(60);
        if self.minute.is_none_or(is_new) {
            self.minute = Some(now);
            self.made = 0;
        }
        if self.naming != 0 || self.made == PER_MINUTE {
            self.left_out += 1;
            return None;
        }
        self.made += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}
