//! Reads the workspace: its packages by `cargo metadata`, its files by `git ls-files`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// One package of the workspace.
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) dependencies: BTreeMap<String, Dependency>,
}

/// How a package depends on another one.
#[derive(Clone, Copy)]
pub(crate) struct Dependency {
    pub(crate) optional: bool,
    /// Only its tests and examples use it.
    pub(crate) development: bool,
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub(crate) fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn packages() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version=1"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo metadata failed");
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    packages.iter().map(package).collect()
}

fn package(package: &Value) -> Package {
    let manifest = Path::new(package["manifest_path"].as_str().unwrap());
    let mut dependencies = BTreeMap::new();
    for dependency in package["dependencies"].as_array().unwrap() {
        let name = dependency["name"].as_str().unwrap().to_owned();
        let found = Dependency {
            optional: dependency["optional"].as_bool().unwrap(),
            development: dependency["kind"] == "dev",
        };
        // A package can be both: then the stricter rule counts.
        let known = dependencies.entry(name).or_insert(found);
        known.development &= found.development;
    }
    Package {
        name: package["name"].as_str().unwrap().to_owned(),
        folder: manifest.parent().unwrap().to_owned(),
        dependencies,
    }
}

/// The files of the repository with one of these extensions, relative to its root.
///
/// A source archive has no `.git`: there, all files outside of `target` count.
pub(crate) fn files(extensions: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output();
    match output {
        Ok(output) if output.status.success() => {
            let list = String::from_utf8(output.stdout).unwrap();
            found.extend(list.lines().map(str::to_owned));
        }
        _ => walk(&root(), "", &mut found),
    }
    found.retain(|path| {
        let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
        extensions.contains(&extension) && root().join(path).is_file()
    });
    assert!(!found.is_empty(), "no {extensions:?} in the repository");
    found
}

fn walk(folder: &Path, prefix: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = format!("{prefix}{name}");
        if entry.file_type().unwrap().is_dir() {
            if name != "target" && !name.starts_with('.') {
                walk(&entry.path(), &format!("{path}/"), found);
            }
        } else {
            found.push(path);
        }
    }
}

/// Whether a file of Rust is for tests and fuzzing alone.
pub(crate) fn is_test(path: &str) -> bool {
    let fuzzing = path.ends_with("/fuzzing.rs") || path.contains("/fuzzing/");
    fuzzing || path.contains("/tests/") || path.ends_with("/tests.rs") || path.starts_with("tests/")
}

/// The sources of what is shipped: the packages in `crates`, the suite and the command, without tests.
pub(crate) fn production() -> Vec<String> {
    let mut files = files(&["rs"]);
    files.retain(|path| {
        let folders = ["crates/", "server-bin/", "spec/"];
        let shipped = folders.iter().any(|folder| path.starts_with(folder));
        shipped && path.contains("/src/") && !is_test(path)
    });
    files
}

/// The text of a source file, without the tests at its end.
pub(crate) fn code(path: &str) -> String {
    let text = read(path);
    let code = text.split("#[cfg(test)]\nmod tests {").next();
    code.unwrap().to_owned()
}
