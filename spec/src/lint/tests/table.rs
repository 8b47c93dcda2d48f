//! Which requirement Lint checks, as the file `spec/lint.md` says.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use super::{app_side, server_side};
use crate::requirements;

const APP: &[&str] = &[
    "CORE-013",
    "CORE-014",
    "CORE-025",
    "DEBUG-002",
    "DENY-002",
    "DENY-003",
    "DENY-004",
    "HTTP-021",
    "HTTP-022",
    "HTTP-029",
    "HTTP-030",
    "HTTP-031",
    "HTTP-055",
    "PATH-001",
    "PATH-002",
    "PATH-003",
    "PUSH-014",
    "TRAIL-002",
    "TRAIL-004",
    "WS-008",
    "WS-009",
    "WS-010",
    "WS-011",
    "WS-018",
    "WS-019",
    "ZERO-001",
];

const SERVER: &[&str] = &[
    "CORE-008",
    "CORE-013",
    "CORE-014",
    "CORE-015",
    "CORE-016",
    "CORE-017",
    "CORE-022",
    "CORE-024",
    "CORE-025",
    "CORE-026",
    "CORE-027",
    "DEBUG-002",
    "DENY-002",
    "DENY-003",
    "HTTP-001",
    "HTTP-003",
    "HTTP-005",
    "HTTP-009",
    "HTTP-012",
    "HTTP-013",
    "HTTP-014",
    "HTTP-015",
    "HTTP-016",
    "HTTP-017",
    "HTTP-020",
    "HTTP-021",
    "HTTP-022",
    "HTTP-029",
    "HTTP-030",
    "HTTP-031",
    "HTTP-042",
    "HTTP-045",
    "HTTP-046",
    "HTTP-054",
    "HTTP-055",
    "HTTP-056",
    "HTTP-059",
    "HTTP-062",
    "HTTP-073",
    "LIFE-001",
    "LIFE-003",
    "LIFE-004",
    "LIFE-012",
    "PATH-001",
    "PATH-002",
    "PATH-003",
    "PUSH-001",
    "PUSH-013",
    "PUSH-014",
    "TLS-001",
    "TLS-003",
    "TLS-005",
    "TLS-006",
    "TLS-007",
    "TRAIL-001",
    "TRAIL-002",
    "TRAIL-004",
    "WS-001",
    "WS-002",
    "WS-003",
    "WS-004",
    "WS-006",
    "WS-008",
    "WS-009",
    "WS-010",
    "WS-018",
    "WS-019",
    "WS-020",
    "WS-022",
    "WS-045",
    "ZERO-001",
];

const CLIENT: &str = "only the client sees it";
const CONNECTION: &str = "it is about the connection, of which Lint sees one exchange";
const LIMIT: &str = "it depends on time or on a limit that Lint does not know";
const LOG: &str = "it is about the log";
const END: &str = "it is about what the server does after the app has ended";
const NO_CALL: &str = "the server does not call the app then";
const REQUEST: &str = "Lint does not see the request as the client sent it";
const TWO: &str = "it takes two Lints, one on each side of the middleware";
const HALVES: &str = "the level without sockets checks it";
const PERMISSION: &str = "a permission: both ways are right";
const HIDDEN: &str = "no one can observe it";
const INTERFACE: &str = "the crate `asgi` does it, on the side of the app";
const OTHERS: &str = "it follows from the others";
const FILE: &str = "it is about the file, which Lint does not open";

/// Why Lint does not check a requirement: an id or the beginning of ids and `*`. The first row counts.
const NOT: &[(&str, &str)] = &[
    ("CORE-001", "Lint can't know which calls belong together"),
    (
        "CORE-002",
        "Lint can't make a kind of scope that the app does not know",
    ),
    ("CORE-003", PERMISSION),
    ("CORE-004", HALVES),
    ("CORE-005", TWO),
    ("CORE-006", HIDDEN),
    ("CORE-007", HALVES),
    ("CORE-009", HALVES),
    ("CORE-010", HALVES),
    ("CORE-011", HALVES),
    (
        "CORE-012",
        "what changed shows later, as a breach of another requirement",
    ),
    ("CORE-018", LOG),
    ("CORE-019", END),
    ("CORE-020", END),
    ("CORE-021", CLIENT),
    ("CORE-023", "a state does not tell which values it has"),
    ("CORE-028", END),
    ("CORE-029", LOG),
    ("CORE-030", HALVES),
    ("CORE-031", LOG),
    ("HTTP-002", REQUEST),
    ("HTTP-004", REQUEST),
    ("HTTP-006", INTERFACE),
    ("HTTP-007", INTERFACE),
    ("HTTP-008", REQUEST),
    ("HTTP-010", REQUEST),
    ("HTTP-011", REQUEST),
    ("HTTP-018", CLIENT),
    ("HTTP-019", LIMIT),
    ("HTTP-02*", CLIENT),
    ("HTTP-03*", CLIENT),
    ("HTTP-040", CLIENT),
    ("HTTP-041", REQUEST),
    ("HTTP-043", REQUEST),
    ("HTTP-044", REQUEST),
    ("HTTP-047", LIMIT),
    ("HTTP-048", CLIENT),
    ("HTTP-049", CLIENT),
    ("HTTP-05*", CLIENT),
    (
        "HTTP-060",
        "a server may offer the extensions, and then their requirements are checked",
    ),
    (
        "HTTP-061",
        "Lint can't know whether the server is a test client",
    ),
    ("HTTP-063", NO_CALL),
    ("HTTP-064", NO_CALL),
    ("HTTP-065", NO_CALL),
    ("HTTP-066", NO_CALL),
    ("HTTP-067", NO_CALL),
    ("HTTP-068", CLIENT),
    ("HTTP-069", CLIENT),
    ("HTTP-070", CLIENT),
    ("HTTP-071", CLIENT),
    ("HTTP-072", CLIENT),
    ("HTTP-074", LIMIT),
    ("HTTP-075", LIMIT),
    ("HTTP-076", LIMIT),
    ("HTTP-077", LIMIT),
    ("HTTP-078", INTERFACE),
    ("HTTP-079", CLIENT),
    ("HTTP-080", INTERFACE),
    ("HTTP-081", REQUEST),
    ("HTTP-082", CLIENT),
    ("HTTP-083", HALVES),
    ("HTTP-084", LIMIT),
    ("HTTP-085", CLIENT),
    ("HTTP-086", CLIENT),
    ("HTTP-087", CLIENT),
    ("HTTP-088", CLIENT),
    ("HTTP-089", OTHERS),
    ("WS-005", CLIENT),
    ("WS-007", CLIENT),
    ("WS-012", NO_CALL),
    ("WS-013", REQUEST),
    ("WS-014", REQUEST),
    ("WS-015", REQUEST),
    ("WS-016", CLIENT),
    ("WS-017", LIMIT),
    ("WS-021", REQUEST),
    ("WS-023", CLIENT),
    ("WS-024", CLIENT),
    ("WS-025", CLIENT),
    ("WS-026", LIMIT),
    ("WS-027", OTHERS),
    ("WS-028", CLIENT),
    ("WS-029", CLIENT),
    ("WS-03*", CLIENT),
    ("WS-04*", CLIENT),
    ("LIFE-002", END),
    ("LIFE-005", PERMISSION),
    ("LIFE-006", END),
    ("LIFE-007", LIMIT),
    ("LIFE-008", LOG),
    ("LIFE-009", END),
    ("LIFE-010", END),
    ("LIFE-011", END),
    ("LIFE-013", LIMIT),
    ("LIFE-014", END),
    ("LIFE-015", END),
    ("LIFE-016", END),
    ("LIFE-017", LIMIT),
    ("PUSH-*", CONNECTION),
    ("HINT-*", CLIENT),
    ("TRAIL-*", CLIENT),
    ("DENY-001", PERMISSION),
    ("TLS-*", CONNECTION),
    ("PATH-*", FILE),
    ("ZERO-*", FILE),
    ("DEBUG-*", "only the test sees it"),
    (
        "ABI-*",
        "it is about the boundary between a host and a library",
    ),
];

fn reason(id: &str) -> Option<&'static str> {
    let row = NOT
        .iter()
        .find(|(pattern, _)| match pattern.strip_suffix('*') {
            Some(start) => id.starts_with(start),
            None => *pattern == id,
        });
    row.map(|(_, reason)| *reason)
}

#[test]
fn each_rule_that_lint_checks_has_a_test_and_each_test_a_rule() {
    let ids = |rows: Vec<app_side::Row>| -> Vec<&str> { rows.iter().map(|row| row.id).collect() };
    let (events, ends) = (ids(app_side::events()), ids(app_side::ends()));
    let app: BTreeSet<&str> = events.iter().copied().chain(ends).collect();
    assert_eq!(app, BTreeSet::from_iter(APP.iter().copied()));

    let servers = [
        server_side::scopes(),
        server_side::events(),
        server_side::calls(),
    ];
    let servers = servers.into_iter().flatten().map(|row| row.id);
    // A server that takes a wrong event, and one that confuses misuse and refused.
    let server: BTreeSet<&str> = servers.chain(events).chain(["CORE-027"]).collect();
    assert_eq!(server, BTreeSet::from_iter(SERVER.iter().copied()));
}

/// Whether a text has the form of an id.
fn is_id(text: &str) -> bool {
    text.split_once('-').is_some_and(|(chapter, number)| {
        let digits = number.bytes().all(|byte| byte.is_ascii_digit());
        !chapter.is_empty()
            && chapter.bytes().all(|byte| byte.is_ascii_uppercase())
            && number.len() == 3
            && digits
    })
}

/// The quoted ids in the files of a folder.
fn quoted_ids(folder: &Path) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for file in folder.read_dir().unwrap() {
        if let Ok(text) = std::fs::read_to_string(file.unwrap().path()) {
            let quoted = text.split('"').skip(1).step_by(2);
            ids.extend(quoted.filter(|text| is_id(text)).map(str::to_owned));
        }
    }
    ids
}

#[test]
fn each_id_of_the_level_without_sockets_is_in_the_spec() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/halves");
    let folders = [folder.clone(), folder.join("http"), folder.join("socket")];
    let ids: BTreeSet<String> = folders.iter().flat_map(|one| quoted_ids(one)).collect();
    assert!(ids.len() > 25, "{ids:?}");
    for id in ids {
        assert!(crate::requirement(&id).is_some(), "{id}");
    }
}

#[test]
fn each_id_in_the_code_of_lint_is_in_the_table() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lint");
    let ids: BTreeSet<String> = [folder.clone(), folder.join("call")]
        .iter()
        .flat_map(|one| quoted_ids(one))
        .collect();
    let table = APP
        .iter()
        .chain(SERVER)
        .map(|id| (*id).to_owned())
        .collect();
    assert_eq!(ids, table);
    for id in ids {
        assert!(crate::requirement(&id).is_some(), "{id}");
    }
}

#[test]
fn each_requirement_is_checked_or_has_a_reason() {
    for requirement in requirements() {
        let id = requirement.id;
        let checked = APP.contains(&id) || SERVER.contains(&id);
        assert!(checked || reason(id).is_some(), "{id}");
    }
    for (pattern, _) in NOT {
        let mut without = requirements().iter().filter(|one| {
            !APP.contains(&one.id) && !SERVER.contains(&one.id) && reason(one.id).is_some()
        });
        let used = without.any(|one| match pattern.strip_suffix('*') {
            Some(start) => one.id.starts_with(start),
            None => one.id == *pattern,
        });
        assert!(used, "{pattern} is the reason of nothing");
    }
}

const HEAD: &str = "\
# What Lint checks

`asgi_spec::Lint` is an app around any app that checks both sides as they run. [Test your
server](../docs/test-your-server.md#lint) says how to use it. This table says for each requirement
which side it checks, or why none.

A test writes this file: `UPDATE=1 cargo test -p asgi-spec --lib the_page_says`.

| id | checked | not checked, because |
| --- | --- | --- |
";

#[test]
fn the_page_says_what_lint_checks() {
    let mut page = String::from(HEAD);
    for requirement in requirements() {
        let id = requirement.id;
        let sides = match (APP.contains(&id), SERVER.contains(&id)) {
            (true, true) => "app, server",
            (true, false) => "app",
            (false, true) => "server",
            (false, false) => "",
        };
        let reason = reason(id).filter(|_| sides.is_empty()).unwrap_or_default();
        let row = format!("| {id} | {sides} | {reason} |").replace("|  |", "| |");
        writeln!(page, "{}", row.replace("|  |", "| |")).unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("lint.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "run: UPDATE=1 cargo test -p asgi-spec --lib the_page_says"
    );
}
