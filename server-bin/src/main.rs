//! The `ferricorn` command: `ferricorn ./libapp.so` or `ferricorn path/to/crate`.
//!
//! `:name` after the path selects an app that is exported under that name. The library has the command
//! line (`ferricorn::cli`); this program only finds and loads the app.

#![forbid(unsafe_code)]

mod cargo;
mod load;
mod memory;

use std::path::Path;
use std::process::ExitCode;

use ferricorn::cli::{Error, Loaded, Program, Target, print_last_line};

const NAME: &str = "ferricorn";

fn main() -> ExitCode {
    let _expected = asgi_abi::report_exits(app_called_exit);
    Program::new(NAME)
        .exit(|code| asgi_abi::exit_now(code))
        .run_with_loader(load_app)
}

/// Reports that the app has called `exit`. Returns the exit code: 0 would look like a clean stop.
fn app_called_exit(code: i32) -> i32 {
    print_last_line(&format!(
        "{NAME}: error: the app called exit({code}), which ends the server at once"
    ));
    if code == 0 { 1 } else { code }
}

/// Loads the app at `target`. If that is the folder of a crate, cargo builds it first.
fn load_app(target: &Target) -> Result<Loaded, Error> {
    memory::keep_low();
    let (path, name) = path_and_name(&target.path);
    let load = |library: &Path| {
        target.begin_load(&format!(
            "the load of {} (its constructors and its start)",
            library.display()
        ));
        load::load(library, name, target.config.as_deref())
    };
    match path.metadata() {
        Ok(metadata) if metadata.is_dir() => load(&cargo::build(path, &target.profile)?),
        Ok(_) => load(path),
        Err(error) => Err(Error::not_loaded(format_args!(
            "{}: {error}; expected a shared library or the folder of a crate",
            path.display()
        ))),
    }
}

/// Splits `libshop.so:admin` into path and name, unless there is a file with exactly that name.
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
