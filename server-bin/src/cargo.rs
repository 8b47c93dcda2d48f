//! Builds the crate in a folder and says which library came out.
//!
//! cargo runs in the crate's own folder, so that its toolchain file and its configuration count,
//! and with the environment of the user, not with what a `cargo run` around us has made of it.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use ferricorn::cli::Error;
use serde_json::Value;

/// Builds the crate in `folder`; what cargo has to say goes to standard error as it comes.
pub(crate) fn build(folder: &Path, profile: &str) -> Result<PathBuf, Error> {
    if !folder.join("Cargo.toml").is_file() {
        return Err(Error::not_loaded(format_args!(
            "{}: there is no Cargo.toml in this folder, expected that of a crate",
            folder.display()
        )));
    }
    let folder = folder
        .canonicalize()
        .map_err(|error| Error::not_loaded(format_args!("{}: {error}", folder.display())))?;
    let package = Package::find(&folder)?;
    package.build(&folder, profile)
}

/// The package whose manifest lies in the folder.
struct Package {
    /// What cargo calls it everywhere; a name alone may also be that of a dependency.
    id: String,
    manifest: String,
}

impl Package {
    /// Asks cargo before it builds anything: a mistake is told at once, not after minutes.
    fn find(folder: &Path) -> Result<Self, Error> {
        let output = cargo(folder)
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| not_run(&error))?;
        if !output.status.success() {
            return Err(Error::not_loaded(format_args!(
                "cargo cannot read {}, its own message stands above",
                folder.join("Cargo.toml").display()
            )));
        }
        let metadata: Value = serde_json::from_slice(&output.stdout)
            .map_err(|error| Error::not_loaded(format_args!("cargo metadata: {error}")))?;
        let packages = array(&metadata, "packages");
        let here = |package: &&Value| is_in(text(package, "manifest_path"), folder);
        let Some(package) = packages.iter().find(here) else {
            return Err(no_package(folder, packages));
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
            .map_err(|error| not_run(&error))?;
        let mut library = None;
        if let Some(messages) = child.stdout.take() {
            for line in BufReader::new(messages).lines().map_while(Result::ok) {
                library = self.library(&line).or(library);
            }
        }
        let status = child.wait().map_err(|error| not_run(&error))?;
        if !status.success() {
            return Err(Error::not_loaded(format_args!(
                "cargo could not build {} ({}), its own messages stand above",
                folder.display(),
                ended(status)
            )));
        }
        library.ok_or_else(|| {
            Error::not_loaded(format_args!(
                "cargo built {} but named no shared library",
                folder.display()
            ))
        })
    }

    /// The shared library of this package, if the message is about it.
    fn library(&self, message: &str) -> Option<PathBuf> {
        let message: Value = serde_json::from_str(message).ok()?;
        let ours = text(&message, "reason") == "compiler-artifact"
            && text(&message, "manifest_path") == self.manifest
            && is_cdylib(message.get("target")?);
        array(&message, "filenames")
            .iter()
            .filter_map(Value::as_str)
            // A cdylib may come with an import library or debug information.
            .find(|file| ours && [".so", ".dylib"].iter().any(|end| file.ends_with(end)))
            .map(PathBuf::from)
    }
}

fn no_package(folder: &Path, members: &[Value]) -> Error {
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
        [] => "none of its members is an app".to_owned(),
        folders => format!("its members that can be loaded: {}", folders.join(", ")),
    };
    Error::not_loaded(format_args!(
        "{}: this is a workspace, not a crate, expected the folder of a crate; {hint}",
        folder.display()
    ))
}

fn check_crate_type(folder: &Path, package: &Value) -> Result<(), Error> {
    if array(package, "targets").iter().any(is_cdylib) {
        return Ok(());
    }
    Err(Error::not_loaded(format_args!(
        "{}: the crate {:?} is no shared library, expected this in its Cargo.toml:",
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

fn not_run(error: &io::Error) -> Error {
    if error.kind() == io::ErrorKind::NotFound {
        return Error::not_loaded(
            "cargo is not in PATH; install Rust from https://rustup.rs, or give a shared library \
             instead of a folder",
        );
    }
    Error::not_loaded(format_args!("cargo cannot be run: {error}"))
}

fn ended(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("exit code {code}"),
        None => status.to_string(),
    }
}

/// `cargo` in the folder, with the user's own environment.
fn cargo(folder: &Path) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(folder).stdin(Stdio::null());
    // Only cargo sets this one, for what it runs. If it is not there, the others are the user's.
    if std::env::var_os("CARGO").is_some() {
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_cargos_own(name)) {
            command.env_remove(name);
        }
        match users_library_path() {
            Some(paths) => command.env("LD_LIBRARY_PATH", paths),
            None => command.env_remove("LD_LIBRARY_PATH"),
        };
    }
    command
}

/// Whether `cargo run` and rustup's `cargo` have set this variable for their child.
///
/// With them the app's own toolchain file would be ignored. CARGO_HOME, CARGO_TARGET_DIR,
/// CARGO_BUILD_*, CARGO_NET_* and their like stay: those are the user's configuration.
fn is_cargos_own(name: &OsStr) -> bool {
    const NAMES: [&str; 7] = [
        "CARGO",
        "CARGO_CRATE_NAME",
        "CARGO_PRIMARY_PACKAGE",
        "CARGO_TARGET_TMPDIR",
        "RUST_RECURSION_COUNT",
        "RUSTUP_TOOLCHAIN",
        "RUSTUP_TOOLCHAIN_SOURCE",
    ];
    const BEGINNINGS: [&str; 3] = ["CARGO_BIN_", "CARGO_MANIFEST_", "CARGO_PKG_"];
    name.to_str().is_some_and(|name| {
        NAMES.contains(&name) || BEGINNINGS.iter().any(|start| name.starts_with(start))
    })
}

/// The library path without what cargo and rustup put before it, if anything is left.
fn users_library_path() -> Option<OsString> {
    let paths = std::env::var_os("LD_LIBRARY_PATH")?;
    let users = std::env::split_paths(&paths).filter(|path| !is_cargos_path(path));
    std::env::join_paths(users)
        .ok()
        .filter(|paths| !paths.is_empty())
}

/// Whether libraries of a build or of a toolchain lie here.
fn is_cargos_path(path: &Path) -> bool {
    let of_toolchain = path.join("rustlib").is_dir() || path.iter().any(|part| part == "rustlib");
    // `target/debug`, `target/debug/deps` and `target/debug/build/*/out`.
    let mut folders = path.ancestors();
    of_toolchain || folders.any(|folder| folder.join(".cargo-lock").is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_run_sets_is_dropped_and_what_the_user_sets_stays() {
        for name in [
            "CARGO",
            "CARGO_BIN_EXE_ferricorn",
            "CARGO_MANIFEST_DIR",
            "CARGO_PKG_VERSION_MAJOR",
            "RUSTUP_TOOLCHAIN",
        ] {
            assert!(is_cargos_own(OsStr::new(name)), "{name}");
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
            assert!(!is_cargos_own(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn build_outputs_and_toolchains_leave_the_library_path() {
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
            assert!(is_cargos_path(&path), "{}", path.display());
        }
        for path in [folder("opt/lib"), folder("toolchain")] {
            assert!(!is_cargos_path(&path), "{}", path.display());
        }
    }
}
