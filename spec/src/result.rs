//! How a case ends.

use std::fmt::{self, Debug, Display};

/// The result of a case or of a step of it.
pub(crate) type Checked<T = ()> = Result<T, Stop>;

/// Why a case stops before its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The server breaks the requirement.
    Failed(Mismatch),
    /// The server does not have what the requirement is about.
    NotSupported(String),
    /// This server, as it runs here, does not show whether it keeps the requirement.
    NotObservable(String),
}

/// What a case expected and what came.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mismatch {
    /// What the requirement asks for.
    pub expected: String,
    /// What the server did.
    pub got: String,
}

impl Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}, got {}", self.expected, self.got)
    }
}

/// Ends a case as failed.
pub(crate) fn fail<T>(expected: impl Display, got: impl Display) -> Checked<T> {
    Err(Stop::Failed(Mismatch {
        expected: expected.to_string(),
        got: got.to_string(),
    }))
}

/// Ends a case that needs something that the server does not have.
pub(crate) fn not_supported<T>(what: impl Into<String>) -> Checked<T> {
    Err(Stop::NotSupported(what.into()))
}

/// Ends a case that can't see what the server does.
pub(crate) fn not_observable<T>(why: impl Into<String>) -> Checked<T> {
    Err(Stop::NotObservable(why.into()))
}

/// Fails unless both are equal.
pub(crate) fn equal<T, U>(what: &str, got: T, expected: U) -> Checked
where
    T: PartialEq<U> + Debug,
    U: Debug,
{
    if got == expected {
        return Ok(());
    }
    fail(format!("{what}: {expected:?}"), format!("{got:?}"))
}

/// Fails unless the condition is true.
pub(crate) fn ensure(condition: bool, expected: &str, got: impl Debug) -> Checked {
    if condition {
        return Ok(());
    }
    fail(expected, format!("{got:?}"))
}
