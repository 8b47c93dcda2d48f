//! Loads an app from a shared library.

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use asgi::DynApp;
use asgi_abi::{Library, LoadOptions};
use ferricorn::cli::{Error, Loaded};

/// The library of this process. There is only one, and it is never unloaded.
static LIBRARY: OnceLock<Library> = OnceLock::new();

/// Loads an app from the library at `path`. `name` selects one of several apps.
pub(crate) fn load(path: &Path, name: Option<&str>, config: Option<&str>) -> Result<Loaded, Error> {
    let mut options = LoadOptions::new()
        .exchange_id(ferricorn::current_exchange)
        .app_is_working(ferricorn::app_is_working);
    options.name = name.map(str::to_owned);
    options.config = config.map(str::to_owned);
    asgi_abi::report_crashes();
    let library = Library::load_with(path, &options).map_err(Error::not_loaded)?;
    let library = LIBRARY.get_or_init(|| library);
    let app = DynApp::new(library.app());
    Ok(Loaded::new(app, library.name())
        .version(library.version())
        .shutdown(shut_down)
        .running_calls(asgi_abi::running_calls))
}

/// Stops everything that the library still runs.
fn shut_down(grace: Duration) -> bool {
    LIBRARY.get().is_none_or(|library| library.shutdown(grace))
}
