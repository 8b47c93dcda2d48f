//! The requirements that Python's ASGI can't express, or decides in another way.

use crate::requirement::{Requirement, requirement};
use crate::suite::matches;

const REASONS: &str = "ASGI has no reasons for a disconnect, and does not tell a client that has \
                       closed its side from one that is gone";
const ABORTED: &str = "ASGI has no error with which an app breaks off its exchange";
const METHODS: &str = "it is about a method of the crate asgi";
const ORDER: &str = "exceptions of ASGI do not tell these errors apart";

const PUSH: &str = "push is another in ASGI: it comes after the start, its path is decoded, and a client \
                    that takes none ignores it";

/// An id, or the beginning of ids and `*`.
const NOT_IN_PYTHON: &[(&str, &str)] = &[
    (
        "CORE-004",
        "ASGI does not say what send does after the app has ended",
    ),
    ("CORE-027", ORDER),
    ("CORE-028", ABORTED),
    ("CORE-029", ABORTED),
    ("CORE-030", METHODS),
    ("HTTP-017", "ASGI has no trailers of a request"),
    (
        "HTTP-023",
        "ASGI permits the server to hold the head back, and does not require it",
    ),
    (
        "HTTP-037",
        "ASGI asks this only for the error of the server's own send",
    ),
    ("HTTP-042", REASONS),
    ("HTTP-046", REASONS),
    ("HTTP-044", REASONS),
    ("HTTP-057", PUSH),
    ("HTTP-058", PUSH),
    (
        "HTTP-060",
        "ASGI says in its extensions what the events with files do",
    ),
    ("HTTP-078", METHODS),
    ("HTTP-080", METHODS),
    ("HTTP-081", REASONS),
    ("HTTP-083", REASONS),
    ("HTTP-085", METHODS),
    ("PUSH-*", PUSH),
    ("TLS-004", "ASGI has no server_name"),
    ("TRAIL-003", ORDER),
    ("WS-043", ABORTED),
];

/// The requirements whose cases ask a server of Python apps only for what ASGI says.
const NARROWED: &[&str] = &["CORE-025", "HTTP-028", "HTTP-039", "HTTP-045"];

/// The kinds of sources of what a case asks a server of Python apps for.
pub(crate) fn basis_in_python(one: &Requirement) -> Vec<&'static str> {
    let mut basis = one.basis();
    if NARROWED.contains(&one.id) {
        basis.retain(|kind| *kind != "ours");
    }
    basis
}

/// Why a requirement is not checked for a server of Python apps, if it is not.
pub(crate) fn not_in_python(id: &str) -> Option<String> {
    let mut rows = NOT_IN_PYTHON.iter();
    if let Some((_, reason)) = rows.find(|(pattern, _)| matches(pattern, id)) {
        return Some((*reason).into());
    }
    let sources = requirement(id)?.sources.as_str();
    let against = sources.split("ours, against ").nth(1)?;
    let place = against.split(';').next()?.trim_end_matches('.');
    Some(format!("the spec decides against {place}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requirements;

    #[test]
    fn each_row_is_about_a_requirement_of_the_spec() {
        let rows = NOT_IN_PYTHON.iter().map(|(id, _)| id);
        for pattern in rows.chain(NARROWED) {
            let found = requirements().iter().any(|one| matches(pattern, one.id));
            assert!(found, "{pattern}");
        }
    }

    #[test]
    fn a_rule_against_asgi_is_not_checked_for_python() {
        let reason = not_in_python("CORE-014");
        let expected = "the spec decides against ASGI www, Response Body";
        assert_eq!(reason.as_deref(), Some(expected));
        assert_eq!(not_in_python("CORE-001"), None);
    }
}
