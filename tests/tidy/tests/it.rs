//! Holds what `docs/architecture.md` says of the workspace: who may import whom, and the invariants
//! that no compiler checks.

#![allow(clippy::unwrap_used, reason = "a test: a panic is its failure")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// What each package may depend on outside its tests: packages of the workspace, and, where the
/// list of those from outside is part of its promise, these too.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("asgi", &["bytes", "bytestring", "http"]),
    ("asgi-rules", &["asgi", "bytes", "http"]),
    ("asgi-abi", &["asgi", ANY]),
    (
        "asgi-testing",
        &["asgi", "asgi-rules", "bytes", "http", "futures-core"],
    ),
    ("ferricorn", &["asgi", "asgi-rules", ANY]),
    ("ferricorn-cli", &["asgi", "asgi-abi", "ferricorn", ANY]),
    ("calculator", &["asgi", "asgi-abi", ANY]),
    ("hello", &["asgi", "asgi-abi", ANY]),
    ("push", &["asgi", "asgi-abi", ANY]),
    ("chat", &["asgi", "asgi-abi", "asgi-testing", ANY]),
    ("ws-echo", &["asgi", "asgi-abi", "asgi-testing"]),
    (
        "e2e",
        &["asgi", "asgi-rules", "asgi-testing", "ferricorn", ANY],
    ),
    ("test-support", &["asgi", "asgi-abi", "ferricorn", ANY]),
    // Its library shares no code with the server, so that both cannot make the same mistake.
    ("http2", &[ANY]),
    ("tidy", &[]),
];

/// Any package that is not of this workspace.
const ANY: &str = "*";

/// Packages that only the command line knows.
const COMMAND_LINE_ONLY: &[&str] = &["clap", "tracing-subscriber", "toml"];

struct Package {
    name: String,
    folder: PathBuf,
    /// Name, whether it is optional.
    dependencies: BTreeMap<String, bool>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn packages() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version=1"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo metadata failed");
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| Package {
            name: package["name"].as_str().unwrap().to_owned(),
            folder: Path::new(package["manifest_path"].as_str().unwrap())
                .parent()
                .unwrap()
                .to_owned(),
            dependencies: package["dependencies"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|dependency| dependency["kind"].is_null())
                .map(|dependency| {
                    let name = dependency["name"].as_str().unwrap().to_owned();
                    (name, dependency["optional"].as_bool().unwrap())
                })
                .collect(),
        })
        .collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn packages_import_only_what_they_may() {
    let packages = packages();
    let ours: BTreeSet<&str> = packages.iter().map(|one| one.name.as_str()).collect();
    for package in &packages {
        let may = MAY_IMPORT
            .iter()
            .find(|(name, _)| *name == package.name)
            .unwrap_or_else(|| panic!("{} has no rule in MAY_IMPORT", package.name))
            .1;
        for dependency in package.dependencies.keys() {
            let dependency = dependency.as_str();
            let allowed =
                may.contains(&dependency) || (may.contains(&ANY) && !ours.contains(dependency));
            assert!(allowed, "{} must not import {dependency}", package.name);
        }
    }
}

#[test]
fn only_the_command_line_knows_clap_and_its_like() {
    for package in packages() {
        for name in COMMAND_LINE_ONLY {
            match package.dependencies.get(*name) {
                None => {}
                Some(optional) => assert!(
                    package.name == "ferricorn" && *optional,
                    "{} must not import {name}, but for ferricorn's feature cli",
                    package.name
                ),
            }
        }
    }
}

#[test]
fn unsafe_code_is_forbidden_everywhere_but_in_the_abi() {
    for package in packages() {
        if package.name == "asgi-abi" {
            continue;
        }
        for root in ["src/lib.rs", "src/main.rs"] {
            let root = package.folder.join(root);
            let Ok(text) = fs::read_to_string(&root) else {
                continue;
            };
            // What an export macro makes is not the app's own code.
            let exports = text.contains("asgi_abi::export!");
            assert!(
                exports || text.contains("#![forbid(unsafe_code)]"),
                "{} does not forbid unsafe code",
                root.display()
            );
        }
    }
}

#[test]
fn the_rules_of_an_exchange_know_no_clock_no_socket_and_no_runtime() {
    let mut files = Vec::new();
    sources(&root().join("crates/asgi-rules/src"), &mut files);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for word in [
            "std::time",
            "std::net",
            "std::fs",
            "std::thread",
            "Instant",
            "tokio",
        ] {
            assert!(!text.contains(word), "{} names {word}", file.display());
        }
    }
}

#[test]
fn every_package_stands_on_the_map() {
    let map = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    for package in packages() {
        let entry = format!("| `{}` |", package.name);
        assert!(
            map.contains(&entry),
            "docs/architecture.md has no line for {}",
            package.name
        );
    }
}

#[test]
fn versions_of_dependencies_live_in_the_workspace() {
    for package in packages() {
        let manifest = fs::read_to_string(package.folder.join("Cargo.toml")).unwrap();
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
}

#[test]
fn files_of_code_stay_readable_in_one_sitting() {
    /// Lines, tests within the file not counted. Longer ones need a split or a reason here.
    const MOST: usize = 600;
    /// One table of options, one header in Rust.
    const LONGER: &[&str] = &["cli/options.rs", "asgi-abi/src/abi.rs"];

    for package in packages() {
        let mut files = Vec::new();
        let folder = package.folder.join("src");
        if folder.is_dir() {
            sources(&folder, &mut files);
        }
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
            let excused = LONGER.iter().any(|one| file.ends_with(one));
            assert!(
                excused || code.lines().count() <= MOST,
                "{} has more than {MOST} lines",
                file.display()
            );
        }
    }
}

/// The modules at the top of the crate `ferricorn`, in the order in which they build on each other: each
/// may use those before it.
const ORDER: &[&str] = &[
    "config",
    "panic",
    "connection_info",
    "connection_end",
    "counts",
    "lifecycle",
    "deadlines",
    "access_log",
    "server_headers",
    "refusal",
    "error",
    "scope",
    "lifespan",
    "tls",
    "net",
    "handle",
    "server",
    "exchange",
    "websocket",
    "multiplexed",
    "http1",
    "http2",
    "connection",
    "serve",
    "cli",
    "lib",
];

/// The names that follow `crate::` in code, `{a, b::c}` included.
fn crate_paths(text: &str) -> BTreeSet<String> {
    let code: Vec<&str> = text
        .lines()
        .map(|line| line.split("//").next().unwrap())
        .collect();
    let code = code.join("\n");
    let mut names = BTreeSet::new();
    for after in code.split("crate::").skip(1) {
        let first = |path: &str| {
            let path = path.trim_start();
            let is_name = |letter: char| letter.is_alphanumeric() || letter == '_';
            path[..path.find(|letter| !is_name(letter)).unwrap_or(path.len())].to_owned()
        };
        let Some(list) = after.strip_prefix('{') else {
            names.insert(first(after));
            continue;
        };
        let mut depth = 0;
        let mut start = 0;
        for (at, letter) in list.char_indices() {
            match letter {
                '{' => depth += 1,
                '}' if depth > 0 => depth -= 1,
                ',' | '}' if depth == 0 => {
                    names.insert(first(&list[start..at]));
                    start = at + 1;
                    if letter == '}' {
                        break;
                    }
                }
                _ => {}
            }
        }
    }
    names.remove("");
    names
}

/// Which module of the crate `lib.rs` exports each name from.
fn exports(lib: &str) -> BTreeMap<String, String> {
    let mut exports = BTreeMap::new();
    for item in lib.split("pub use ").skip(1) {
        let item = item.split(';').next().unwrap();
        let (module, names) = item.split_once("::").unwrap();
        for name in names.trim_matches(['{', '}']).split(',') {
            exports.insert(name.trim().to_owned(), module.to_owned());
        }
    }
    exports
}

#[test]
fn the_modules_of_ferricorn_build_on_each_other_in_one_order() {
    let source = root().join("crates/ferricorn/src");
    let lib = fs::read_to_string(source.join("lib.rs")).unwrap();
    let exports = exports(&lib);
    let mut files = Vec::new();
    sources(&source, &mut files);
    let place = |module: &str| {
        let place = ORDER.iter().position(|one| *one == module);
        place.unwrap_or_else(|| panic!("the module {module} has no place in ORDER"))
    };
    let mut wrong = BTreeSet::new();
    for file in files {
        let path = file.strip_prefix(&source).unwrap();
        if path
            .iter()
            .any(|part| part == "tests" || part == "tests.rs")
        {
            continue;
        }
        let module = path.iter().next().unwrap().to_str().unwrap();
        let module = module.trim_end_matches(".rs");
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for name in crate_paths(code) {
            let used = exports.get(&name).unwrap_or(&name);
            if used != module && place(used) > place(module) {
                wrong.insert(format!("{} uses {used}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "against the order: {wrong:#?}");
}
