//! Captures what a server logs, so that a test can check it.
//!
//! A [`Log`] holds the lines. The free functions use the log of the current thread, which
//! [`install`] sets.

use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard};

use tracing::field::{Field, Visit};
use tracing::subscriber::DefaultGuard;
use tracing::{Dispatch, Event, Level, Metadata, Subscriber, span};

/// One event of the log.
#[derive(Debug, Clone)]
pub struct Line {
    /// The event's level.
    pub level: Level,
    /// The event's target, such as `ferricorn::access`.
    pub target: &'static str,
    /// The message, then the fields as `name=value`.
    pub text: String,
    expected: bool,
}

impl Line {
    fn is_unexpected_error(&self) -> bool {
        self.level == Level::ERROR && !self.expected
    }

    #[track_caller]
    fn expect(&mut self, words: &[&str]) {
        for word in words {
            assert!(self.text.contains(word), "no {word:?} in {self:?}");
        }
        self.expected = true;
    }
}

/// The log of one server or of one test. Clones share their lines.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<Vec<Line>>>);

impl Log {
    /// All lines so far for which `wanted` is true.
    pub fn lines(&self, wanted: impl Fn(&Line) -> bool) -> Vec<Line> {
        let lines = self.lock();
        lines.iter().filter(|line| wanted(line)).cloned().collect()
    }

    /// The errors that the test has not expected so far.
    pub fn unexpected_errors(&self) -> Vec<Line> {
        self.lines(Line::is_unexpected_error)
    }

    /// Checks that there is exactly one unexpected error, and that it contains all of `words`.
    #[track_caller]
    pub fn expect_error(&self, words: &[&str]) {
        let mut lines = self.lock();
        let errors: Vec<&mut Line> = lines
            .iter_mut()
            .filter(|line| line.is_unexpected_error())
            .collect();
        let [line] = errors.try_into().unwrap_or_else(|errors: Vec<_>| {
            panic!("expected one error that contains {words:?}, got {errors:#?}")
        });
        line.expect(words);
    }

    /// Checks that the first unexpected error contains all of `words`. There can be more errors.
    #[track_caller]
    pub fn expect_next_error(&self, words: &[&str]) {
        let mut lines = self.lock();
        let error = lines.iter_mut().find(|line| line.is_unexpected_error());
        error.expect("there is an error").expect(words);
    }

    /// Checks that the test has expected all errors.
    #[track_caller]
    pub fn expect_no_more_errors(&self) {
        let unexpected = self.unexpected_errors();
        assert!(unexpected.is_empty(), "unexpected errors: {unexpected:#?}");
    }

    /// The lines of the access log, without the client and the time.
    pub fn accesses(&self) -> Vec<String> {
        self.lines(|line| line.target == "ferricorn::access")
            .iter()
            .map(|Line { text, .. }| {
                let from = text.find('"').unwrap_or(0);
                let to = text.rfind(' ').unwrap_or(text.len());
                text[from..to].to_owned()
            })
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Line>> {
        self.0.lock().unwrap()
    }
}

thread_local! {
    static INSTALLED: RefCell<Option<(Log, DefaultGuard)>> = const { RefCell::new(None) };
}

/// Sends what the current thread logs to `log`, in place of the log before.
pub fn install(log: &Log) {
    // A guard restores the dispatcher before it, so the old guard is dropped first.
    drop(INSTALLED.take());
    let dispatch = Dispatch::new(Capture(log.clone()));
    let guard = tracing::dispatcher::set_default(&dispatch);
    INSTALLED.set(Some((log.clone(), guard)));
}

fn current() -> Log {
    INSTALLED.with_borrow(|installed| {
        let (log, _) = installed.as_ref().expect("the test runs in `run`");
        log.clone()
    })
}

/// [`Log::unexpected_errors`] of the current thread's log.
pub fn unexpected_errors() -> Vec<Line> {
    current().unexpected_errors()
}

/// [`Log::expect_error`] of the current thread's log.
#[track_caller]
pub fn expect_error(words: &[&str]) {
    current().expect_error(words);
}

/// Checks that the log has a warning that contains all of `words`.
#[track_caller]
pub fn expect_warning(words: &[&str]) {
    expect_line(Level::WARN, words);
}

/// Checks that the log has a line at level info that contains all of `words`.
#[track_caller]
pub fn expect_info(words: &[&str]) {
    expect_line(Level::INFO, words);
}

#[track_caller]
fn expect_line(level: Level, words: &[&str]) {
    let lines = at_level(level);
    let matches = |line: &Line| words.iter().all(|word| line.text.contains(word));
    assert!(lines.iter().any(matches), "no {words:?} in {lines:#?}");
}

/// Whether a line at level info contains `word`.
pub fn has_info(word: &str) -> bool {
    let lines = at_level(Level::INFO);
    lines.iter().any(|line| line.text.contains(word))
}

/// [`Log::accesses`] of the current thread's log.
pub fn accesses() -> Vec<String> {
    current().accesses()
}

/// Checks that the log has no warnings.
#[track_caller]
pub fn expect_no_warnings() {
    let lines = at_level(Level::WARN);
    assert!(lines.is_empty(), "{lines:#?}");
}

/// The lines at exactly this level.
pub fn at_level(level: Level) -> Vec<Line> {
    current().lines(|line| line.level == level)
}

/// Records events and ignores spans.
struct Capture(Log);

impl Subscriber for Capture {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // h2 logs every frame, and no test checks that.
        !metadata.target().starts_with("h2")
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        self.0.lock().push(Line {
            level: *event.metadata().level(),
            target: event.metadata().target(),
            text: text.message + &text.fields,
            expected: false,
        });
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let written = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
        written.expect("writing to a string does not fail");
    }
}
