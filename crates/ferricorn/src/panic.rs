//! Panics of apps: caught, and reported once.
//!
//! Rust's own hook prints a panic where it happens, and the server logs that the app panicked: for
//! an operator that is one fault told twice, the first time without the request. With the hook of
//! the command line a panic inside an app is kept for the log.

use std::any::Any;
#[cfg(feature = "cli")]
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::{Cell, RefCell};
use std::fmt;
#[cfg(feature = "cli")]
use std::panic::PanicHookInfo;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    /// Whether this thread runs code of an app.
    static IN_APP: Cell<bool> = const { Cell::new(false) };
    /// Where the last panic of an app came from, if the hook saw it.
    static ORIGIN: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// What an app panicked with.
pub(crate) struct Panic {
    payload: Box<dyn Any + Send>,
    /// The place in the code, and the backtrace if one is asked for.
    origin: Option<String>,
}

/// Runs code of an app.
///
/// # Errors
///
/// It panicked.
pub(crate) fn catch<T>(code: impl FnOnce() -> T) -> Result<T, Panic> {
    let outer = IN_APP.replace(true);
    let result = catch_unwind(AssertUnwindSafe(code));
    IN_APP.set(outer);
    result.map_err(|payload| Panic {
        payload,
        origin: ORIGIN.take(),
    })
}

/// Keeps the panics of apps for the log; all others are reported as before.
#[cfg(feature = "cli")]
pub(crate) fn install_hook() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if IN_APP.get() {
            ORIGIN.set(Some(origin(info)));
        } else {
            before(info);
        }
    }));
}

#[cfg(feature = "cli")]
fn origin(info: &PanicHookInfo<'_>) -> String {
    let place = match info.location() {
        Some(place) => place.to_string(),
        None => "an unknown place".to_owned(),
    };
    // RUST_BACKTRACE decides.
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
        f.write_str(text.unwrap_or("a value that is no text"))?;
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
