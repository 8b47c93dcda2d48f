//! The requirements that no case checks, each with its reason.

use super::without::Why::{NoCase, NotObservable};
use crate::suite::{Grade, matches};

#[derive(Clone, Copy)]
enum Why {
    NotObservable(&'static str),
    NoCase(&'static str),
}

const OF_APPS: Why = NotObservable("it is about apps, and a suite of servers brings its own app");
const OF_LIBRARIES: Why =
    NotObservable("it is about libraries, and a suite of servers brings its own");
const OF_OPERATORS: Why =
    NotObservable("it depends on a setting of the operator that the suite does not know");
const PERMISSION: Why = NotObservable("a permission: both ways are right");
const HTTP_2: Why = NoCase("it is about HTTP/2, and the suite has no client for it yet");
const LIMITS: Why = NotObservable("the limit is the server's own, and the suite does not know it");

/// An id, or the beginning of ids and `*`.
const WITHOUT: &[(&str, Why)] = &[
    ("CORE-002", OF_APPS),
    ("CORE-003", PERMISSION),
    ("CORE-005", OF_APPS),
    (
        "CORE-006",
        NotObservable("an app can't miss what is never in its scope"),
    ),
    (
        "CORE-031",
        NotObservable("logs mark their errors in different ways"),
    ),
    ("HTTP-009", HTTP_2),
    ("HTTP-040", HTTP_2),
    ("HTTP-044", HTTP_2),
    ("HTTP-048", OF_OPERATORS),
    ("HTTP-057", HTTP_2),
    ("HTTP-058", HTTP_2),
    ("HTTP-067", OF_OPERATORS),
    ("HTTP-071", PERMISSION),
    ("HTTP-074", OF_OPERATORS),
    ("HTTP-075", OF_OPERATORS),
    ("HTTP-076", OF_OPERATORS),
    ("HTTP-077", OF_OPERATORS),
    ("HTTP-081", HTTP_2),
    ("HTTP-084", OF_OPERATORS),
    (
        "HTTP-089",
        NotObservable("it holds if those of the two chapters hold"),
    ),
    ("WS-017", OF_OPERATORS),
    ("WS-025", OF_OPERATORS),
    (
        "WS-030",
        NoCase("the case must hold a socket open while its server stops"),
    ),
    ("WS-032", LIMITS),
    ("WS-033", LIMITS),
    ("WS-035", NoCase("the suite's client does not compress yet")),
    ("WS-037", OF_OPERATORS),
    ("WS-040", HTTP_2),
    ("WS-041", HTTP_2),
    (
        "WS-042",
        NoCase("the case must hold a connection open while its server stops"),
    ),
    ("LIFE-007", OF_OPERATORS),
    ("LIFE-017", OF_OPERATORS),
    ("PUSH-*", HTTP_2),
    ("HINT-004", PERMISSION),
    ("TRAIL-007", PERMISSION),
    ("TLS-*", NoCase("the suite has no client for TLS yet")),
    ("PATH-*", NoCase("the probe sends no files yet")),
    ("ZERO-*", NoCase("the probe sends no files yet")),
    (
        "DEBUG-*",
        NotObservable("it is about test clients, which have no socket"),
    ),
    (
        "ABI-007",
        NotObservable("a library that is unloaded as the process ends can't tell it from the end"),
    ),
    ("ABI-008", OF_LIBRARIES),
    ("ABI-013", OF_LIBRARIES),
    ("ABI-014", OF_LIBRARIES),
    ("ABI-022", OF_LIBRARIES),
    ("ABI-023", OF_LIBRARIES),
];

/// Returns the grade of a requirement that no case checks.
pub(crate) fn missing(id: &str) -> Option<Grade> {
    let (_, why) = WITHOUT.iter().find(|(pattern, _)| matches(pattern, id))?;
    Some(match why {
        NotObservable(reason) => Grade::NotObservable((*reason).into()),
        NoCase(reason) => Grade::NoCase((*reason).into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requirements;

    #[test]
    fn each_row_is_about_a_requirement_of_the_spec() {
        for (pattern, _) in WITHOUT {
            let found = requirements().iter().any(|one| matches(pattern, one.id));
            assert!(found, "{pattern}");
        }
    }
}
