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
mod file;
mod kind;
mod log_filter;
mod logging;
mod options;
mod reference;
mod run;
mod settings;
mod stall_watchdog;
mod suggest;
mod tls;
mod value;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use asgi::{App, DynApp};

pub use exit::Error;
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
}

impl Program {
    /// Makes a program with a name. The help and each error begin with it.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            version: None,
            arguments: None,
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

    /// Serves a linked-in app.
    ///
    /// Call this method outside of any runtime, because it builds its own.
    pub fn run(self, app: impl App) -> ExitCode {
        let loaded = Loaded {
            app: DynApp::new(app),
            name: self.name.clone(),
            version: self.version.clone(),
        };
        run::run(&self, run::AppSource::LinkedIn(loaded))
    }

    /// Serves the app that `load` returns for the argument APP.
    ///
    /// The command calls `load` once, after it has checked the arguments and installed the log.
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
}

/// A loaded app, with its name and version.
#[derive(Debug, Clone)]
pub struct Loaded {
    app: DynApp,
    name: String,
    version: Option<String>,
}

impl Loaded {
    /// Makes a loaded app with a name.
    pub fn new(app: DynApp, name: impl Into<String>) -> Self {
        Self {
            app,
            name: name.into(),
            version: None,
        }
    }

    /// Sets the app's version. Default: none.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }
}
