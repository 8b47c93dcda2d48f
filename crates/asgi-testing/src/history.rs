//! What happened in one exchange, in order.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::wake::lock;

/// Everything that the client and the app did in one exchange, in order.
///
/// Its text has one line for each event: a number, the time since the exchange began, who did it,
/// and what. Bodies and headers are shortened. The times are real time, also if the clock of the
/// runtime is paused. Equal events in a row are counted in one line. A history keeps its first 500
/// lines and its last 500.
///
/// A clone refers to the same history. It still grows if a task of the app does something after the
/// end of the exchange.
///
/// ```text
/// history of POST /echo:
///   1  0.000 s  client  sends POST /echo HTTP/1.1 with a body: 2 bytes "hi"
///   2  0.000 s  app     receives http.request: 2 bytes "hi", the last part
///   3  0.000 s  app     sends http.response.start: 200
///   4  0.000 s  app     sends http.response.body: 2 bytes "hi", the last part
///   5  0.000 s  client  receives the whole response: 200, 2 bytes "hi"
///   6  0.000 s  app     returns
/// ```
#[derive(Clone)]
pub struct History(Arc<Mutex<HistoryLog>>);

/// How many entries stay at the beginning, and how many at the end.
const KEPT: usize = 500;

struct HistoryLog {
    title: String,
    began: Instant,
    first: Vec<HistoryEntry>,
    last: VecDeque<HistoryEntry>,
    left_out: usize,
}

struct HistoryEntry {
    at: Duration,
    who: Actor,
    text: String,
    /// How often it happened in a row.
    count: usize,
}

/// Who did something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Actor {
    Client,
    App,
}

impl Actor {
    fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::App => "app",
        }
    }
}

impl History {
    pub(crate) fn new(title: String) -> Self {
        Self(Arc::new(Mutex::new(HistoryLog {
            title,
            began: Instant::now(),
            first: Vec::new(),
            last: VecDeque::new(),
            left_out: 0,
        })))
    }

    pub(crate) fn add(&self, who: Actor, text: String) {
        let text = on_one_line(text);
        let log = &mut *lock(&self.0);
        let previous = log.last.back_mut().or_else(|| log.first.last_mut());
        if let Some(previous) = previous
            && previous.who == who
            && previous.text == text
        {
            previous.count += 1;
            return;
        }
        let at = log.began.elapsed();
        let count = 1;
        let entry = HistoryEntry {
            at,
            who,
            text,
            count,
        };
        if log.first.len() < KEPT {
            log.first.push(entry);
            return;
        }
        if log.last.len() == KEPT {
            log.last.pop_front();
            log.left_out += 1;
        }
        log.last.push_back(entry);
    }

    /// Returns what happened without the numbers and the times, such as
    /// `app sends http.response.start: 200`.
    ///
    /// A test can compare this with what it expects.
    pub fn events(&self) -> Vec<String> {
        let log = lock(&self.0);
        let entries = log.first.iter().chain(&log.last);
        entries
            .map(|entry| format!("{} {}", entry.who.name(), CountedEntry(entry)))
            .collect()
    }
}

/// The text of an error or a panic can have several lines.
fn on_one_line(text: String) -> String {
    if !text.contains('\n') {
        return text;
    }
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines.join(" ")
}

/// The text of an entry, and how often it happened.
struct CountedEntry<'a>(&'a HistoryEntry);

impl fmt::Display for CountedEntry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)?;
        match self.0.count {
            1 => Ok(()),
            count => write!(f, " ({count} times)"),
        }
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let log = lock(&self.0);
        write!(f, "history of {}:", log.title)?;
        let total = log.first.len() + log.left_out + log.last.len();
        let width = total.to_string().len();
        let mut number = 0;
        for entry in log.first.iter().chain(&log.last) {
            if number == KEPT && log.left_out > 0 {
                write!(f, "\n  ... {} lines are left out", log.left_out)?;
                number += log.left_out;
            }
            number += 1;
            let seconds = entry.at.as_secs_f64();
            let who = entry.who.name();
            write!(
                f,
                "\n  {number:>width$}  {seconds:.3} s  {who:<6}  {}",
                CountedEntry(entry)
            )?;
        }
        Ok(())
    }
}

/// The same text as `Display`, because a test prints it if it fails.
impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
