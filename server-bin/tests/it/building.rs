//! APP is the folder of a crate. The crates have no dependencies, so that they build fast.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::process::{Ended, Running, assert_refused, ferricorn, run};

const CDYLIB: &str = "[package]\nname = \"plain\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\
                      [lib]\ncrate-type = [\"cdylib\"]\n[workspace]\n";

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

/// `ferricorn FOLDER`, with the build output inside the folder.
fn app(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = ferricorn(arguments);
    command
        .arg(folder)
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .env("CARGO_NET_OFFLINE", "true");
    command
}

/// The path of the folder as cargo and the command print it.
fn canonical(folder: &TempDir) -> String {
    folder.path().canonicalize().unwrap().display().to_string()
}

#[track_caller]
fn build(command: &mut Command) -> Ended {
    Running::start(command)
        .timeout(crate::process::BUILD_TIMEOUT)
        .end()
}

/// Asserts that the command built the library and gave it to the loader, which found no app in it.
#[track_caller]
fn assert_built(ended: &Ended, library: &str) {
    let begin = format!("ferricorn: error: {library}");
    assert!(
        ended.last_line().starts_with(&begin),
        "found no {begin} in\n{}",
        ended.stderr
    );
    assert_eq!(ended.code, 3);
    assert!(Path::new(library).is_file());
}

#[test]
fn a_crate_is_built_with_the_release_profile_and_its_library_loaded() {
    let folder = folder(&[("Cargo.toml", CDYLIB), ("src/lib.rs", "")]);
    let ended = build(&mut app(folder.path(), &[]));
    assert_built(
        &ended,
        &format!("{}/target/release/libplain.so", canonical(&folder)),
    );
    assert!(
        ended.stderr.contains("Compiling plain v0.1.0"),
        "{}",
        ended.stderr
    );
}

#[test]
fn the_option_profile_selects_another_profile() {
    let folder = folder(&[("Cargo.toml", CDYLIB), ("src/lib.rs", "")]);
    let ended = build(&mut app(folder.path(), &["--profile", "dev"]));
    assert_built(
        &ended,
        &format!("{}/target/debug/libplain.so", canonical(&folder)),
    );
}

/// `cargo run` sets RUSTUP_TOOLCHAIN for its child. It would override the crate's own toolchain file.
#[test]
fn variables_of_cargo_run_do_not_reach_the_build() {
    let folder = folder(&[
        ("Cargo.toml", CDYLIB),
        (
            "src/lib.rs",
            "const _: () = assert!(option_env!(\"CARGO_PKG_HOMEPAGE_OF_PARENT\").is_none());",
        ),
    ]);
    let mut command = app(folder.path(), &["--profile", "dev"]);
    command
        .env("CARGO", "/no/cargo")
        .env("CARGO_MANIFEST_DIR", "/no/folder")
        .env("CARGO_PKG_HOMEPAGE_OF_PARENT", "x")
        .env("RUSTUP_TOOLCHAIN", "no-such-toolchain");
    let ended = build(&mut command);
    assert_built(
        &ended,
        &format!("{}/target/debug/libplain.so", canonical(&folder)),
    );
}

/// `cargo build` in the folder of a root package builds the default members, not the package.
#[test]
fn a_root_package_is_built_even_if_other_members_are_the_default() {
    let manifest = format!("{CDYLIB}members = [\"other\"]\ndefault-members = [\"other\"]\n");
    let other = "[package]\nname = \"other\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\
                 [lib]\ncrate-type = [\"cdylib\"]\n";
    let folder = folder(&[
        ("Cargo.toml", &manifest),
        ("src/lib.rs", ""),
        ("other/Cargo.toml", other),
        ("other/src/lib.rs", ""),
    ]);
    let ended = build(&mut app(folder.path(), &["--profile", "dev"]));
    assert_built(
        &ended,
        &format!("{}/target/debug/libplain.so", canonical(&folder)),
    );
    let ended = build(
        app(&folder.path().join("other"), &["--profile", "dev"])
            .env("CARGO_TARGET_DIR", folder.path().join("target")),
    );
    assert_built(
        &ended,
        &format!("{}/target/debug/libother.so", canonical(&folder)),
    );
}

#[test]
fn the_error_for_a_crate_without_a_shared_library_shows_the_missing_lines() {
    let manifest =
        "[package]\nname = \"plain\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n";
    for source in ["src/lib.rs", "src/main.rs"] {
        let folder = folder(&[("Cargo.toml", manifest), (source, "fn main() {}")]);
        let ended = run(&mut app(folder.path(), &[]));
        let expected = format!(
            "ferricorn: error: {}: the crate \"plain\" is not a shared library, expected this in its \
             Cargo.toml:\n\n    [lib]\n    crate-type = [\"cdylib\"]\n\n",
            canonical(&folder)
        );
        assert_eq!((ended.code, ended.stderr), (3, expected));
    }
}

#[test]
fn the_error_for_a_failed_build_comes_after_the_compilers_messages() {
    let folder = folder(&[("Cargo.toml", CDYLIB), ("src/lib.rs", "not rust")]);
    let ended = build(&mut app(folder.path(), &["--profile", "dev"]));
    assert_eq!(ended.code, 3);
    assert!(ended.stderr.contains("src/lib.rs:1"), "{}", ended.stderr);
    assert_eq!(
        ended.last_line(),
        format!(
            "ferricorn: error: cargo could not build {} (exit code 101); see its messages \
             above",
            canonical(&folder)
        )
    );
}

#[test]
fn the_error_for_an_invalid_manifest_comes_after_cargos_message() {
    let folder = folder(&[("Cargo.toml", "[package\n")]);
    let ended = run(&mut app(folder.path(), &[]));
    assert_eq!(ended.code, 3);
    assert!(ended.stderr.starts_with("error: "), "{}", ended.stderr);
    assert_eq!(
        ended.last_line(),
        format!(
            "ferricorn: error: cargo cannot read {}/Cargo.toml; see its message above",
            canonical(&folder)
        )
    );
}

#[test]
fn the_error_for_a_workspace_names_its_apps() {
    let member = CDYLIB.replace("[workspace]\n", "");
    let folder = folder(&[
        (
            "Cargo.toml",
            "[workspace]\nresolver = \"3\"\nmembers = [\"apps/*\"]\n",
        ),
        ("apps/plain/Cargo.toml", &member),
        ("apps/plain/src/lib.rs", ""),
    ]);
    let line = format!(
        "ferricorn: error: {}: found a workspace, expected the folder of a crate; members that \
         are apps: apps/plain",
        canonical(&folder)
    );
    assert_refused(&mut app(folder.path(), &[]), 3, &line);
}

#[test]
fn a_path_without_a_crate_or_a_library_is_an_error() {
    let folder = folder(&[]);
    let path = folder.path().display();
    assert_refused(
        &mut app(folder.path(), &[]),
        3,
        &format!(
            "ferricorn: error: {path}: found no Cargo.toml in this folder, expected the folder of \
             a crate"
        ),
    );
    assert_refused(
        &mut app(&folder.path().join("no.so"), &[]),
        3,
        &format!(
            "ferricorn: error: {path}/no.so: No such file or directory (os error 2); expected a \
             shared library or the folder of a crate"
        ),
    );
}

#[test]
fn the_error_without_cargo_says_how_to_get_it() {
    let folder = folder(&[("Cargo.toml", CDYLIB), ("src/lib.rs", "")]);
    assert_refused(
        app(folder.path(), &[]).env("PATH", folder.path()),
        3,
        "ferricorn: error: found no cargo in PATH; install Rust from https://rustup.rs, or give a \
         shared library instead of a folder",
    );
}
