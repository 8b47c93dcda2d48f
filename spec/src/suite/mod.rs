//! Runs the cases against a server.

mod command;
mod launch;
mod limit;
mod results;
mod run;
mod subject;

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use asgi::DynApp;

use crate::cases::{Case, Transport};

use self::command::{ByCommand, StoppedBy};
pub use self::launch::ServerUnderTest;
use self::launch::{Elsewhere, InProcess};
pub(crate) use self::launch::{Launch, Launcher};
pub use self::limit::StatedLimit;
#[cfg(feature = "cli")]
pub(crate) use self::results::describe;
pub use self::results::{Grade, Graded, Results};
use self::subject::Place;
pub(crate) use self::subject::{Other, Record, Run, RunReport, Subject};

/// A server to check, and what to check.
///
/// See the example of this crate. By default, a suite checks all requirements that HTTP/1.1 shows.
#[derive(Debug, Clone)]
#[must_use]
pub struct Suite {
    launcher: Arc<dyn Launcher>,
    pub(crate) options: Selection,
}

/// Which cases run, and which of them are expected to fail.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    pub(crate) websocket: bool,
    pub(crate) only: Vec<String>,
    pub(crate) expected: Vec<(String, String)>,
    pub(crate) skipped: Vec<(String, String)>,
    pub(crate) limits: Vec<StatedLimit>,
}

impl Selection {
    /// Why the cases of a requirement do not run, if they don't.
    pub(crate) fn skips(&self, case: &Case) -> Option<String> {
        if case.transport == Transport::WebSocket && !self.websocket {
            return Some("the server has no WebSockets".into());
        }
        let skipped = self.skipped.iter().find(|(id, _)| id == case.id);
        skipped.map(|(_, reason)| reason.clone())
    }

    /// Whether a pattern of `only` selects this id. `*` at the end of a pattern is any text.
    pub(crate) fn selects(&self, id: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|pattern| matches(pattern, id))
    }
}

pub(crate) fn matches(pattern: &str, id: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => id.starts_with(start),
        None => pattern == id,
    }
}

impl Suite {
    /// Checks a server in this process.
    ///
    /// `start` starts the server with an app on a free port, and returns once the server serves, or
    /// with an error if it does not. The suite calls it once for most cases, and once more for each
    /// case of the lifespan. It calls it in a thread of its own, so that it may block.
    ///
    /// `start` may return an address alone. If it returns its own [`ServerUnderTest`], the suite can
    /// also stop the server and read its log.
    pub fn new<S, E, F>(start: F) -> Self
    where
        S: ServerUnderTest,
        E: Display,
        F: Fn(DynApp) -> Result<S, E> + Send + Sync + 'static,
    {
        Self::with_launcher(InProcess::new(start))
    }

    /// Checks a server that already runs the probe at this address. Cases that start a server are
    /// not observable.
    pub fn at(address: SocketAddr) -> Self {
        Self::with_launcher(Elsewhere(address))
    }

    /// Checks a server that this command starts, in a shell.
    ///
    /// In the command, `{probe}` becomes the path of the probe's library, and `{port}` a free port of
    /// 127.0.0.1. The server must stop after SIGTERM, with an exit code other than 0 if it ends as
    /// failed. What it prints is its log.
    ///
    /// ```no_run
    /// # use asgi_spec::Suite;
    /// let probe = "target/release/libasgi_spec_probe.so".as_ref();
    /// Suite::command("ferricorn {probe} --bind 127.0.0.1:{port}", probe).run().assert();
    /// ```
    pub fn command(command: &str, probe: &Path) -> Self {
        Self::with_launcher(ByCommand::new(command, probe, StoppedBy::Signal))
    }

    /// Like [`command`](Self::command), for a server that stops after a line on its standard input.
    pub fn command_that_reads(command: &str, probe: &Path) -> Self {
        Self::with_launcher(ByCommand::new(command, probe, StoppedBy::Input))
    }

    pub(crate) fn with_launcher(launcher: impl Launcher) -> Self {
        Self {
            launcher: Arc::new(launcher),
            options: Selection {
                websocket: true,
                ..Selection::default()
            },
        }
    }

    /// Sets whether the server has WebSockets. The default is true. If not, the requirements of that
    /// chapter are not supported.
    pub fn websocket(mut self, websocket: bool) -> Self {
        self.options.websocket = websocket;
        self
    }

    /// Runs only the requirements with this id, or whose ids begin with the text before a `*`. May be
    /// called several times.
    pub fn only(mut self, pattern: &str) -> Self {
        self.options.only.push(pattern.into());
        self
    }

    /// Expects a requirement to fail, for this reason. [`Results::assert`] then fails if it passes.
    pub fn expect_fail(mut self, id: &str, reason: &str) -> Self {
        self.options.expected.push((id.into(), reason.into()));
        self
    }

    /// Does not run the cases of a requirement, for this reason. It counts as not supported.
    ///
    /// For a case that does not end the same way each time. Prefer
    /// [`expect_fail`](Self::expect_fail), which shows when the server improves.
    pub fn skip(mut self, id: &str, reason: &str) -> Self {
        self.options.skipped.push((id.into(), reason.into()));
        self
    }

    /// States a limit that the server has, for the cases that need it. May be called several times.
    pub fn limit(mut self, limit: StatedLimit) -> Self {
        self.options.limits.push(limit);
        self
    }

    /// Runs the cases. It blocks this thread for less than a minute.
    ///
    /// # Panics
    ///
    /// Panics if the server does not start or does not run the probe. The message says why.
    pub fn run(self) -> Results {
        match self.try_run(|_| {}) {
            Ok(results) => results,
            Err(why) => panic!("{why}"),
        }
    }

    /// Like [`run`](Self::run), and calls `progress` with each result as it comes.
    ///
    /// # Errors
    ///
    /// Returns a message if the server does not start or does not run the probe.
    pub fn try_run(self, progress: impl Fn(&Graded) + Send + Sync) -> Result<Results, String> {
        // A thread of its own, because the caller may be inside a runtime.
        std::thread::scope(|scope| {
            let running = scope.spawn(|| run::run(&self.launcher, &self.options, &progress));
            match running.join() {
                Ok(results) => results,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }
}
