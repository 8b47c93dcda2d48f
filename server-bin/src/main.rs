//! The `ferricorn` command: `ferricorn ./libapp.so`, or `ferricorn path/to/crate`, and `:name`
//! behind either for an app that is exported under a name of its own.
//!
//! The command line itself is the library's (`ferricorn::cli`); here is only what it takes to find
//! and load an app.

#![forbid(unsafe_code)]

mod cargo;
mod load;

use std::path::Path;
use std::process::ExitCode;

use ferricorn::cli::{Error, Loaded, Program, Target};

fn main() -> ExitCode {
    let exit = Program::new("ferricorn").run_with_loader(app);
    load::shut_down();
    exit
}

/// The app at `target`, built first if that is the folder of a crate.
fn app(target: &Target) -> Result<Loaded, Error> {
    let (path, name) = path_and_name(&target.path);
    let load = |library: &Path| load::load(library, name, target.config.as_deref());
    match path.metadata() {
        Ok(metadata) if metadata.is_dir() => load(&cargo::build(path, &target.profile)?),
        Ok(_) => load(path),
        Err(error) => Err(Error::not_loaded(format_args!(
            "{}: {error}; expected a shared library or the folder of a crate",
            path.display()
        ))),
    }
}

/// Takes `libshop.so:admin` apart, unless there is a file of that very name.
fn path_and_name(target: &Path) -> (&Path, Option<&str>) {
    let is_name = |name: &str| {
        !name.is_empty()
            && name
                .chars()
                .all(|char| char.is_alphanumeric() || char == '_')
    };
    match target.to_str().and_then(|text| text.rsplit_once(':')) {
        Some((path, name)) if is_name(name) && !target.exists() => (Path::new(path), Some(name)),
        _ => (target, None),
    }
}
