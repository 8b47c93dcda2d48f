//! `asgi-spec library`: the library's side of the C ABI.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::LazyLock;

use test_support::library;

use crate::command::ASGI_SPEC;

static BROKEN: LazyLock<PathBuf> = LazyLock::new(|| library::build("broken-library"));

/// The requirements of the library's side that the broken library can break.
const SWITCHES: &[&str] = &[
    "ABI-008", "ABI-009", "ABI-012", "ABI-013", "ABI-014", "ABI-017", "ABI-019", "ABI-020",
    "ABI-023", "ABI-024", "ABI-025",
];

/// The requirements that the check prints and that have no switch, each with the reason.
const WITHOUT_SWITCH: &[(&str, &str)] = &[
    ("ABI-003", "a test changes the size in the file"),
    (
        "ABI-021",
        "a library that breaks it crashes or does anything else",
    ),
];

fn check(library: &PathBuf, breaks: &str) -> Output {
    let mut command = Command::new(&*ASGI_SPEC);
    command.arg("library").arg(library);
    command.env("ASGI_SPEC_ABI_BREAK", breaks);
    command.output().unwrap()
}

/// The ids with this grade.
fn graded(output: &Output, grade: &str) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text.lines().filter(|line| line.starts_with("ABI-"));
    let lines = lines.filter(|line| line.split_whitespace().nth(1) == Some(grade));
    lines.map(|line| line[..7].to_owned()).collect()
}

#[test]
fn each_broken_library_fails_the_check_of_its_requirement() {
    let missed = crate::side_by_side(SWITCHES.to_vec(), |id| {
        let output = check(&BROKEN, id);
        let is_found = graded(&output, "failed").iter().any(|one| one == id);
        (!is_found || output.status.code() != Some(1)).then(|| format!("{id}: {output:?}"))
    });
    assert!(missed.is_empty(), "broken and not found: {missed:#?}");
}

#[test]
fn a_library_without_a_switch_passes_and_each_check_has_a_switch_or_a_reason() {
    let output = check(&BROKEN, "none");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let passed = graded(&output, "passed");
    assert!(passed.len() > 10, "{output:?}");
    for id in passed {
        let has_switch = SWITCHES.contains(&id.as_str());
        let has_reason = WITHOUT_SWITCH.iter().any(|(one, _)| *one == id);
        assert!(has_switch || has_reason, "{id}");
    }
}

#[test]
fn an_app_in_c_and_one_in_rust_pass() {
    let folder = tempfile::tempdir().unwrap();
    let in_c = folder.path().join("libc_hello.so");
    let made = Command::new("make")
        .args([
            "-C",
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/c-hello"),
            "-s",
        ])
        .arg(format!("OUT={}", in_c.display()))
        .status()
        .unwrap();
    assert!(made.success());
    for library in [in_c, library::build("hello")] {
        let output = check(&library, "none");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(graded(&output, "passed").len() > 10, "{output:?}");
    }
}

#[test]
fn a_file_that_is_no_library_of_this_version_gets_one_clear_message() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("libother.so");
    std::fs::write(&file, "This is no library.\n").unwrap();
    let bytes = std::fs::read(&*BROKEN).unwrap();
    let head: &[u8] = &[b"ASGI_APP".as_slice(), &[0, 0, 7, 0]].concat();
    for (at, other, message) in [
        (0, None, "can't be loaded"),
        (8, Some(1), "has version 1.7 of the ABI, this check has 0.7"),
        (0, Some(b'X'), "ASGI_APP begins with"),
    ] {
        if let Some(other) = other {
            let mut bytes = bytes.clone();
            let starts = bytes.windows(head.len()).positions(head);
            assert!(!starts.is_empty());
            for start in starts {
                bytes[start + at] = other;
            }
            std::fs::write(&file, bytes).unwrap();
        }
        let output = check(&file, "none");
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains(message), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

/// Where a pattern is.
trait Positions {
    fn positions(self, pattern: &[u8]) -> Vec<usize>;
}

impl<'a, I: Iterator<Item = &'a [u8]>> Positions for I {
    fn positions(self, pattern: &[u8]) -> Vec<usize> {
        let found = self.enumerate().filter(|(_, window)| *window == pattern);
        found.map(|(at, _)| at).collect()
    }
}
