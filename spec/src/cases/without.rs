//! The requirements that no case checks, each with its reason.

use crate::suite::{Grade, matches};

const OF_APPS: &str = "it is about apps, and a suite of servers brings its own app";
const OF_OPERATORS: &str = "it depends on a setting of the operator that the suite does not know";
const PERMISSION: &str = "a permission: both ways are right";
const LIMITS: &str = "the limit is the server's own, and the suite does not know it";

/// An id, or the beginning of ids and `*`.
const WITHOUT: &[(&str, &str)] = &[
    ("CORE-002", OF_APPS),
    ("CORE-003", PERMISSION),
    ("CORE-005", OF_APPS),
    ("CORE-006", "an app can't miss what is never in its scope"),
    ("CORE-031", "logs mark their errors in different ways"),
    ("HTTP-048", OF_OPERATORS),
    ("HTTP-067", OF_OPERATORS),
    ("HTTP-071", PERMISSION),
    ("HTTP-074", OF_OPERATORS),
    ("HTTP-075", OF_OPERATORS),
    ("HTTP-076", OF_OPERATORS),
    ("HTTP-077", OF_OPERATORS),
    ("HTTP-084", OF_OPERATORS),
    ("HTTP-089", "it holds if those of the two chapters hold"),
    ("WS-017", OF_OPERATORS),
    ("WS-025", OF_OPERATORS),
    ("WS-032", LIMITS),
    ("WS-033", LIMITS),
    ("WS-037", OF_OPERATORS),
    ("LIFE-007", OF_OPERATORS),
    ("LIFE-017", OF_OPERATORS),
    ("PUSH-003", PERMISSION),
    ("PUSH-015", OF_OPERATORS),
    ("PUSH-025", OF_OPERATORS),
    ("PUSH-027", PERMISSION),
    ("PUSH-028", PERMISSION),
    ("HINT-004", PERMISSION),
    ("TRAIL-007", PERMISSION),
    ("DEBUG-*", "it is about test clients, which have no socket"),
    (
        "ABI-*",
        "a client does not see the boundary between a host and a library",
    ),
];

/// Returns the grade of a requirement that no case checks.
pub(crate) fn missing(id: &str) -> Option<Grade> {
    let (_, reason) = WITHOUT.iter().find(|(pattern, _)| matches(pattern, id))?;
    Some(Grade::NotObservable((*reason).into()))
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
