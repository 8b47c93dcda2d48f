//! The command line of the `ferricorn` command and of apps that have the server linked in.
//!
//! A linked-in app has the same flags, environment variables, configuration file, signals and exit codes
//! as the command:
//!
//! ```no_run
//! use asgi::{AppError, HttpResponseBody, HttpResponseStart, Receiver, Scope, Sender};
//! use std::process::ExitCode;
//!
//! async fn app(scope: Scope, _receive: Receiver, mut send: Sender) -> Result<(), AppError> {
//!     let Scope::Http(_) = scope else {
//!         return Err(AppError::unsupported(&scope));
//!     };
//!     send.send(HttpResponseStart::ok()).await?;
//!     send.send(HttpResponseBody::last("Hello, world!\n")).await?;
//!     Ok(())
//! }
//!
//! fn main() -> ExitCode {
//!     ferricorn::cli::main(app)
//! }
//! ```
//!
//! Only this module installs signal handlers, installs a subscriber for the log, and prints. The
//! [reference page](reference()) lists all options.

mod arguments;
mod exit;
mod exit_guard;
mod file;
mod kind;
mod limits;
mod log_filter;
mod log_queue;
mod logging;
mod options;
mod reference;
mod run;
mod settings;
mod stall_watchdog;
mod suggest;
mod supervisor;
mod teardown;
mod tls;
mod value;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use asgi::{App, DynApp};

use self::supervisor::{CommandStage, StageClock};
pub use exit::Error;
pub use limits::limits;
pub use reference::reference;

/// Serves `app` with the options of the command line.
///
/// The program has the name of its file; [`Program`] can give it another name and a version. Call this
/// function outside of any runtime, because it builds its own.
pub fn main(app: impl App) -> ExitCode {
    let file = std::env::args_os().next().map(PathBuf::from);
    let name = file
        .as_deref()
        .and_then(Path::file_name)
        .map_or_else(|| "app".into(), |name| name.to_string_lossy().into_owned());
    Program::new(name).run(app)
}

/// A program that serves an app.
#[derive(Debug)]
#[must_use = "a program does nothing until `run` or `run_with_loader`"]
pub struct Program {
    name: String,
    version: Option<String>,
    arguments: Option<Vec<OsString>>,
    /// Ends the process.
    exit: fn(i32) -> !,
}

impl Program {
    /// Makes a program with a name. The help and each error begin with it.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            version: None,
            arguments: None,
            exit: end_process,
        }
    }

    /// Sets the program's own version, for `--version`. Default: none.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Sets the arguments, without the program's name. Default: those of the process.
    ///
    /// For a program that has a command line of its own and passes on the rest.
    pub fn arguments<I>(mut self, arguments: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<OsString>,
    {
        self.arguments = Some(arguments.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the function that ends the process, with an exit code, if the app does not end in time.
    ///
    /// It must not run code of the app, such as the handlers of `exit`, which may hang too. Default:
    /// [`std::process::exit`], and [`std::process::abort`] if that takes half a second.
    pub fn exit(mut self, exit: fn(i32) -> !) -> Self {
        self.exit = exit;
        self
    }

    /// Serves a linked-in app.
    ///
    /// Call this method outside of any runtime, because it builds its own.
    pub fn run(self, app: impl App) -> ExitCode {
        let mut loaded = Loaded::new(DynApp::new(app), &self.name);
        loaded.version.clone_from(&self.version);
        run::run(&self, run::AppSource::LinkedIn(loaded))
    }

    /// Serves the app that `load` returns for the argument APP.
    ///
    /// The command calls `load` once, after it has checked the arguments and installed the log.
    ///
    /// End the process after this: a thread that this method started ends it after a few seconds.
    pub fn run_with_loader(self, load: impl FnOnce(&Target) -> Result<Loaded, Error>) -> ExitCode {
        run::run(&self, run::AppSource::Loader(Box::new(load)))
    }

    /// The text that `--version` prints after the name.
    fn version_text(&self) -> String {
        let server = env!("CARGO_PKG_VERSION");
        match &self.version {
            _ if self.name == run::SERVER => server.to_owned(),
            Some(version) => format!("{version} ({} {server})", run::SERVER),
            None => format!("({} {server})", run::SERVER),
        }
    }
}

/// The app that a loader has to load.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Target {
    /// A shared library, or the folder of a crate. The command has not checked that it exists.
    pub path: PathBuf,
    /// The cargo profile to build a crate with (`--profile`).
    pub profile: String,
    /// The configuration text for the app (`--app-config`). If the option names a file, this is its text.
    pub config: Option<String>,
    startup_timeout: Option<Duration>,
    clock: StageClock,
}

impl Target {
    /// Call it when the build of the app is done, and its own code is about to run.
    ///
    /// If `what`, such as "the load of libshop.so", has not ended after `--startup-timeout`, the process
    /// ends with exit code 4.
    pub fn begin_load(&self, what: &str) {
        if let Some(timeout) = self.startup_timeout {
            self.clock
                .begin_start(CommandStage::Loading, what, timeout, Duration::ZERO);
        }
    }
}

/// A loaded app, with its name and version.
#[derive(Debug, Clone)]
pub struct Loaded {
    app: DynApp,
    name: String,
    version: Option<String>,
    shutdown: Option<fn(Duration) -> bool>,
    running_calls: Option<fn() -> Vec<String>>,
}

impl Loaded {
    /// Makes a loaded app with a name.
    pub fn new(app: DynApp, name: impl Into<String>) -> Self {
        Self {
            app,
            name: name.into(),
            version: None,
            shutdown: None,
            running_calls: None,
        }
    }

    /// Sets a function that ends the app's own runtime, in at most this time. It returns whether the
    /// runtime has ended. The command calls it after the last exchange. Default: none.
    #[must_use]
    pub fn shutdown(mut self, shutdown: fn(Duration) -> bool) -> Self {
        self.shutdown = Some(shutdown);
        self
    }

    /// Sets a function that names the calls that run, for the line about a stop that does not end
    /// them. Default: none.
    #[must_use]
    pub fn running_calls(mut self, running_calls: fn() -> Vec<String>) -> Self {
        self.running_calls = Some(running_calls);
        self
    }

    /// Sets the app's version. Default: none.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }
}

/// Prints a line to standard error, after all lines of the log, and waits at most half a second for it.
///
/// For the last line of a program.
pub fn print_last_line(line: &str) {
    logging::print_line(format_args!("{line}"));
    logging::flush(run::LOG_FLUSH_LIMIT);
}

/// Ends the process, even if a handler of `exit` hangs.
#[allow(clippy::exit, reason = "the app did not end in time")]
fn end_process(code: i32) -> ! {
    thread::spawn(|| {
        thread::sleep(Duration::from_millis(500));
        std::process::abort();
    });
    std::process::exit(code)
}
