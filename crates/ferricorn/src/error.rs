//! The error of a server that could not start, serve or shut down.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Why a server could not start, serve or shut down.
///
/// The `is_*` methods say what happened; the text is for people.
#[derive(Debug)]
pub struct ServeError(ServeErrorKind);

#[derive(Debug)]
pub(crate) enum ServeErrorKind {
    NoListener,
    /// The app sent that its startup failed, with this message.
    StartupRefused(String),
    /// The app returned an error or panicked in its startup.
    StartupFailed(Box<dyn Error + Send + Sync>),
    StartupTimedOut(Duration),
    /// The app sent that its shutdown failed, with this message.
    ShutdownRefused(String),
    /// The app returned an error or panicked in its shutdown.
    ShutdownFailed(Box<dyn Error + Send + Sync>),
    ShutdownTimedOut(Duration),
    /// Connections or exchanges did not end after the cut, because an app blocks its thread.
    Unfinished,
    /// [`Handle::abort`](crate::Handle::abort) ended it.
    Aborted,
}

impl ServeError {
    pub(crate) fn new(kind: ServeErrorKind) -> Self {
        Self(kind)
    }

    /// Whether the app did not start. The server has then served nothing.
    pub fn is_startup(&self) -> bool {
        matches!(
            self.0,
            ServeErrorKind::StartupRefused(_)
                | ServeErrorKind::StartupFailed(_)
                | ServeErrorKind::StartupTimedOut(_)
        )
    }

    /// Whether the app's shutdown failed. The server has then served everything before.
    pub fn is_shutdown(&self) -> bool {
        matches!(
            self.0,
            ServeErrorKind::ShutdownRefused(_)
                | ServeErrorKind::ShutdownFailed(_)
                | ServeErrorKind::ShutdownTimedOut(_)
        )
    }

    /// Whether exchanges did not end, because an app blocks its thread and nothing can end it.
    /// The app's shutdown has run.
    pub fn is_unfinished(&self) -> bool {
        matches!(self.0, ServeErrorKind::Unfinished)
    }

    /// Whether [`Handle::abort`](crate::Handle::abort) ended the server.
    pub fn is_aborted(&self) -> bool {
        matches!(self.0, ServeErrorKind::Aborted)
    }
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            ServeErrorKind::NoListener => f.write_str("found no listener, expected at least one"),
            ServeErrorKind::StartupRefused(message) if message.is_empty() => {
                f.write_str("the app refused to start without a reason")
            }
            ServeErrorKind::StartupRefused(message) => {
                write!(f, "the app refused to start: {message}")
            }
            ServeErrorKind::StartupFailed(_) => f.write_str("the app's startup failed"),
            ServeErrorKind::StartupTimedOut(limit) => {
                write!(
                    f,
                    "the app's startup took longer than {limit:?} (startup timeout)"
                )
            }
            ServeErrorKind::ShutdownFailed(_) => f.write_str("the app's shutdown failed"),
            ServeErrorKind::ShutdownRefused(message) if message.is_empty() => {
                f.write_str("the app's shutdown failed without a reason")
            }
            ServeErrorKind::ShutdownRefused(message) => {
                write!(f, "the app's shutdown failed: {message}")
            }
            ServeErrorKind::ShutdownTimedOut(limit) => {
                write!(
                    f,
                    "the app's shutdown took longer than {limit:?} (shutdown timeout)"
                )
            }
            ServeErrorKind::Unfinished => {
                f.write_str("the app blocks a thread after the graceful timeout")
            }
            ServeErrorKind::Aborted => f.write_str("the server was stopped at once"),
        }
    }
}

impl Error for ServeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            ServeErrorKind::StartupFailed(error) | ServeErrorKind::ShutdownFailed(error) => {
                Some(&**error)
            }
            _ => None,
        }
    }
}
