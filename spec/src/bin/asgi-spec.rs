//! The command `asgi-spec`: grades a server against the spec.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    asgi_spec::cli::main()
}
