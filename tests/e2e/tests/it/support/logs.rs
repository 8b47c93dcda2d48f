//! What is logged in a test.

use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

/// One event of the log.
#[derive(Debug, Clone)]
pub struct Line {
    pub level: Level,
    /// The message, then the fields, as `name=value`.
    pub text: String,
    expected: bool,
}

impl Line {
    fn is_unexpected_error(&self) -> bool {
        self.level == Level::ERROR && !self.expected
    }
}

type Lines = Arc<Mutex<Vec<Line>>>;

thread_local! {
    static LINES: RefCell<Lines> = RefCell::default();
}

/// Captures what this thread logs, for as long as it lives.
pub struct Logs {
    _guard: DefaultGuard,
}

impl Logs {
    pub fn install() -> Self {
        let lines = Lines::default();
        LINES.set(Arc::clone(&lines));
        let layer = Capture(lines);
        let subscriber = tracing_subscriber::registry().with(layer);
        Self {
            _guard: tracing::subscriber::set_default(subscriber),
        }
    }

    #[track_caller]
    pub fn all_errors_were_expected(&self) {
        let unexpected = unexpected_errors();
        assert!(unexpected.is_empty(), "logged as errors: {unexpected:#?}");
    }
}

/// The errors that no test has expected yet.
pub fn unexpected_errors() -> Vec<Line> {
    let lines = LINES.with_borrow(Arc::clone);
    let lines = lines.lock().unwrap();
    lines
        .iter()
        .filter(|line| line.is_unexpected_error())
        .cloned()
        .collect()
}

/// Exactly one error was logged since the last call, and it says all of `words`.
#[track_caller]
pub fn expect_error(words: &[&str]) {
    let lines = LINES.with_borrow(Arc::clone);
    let mut lines = lines.lock().unwrap();
    let errors: Vec<&mut Line> = lines
        .iter_mut()
        .filter(|line| line.is_unexpected_error())
        .collect();
    let [line] = errors.try_into().unwrap_or_else(|errors: Vec<_>| {
        panic!("expected one error that says {words:?}, got {errors:#?}")
    });
    for word in words {
        assert!(line.text.contains(word), "no {word:?} in {line:?}");
    }
    line.expected = true;
}

/// A warning was logged that says all of `words`.
#[track_caller]
pub fn expect_warning(words: &[&str]) {
    expect_line(Level::WARN, words);
}

/// A line at info was logged that says all of `words`.
#[track_caller]
pub fn expect_info(words: &[&str]) {
    expect_line(Level::INFO, words);
}

#[track_caller]
fn expect_line(level: Level, words: &[&str]) {
    let lines = at_level(level);
    let said = |line: &Line| words.iter().all(|word| line.text.contains(word));
    assert!(lines.iter().any(said), "no {words:?} in {lines:#?}");
}

/// Whether a line at info says this.
pub fn has_info(word: &str) -> bool {
    at_level(Level::INFO)
        .iter()
        .any(|line| line.text.contains(word))
}

#[track_caller]
pub fn expect_no_warnings() {
    let lines = at_level(Level::WARN);
    assert!(lines.is_empty(), "{lines:#?}");
}

pub fn at_level(level: Level) -> Vec<Line> {
    let lines = LINES.with_borrow(Arc::clone);
    let lines = lines.lock().unwrap();
    let lines = lines.iter().filter(|line| line.level == level);
    lines.cloned().collect()
}

struct Capture(Lines);

impl<S: Subscriber> Layer<S> for Capture {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        self.0.lock().unwrap().push(Line {
            level: *event.metadata().level(),
            text: text.message + &text.fields,
            expected: false,
        });
    }
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
        written.expect("a string takes everything");
    }
}
