//! Exit codes, and the one-line error of the command.

use std::error::Error as StdError;
use std::fmt;
use std::process::ExitCode;

/// The exit codes and their meaning, as `--help` and the reference page show them.
pub(super) const CODES: [(&str, &str); 7] = [
    ("0", "stopped as asked"),
    (
        "1",
        "an error while serving or in the app's shutdown, or an app that did not end in time",
    ),
    (
        "2",
        "wrong usage: a flag, a variable, the configuration file or a certificate",
    ),
    ("3", "the app could not be built or loaded"),
    ("4", "the app did not start"),
    ("5", "the server cannot listen on an address"),
    (
        "128+n",
        "stopped at once by a signal n: 130 for SIGINT, 143 for SIGTERM",
    ),
];

/// Why the command ends. Each reason has its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    Stopped,
    /// An error while serving, or in the app's shutdown.
    Failed,
    Usage,
    NotLoaded,
    NotStarted,
    NotBound,
    /// A second signal, with its number.
    Signal(u8),
}

impl Exit {
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Stopped => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotLoaded => 3,
            Self::NotStarted => 4,
            Self::NotBound => 5,
            Self::Signal(number) => 128 + number,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why the command cannot continue: one line that says what was wrong, what was expected and what to
/// do.
#[derive(Debug)]
pub struct Error {
    pub(super) exit: Exit,
    message: String,
    snippet: Option<String>,
}

impl Error {
    pub(super) fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self {
            exit,
            message: one_line(&message.to_string()),
            snippet: None,
        }
    }

    pub(super) fn usage(message: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// The line holds `error` and its causes.
    pub(super) fn caused(exit: Exit, error: &dyn StdError) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            message.push_str(&format!(": {error}"));
            cause = error.source();
        }
        Self::new(exit, message)
    }

    /// The app could not be built or loaded. The command ends with exit code 3.
    pub fn not_loaded(message: impl fmt::Display) -> Self {
        Self::new(Exit::NotLoaded, message)
    }

    /// Adds lines to copy. They are shown indented below the error.
    #[must_use]
    pub fn with_snippet(mut self, lines: impl Into<String>) -> Self {
        self.snippet = Some(lines.into());
        self
    }
}

/// Joins the lines of a message, because an error takes one line in the log.
fn one_line(text: &str) -> String {
    let lines: Vec<_> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    lines.join(" | ")
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(snippet) = &self.snippet {
            f.write_str("\n")?;
            for line in snippet.lines() {
                write!(f, "\n    {line}")?;
            }
            f.write_str("\n")?;
        }
        Ok(())
    }
}

impl StdError for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_several_lines_becomes_one() {
        let error = Error::not_loaded("the app refused:\n\n  no database\n  at db:5432\n");
        assert_eq!(
            error.to_string(),
            "the app refused: | no database | at db:5432"
        );
    }

    #[test]
    fn a_snippet_stands_indented_below_the_line() {
        let error = Error::not_loaded("add").with_snippet("[lib]\ncrate-type = []");
        assert_eq!(error.to_string(), "add\n\n    [lib]\n    crate-type = []\n");
    }
}
