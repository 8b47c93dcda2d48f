//! Builds the crate in a folder and returns the path of its library.
//!
//! cargo runs in the crate's own folder, so that the crate's toolchain file and configuration apply. It
//! gets the user's environment, without the variables that an outer `cargo run` has added.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use ferricorn::cli::Error;
use serde_json::Value;

/// Builds the crate in `folder`. cargo's own messages go to standard error.
pub(crate) fn build(folder: &Path, profile: &str) -> Result<PathBuf, Error> {
    if !folder.join("Cargo.toml").is_file() {
        return Err(Error::not_loaded(format_args!(
            "{}: found no Cargo.toml in this folder, expected the folder of a crate",
            folder.display()
        )));
    }
    let folder = folder
        .canonicalize()
        .map_err(|error| Error::not_loaded(format_args!("{}: {error}", folder.display())))?;
    let package = Package::find(&folder)?;
    package.build(&folder, profile)
}

/// The package whose manifest is in the folder.
struct Package {
    /// cargo's unique id. A dependency may have the same name.
    id: String,
    manifest: String,
}

impl Package {
    /// Asks cargo for the package before the build, so that a mistake is an error at once.
    fn find(folder: &Path) -> Result<Self, Error> {
        let output = cargo(folder)
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| cannot_run(&error))?;
        if !output.status.success() {
            return Err(Error::not_loaded(format_args!(
                "cargo cannot read {}; see its message above",
                folder.join("Cargo.toml").display()
            )));
        }
        let metadata: Value = serde_json::from_slice(&output.stdout)
            .map_err(|error| Error::not_loaded(format_args!("cargo metadata: {error}")))?;
        let packages = array(&metadata, "packages");
        let is_here = |package: &&Value| is_in(text(package, "manifest_path"), folder);
        let Some(package) = packages.iter().find(is_here) else {
            return Err(workspace_error(folder, packages));
        };
        check_crate_type(folder, package)?;
        Ok(Self {
            id: text(package, "id").to_owned(),
            manifest: text(package, "manifest_path").to_owned(),
        })
    }

    fn build(&self, folder: &Path, profile: &str) -> Result<PathBuf, Error> {
        let mut child = cargo(folder)
            .args(["build", "--lib", "--message-format=json-render-diagnostics"])
            .args(["--profile", profile, "--package", &self.id])
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| cannot_run(&error))?;
        let mut library = None;
        if let Some(messages) = child.stdout.take() {
            for line in BufReader::new(messages).lines().map_while(Result::ok) {
                library = self.library(&line).or(library);
            }
        }
        let status = child.wait().map_err(|error| cannot_run(&error))?;
        if !status.success() {
            return Err(Error::not_loaded(format_args!(
                "cargo could not build {} ({}); see its messages above",
                folder.display(),
                exit_text(status)
            )));
        }
        library.ok_or_else(|| {
            Error::not_loaded(format_args!(
                "cargo built {} but reported no shared library, expected a cdylib",
                folder.display()
            ))
        })
    }

    /// The path of this package's shared library, if the message from cargo names it.
    fn library(&self, message: &str) -> Option<PathBuf> {
        let message: Value = serde_json::from_str(message).ok()?;
        let is_ours = text(&message, "reason") == "compiler-artifact"
            && text(&message, "manifest_path") == self.manifest
            && is_cdylib(message.get("target")?);
        array(&message, "filenames")
            .iter()
            .filter_map(Value::as_str)
            // A cdylib may come with an import library or debug information.
            .find(|file| is_ours && [".so", ".dylib"].iter().any(|end| file.ends_with(end)))
            .map(PathBuf::from)
    }
}

fn workspace_error(folder: &Path, members: &[Value]) -> Error {
    let folders: Vec<_> = members
        .iter()
        .filter(|package| array(package, "targets").iter().any(is_cdylib))
        .filter_map(|package| Path::new(text(package, "manifest_path")).parent())
        .map(|path| {
            path.strip_prefix(folder)
                .unwrap_or(path)
                .display()
                .to_string()
        })
        .collect();
    let hint = match folders.as_slice() {
        [] => "no member is an app".to_owned(),
        folders => format!("members that are apps: {}", folders.join(", ")),
    };
    Error::not_loaded(format_args!(
        "{}: found a workspace, expected the folder of a crate; {hint}",
        folder.display()
    ))
}

fn check_crate_type(folder: &Path, package: &Value) -> Result<(), Error> {
    if array(package, "targets").iter().any(is_cdylib) {
        return Ok(());
    }
    Err(Error::not_loaded(format_args!(
        "{}: the crate {:?} is not a shared library, expected this in its Cargo.toml:",
        folder.display(),
        text(package, "name")
    ))
    .with_snippet("[lib]\ncrate-type = [\"cdylib\"]"))
}

fn is_cdylib(target: &Value) -> bool {
    array(target, "crate_types")
        .iter()
        .any(|kind| kind == "cdylib")
}

fn is_in(manifest: &str, folder: &Path) -> bool {
    let parent = Path::new(manifest).parent();
    parent == Some(folder)
        || parent
            .and_then(|parent| parent.canonicalize().ok())
            .as_deref()
            == Some(folder)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn array<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn cannot_run(error: &io::Error) -> Error {
    if error.kind() == io::ErrorKind::NotFound {
        return Error::not_loaded(
            "found no cargo in PATH; install Rust from https://rustup.rs, or give a shared library \
             instead of a folder",
        );
    }
    Error::not_loaded(format_args!("cargo cannot be started: {error}"))
}

fn exit_text(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("exit code {code}"),
        None => status.to_string(),
    }
}

/// A `cargo` command in the folder, with the user's own environment.
fn cargo(folder: &Path) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(folder).stdin(Stdio::null());
    // cargo sets CARGO for every program that it runs. Without it, all variables are the user's.
    if std::env::var_os("CARGO").is_some() {
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_set_by_cargo(name)) {
            command.env_remove(name);
        }
        match user_library_path() {
            Some(paths) => command.env("LD_LIBRARY_PATH", paths),
            None => command.env_remove("LD_LIBRARY_PATH"),
        };
    }
    command
}

/// Whether `cargo run` or rustup's `cargo` sets this variable for its child.
///
/// With these variables, cargo would ignore the toolchain file of the app. CARGO_HOME, CARGO_TARGET_DIR,
/// CARGO_BUILD_*, CARGO_NET_* and similar ones stay, because they are the user's configuration.
fn is_set_by_cargo(name: &OsStr) -> bool {
    const NAMES: [&str; 7] = [
        "CARGO",
        "CARGO_CRATE_NAME",
        "CARGO_PRIMARY_PACKAGE",
        "CARGO_TARGET_TMPDIR",
        "RUST_RECURSION_COUNT",
        "RUSTUP_TOOLCHAIN",
        "RUSTUP_TOOLCHAIN_SOURCE",
    ];
    const PREFIXES: [&str; 3] = ["CARGO_BIN_", "CARGO_MANIFEST_", "CARGO_PKG_"];
    name.to_str().is_some_and(|name| {
        NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    })
}

/// LD_LIBRARY_PATH without the paths that cargo and rustup add, if any path is left.
fn user_library_path() -> Option<OsString> {
    let paths = std::env::var_os("LD_LIBRARY_PATH")?;
    let user_paths = std::env::split_paths(&paths).filter(|path| !is_build_path(path));
    std::env::join_paths(user_paths)
        .ok()
        .filter(|paths| !paths.is_empty())
}

/// Whether the folder holds libraries of a cargo build or of a toolchain.
fn is_build_path(path: &Path) -> bool {
    let in_toolchain = path.join("rustlib").is_dir() || path.iter().any(|part| part == "rustlib");
    // cargo adds `target/debug`, `target/debug/deps` and `target/debug/build/*/out`.
    let mut folders = path.ancestors();
    in_toolchain || folders.any(|folder| folder.join(".cargo-lock").is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_cargo_run_are_removed_and_those_of_the_user_stay() {
        for name in [
            "CARGO",
            "CARGO_BIN_EXE_ferricorn",
            "CARGO_MANIFEST_DIR",
            "CARGO_PKG_VERSION_MAJOR",
            "RUSTUP_TOOLCHAIN",
        ] {
            assert!(is_set_by_cargo(OsStr::new(name)), "{name}");
        }
        for name in [
            "CARGO_BUILD_JOBS",
            "CARGO_HOME",
            "CARGO_NET_OFFLINE",
            "CARGO_PROFILE_RELEASE_LTO",
            "CARGO_TARGET_DIR",
            "CARGO_TERM_COLOR",
            "RUSTFLAGS",
            "RUSTUP_HOME",
        ] {
            assert!(!is_set_by_cargo(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn folders_of_builds_and_toolchains_are_removed_from_the_library_path() {
        let root = tempfile::tempdir().unwrap();
        let folder = |path: &str| {
            let folder = root.path().join(path);
            std::fs::create_dir_all(&folder).unwrap();
            folder
        };
        let target = folder("target/debug");
        std::fs::write(target.join(".cargo-lock"), "").unwrap();
        folder("toolchain/lib/rustlib");
        for path in [
            folder("target/debug/build/x/out"),
            folder("target/debug/deps"),
            folder("toolchain/lib"),
            target,
        ] {
            assert!(is_build_path(&path), "{}", path.display());
        }
        for path in [folder("opt/lib"), folder("toolchain")] {
            assert!(!is_build_path(&path), "{}", path.display());
        }
    }
}
