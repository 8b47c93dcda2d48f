//! What went over the connections of one case.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// The most bytes of one write or read that a trace shows.
const SHOWN: usize = 400;

/// The most lines that a trace keeps.
const LINES: usize = 400;

/// Collects the lines of one case. Clones are the same trace.
#[derive(Clone)]
pub(crate) struct Trace {
    lines: Arc<Mutex<Vec<String>>>,
    began: Instant,
}

impl Trace {
    pub(crate) fn new() -> Self {
        Self {
            lines: Arc::default(),
            began: Instant::now(),
        }
    }

    /// Adds a line with the time since the case began.
    pub(crate) fn line(&self, line: impl AsRef<str>) {
        let time = self.began.elapsed().as_millis();
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() < LINES {
            lines.push(format!("{time:>5} ms  {}", line.as_ref()));
        }
    }

    /// Adds bytes that went in one direction.
    pub(crate) fn bytes(&self, direction: &str, bytes: &[u8]) {
        let shown = &bytes[..bytes.len().min(SHOWN)];
        let more = bytes.len() - shown.len();
        let more = if more == 0 {
            String::new()
        } else {
            format!(" … and {more} bytes")
        };
        self.line(format!("{direction} {}{more}", shown.escape_ascii()));
    }

    /// Returns all lines.
    pub(crate) fn take(&self) -> Vec<String> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *lines)
    }
}
