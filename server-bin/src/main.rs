//! The `ferricorn` command: `ferricorn ./libapp.so`, or `ferricorn path/to/crate`.
//!
//! The command line itself is the library's (`ferricorn::cli`); here is only what it takes to find
//! and load an app.

#![forbid(unsafe_code)]

mod cargo;
mod load;

use std::process::ExitCode;

use ferricorn::cli::{Error, Loaded, Program, Target};

fn main() -> ExitCode {
    let exit = Program::new("ferricorn").run_with_loader(app);
    load::shut_down();
    exit
}

/// The app at `target`, built first if that is the folder of a crate.
fn app(target: &Target) -> Result<Loaded, Error> {
    let path = &target.path;
    match path.metadata() {
        Ok(metadata) if metadata.is_dir() => load::load(&cargo::build(path, &target.profile)?),
        Ok(_) => load::load(path),
        Err(error) => Err(Error::not_loaded(format_args!(
            "{}: {error}; expected a shared library or the folder of a crate",
            path.display()
        ))),
    }
}
