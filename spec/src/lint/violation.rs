//! What Lint finds, and what it does with it.

use std::fmt::{self, Display};

use crate::{Requirement, requirement};

/// The two parties of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Side {
    /// What is inside [`Lint`](crate::Lint).
    App,
    /// What is outside: the server, or a middleware between the server and Lint.
    Server,
}

impl Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::App => "the app",
            Self::Server => "the server",
        })
    }
}

/// A requirement that one side broke.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// The id of the requirement, such as `CORE-014`.
    pub id: &'static str,
    /// Who broke it.
    pub side: Side,
    /// What happened, such as `http.response.body after the last event`.
    pub happened: String,
    /// In which exchange, such as `GET /there`.
    pub exchange: String,
}

impl Violation {
    /// Returns the requirement: its sentence, and why it exists.
    ///
    /// # Panics
    ///
    /// Never for a violation that this crate made.
    pub fn requirement(&self) -> &'static Requirement {
        requirement(self.id).expect("a test looks each id of Lint up in the spec")
    }
}

/// One line for what happened, and one for what the spec says.
impl Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            id,
            side,
            happened,
            exchange,
        } = self;
        writeln!(f, "{side} breaks {id} in {exchange}: {happened}")?;
        write!(f, "  the spec: {}", self.requirement().text)
    }
}

/// A violation before Lint adds the exchange.
#[derive(Debug)]
pub(crate) struct LintFinding {
    pub(crate) id: &'static str,
    pub(crate) side: Side,
    pub(crate) happened: String,
}

impl LintFinding {
    pub(crate) fn new(side: Side, id: &'static str, happened: impl Into<String>) -> Self {
        Self {
            id,
            side,
            happened: happened.into(),
        }
    }

    pub(crate) fn app(id: &'static str, happened: impl Into<String>) -> Self {
        Self::new(Side::App, id, happened)
    }

    pub(crate) fn server(id: &'static str, happened: impl Into<String>) -> Self {
        Self::new(Side::Server, id, happened)
    }
}

/// What Lint does with a violation.
pub(crate) enum Report {
    Panic,
    Tell(Box<dyn Fn(Violation) + Send + Sync>),
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Panic => "Panic",
            Self::Tell(_) => "Tell(..)",
        })
    }
}
