//! The command line, for the `ferricorn` command and for apps that have the server linked in.
//!
//! An app gets the same flags, variables, configuration file, signals and exit codes as the command:
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
//! Nothing but this module installs signal handlers or a subscriber for the log, or prints. All
//! options stand in [the reference](reference()).

mod arguments;
mod exit;
mod file;
mod kind;
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

/// Runs `app` as the command line says.
///
/// The program is called what its file is called; [`Program`] gives it another name and a version.
/// Call it outside of any runtime: it builds its own.
pub fn main(app: impl App) -> ExitCode {
    let file = std::env::args_os().next().map(PathBuf::from);
    let name = file
        .as_deref()
        .and_then(Path::file_name)
        .map_or_else(|| "app".into(), |name| name.to_string_lossy().into_owned());
    Program::new(name).run(app)
}

/// A program that serves.
#[derive(Debug)]
#[must_use = "it does nothing until it is run"]
pub struct Program {
    name: String,
    version: Option<String>,
    arguments: Option<Vec<OsString>>,
}

impl Program {
    /// A program of that name: it stands in the help and before each error.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            version: None,
            arguments: None,
        }
    }

    /// The program's own version, for `--version`. Default: none.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Arguments to read, the program's own name not among them. Default: those of the process.
    ///
    /// For a program that has a command line of its own and passes the rest on.
    pub fn arguments<I>(mut self, arguments: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<OsString>,
    {
        self.arguments = Some(arguments.into_iter().map(Into::into).collect());
        self
    }

    /// Serves an app that is linked in.
    ///
    /// Call it outside of any runtime: it builds its own.
    pub fn run(self, app: impl App) -> ExitCode {
        let loaded = Loaded {
            app: DynApp::new(app),
            name: self.name.clone(),
            version: self.version.clone(),
        };
        run::run(&self, run::Load::LinkedIn(loaded))
    }

    /// Serves an app that `load` finds where the argument APP says.
    ///
    /// It is called once, when the arguments are known to be good and the log is set up.
    pub fn run_with_loader(self, load: impl FnOnce(&Target) -> Result<Loaded, Error>) -> ExitCode {
        run::run(&self, run::Load::Loader(Box::new(load)))
    }

    /// What `--version` says after the name.
    fn version_text(&self) -> String {
        let server = env!("CARGO_PKG_VERSION");
        match &self.version {
            _ if self.name == run::SERVER => server.to_owned(),
            Some(version) => format!("{version} ({} {server})", run::SERVER),
            None => format!("({} {server})", run::SERVER),
        }
    }
}

/// What a loader shall load.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Target {
    /// A shared library, or the folder of a crate. Nobody has looked yet whether it exists.
    pub path: PathBuf,
    /// The cargo profile to build a crate with.
    pub profile: String,
    /// What the app is started with; read from the file that `--app-config` names, if it does.
    pub config: Option<String>,
}

/// An app that was loaded, and what it is called.
#[derive(Debug, Clone)]
pub struct Loaded {
    app: DynApp,
    name: String,
    version: Option<String>,
}

impl Loaded {
    /// An app of that name.
    pub fn new(app: DynApp, name: impl Into<String>) -> Self {
        Self {
            app,
            name: name.into(),
            version: None,
        }
    }

    /// The app's version. Default: none.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }
}
