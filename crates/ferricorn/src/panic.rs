//! Catches panics of apps, so that the log reports each one once.
//!
//! Rust's default hook prints a panic when it happens, without the request. Then the server logs that the
//! app panicked, so an operator would see one panic twice. The hook of the command line instead keeps
//! the panic of an app for the server's log line.

use std::any::Any;
#[cfg(feature = "cli")]
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::{Cell, RefCell};
use std::fmt;
#[cfg(feature = "cli")]
use std::panic::PanicHookInfo;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    /// Whether this thread runs an app's code.
    static IN_APP: Cell<bool> = const { Cell::new(false) };
    /// The origin of the last panic of an app, if the hook is installed.
    static ORIGIN: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// A panic of an app.
pub(crate) struct Panic {
    payload: Box<dyn Any + Send>,
    /// The place in the code, and the backtrace if RUST_BACKTRACE asks for one.
    origin: Option<String>,
}

/// Runs an app's code.
///
/// # Errors
///
/// The code panicked.
pub(crate) fn catch<T>(code: impl FnOnce() -> T) -> Result<T, Panic> {
    let outer = IN_APP.replace(true);
    let result = catch_unwind(AssertUnwindSafe(code));
    IN_APP.set(outer);
    result.map_err(|payload| Panic {
        payload,
        origin: ORIGIN.take(),
    })
}

/// Installs a hook that keeps the panics of apps for the log. Other panics go to the previous hook.
#[cfg(feature = "cli")]
pub(crate) fn install_hook() {
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if IN_APP.get() {
            ORIGIN.set(Some(origin(info)));
        } else {
            previous(info);
        }
    }));
}

#[cfg(feature = "cli")]
fn origin(info: &PanicHookInfo<'_>) -> String {
    let place = match info.location() {
        Some(place) => place.to_string(),
        None => "an unknown place".to_owned(),
    };
    // RUST_BACKTRACE decides whether there is one.
    let backtrace = Backtrace::capture();
    match backtrace.status() {
        BacktraceStatus::Captured => format!("{place}\n{backtrace}"),
        _ => place,
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self
            .payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| self.payload.downcast_ref::<String>().map(String::as_str));
        f.write_str(text.unwrap_or("a value that is not text"))?;
        match &self.origin {
            Some(origin) => write!(f, ", at {origin}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Panic({self})")
    }
}
