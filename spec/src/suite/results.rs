//! The grades of a run.

use std::fmt::Write;
use std::time::Duration;

use super::{Interface, names_case};
use crate::cases::basis_in_python;
use crate::requirement::{Level, Requirement};
use crate::result::Mismatch;

/// The result of one case, or of a requirement without one.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Graded {
    /// The requirement.
    pub requirement: &'static Requirement,
    /// What the case shows, in words. `None` if the requirement has no case.
    pub case: Option<String>,
    /// Over which protocol: `http1`, `http2`, `websocket` or `websocket-http2`, with `-tls` after it if
    /// the connections use TLS. Empty without a case.
    pub transport: &'static str,
    /// The grade.
    pub grade: Grade,
    /// How long the case took.
    pub time: Duration,
    /// Bytes and events of a case that failed, one line each.
    pub trace: Vec<String>,
}

/// What a case found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Grade {
    /// The server does what the requirement says.
    Passed,
    /// The server does not.
    Failed(Mismatch),
    /// The server does not have what the requirement is about, with the reason.
    NotSupported(String),
    /// It can't be seen from outside, or not with this server, with the reason.
    NotObservable(String),
    /// The suite has no case for the requirement yet, with the reason. Today each requirement has a
    /// case, or can't be seen by any.
    NoCase(String),
}

impl Grade {
    /// Returns its name, such as `not supported`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed(_) => "failed",
            Self::NotSupported(_) => "not supported",
            Self::NotObservable(_) => "not observable",
            Self::NoCase(_) => "no case",
        }
    }

    /// Returns the reason of a grade that is neither passed nor failed.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Passed | Self::Failed(_) => None,
            Self::NotSupported(why) | Self::NotObservable(why) | Self::NoCase(why) => Some(why),
        }
    }
}

/// The results of a run, in the order of the spec.
#[derive(Debug, Clone)]
#[must_use]
pub struct Results {
    graded: Vec<Graded>,
    expected: Vec<(String, String)>,
    interface: Interface,
}

impl Results {
    pub(super) fn new(
        mut graded: Vec<Graded>,
        expected: Vec<(String, String)>,
        interface: Interface,
    ) -> Self {
        let position = |one: &Graded| {
            let all = crate::requirements();
            all.iter().position(|other| other.id == one.requirement.id)
        };
        let key = |one: &Graded| (position(one), one.case.clone(), one.transport);
        graded.sort_by_key(key);
        Self {
            graded,
            expected,
            interface,
        }
    }

    /// Returns the interface that the server gives to its app.
    pub fn interface(&self) -> Interface {
        self.interface
    }

    /// Returns what asks for the result's requirement: `ASGI`, `RFC` and `ours`, each at most once.
    pub fn basis(&self, one: &Graded) -> Vec<&'static str> {
        match self.interface {
            Interface::Rust => one.requirement.basis(),
            Interface::Python => basis_in_python(one.requirement),
        }
    }

    /// Returns an iterator over all results.
    pub fn iter(&self) -> impl Iterator<Item = &Graded> {
        self.graded.iter()
    }

    /// Returns the failed cases that were not expected to fail.
    pub fn failures(&self) -> impl Iterator<Item = &Graded> {
        self.iter().filter(|one| self.is_failure(one))
    }

    /// Returns whether a MUST failed that was not expected to.
    pub fn breaks_a_must(&self) -> bool {
        self.failures()
            .any(|one| one.requirement.level == Level::Must)
    }

    /// Returns the ids that were expected to fail and did not.
    pub fn surprises(&self) -> impl Iterator<Item = &str> {
        let expected = self.expected.iter().map(|(id, _)| id.as_str());
        expected.filter(|id| {
            let mut failed = self
                .iter()
                .filter(|one| matches!(one.grade, Grade::Failed(_)));
            !failed.any(|one| names_case(id, one.requirement.id, one.transport))
        })
    }

    /// Returns how many results have this grade.
    pub fn count(&self, grade: &str) -> usize {
        self.iter().filter(|one| one.grade.name() == grade).count()
    }

    /// Panics if a case failed that was not expected to, or if an expected failure did not happen.
    ///
    /// # Panics
    ///
    /// The message lists both, each failure with its trace.
    #[track_caller]
    pub fn assert(self) {
        let mut text = String::new();
        for one in self.failures() {
            describe(one, &mut text);
        }
        for id in self.surprises() {
            // Writing to a string can't fail.
            let _ = writeln!(
                text,
                "{id} was expected to fail and did not: remove expect_fail\n"
            );
        }
        assert!(text.is_empty(), "the server breaks the spec:\n\n{text}");
    }

    fn is_failure(&self, one: &Graded) -> bool {
        let mut expected = self.expected.iter();
        let expected = expected.any(|(id, _)| names_case(id, one.requirement.id, one.transport));
        matches!(one.grade, Grade::Failed(_)) && !expected
    }
}

/// Writes a failure: the requirement, what was expected and what came, and the trace.
pub(crate) fn describe(one: &Graded, text: &mut String) {
    let Grade::Failed(mismatch) = &one.grade else {
        return;
    };
    let requirement = one.requirement;
    // Writing to a string can't fail.
    let _ = writeln!(text, "{} {}", requirement.id, requirement.text);
    if let Some(case) = &one.case {
        let _ = writeln!(text, "  case      {case} ({})", one.transport);
    }
    let _ = writeln!(text, "  expected  {}", mismatch.expected);
    let _ = writeln!(text, "  got       {}", mismatch.got);
    for line in &one.trace {
        let _ = writeln!(text, "  {line}");
    }
    text.push('\n');
}
