//! Backtraces of panics, if RUST_BACKTRACE asks for them.
//!
//! The frames of a backtrace are collected in microseconds. Their names take up to half a second,
//! because the debug information must be read. So a thread of its own finds the names and logs them,
//! while the thread that has panicked goes on.
//!
//! A client that finds a panic can repeat it. So only some panics have a backtrace, see [`PER_MINUTE`].

use std::backtrace::{Backtrace, BacktraceStatus};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tracing::error;

/// How many backtraces are made in a minute.
///
/// One is enough to find a fault, and ten leave room for several faults. Each has up to 30 KB, so this
/// is at most 300 KB of log in a minute.
const PER_MINUTE: u32 = 10;

static BUDGET: Mutex<BacktraceBudget> = Mutex::new(BacktraceBudget::new());

/// The frames of a panic, which are not in the log yet.
#[derive(Debug)]
pub(crate) struct CapturedBacktrace {
    frames: Backtrace,
    left_out: u64,
}

impl CapturedBacktrace {
    /// Collects the frames of this thread, if RUST_BACKTRACE asks for it and the budget allows it.
    pub(crate) fn new() -> Option<Self> {
        if !is_wanted() {
            return None;
        }
        let left_out = budget().begin(Instant::now())?;
        let frames = Backtrace::capture();
        let is_captured = frames.status() == BacktraceStatus::Captured;
        is_captured.then_some(Self { frames, left_out })
    }

    /// Logs the backtrace of the panic at `place`, from a thread of its own.
    pub(crate) fn log(self, place: String, exchange: Option<u64>) {
        let log = move || {
            budget().naming += 1;
            let frames = self.frames.to_string();
            budget().naming -= 1;
            let note = match self.left_out {
                0 => String::new(),
                left_out => format!(" ({left_out} since the last one were left out)"),
            };
            error!(
                exchange,
                "backtrace of the panic at {place}{note}:\n{frames}"
            );
        };
        let thread = thread::Builder::new().name("backtrace".to_owned());
        if let Err(error) = thread.spawn(log) {
            error!("a backtrace is missing, because its thread cannot start: {error}");
        }
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

fn budget() -> MutexGuard<'static, BacktraceBudget> {
    BUDGET.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Decides which panics have a backtrace.
#[derive(Debug)]
struct BacktraceBudget {
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

impl BacktraceBudget {
    const fn new() -> Self {
        Self {
            minute: None,
            made: 0,
            left_out: 0,
            naming: 0,
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_ten_backtraces_and_the_next_one_counts_those_left_out() {
        let mut budget = BacktraceBudget::new();
        let now = Instant::now();
        for _ in 0..PER_MINUTE {
            assert_eq!(budget.begin(now), Some(0));
        }
        let later = now + Duration::from_secs(59);
        assert_eq!(budget.begin(later), None);
        assert_eq!(budget.begin(later), None);
        let next = now + Duration::from_secs(60);
        assert_eq!(budget.begin(next), Some(2));
        assert_eq!(budget.begin(next), Some(0));
    }

    #[test]
    fn no_backtrace_is_made_while_another_gets_its_names() {
        let mut budget = BacktraceBudget::new();
        let now = Instant::now();
        budget.naming += 1;
        assert_eq!(budget.begin(now), None);
        budget.naming -= 1;
        assert_eq!(budget.begin(now), Some(1));
    }
}
