//! Checks that `edges.txt` and the tests match, in both directions.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The names of the tests, as `module::name`.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder().join("tests/it")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let module = path.file_stem().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let mut is_test = false;
        for line in text.lines() {
            if line == "#[test]" {
                is_test = true;
            } else if let Some(rest) = line.strip_prefix("fn ")
                && std::mem::take(&mut is_test)
            {
                let name = rest.split('(').next().unwrap();
                names.insert(format!("{module}::{name}"));
            }
        }
    }
    names
}

#[test]
fn every_edge_has_a_test_and_every_test_an_edge() {
    let list = fs::read_to_string(folder().join("edges.txt")).unwrap();
    let mut listed = BTreeMap::new();
    let mut ids = BTreeSet::new();
    for row in list.lines().filter(|row| !row.starts_with('#')) {
        let columns: Vec<&str> = row.split(" | ").collect();
        let [id, edge, test] = columns[..] else {
            panic!("not three columns: {row}");
        };
        assert!(ids.insert(id), "{id} is repeated");
        assert!(!edge.is_empty(), "{id} has no description");
        let other = listed.insert(test.to_owned(), id);
        assert_eq!(other, None, "{test} has another row besides {id}");
    }
    let listed: BTreeSet<String> = listed.into_keys().collect();
    let tests = tests();
    let missing: Vec<_> = tests.difference(&listed).collect();
    assert!(missing.is_empty(), "tests without an edge: {missing:#?}");
    let dangling: Vec<_> = listed.difference(&tests).collect();
    assert!(dangling.is_empty(), "edges without a test: {dangling:#?}");
}
