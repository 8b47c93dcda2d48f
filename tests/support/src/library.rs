//! The apps of `examples/`, as loaded libraries.

use std::path::PathBuf;
use std::process::Command;

use asgi_abi::{Library, LoadOptions};
use serde_json::Value;

/// Builds an example and loads its library. The library is never unloaded, so call this once.
///
/// `cargo test` builds the libraries too, but only into cargo's private folder.
pub fn load(package: &str) -> Library {
    load_with(package, LoadOptions::new())
}

/// [`load`] for an app that takes a configuration.
pub fn load_configured(package: &str, config: &str) -> Library {
    load_with(package, LoadOptions::new().config(config))
}

/// Like [`load`], for the app that the library exports under `name`.
pub fn load_named(package: &str, name: &str) -> Library {
    load_with(package, LoadOptions::new().name(name))
}

/// As the command does.
fn load_with(package: &str, options: LoadOptions) -> Library {
    let options = options
        .exchange_id(ferricorn::current_exchange)
        .app_is_working(ferricorn::app_is_working);
    Library::load_with(build(package), &options).unwrap()
}

/// Builds a package of this workspace, and returns the path of its library or its program.
pub fn build(package: &str) -> PathBuf {
    let library = package.replace('-', "_");
    let file = messages(package, &[])
        .into_iter()
        .filter(|message| {
            let name = &message["target"]["name"];
            *name == *package || *name == *library
        })
        .find_map(|message| Some(message["filenames"][0].as_str()?.to_owned()));
    let file = file.unwrap_or_else(|| panic!("cargo does not build {package}"));
    file.into()
}

/// Builds a program of this workspace with some features, and returns its path.
pub fn build_program(package: &str, name: &str, features: &[&str]) -> PathBuf {
    let file = messages(package, features).into_iter().find_map(|message| {
        let is_it = message["target"]["name"] == name;
        message["executable"]
            .as_str()
            .filter(|_| is_it)
            .map(PathBuf::from)
    });
    file.unwrap_or_else(|| panic!("cargo does not build the program {name} of {package}"))
}

/// What cargo says while it builds a package.
fn messages(package: &str, features: &[&str]) -> Vec<Value> {
    let built = Command::new(env!("CARGO"))
        .args(["build", "-p", package, "--message-format=json"])
        .args(["--features", &features.join(",")])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .output()
        .unwrap();
    let messages = String::from_utf8(built.stdout).unwrap();
    let messages = messages.lines();
    messages
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}
