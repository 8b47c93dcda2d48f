//! What the level without sockets finds.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use asgi::{Scope, SendError};

use crate::lint::{LintFinding, LintedCall, Process, Report};
use crate::{Requirement, Side, Violation, requirement};

/// A requirement that the halves of a server break.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HalvesFailure {
    /// The id of the requirement, such as `CORE-009`.
    pub id: &'static str,
    /// What happened, such as `the task that waits in receive is not woken`.
    pub happened: String,
    /// The seed of the sequence: [`HalvesSuite::only_seed`](super::HalvesSuite::only_seed) repeats it.
    pub seed: u64,
    /// What the app, the client and the server did, in their order.
    pub steps: Vec<String>,
}

impl HalvesFailure {
    /// Returns the requirement: its sentence, and why it exists.
    ///
    /// # Panics
    ///
    /// Never for a failure that this crate made.
    pub fn requirement(&self) -> &'static Requirement {
        requirement(self.id).expect("a test looks each id of this level up in the spec")
    }
}

impl fmt::Display for HalvesFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            id,
            happened,
            seed,
            steps,
        } = self;
        writeln!(f, "the halves break {id}: {happened}")?;
        writeln!(f, "  the spec: {}", self.requirement().text)?;
        write!(f, "  seed {seed}: {}", steps.join("; "))
    }
}

/// Why a sequence stops.
pub(crate) struct Breach {
    pub(crate) id: &'static str,
    pub(crate) happened: String,
}

pub(crate) type RunResult<T = ()> = Result<T, Breach>;

pub(crate) fn breach<T>(id: &'static str, happened: impl Into<String>) -> RunResult<T> {
    let happened = happened.into();
    Err(Breach { id, happened })
}

/// The part of a run that all protocols have: Lint around the halves, and what was done.
pub(crate) struct Watch {
    pub(crate) call: Arc<LintedCall>,
    found: Arc<Mutex<Vec<Violation>>>,
    pub(crate) steps: Vec<String>,
}

impl Watch {
    pub(crate) fn new(scope: &Scope) -> Self {
        let found: Arc<Mutex<Vec<Violation>>> = Arc::default();
        let told = Arc::clone(&found);
        let tell = move |one| {
            told.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(one)
        };
        let call = LintedCall::new(
            scope,
            Arc::new(Report::Tell(Box::new(tell))),
            Arc::new([]),
            Arc::new(Process::new()),
        );
        Self {
            call: Arc::new(call),
            found,
            steps: Vec::new(),
        }
    }

    pub(crate) fn did(&mut self, step: impl Into<String>) {
        self.steps.push(step.into());
    }

    /// Says how the last step ended.
    pub(crate) fn result(&mut self, result: impl fmt::Display) {
        if let Some(step) = self.steps.last_mut() {
            step.push_str(&format!(" -> {result}"));
        }
    }

    /// What Lint has found at the halves. The app of a run breaks rules on purpose.
    pub(crate) fn check(&self) -> RunResult {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        match found.iter().find(|one| one.side == Side::Server) {
            Some(violation) => breach(violation.id, violation.happened.clone()),
            None => Ok(()),
        }
    }

    pub(crate) fn failure(self, seed: u64, Breach { id, happened }: Breach) -> HalvesFailure {
        HalvesFailure {
            id,
            happened,
            seed,
            steps: self.steps,
        }
    }
}

impl From<LintFinding> for Breach {
    fn from(finding: LintFinding) -> Self {
        Self {
            id: finding.id,
            happened: finding.happened,
        }
    }
}

pub(crate) fn not_woken<T>(id: &'static str, what: &str) -> RunResult<T> {
    breach(id, format!("the task that waits in `{what}` is not woken"))
}

pub(crate) fn told(what: &str, fresh: bool) -> String {
    match fresh {
        true => format!("{what}, in another task"),
        false => what.to_owned(),
    }
}

pub(crate) fn outcome(result: &Result<(), SendError>) -> String {
    match result {
        Ok(()) => "taken".into(),
        Err(error) => error.to_string(),
    }
}
