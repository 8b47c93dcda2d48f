//! Why a server did not serve, or did not end well.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Why a server did not serve, or did not end well.
///
/// Ask with the `is_*` methods; the text is for people.
#[derive(Debug)]
pub struct ServeError(Kind);

#[derive(Debug)]
pub(crate) enum Kind {
    NoListener,
    /// The app said that it cannot start, with its own words.
    StartupRefused(String),
    /// The app failed in its start-up.
    StartupFailed(Box<dyn Error + Send + Sync>),
    StartupTimedOut(Duration),
    /// The app said that it could not clean up, with its own words.
    ShutdownRefused(String),
    /// The app failed when it was to clean up.
    ShutdownFailed(Box<dyn Error + Send + Sync>),
    ShutdownTimedOut(Duration),
    /// [`Handle::abort`](crate::Handle::abort) ended it.
    Aborted,
}

impl ServeError {
    pub(crate) fn new(kind: Kind) -> Self {
        Self(kind)
    }

    /// Whether the app did not start; nothing was served.
    pub fn is_startup(&self) -> bool {
        matches!(
            self.0,
            Kind::StartupRefused(_) | Kind::StartupFailed(_) | Kind::StartupTimedOut(_)
        )
    }

    /// Whether the app did not clean up, after everything was served.
    pub fn is_shutdown(&self) -> bool {
        matches!(
            self.0,
            Kind::ShutdownRefused(_) | Kind::ShutdownFailed(_) | Kind::ShutdownTimedOut(_)
        )
    }

    /// Whether [`Handle::abort`](crate::Handle::abort) ended the server.
    pub fn is_aborted(&self) -> bool {
        matches!(self.0, Kind::Aborted)
    }
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::NoListener => f.write_str("there is nothing to listen on"),
            Kind::StartupRefused(message) if message.is_empty() => {
                f.write_str("the app refused to start and gave no reason")
            }
            Kind::StartupRefused(message) => write!(f, "the app refused to start: {message}"),
            Kind::StartupFailed(_) => f.write_str("the app failed to start"),
            Kind::StartupTimedOut(limit) => {
                write!(
                    f,
                    "the app was not ready within {limit:?} (startup timeout)"
                )
            }
            Kind::ShutdownFailed(_) => f.write_str("the app could not clean up"),
            Kind::ShutdownRefused(message) if message.is_empty() => {
                f.write_str("the app could not clean up and gave no reason")
            }
            Kind::ShutdownRefused(message) => write!(f, "the app could not clean up: {message}"),
            Kind::ShutdownTimedOut(limit) => {
                write!(
                    f,
                    "the app had not cleaned up within {limit:?} (shutdown timeout)"
                )
            }
            Kind::Aborted => f.write_str("the server was stopped at once"),
        }
    }
}

impl Error for ServeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            Kind::StartupFailed(error) | Kind::ShutdownFailed(error) => Some(&**error),
            _ => None,
        }
    }
}
