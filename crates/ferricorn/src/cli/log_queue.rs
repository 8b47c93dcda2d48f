//! A bounded queue of log lines, and the thread that writes them.
//!
//! A write to a pipe blocks when its reader stops reading, and a write to a disk may take seconds. So
//! no serving thread writes a log itself. It adds its line to a [`LogQueue`], and the queue's thread
//! writes the lines in order. If the queue is full, it drops lines and counts them. A report says how
//! many, at the place in the log where they are missing.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use super::value::show_size;

/// How much the thread takes out of the queue for one write, in bytes. A pipe of Linux holds as much.
const WRITE_SIZE: usize = 64 * 1024;

/// A queue of log lines for one output.
#[derive(Debug)]
pub(super) struct LogQueue {
    /// What a report calls the lines.
    lines: &'static str,
    /// The most bytes that wait.
    limit: usize,
    /// Where a report about dropped lines goes; `None` if it goes to this output.
    reports_to: Option<Arc<Self>>,
    state: Mutex<LogState>,
    /// Notified when there is something to write and the thread is idle.
    has_work: Condvar,
    /// Notified when the thread has become idle.
    became_idle: Condvar,
}

#[derive(Debug, Default)]
struct LogState {
    /// Whole lines.
    waiting: VecDeque<u8>,
    /// How many lines were dropped after those that wait.
    dropped: u64,
    /// Whether the thread has nothing to write.
    is_idle: bool,
}

impl LogQueue {
    /// Makes a queue and starts the thread that writes to `output`.
    ///
    /// # Errors
    ///
    /// The descriptor cannot be duplicated, or the thread cannot start.
    pub(super) fn start(
        lines: &'static str,
        output: impl AsFd,
        limit: usize,
        reports_to: Option<Arc<Self>>,
    ) -> io::Result<Arc<Self>> {
        let queue = Arc::new(Self {
            lines,
            limit,
            reports_to,
            state: Mutex::default(),
            has_work: Condvar::new(),
            became_idle: Condvar::new(),
        });
        // Not `io::stderr()` itself: while a write blocks, its lock would block every `eprintln!`.
        let output = File::from(output.as_fd().try_clone_to_owned()?);
        let writes = Arc::clone(&queue);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || writes.write_lines(output))?;
        Ok(queue)
    }

    /// Adds a line, or drops it if the queue is full. Never waits for the output.
    pub(super) fn push(&self, line: &[u8]) {
        let mut state = self.lock();
        // After a drop, a short line could find room that a long one did not. Half of the room must be
        // free before lines go on, so that there is one report and not hundreds.
        if state.dropped != 0 && state.waiting.len() <= self.limit / 2 {
            let dropped = std::mem::take(&mut state.dropped);
            state.waiting.extend(self.report(dropped));
        }
        if state.dropped != 0 || state.waiting.len() + line.len() > self.limit {
            state.dropped += 1;
            return;
        }
        state.waiting.extend(line);
        self.wake(&mut state);
    }

    /// Waits until all lines are written, at most for `limit`.
    pub(super) fn flush(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut state = self.lock();
        while !state.is_idle || state.has_work() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.became_idle.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Writes lines for as long as the process lives.
    fn write_lines(&self, mut output: File) {
        let mut batch = Vec::with_capacity(WRITE_SIZE);
        // Lines that a failed write has lost.
        let mut lost = 0;
        loop {
            batch.clear();
            let mut state = self.lock();
            while !state.has_work() {
                state.is_idle = true;
                self.became_idle.notify_all();
                let waited = self.has_work.wait(state);
                state = waited.unwrap_or_else(PoisonError::into_inner);
            }
            state.is_idle = false;
            state.take_lines(&mut batch);
            if state.waiting.is_empty() {
                lost += std::mem::take(&mut state.dropped);
            }
            drop(state);
            if let Err(unwritten) = write_all(&mut output, &batch) {
                let unwritten = &batch[batch.len() - unwritten..];
                lost += unwritten.iter().filter(|byte| **byte == b'\n').count() as u64;
            } else if lost != 0 {
                let report = self.report(lost);
                if write_all(&mut output, &report).is_ok() {
                    lost = 0;
                }
            }
        }
    }

    /// The line about dropped lines, for this output. It is empty if it goes to another output.
    fn report(&self, dropped: u64) -> Vec<u8> {
        let mut line = String::new();
        // Writing to a `String` does not fail.
        let _ = SystemTime.format_time(&mut Writer::new(&mut line));
        line.push_str(&format!(
            "  WARN ferricorn: {dropped} {} were dropped: they came faster than they were written, or a \
             write failed (--log-buffer {})\n",
            self.lines,
            show_size(self.limit)
        ));
        match &self.reports_to {
            Some(other) => {
                other.push(line.as_bytes());
                Vec::new()
            }
            None => line.into_bytes(),
        }
    }

    fn wake(&self, state: &mut LogState) {
        if std::mem::take(&mut state.is_idle) {
            self.has_work.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, LogState> {
        // Nothing panics while it is locked, unless memory runs out.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Each write is one event with its line, or with its lines.
impl Write for &LogQueue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl LogState {
    fn has_work(&self) -> bool {
        !self.waiting.is_empty() || self.dropped != 0
    }

    /// Moves as many whole lines as one write takes, and at least one.
    fn take_lines(&mut self, batch: &mut Vec<u8>) {
        let first = self.waiting.len().min(WRITE_SIZE);
        let is_end = |at: &usize| self.waiting[*at] == b'\n';
        let end = (0..first).rev().find(is_end);
        let end = end.or_else(|| (first..self.waiting.len()).find(is_end));
        let count = end.map_or(self.waiting.len(), |at| at + 1);
        let (front, back) = self.waiting.as_slices();
        let from_front = count.min(front.len());
        batch.extend_from_slice(&front[..from_front]);
        batch.extend_from_slice(&back[..count - from_front]);
        self.waiting.drain(..count);
        if self.waiting.is_empty() {
            // A burst does not keep its memory.
            self.waiting.shrink_to(WRITE_SIZE);
        }
    }
}

/// Writes all bytes. The error is the number of bytes that were not written.
fn write_all(output: &mut File, bytes: &[u8]) -> Result<(), usize> {
    let mut rest = bytes;
    while !rest.is_empty() {
        match output.write(rest) {
            Ok(0) => return Err(rest.len()),
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Another process that shares the output has made it non-blocking.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if wait_for_room(output.as_fd()).is_err() {
                    return Err(rest.len());
                }
            }
            Err(_) => return Err(rest.len()),
        }
    }
    Ok(())
}

fn wait_for_room(output: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let mut waits = [PollFd::from_borrowed_fd(output, PollFlags::OUT)];
    match poll(&mut waits, None) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    const LIMIT: Duration = Duration::from_secs(10);
    /// More than a pipe and one batch of the thread hold.
    const MANY: usize = 100_000;

    /// The line with this number.
    fn line(number: usize) -> String {
        format!("{number:>15}\n")
    }

    #[test]
    fn lines_come_out_in_order_and_a_report_says_how_many_are_missing_where() {
        let (reader, writer) = io::pipe().unwrap();
        let queue = LogQueue::start("log lines", &writer, 256 * 1024, None).unwrap();
        for number in 0..MANY {
            queue.push(line(number).as_bytes());
        }
        let output = thread::spawn(|| {
            let mut text = Vec::new();
            let mut reader = reader;
            let mut part = [0; 4096];
            while !text.ends_with(b"last\n") {
                let count = reader.read(&mut part).unwrap();
                text.extend_from_slice(&part[..count]);
            }
            String::from_utf8(text).unwrap()
        });
        queue.flush(LIMIT);
        queue.push(b"last\n");
        let text = output.join().unwrap();
        let mut next = 0;
        let mut dropped = 0;
        for found in text.lines() {
            if let Some((before, _)) = found.split_once(" log lines were dropped") {
                let (_, count) = before.rsplit_once(' ').unwrap();
                dropped += count.parse::<usize>().unwrap();
                next += count.parse::<usize>().unwrap();
            } else if found == "last" {
                assert_eq!(next, MANY);
            } else {
                assert_eq!(found.trim_start(), next.to_string());
                next += 1;
            }
        }
        assert!(dropped > MANY / 2, "{dropped}");
    }

    #[test]
    fn a_flush_without_a_reader_gives_up_after_its_limit() {
        let (_reader, writer) = io::pipe().unwrap();
        let queue = LogQueue::start("log lines", &writer, 1 << 20, None).unwrap();
        for number in 0..MANY {
            queue.push(line(number).as_bytes());
        }
        let began = Instant::now();
        queue.flush(Duration::from_millis(50));
        assert!(began.elapsed() >= Duration::from_millis(50));
        assert!(began.elapsed() < LIMIT);
    }

    #[test]
    fn lines_without_a_reader_are_lost_and_the_thread_goes_on() {
        let (reader, writer) = io::pipe().unwrap();
        let queue = LogQueue::start("log lines", &writer, 1 << 20, None).unwrap();
        drop(reader);
        for number in 0..3 {
            queue.push(line(number).as_bytes());
            queue.flush(LIMIT);
        }
        let state = queue.lock();
        assert!(state.is_idle && !state.has_work());
    }

    #[test]
    fn the_report_about_one_log_can_go_to_another() {
        let (mut reports, writer) = io::pipe().unwrap();
        let log = LogQueue::start("log lines", &writer, 1 << 20, None).unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        let lines = "lines of the access log";
        let access = LogQueue::start(lines, &writer, 64 * 1024, Some(Arc::clone(&log))).unwrap();
        for number in 0..MANY {
            access.push(line(number).as_bytes());
        }
        // The threads of the queues never end, so this pipe has no end either.
        thread::spawn(move || {
            let mut part = [0; 4096];
            while reader.read(&mut part).is_ok_and(|count| count != 0) {}
        });
        access.flush(LIMIT);
        log.flush(LIMIT);
        let mut part = [0; 512];
        let count = reports.read(&mut part).unwrap();
        let text = String::from_utf8_lossy(&part[..count]);
        assert!(
            text.contains(" lines of the access log were dropped: "),
            "{text}"
        );
    }
}
