//! Where things are: folders, file sizes, one style of modules, names of types.

use std::collections::BTreeMap;

use crate::workspace::{code, files, production, root};

/// The folders and files of the top level, without the hidden ones and `target`.
const TOP_LEVEL: &[&str] = &[
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "RELEASING.md",
    "SECURITY.md",
    "clippy.toml",
    "crates",
    "deny.toml",
    "docs",
    "examples",
    "fuzz",
    "justfile",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "server-bin",
    "spec",
    "tests",
];

#[test]
fn the_top_level_has_only_what_belongs_there() {
    for entry in root().read_dir().unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let known = TOP_LEVEL.contains(&name.as_str());
        let local = name.starts_with('.') || name == "target" || name.starts_with("mutants.out");
        assert!(known || local, "{name} is not in TOP_LEVEL");
    }
}

#[test]
fn a_file_can_be_read_in_one_sitting() {
    /// Lines of a file, without its tests.
    const MOST: usize = 500;
    /// Longer files, each with its reason.
    const EXCUSED: &[(&str, &str)] = &[(
        C_HEADERS[0],
        "the C header in Rust: one struct after the other",
    )];

    let mut too_long = Vec::new();
    let mut excused = Vec::new();
    for file in production() {
        let lines = code(&file).lines().count();
        if lines <= MOST {
            continue;
        }
        if EXCUSED.iter().any(|(path, _)| *path == file) {
            excused.push(file);
        } else {
            too_long.push(format!("{file}: {lines} lines"));
        }
    }
    assert!(
        too_long.is_empty(),
        "more than {MOST} lines:\n{too_long:#?}"
    );
    assert_eq!(
        excused.len(),
        EXCUSED.len(),
        "an excuse is not needed any more"
    );
}

#[test]
fn a_module_with_submodules_is_a_folder_with_a_mod_rs() {
    for file in files(&["rs"]) {
        let folder = root().join(file.trim_end_matches(".rs"));
        let is_root = file.ends_with("/main.rs") || file.ends_with("/lib.rs");
        assert!(
            is_root || !folder.is_dir(),
            "{file} stands beside a folder of its name: move it to {}/mod.rs",
            file.trim_end_matches(".rs")
        );
    }
}

/// They have the names of `asgi.h`, which are those of `asgi` where both mean the same.
const C_HEADERS: &[&str] = &["crates/asgi-abi/src/abi.rs", "spec/abi/src/layout.rs"];

/// Names that several types have, each with its reason.
const SHARED_NAMES: &[(&str, &str)] = &[
    ("Config", "asgi-abi: of an app; ferricorn: of a server"),
    ("Driver", "one for each protocol of a connection"),
    ("Transport", "one for each version of HTTP"),
    (
        "Exchange",
        "asgi-testing: as a test sees it; ferricorn: inside the server",
    ),
    (
        "Tls",
        "asgi: what the scope says; asgi-abi: the same in C; ferricorn: the settings",
    ),
    (
        "WebSocket",
        "asgi-testing: of a client; asgi-util: of an app; asgi-tower: of a handler of axum",
    ),
];

#[test]
fn a_type_name_stands_once_in_the_workspace() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in production() {
        if C_HEADERS.contains(&file.as_str()) {
            continue;
        }
        for line in code(&file).lines() {
            if let Some(name) = declared_type(line) {
                places
                    .entry(name.to_owned())
                    .or_default()
                    .push(file.clone());
            }
        }
    }
    let mut repeated = Vec::new();
    for (name, files) in &places {
        let excused = SHARED_NAMES.iter().any(|(shared, _)| shared == name);
        if files.len() > 1 && !excused {
            repeated.push(format!("{name}: {}", files.join(", ")));
        }
    }
    assert!(repeated.is_empty(), "types of one name:\n{repeated:#?}");
    for (name, _) in SHARED_NAMES {
        let count = places.get(*name).map_or(0, Vec::len);
        assert!(count > 1, "{name} needs no excuse any more");
    }
}

/// The type that a line declares at the top level of a module.
fn declared_type(line: &str) -> Option<&str> {
    let mut words = line.split_ascii_whitespace();
    if line.starts_with(char::is_whitespace) {
        return None;
    }
    let mut word = words.next()?;
    if word.starts_with("pub") {
        word = words.next()?;
    }
    if !matches!(word, "struct" | "enum" | "trait" | "union" | "type") {
        return None;
    }
    let name = words.next()?;
    let end = name.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
    Some(&name[..end.unwrap_or(name.len())])
}

#[test]
fn a_declared_type_is_found_in_a_line() {
    assert_eq!(
        declared_type("pub(crate) struct Exchange {"),
        Some("Exchange")
    );
    assert_eq!(declared_type("struct Pair<A, B>(A, B);"), Some("Pair"));
    assert_eq!(declared_type("pub enum Scope {"), Some("Scope"));
    assert_eq!(declared_type("    type Output = ();"), None);
    assert_eq!(declared_type("// struct Old"), None);
}
