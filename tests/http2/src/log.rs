//! A record of the frames that were sent and received, for the message of a script that fails.

use std::collections::VecDeque;
use std::fmt;
use std::time::Instant;

/// How many lines it keeps. That is enough to understand a flood.
const MOST: usize = 300;

/// The last lines of the record.
#[derive(Debug)]
pub(crate) struct Log {
    began: Instant,
    lines: VecDeque<String>,
    dropped: usize,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            lines: VecDeque::new(),
            dropped: 0,
        }
    }

    pub(crate) fn add(&mut self, line: fmt::Arguments<'_>) {
        if self.lines.len() == MOST {
            self.lines.pop_front();
            self.dropped += 1;
        }
        let at = self.began.elapsed().as_secs_f64();
        self.lines.push_back(format!("{at:8.4} {line}"));
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.dropped != 0 {
            writeln!(f, "... {} lines are left out", self.dropped)?;
        }
        for line in &self.lines {
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}
