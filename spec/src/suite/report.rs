//! What the probe reports.

use serde_json::Value;

use super::Interface;
use crate::result::{Checked, fail, not_supported};

/// What the probe reports of a run.
#[derive(Debug)]
pub(crate) struct RunReport(Value);

impl RunReport {
    pub(super) fn parse(text: &str) -> Checked<Self> {
        match serde_json::from_str::<Value>(text) {
            Ok(value) if value["probe"] == 1 => Ok(Self(value)),
            _ => fail("a report of the probe", format!("{text:?}")),
        }
    }

    /// How often the app was called.
    pub(crate) fn calls(&self) -> u64 {
        self.0["calls"].as_u64().unwrap_or(0)
    }

    /// A member of the scope.
    pub(crate) fn scope(&self, name: &str) -> &Value {
        &self.0["scope"][name]
    }

    /// The values of a header in the scope.
    pub(crate) fn headers(&self, name: &str) -> Vec<&str> {
        let headers = self.scope("headers").as_array().into_iter().flatten();
        let named = headers.filter(|pair| pair[0] == *name);
        named.filter_map(|pair| pair[1].as_str()).collect()
    }

    /// Ends a case that needs a newer version of Python's ASGI. Only its scopes have one.
    pub(crate) fn needs_asgi(&self, version: (u32, u32), what: &str) -> Checked {
        if !self.is_older_than(version) {
            return Ok(());
        }
        let (major, minor) = version;
        let spec = self.scope("asgi")["spec_version"].as_str();
        let spec = spec.unwrap_or("no version");
        not_supported(format!(
            "{what} is in ASGI since {major}.{minor}, and the scope says {spec}"
        ))
    }

    /// Whether the scope names a version of Python's ASGI before this one. The default is 2.0.
    pub(super) fn is_older_than(&self, version: (u32, u32)) -> bool {
        let Some(asgi) = self.scope("asgi").as_object() else {
            return false;
        };
        let spec = asgi.get("spec_version").and_then(Value::as_str);
        let mut parts = spec.unwrap_or("2.0").split('.');
        let mut number = || parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
        (number(), number()) < version
    }

    /// Compares the outcomes without the reasons of a close, which ASGI has since 2.5.
    pub(super) fn expect_without_reasons(self, outcomes: &[&str]) -> Checked<Self> {
        let plain = |outcomes: &[&str]| -> Vec<String> {
            let outcomes = outcomes.iter().map(|outcome| {
                let outcome = Interface::Python.outcome(outcome);
                match outcome.strip_prefix("websocket.disconnect ") {
                    Some(end) => end.split(' ').take(1).collect(),
                    None => outcome.to_owned(),
                }
            });
            outcomes.collect()
        };
        if plain(&self.outcomes()) != plain(outcomes) {
            return fail(
                format!("the outcomes {:?}", plain(outcomes)),
                format!("{:?}", self.steps()),
            );
        }
        Ok(self)
    }

    /// Whether the scope offers an extension.
    pub(crate) fn offers(&self, extension: &str) -> bool {
        let offered = self.scope("extensions").as_array();
        offered.is_some_and(|all| all.iter().any(|one| one == extension))
    }

    /// How the app ended: `ok`, `error`, `panic` or `dropped`. `None` if it still runs.
    pub(crate) fn end(&self) -> Option<&str> {
        self.0["end"].as_str()
    }

    /// The steps and their outcomes.
    pub(crate) fn steps(&self) -> Vec<(&str, &str)> {
        let steps = self.0["steps"].as_array().into_iter().flatten();
        steps
            .filter_map(|step| Some((step[0].as_str()?, step[1].as_str()?)))
            .collect()
    }

    pub(crate) fn outcomes(&self) -> Vec<&str> {
        self.steps()
            .into_iter()
            .map(|(_, outcome)| outcome)
            .collect()
    }

    /// The outcome of the last step.
    pub(crate) fn last(&self) -> &str {
        self.outcomes().last().copied().unwrap_or("no step")
    }

    /// The detail of the step with this number.
    pub(crate) fn detail(&self, number: usize) -> &str {
        self.0["steps"][number][2].as_str().unwrap_or_default()
    }
}
