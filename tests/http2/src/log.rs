//! What went over the wire, for the message of a script that fails.

use std::collections::VecDeque;
use std::fmt;
use std::time::Instant;

/// How many lines are kept: a flood needs no more to be understood.
const MOST: usize = 300;

/// What went over the wire, the last of it.
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
            writeln!(f, "... {} lines before these", self.dropped)?;
        }
        for line in &self.lines {
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}
