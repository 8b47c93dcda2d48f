//! Loads a shared library.

use std::path::Path;

use ferricorn::cli::{Error, Loaded};

/// Loads the app that the library at `path` exports.
pub(crate) fn load(path: &Path) -> Result<Loaded, Error> {
    Err(Error::not_loaded(format_args!(
        "{}: loading shared libraries is not built yet",
        path.display()
    )))
}
