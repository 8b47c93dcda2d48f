//! Runs the cases against a server.

mod command;
mod interface;
mod launch;
mod limit;
mod report;
mod results;
mod run;
mod subject;
mod tls;

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use asgi::DynApp;

use crate::cases::{Case, Transport};
use crate::client::ClientTls;

use self::command::{ByCommand, StoppedBy};
pub use self::interface::Interface;
pub use self::launch::ServerUnderTest;
use self::launch::{Elsewhere, InProcess};
pub(crate) use self::launch::{Launch, Launcher};
pub use self::limit::StatedLimit;
pub(crate) use self::report::RunReport;
#[cfg(feature = "cli")]
pub(crate) use self::results::describe;
pub use self::results::{Grade, Graded, Results};
use self::subject::Place;
pub(crate) use self::subject::{Other, Record, Run, Subject};
pub use self::tls::SuiteTls;

/// A server to check, and what to check.
///
/// See the example of this crate. A case runs over each protocol for which its requirement holds:
/// `http1`, `http2`, `websocket` (over HTTP/1.1) and `websocket-http2`. The methods that take the id of
/// a requirement take one of these names too, after an `@`: `HTTP-064@http2`.
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
    /// `None` if the suite finds out itself.
    pub(crate) http2: Option<bool>,
    pub(crate) tls: Option<ClientTls>,
    pub(crate) only: Vec<String>,
    pub(crate) expected: Vec<(String, String)>,
    pub(crate) skipped: Vec<(String, String)>,
    pub(crate) limits: Vec<StatedLimit>,
}

impl Selection {
    /// Why a case does not run, if it doesn't.
    pub(crate) fn skips(&self, case: &Case, transport: Transport) -> Option<String> {
        if transport.is_websocket() && !self.websocket {
            return Some("the server has no WebSockets".into());
        }
        let mut skipped = self.skipped.iter();
        let skipped = skipped.find(|(name, _)| names_case(name, case.id, transport.name(false)));
        skipped.map(|(_, reason)| reason.clone())
    }

    /// Whether a pattern of `only` selects this case.
    pub(crate) fn selects(&self, id: &str, transport: Transport) -> bool {
        let selects = |pattern: &String| names_case(pattern, id, transport.name(false));
        self.only.is_empty() || self.only.iter().any(selects)
    }

    /// Whether a pattern of `only` selects this requirement, over any protocol.
    pub(crate) fn selects_requirement(&self, id: &str) -> bool {
        let selects = |pattern: &String| matches(split(pattern).0, id);
        self.only.is_empty() || self.only.iter().any(selects)
    }
}

/// Whether text such as `HTTP-001` or `HTTP-00*@http2` names a case with this id and transport.
pub(crate) fn names_case(text: &str, id: &str, transport: &str) -> bool {
    let (pattern, over) = split(text);
    let plain = transport.strip_suffix("-tls").unwrap_or(transport);
    matches(pattern, id) && over.is_none_or(|over| over == plain)
}

/// The pattern of the id, and the transport after an `@`.
pub(crate) fn split(text: &str) -> (&str, Option<&str>) {
    match text.split_once('@') {
        Some((pattern, over)) => (pattern, Some(over)),
        None => (text, None),
    }
}

/// Whether a pattern names an id. `*` at the end of a pattern is any text.
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

    /// Sets whether the server speaks HTTP/2, over TLS with ALPN and otherwise with prior knowledge. By
    /// default, the suite finds out. With true, a server that does not speak it is an error. With
    /// false, the cases over HTTP/2 are not supported.
    pub fn http2(mut self, http2: bool) -> Self {
        self.options.http2 = Some(http2);
        self
    }

    /// Speaks TLS on all connections. HTTP/2 is then chosen with ALPN. By default, the suite uses no
    /// TLS, and the requirements about TLS are not supported.
    ///
    /// ```no_run
    /// # use asgi_spec::{Suite, SuiteTls};
    /// # use std::net::SocketAddr;
    /// let address = SocketAddr::from(([127, 0, 0, 1], 8443));
    /// Suite::at(address).tls(SuiteTls::new()).run().assert();
    /// ```
    pub fn tls(mut self, tls: SuiteTls) -> Self {
        self.options.tls = Some(tls.0);
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
