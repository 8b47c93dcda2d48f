//! An app that runs: its future, its panics and its end.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use asgi::{AppError, AppFuture};

use crate::{AppEnd, Fault};

/// The future of an app, with its panics caught. (CORE-019)
///
/// A server polls it and gives the outcome to `ended` of the exchange. It drops the app's future as
/// soon as the app has ended. Do not poll it again after that.
///
/// Rust's panic hook still prints a panic when it happens.
///
/// ```
/// use asgi_rules::{AppEnd, Fault, exchange::RunningApp};
/// use std::task::{Context, Poll, Waker};
///
/// let mut app = RunningApp::new(Box::pin(async { Err("no database".into()) }));
/// let mut cx = Context::from_waker(Waker::noop());
/// let Poll::Ready(outcome) = std::pin::Pin::new(&mut app).poll(&mut cx) else { panic!() };
/// assert_eq!(outcome.end, AppEnd::Failed);
/// assert_eq!(outcome.describe(Fault::Failed).to_string(), "the app failed: no database");
/// ```
#[must_use = "an app does nothing unless it is polled"]
pub struct RunningApp(Option<AppFuture<'static>>);

/// How an app has ended, and the error that it has returned.
#[derive(Debug)]
#[non_exhaustive]
pub struct AppOutcome {
    /// How it ended.
    pub end: AppEnd,
    /// The error that it returned, if it did.
    pub error: Option<AppError>,
}

impl RunningApp {
    /// Wraps the future that [`DynApp::start`](asgi::DynApp::start) returns.
    pub fn new(app: AppFuture<'static>) -> Self {
        Self(Some(app))
    }
}

impl Future for RunningApp {
    type Output = AppOutcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<AppOutcome> {
        let app = self.0.as_mut().expect("it is not polled after its end");
        let polled = catch_unwind(AssertUnwindSafe(|| app.as_mut().poll(cx)));
        if let Ok(Poll::Pending) = polled {
            return Poll::Pending;
        }
        let app = self.0.take();
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(app)));
        let (end, error) = match (polled, dropped) {
            (Ok(Poll::Ready(result)), Ok(())) => (AppEnd::from(&result), result.err()),
            _ => (AppEnd::Panicked, None),
        };
        Poll::Ready(AppOutcome { end, error })
    }
}

impl AppOutcome {
    /// Returns the text for the server's log: the fault, and the app's error with its causes.
    /// (CORE-018)
    pub fn describe(&self, fault: Fault) -> impl fmt::Display + '_ {
        OutcomeText(fault, self.error.as_ref())
    }
}

impl From<&AppOutcome> for AppEnd {
    fn from(outcome: &AppOutcome) -> Self {
        outcome.end
    }
}

struct OutcomeText<'a>(Fault, Option<&'a AppError>);

impl fmt::Display for OutcomeText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)?;
        match self.1 {
            Some(error) => write!(f, ": {}", error.chain()),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for RunningApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RunningApp")
            .field(&self.0.is_some())
            .finish()
    }
}
