//! The results of one server, as a page shows them.

use std::collections::HashMap;

use serde_json::Value;

use crate::{Requirement, requirement};

/// The results of one server.
pub(super) struct Sheet {
    pub(super) name: String,
    pub(super) entries: HashMap<Key, Entry>,
    /// The keys in the order of the results.
    pub(super) order: Vec<Key>,
    pub(super) python: bool,
}

/// What one entry of the results is about. Two servers are compared if they have the same key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) id: String,
    pub(super) transport: String,
    pub(super) case: String,
}

/// One entry of the results.
pub(super) struct Entry {
    pub(super) shown: Shown,
    pub(super) chapter: String,
    pub(super) level: String,
    pub(super) text: String,
    /// What asks for it: `ASGI`, `RFC` and `ours`.
    pub(super) basis: Vec<String>,
    pub(super) reason: Option<String>,
    pub(super) expected: Option<String>,
    pub(super) got: Option<String>,
    pub(super) trace: Vec<String>,
}

/// A grade on the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    Passed,
    Failed,
    /// A server of Python apps fails a rule that goes further than ASGI and the RFCs, at least in part.
    Differs,
    NotSupported,
    NotObservable,
    NoCase,
}

impl Shown {
    pub(super) const ALL: [Self; 6] = [
        Self::Passed,
        Self::Failed,
        Self::Differs,
        Self::NotSupported,
        Self::NotObservable,
        Self::NoCase,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Differs => "differs",
            Self::NotSupported => "not supported",
            Self::NotObservable => "not observable",
            Self::NoCase => "no case",
        }
    }

    /// The name in the style sheet.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::NotSupported => "unsupported",
            Self::NotObservable => "unobservable",
            Self::NoCase => "none",
            _ => self.name(),
        }
    }

    /// A sign that does not need its colour.
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Passed => "✓",
            Self::Failed => "✕",
            Self::Differs => "≠",
            Self::NotSupported => "–",
            Self::NotObservable => "○",
            Self::NoCase => "·",
        }
    }
}

impl Sheet {
    /// Reads results as `--json` writes them. An error says what is wrong with them.
    pub(super) fn parse(text: &str, file_name: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text)
            .map_err(|error| format!("{file_name} is not JSON: {error}"))?;
        let results = value["results"].as_array().ok_or_else(|| {
            format!("{file_name} has no results; expected a file of `asgi-spec run --json`")
        })?;
        let python = value["interface"] == "python";
        let mut entries = HashMap::new();
        let mut order = Vec::new();
        for one in results {
            let key = Key {
                id: text_of(one, "id"),
                transport: text_of(one, "transport"),
                case: text_of(one, "case"),
            };
            order.push(key.clone());
            entries.insert(key, Entry::new(one, python));
        }
        let name = value["server"].as_str().unwrap_or(file_name);
        Ok(Self {
            name: name.into(),
            entries,
            order,
            python,
        })
    }

    pub(super) fn shown(&self, key: &Key) -> Option<Shown> {
        self.entries.get(key).map(|entry| entry.shown)
    }

    pub(super) fn count(&self, shown: Shown) -> usize {
        let entries = self.entries.values();
        entries.filter(|entry| entry.shown == shown).count()
    }
}

impl Entry {
    fn new(one: &Value, python: bool) -> Self {
        let texts = |name: &str| -> Vec<String> {
            let texts = one[name].as_array().into_iter().flatten();
            texts.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let basis = texts("basis");
        let goes_further = python && basis.iter().any(|kind| kind == "ours");
        let optional = |name: &str| one[name].as_str().map(str::to_owned);
        let requirement = requirement(one["id"].as_str().unwrap_or_default());
        // Results that are kept leave out what the spec has.
        let or_spec = |name: &str, of_spec: fn(&Requirement) -> String| {
            optional(name).unwrap_or_else(|| requirement.map(of_spec).unwrap_or_default())
        };
        Self {
            shown: match one["grade"].as_str() {
                Some("passed") => Shown::Passed,
                Some("failed") if goes_further => Shown::Differs,
                Some("failed") => Shown::Failed,
                Some("not supported") => Shown::NotSupported,
                Some("not observable") => Shown::NotObservable,
                _ => Shown::NoCase,
            },
            chapter: or_spec("chapter", |one| one.chapter.into()),
            level: or_spec("level", |one| one.level.word().into()),
            text: or_spec("text", |one| one.text.clone()),
            basis,
            reason: optional("reason"),
            expected: optional("expected"),
            got: optional("got"),
            trace: texts("trace"),
        }
    }
}

fn text_of(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().into()
}
