//! Failures: what a test prints if its app misbehaves.

use std::fmt;
use std::future::poll_fn;
use std::io::Write as _;
use std::panic::Location;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use asgi::AppError;

use crate::alarm::Alarm;
use crate::history::Actor;
use crate::record::CallRecord;

/// How long a test waits for an app that does nothing, in real time.
pub(crate) const DEFAULT_LIMIT: Duration = Duration::from_secs(10);

/// How long the tasks of an app may go on after the app has returned, in real time.
const TASK_GRACE: Duration = Duration::from_secs(1);

/// What a client does about apps that misbehave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checks {
    /// How long an app may do nothing while the test waits for it.
    pub(crate) limit: Duration,
    /// The test looks at the faults of the app itself.
    pub(crate) allows_faults: bool,
}

impl Default for Checks {
    fn default() -> Self {
        Self {
            limit: DEFAULT_LIMIT,
            allows_faults: false,
        }
    }
}

/// One wait of a test: the exchange that it waits for, and the line of the test.
#[derive(Clone)]
pub(crate) struct Waiter {
    pub(crate) record: CallRecord,
    pub(crate) checks: Checks,
    pub(crate) caller: &'static Location<'static>,
}

impl Waiter {
    /// Polls until there is a result. Panics if the app does nothing for the time limit.
    pub(crate) async fn wait<T>(
        &self,
        what: &str,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> T {
        let began = Instant::now();
        let mut alarm = Alarm::default();
        poll_fn(|cx| {
            if let Poll::Ready(result) = poll(cx) {
                return Poll::Ready(result);
            }
            let due = began.max(self.record.progress()) + self.checks.limit;
            if due <= Instant::now() {
                let waits = self.record.with(|state| state.waits());
                let limit = self.checks.limit.as_secs_f64();
                self.fail(format_args!(
                    "the app is stuck: after {limit} s, the test still waits for {what}, and the app {waits}"
                ));
            }
            alarm.wake_at(due, cx);
            Poll::Pending
        })
        .await
    }

    /// Checks an exchange after the app has ended: what the client could not see of its faults, and
    /// the tasks that it left running.
    ///
    /// Waits a moment for tasks that still have a half of the exchange, because they learn now that
    /// it is over.
    pub(crate) async fn check_end(&self, seen: Seen) {
        if self.checks.allows_faults {
            return;
        }
        let due = Instant::now() + self.checks.limit.min(TASK_GRACE);
        let mut alarm = Alarm::default();
        poll_fn(|cx| {
            if self.record.poll_halves_dropped(cx).is_ready() || due <= Instant::now() {
                return Poll::Ready(());
            }
            alarm.wake_at(due, cx);
            Poll::Pending
        })
        .await;
        let (misuse, held) = self
            .record
            .with(|state| (state.misuse.first().cloned(), state.held_halves()));
        let broken_rule = misuse.map(|misuse| format!("the app broke a rule: {misuse}"));
        let silent_fault = match seen {
            Seen::Success => broken_rule,
            Seen::NothingOf(fault) => broken_rule.or(Some(fault)),
            Seen::Failure => None,
        };
        if let Some(fault) = silent_fault {
            self.fail(format_args!("{fault}"));
        }
        if let Some(held) = held {
            self.fail(format_args!(
                "the app left a task running: it has returned, and something still holds its {held}"
            ));
        }
    }

    /// Writes down that the app has returned.
    pub(crate) fn note_return(&self, result: &Result<(), AppError>) {
        self.record.change(|state| state.app_ended = true);
        let text = match result {
            Ok(()) => String::from("returns"),
            Err(error) => format!("returns an error: {}", error.chain()),
        };
        self.record.note(Actor::App, text);
    }

    /// Writes down that the app has panicked. Then the test panics too, unless it allows faults.
    pub(crate) fn note_panic(&self, text: &str) {
        self.record.change(|state| state.app_ended = true);
        self.record.note(Actor::App, format!("panics: {text}"));
        if !self.checks.allows_faults {
            self.fail(format_args!("the app panicked: {text}"));
        }
    }

    /// Runs one poll of the app. If the app blocks the thread, nothing can end it. Then this prints a
    /// report to the standard error after the limit, and goes on to wait.
    pub(crate) fn watch_poll<T>(&self, poll: impl FnOnce() -> T) -> T {
        let mut alarm = Alarm::default();
        let waiter = self.clone();
        alarm.call_at(Instant::now() + self.checks.limit, move || {
            let limit = waiter.checks.limit.as_secs_f64();
            let headline =
                format_args!("the app has blocked its thread for {limit} s, and still does");
            // Not `eprintln`, whose output the test harness keeps until the test has ended.
            let _ = writeln!(std::io::stderr(), "{}", waiter.report(headline));
        });
        poll()
    }

    /// Ends the test with a failure.
    pub(crate) fn fail(&self, headline: fmt::Arguments<'_>) -> ! {
        panic!("{}", self.report(headline));
    }

    fn report(&self, headline: fmt::Arguments<'_>) -> String {
        let caller = self.caller;
        let history = self.record.history();
        format!("{headline}\n  the test waits at {caller}\n{history}\n")
    }
}

/// What the client could see of the end of an app.
pub(crate) enum Seen {
    /// A complete response, and the app has no fault.
    Success,
    /// A 500, a broken response or an error, so the test knows.
    Failure,
    /// A complete response, and nothing of this fault.
    NothingOf(String),
}
