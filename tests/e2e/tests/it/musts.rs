//! Compares `tests/conformance/musts.txt` with the rows and tests that it names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::framing::{folder, framing_rows, rows};

#[test]
fn every_must_has_rows_and_every_row_of_a_must_is_listed() {
    let framing: BTreeMap<_, _> = framing_rows()
        .into_iter()
        .map(|row| (row.id, (row.level, row.clause)))
        .collect();
    let edges: BTreeMap<_, _> = rows("http2/edges.txt")
        .into_iter()
        .map(|columns| (columns[0].clone(), columns[2].clone()))
        .collect();
    let mut listed = BTreeSet::new();
    let mut quotes = BTreeSet::new();
    for columns in rows("conformance/musts.txt") {
        let [clause, quote, ids] = &columns[..] else {
            panic!("not three columns: {columns:?}");
        };
        let words = quote.split_whitespace().count();
        assert!((1..=20).contains(&words), "{clause}: {words} words");
        assert!(
            quotes.insert((clause.clone(), quote.clone())),
            "{clause} is repeated: {quote}"
        );
        let reason = ["none: ", "deviates: "]
            .iter()
            .find_map(|mark| ids.strip_prefix(mark));
        if let Some(reason) = reason {
            for id in reason.split(|other: char| !other.is_ascii_alphanumeric() && other != '-') {
                let is_row = framing.contains_key(id) || edges.contains_key(id);
                let names_row = id.starts_with("F-") || id.starts_with("H2-");
                assert!(is_row || !names_row, "{clause}: no row {id}");
            }
            continue;
        }
        for id in ids.split(' ') {
            if let Some((level, of_row)) = framing.get(id) {
                if level == "MUST" && of_row == clause {
                    listed.insert(id.to_owned());
                }
                continue;
            }
            let (id, kept) = match id.strip_suffix('!') {
                Some(id) => (id, Kept::NotYet),
                None => (id, Kept::Yes),
            };
            if let Some(test) = id.strip_prefix("e2e::") {
                assert_eq!(find_test("e2e", test), Some(kept), "{id}");
            } else {
                let test = edges
                    .get(id)
                    .unwrap_or_else(|| panic!("{clause}: no row {id}"));
                assert_eq!(find_test("http2", test), Some(kept), "{id}");
            }
        }
    }
    let musts = framing.iter().filter(|(_, (level, _))| level == "MUST");
    let missing: Vec<_> = musts
        .map(|(id, _)| id)
        .filter(|id| !listed.contains(*id))
        .collect();
    assert!(
        missing.is_empty(),
        "rows of a MUST that musts.txt does not list under their clause: {missing:?}"
    );
}

/// Whether the server keeps a rule: its test runs, or is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    Yes,
    NotYet,
}

/// Looks for a test, as `module::name`, in the source of a package.
fn find_test(package: &str, path: &str) -> Option<Kept> {
    let (modules, name) = path.rsplit_once("::")?;
    let file = folder(package)
        .join("tests/it")
        .join(modules.replace("::", "/") + ".rs");
    let text = fs::read_to_string(file).ok()?;
    let (before, _) = text.split_once(&format!("\nfn {name}() {{"))?;
    let attributes = before
        .lines()
        .rev()
        .take_while(|line| line.starts_with("#["));
    let is_ignored = attributes
        .into_iter()
        .any(|line| line.starts_with("#[ignore"));
    Some(if is_ignored { Kept::NotYet } else { Kept::Yes })
}
