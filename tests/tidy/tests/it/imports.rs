//! Who may depend on whom.

use std::collections::BTreeSet;

use crate::workspace::{files, packages, read, root};

/// What a package may depend on outside its tests: packages of the workspace, and the complete list
/// of outside packages if that list is a promise.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("asgi", &["bytes", "bytestring", "http"]),
    ("asgi-rules", &["asgi", "bytes", "http"]),
    ("asgi-abi", &["asgi", ANY]),
    // The last two are for the feature `json` only.
    (
        "asgi-testing",
        &["asgi", "asgi-rules", "bytes", "http", "serde", "serde_json"],
    ),
    (
        "asgi-util",
        &[
            "asgi",
            "bytes",
            "futures-core",
            "futures-sink",
            "http",
            "http-body",
            "tokio",
        ],
    ),
    ("asgi-tower", &["asgi", "asgi-rules", "asgi-util", ANY]),
    // It shares no code with a server, so that both cannot make the same mistake.
    ("asgi-spec", &["asgi", "asgi-spec-abi", ANY]),
    // It shares no code with a host or a library either.
    ("asgi-spec-abi", &[ANY]),
    (
        "asgi-spec-probe",
        &["asgi-abi", "asgi-spec", "asgi-spec-abi"],
    ),
    ("broken-host", &["asgi-abi", "asgi-spec", "asgi-spec-abi"]),
    ("broken-library", &["asgi", "asgi-abi", "asgi-spec-abi"]),
    ("ferricorn", &["asgi", "asgi-rules", ANY]),
    ("ferricorn-cli", &["asgi", "asgi-abi", "ferricorn", ANY]),
    ("axum-app", &["asgi-abi", "asgi-tower", "ferricorn", ANY]),
    ("axum-hosts-asgi", &["asgi", "asgi-tower", "asgi-util", ANY]),
    ("calculator", &["asgi", "asgi-abi", "asgi-util", ANY]),
    ("hello", &["asgi", "asgi-abi", ANY]),
    ("proxy", &["asgi", "asgi-abi", "asgi-util", ANY]),
    ("push", &["asgi", "asgi-abi", "asgi-util", ANY]),
    ("chat", &["asgi", "asgi-abi", "asgi-testing", ANY]),
    ("ws-echo", &["asgi", "asgi-abi", "asgi-testing"]),
    (
        "tiny-server",
        &["asgi", "asgi-abi", "asgi-rules", "asgi-util", ANY],
    ),
    (
        "adopters",
        &["asgi", "asgi-abi", "asgi-tower", "asgi-util", ANY],
    ),
    ("e2e", &[ANY]),
    ("test-support", &["asgi", "asgi-abi", "ferricorn", ANY]),
    // Its library shares no code with the server, so that both cannot make the same mistake.
    ("http2", &[ANY]),
    ("spec-tests", &[]),
    ("tidy", &[]),
    ("tower-tests", &[]),
];

/// What only the tests and examples of a package may depend on, of this workspace.
const TESTS_MAY_IMPORT: &[(&str, &[&str])] = &[
    ("asgi", &["asgi-testing"]),
    ("asgi-rules", &[]),
    ("asgi-abi", &["asgi-rules", "asgi-testing", "ferricorn"]),
    ("asgi-testing", &[]),
    ("asgi-util", &["asgi-testing"]),
    (
        "asgi-tower",
        &["asgi-abi", "asgi-testing", "ferricorn", "test-support"],
    ),
    ("asgi-spec", &[]),
    ("asgi-spec-abi", &["asgi-abi"]),
    ("asgi-spec-probe", &[]),
    ("broken-host", &[]),
    ("broken-library", &[]),
    ("ferricorn", &["asgi-testing"]),
    ("ferricorn-cli", &[]),
    ("calculator", &["asgi-spec", "asgi-testing"]),
    ("axum-app", &["asgi", "asgi-testing", "test-support"]),
    ("axum-hosts-asgi", &["test-support"]),
    ("hello", &["asgi-testing"]),
    ("proxy", &["asgi-spec", "http2", "test-support"]),
    ("push", &["asgi-spec", "asgi-testing"]),
    ("chat", &["asgi-spec", "asgi-testing"]),
    ("ws-echo", &["asgi-spec", "asgi-testing"]),
    ("tiny-server", &["asgi-abi"]),
    ("adopters", &["asgi-testing", "test-support"]),
    (
        "e2e",
        &[
            "asgi",
            "asgi-abi",
            "asgi-rules",
            "asgi-spec",
            "asgi-testing",
            "ferricorn",
            "http2",
            "test-support",
        ],
    ),
    ("test-support", &[]),
    ("http2", &["asgi", "ferricorn", "test-support"]),
    (
        "spec-tests",
        &[
            "asgi",
            "asgi-rules",
            "asgi-spec",
            "asgi-testing",
            "ferricorn",
            "http2",
            "test-support",
        ],
    ),
    ("tidy", &[]),
    (
        "tower-tests",
        &["asgi", "asgi-tower", "ferricorn", "test-support"],
    ),
];

/// Any package that is not of this workspace.
const ANY: &str = "*";

/// Packages that only the command line uses.
const COMMAND_LINE_ONLY: &[&str] = &["clap", "tracing-subscriber", "toml"];

fn rule<'a>(table: &[(&str, &'a [&'a str])], name: &str) -> &'a [&'a str] {
    let found = table.iter().find(|(package, _)| *package == name);
    found
        .unwrap_or_else(|| panic!("{name} has no row in this table"))
        .1
}

#[test]
fn a_package_imports_only_what_it_may() {
    let packages = packages();
    let ours: BTreeSet<&str> = packages.iter().map(|one| one.name.as_str()).collect();
    for package in &packages {
        let may = rule(MAY_IMPORT, &package.name);
        let tests_may = rule(TESTS_MAY_IMPORT, &package.name);
        for (name, dependency) in &package.dependencies {
            let name = name.as_str();
            let is_ours = ours.contains(name);
            let allowed = may.contains(&name) || (may.contains(&ANY) && !is_ours);
            let allowed_in_tests =
                dependency.development && (!is_ours || tests_may.contains(&name));
            assert!(
                allowed || allowed_in_tests,
                "{} must not import {name}",
                package.name
            );
        }
    }
}

#[test]
fn only_the_command_line_uses_clap_and_its_like() {
    // Libraries with a feature `cli`.
    let with_command = ["ferricorn", "asgi-spec"];
    for package in packages() {
        for name in COMMAND_LINE_ONLY {
            match package.dependencies.get(*name) {
                None => {}
                Some(dependency) => assert!(
                    (with_command.contains(&package.name.as_str()) && dependency.optional)
                        || dependency.development,
                    "{} must not import {name}; only a feature cli may",
                    package.name
                ),
            }
        }
    }
}

#[test]
fn every_package_but_those_of_the_abi_forbids_unsafe_code() {
    // One has the boundary, the other one checks it.
    let of_the_abi = ["asgi-abi", "asgi-spec-abi"];
    for package in packages() {
        if of_the_abi.contains(&package.name.as_str()) {
            continue;
        }
        for file in ["src/lib.rs", "src/main.rs"] {
            let file = package.folder.join(file);
            let Ok(text) = std::fs::read_to_string(&file) else {
                continue;
            };
            // The export macro expands to unsafe code that is not the app's own.
            let exports = text.contains("asgi_abi::export!");
            assert!(
                exports || text.contains("#![forbid(unsafe_code)]"),
                "{} does not forbid unsafe code",
                file.display()
            );
        }
    }
}

#[test]
fn the_rules_use_no_clock_no_socket_and_no_runtime() {
    let sources = files(&["rs"]);
    let sources = sources
        .iter()
        .filter(|path| path.starts_with("crates/asgi-rules/src/"));
    let mut count = 0;
    for file in sources {
        count += 1;
        let text = read(file);
        for word in [
            "std::time",
            "std::net",
            "std::fs",
            "std::thread",
            "Instant",
            "tokio",
        ] {
            assert!(!text.contains(word), "{file} names {word}");
        }
    }
    assert!(count > 0, "crates/asgi-rules/src has no files");
}

#[test]
fn versions_of_dependencies_stand_in_the_workspace_manifest() {
    for package in packages() {
        let manifest = std::fs::read_to_string(package.folder.join("Cargo.toml")).unwrap();
        let mut in_dependencies = false;
        for line in manifest.lines() {
            if line.starts_with('[') {
                in_dependencies = line.contains("dependencies");
            } else if in_dependencies && line.contains('=') {
                assert!(
                    line.contains("workspace = true"),
                    "{}: {line}",
                    package.name
                );
            }
        }
    }
    assert!(root().join("Cargo.lock").is_file());
}
