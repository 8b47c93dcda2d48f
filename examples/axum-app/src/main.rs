//! The same app in a program, with the server linked in.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    ferricorn::cli::main(asgi_tower::app(axum_app::router()))
}
