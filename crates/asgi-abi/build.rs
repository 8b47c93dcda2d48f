//! Records the compiler's version. An app's library carries it, so that a server can show it.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc)
        .arg("--version")
        .output()
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .unwrap_or_default();
    let version = match version.trim() {
        "" => "an unknown compiler",
        version => version,
    };
    println!("cargo::rustc-env=ASGI_ABI_RUSTC={version}");
}
