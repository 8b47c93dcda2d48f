//! Loads a shared library.

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use asgi::DynApp;
use asgi_abi::{Library, LoadOptions};
use ferricorn::cli::{Error, Loaded};

/// How long blocking work of the app may go on once everything else has ended.
const GRACE: Duration = Duration::from_secs(1);

/// The library that this process runs. There is one: it is never unloaded.
static LIBRARY: OnceLock<Library> = OnceLock::new();

/// Loads an app of the library at `path`.
pub(crate) fn load(path: &Path, name: Option<&str>, config: Option<&str>) -> Result<Loaded, Error> {
    let mut options = LoadOptions::new().exchange_id(ferricorn::current_exchange);
    options.name = name.map(str::to_owned);
    options.config = config.map(str::to_owned);
    asgi_abi::report_crashes();
    let library = Library::load_with(path, &options).map_err(Error::not_loaded)?;
    let library = LIBRARY.get_or_init(|| library);
    let app = DynApp::new(library.app());
    Ok(Loaded::new(app, library.name()).version(library.version()))
}

/// Ends what the library still runs.
pub(crate) fn shut_down() {
    if let Some(library) = LIBRARY.get() {
        library.shutdown(GRACE);
    }
}
