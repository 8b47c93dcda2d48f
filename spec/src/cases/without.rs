//! The requirements that no case checks, each with its reason.

use super::without::Why::{Library, NotObservable};
#[cfg(any(test, feature = "cli"))]
use crate::Requirement;
use crate::suite::{Grade, matches};

#[derive(Clone, Copy)]
enum Why {
    NotObservable(&'static str),
    /// `asgi-spec library` checks it.
    Library,
}

const OF_APPS: Why = NotObservable("it is about apps, and a suite of servers brings its own app");
const OF_OPERATORS: Why =
    NotObservable("it depends on a setting of the operator that the suite does not know");
const PERMISSION: Why = NotObservable("a permission: both ways are right");

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
    ("HTTP-067", OF_OPERATORS),
    ("HTTP-071", PERMISSION),
    (
        "HTTP-089",
        NotObservable("it holds if those of the two chapters hold"),
    ),
    ("WS-025", OF_OPERATORS),
    (
        "WS-033",
        NotObservable("the limit is the server's own, and the suite does not know it"),
    ),
    ("WS-037", OF_OPERATORS),
    ("LIFE-017", OF_OPERATORS),
    ("PUSH-003", PERMISSION),
    ("PUSH-015", OF_OPERATORS),
    ("PUSH-025", OF_OPERATORS),
    ("PUSH-027", PERMISSION),
    ("PUSH-028", PERMISSION),
    ("HINT-004", PERMISSION),
    ("TRAIL-007", PERMISSION),
    (
        "DEBUG-*",
        NotObservable("it is about test clients, which have no socket"),
    ),
    (
        "ABI-007",
        NotObservable("a library that is unloaded as the process ends can't tell it from the end"),
    ),
    ("ABI-008", Library),
    ("ABI-013", Library),
    ("ABI-014", Library),
    (
        "ABI-022",
        NotObservable("no one outside sees on which thread a library runs its app"),
    ),
    ("ABI-023", Library),
];

/// Returns the grade of a requirement that no case checks.
pub(crate) fn missing(id: &str) -> Option<Grade> {
    let (_, why) = WITHOUT.iter().find(|(pattern, _)| matches(pattern, id))?;
    Some(Grade::NotObservable(match why {
        Library => "of libraries: `asgi-spec library` checks it".into(),
        NotObservable(reason) => (*reason).into(),
    }))
}

/// The requirements that nothing here can observe: neither a case nor `asgi-spec library`.
#[cfg(any(test, feature = "cli"))]
pub(crate) fn not_observable() -> impl Iterator<Item = &'static Requirement> {
    let all = crate::requirements().iter();
    all.filter(|one| {
        let mut rows = WITHOUT.iter();
        let row = rows.find(|(pattern, _)| matches(pattern, one.id));
        std::matches!(row, Some((_, NotObservable(_))))
    })
}

/// Those that `asgi-spec library` checks.
#[cfg(all(test, feature = "cli"))]
pub(crate) fn of_libraries() -> impl Iterator<Item = &'static str> {
    let rows = WITHOUT.iter();
    rows.filter(|(_, why)| std::matches!(why, Library))
        .map(|(id, _)| *id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requirements;

    #[test]
    fn at_most_one_in_ten_requirements_is_not_observable() {
        let ids: Vec<&str> = not_observable().map(|one| one.id).collect();
        let (count, all) = (ids.len(), requirements().len());
        assert!(count * 10 <= all, "{count} of {all}: {ids:?}");
    }

    #[test]
    fn each_row_is_about_a_requirement_of_the_spec() {
        for (pattern, _) in WITHOUT {
            let found = requirements().iter().any(|one| matches(pattern, one.id));
            assert!(found, "{pattern}");
        }
    }
}
