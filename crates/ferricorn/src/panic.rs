//! Catches panics of apps, so that the log reports each one once.
//!
//! Rust's default hook prints a panic when it happens, without the request. Then the server logs that the
//! app panicked, so an operator would see one panic twice. The hook of the command line instead keeps
//! the panic of an app for the server's log line, and the backtrace follows that line. Every other panic
//! is a line of the log too, because a thread that prints to standard error waits for its reader.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
#[cfg(feature = "cli")]
use std::panic::PanicHookInfo;
use std::panic::{AssertUnwindSafe, catch_unwind};

#[cfg(feature = "cli")]
use crate::backtraces::CapturedBacktrace;

thread_local! {
    /// Whether this thread runs an app's code.
    static IN_APP: Cell<bool> = const { Cell::new(false) };
    /// The origin of the last panic of an app, if the hook is installed.
    static ORIGIN: RefCell<Option<PanicOrigin>> = const { RefCell::new(None) };
}

/// A panic of an app. Dropping it logs its backtrace, if there is one: after its line.
pub(crate) struct Panic {
    payload: Box<dyn Any + Send>,
    origin: Option<PanicOrigin>,
}

/// Where a panic happened.
struct PanicOrigin {
    /// The place in the code.
    place: String,
    #[cfg(feature = "cli")]
    backtrace: Option<CapturedBacktrace>,
    #[cfg(feature = "cli")]
    exchange: Option<u64>,
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

/// Installs a hook that keeps the panics of apps for the log, and logs other panics.
///
/// `exchange` returns the number of the exchange that this thread runs. The hook calls `before_abort`
/// after it has logged a panic that may end the process.
#[cfg(feature = "cli")]
pub(crate) fn install_hook(
    exchange: fn() -> Option<u64>,
    before_abort: impl Fn() + Send + Sync + 'static,
) {
    std::panic::set_hook(Box::new(move |info| {
        let text = payload_text(info.payload());
        // The texts of the standard library for a panic that it must not unwind. It aborts then.
        let aborts = matches!(
            text,
            "panic in a function that cannot unwind" | "panic in a destructor during cleanup"
        );
        if IN_APP.get() && !aborts {
            ORIGIN.set(Some(PanicOrigin::new(info, exchange())));
            return;
        }
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("(unnamed)");
        let origin = PanicOrigin::new(info, exchange());
        tracing::error!("thread {name} panicked: {text}, at {}", origin.place);
        origin.log_backtrace();
        // A serving thread catches its panics and goes on.
        if aborts || name != SERVING_THREAD {
            before_abort();
        }
    }));
}

/// The name of the threads that serve.
#[cfg(feature = "cli")]
pub(crate) const SERVING_THREAD: &str = "ferricorn";

#[cfg(feature = "cli")]
impl PanicOrigin {
    fn new(info: &PanicHookInfo<'_>, exchange: Option<u64>) -> Self {
        Self {
            place: match info.location() {
                Some(place) => place.to_string(),
                None => "an unknown place".to_owned(),
            },
            backtrace: CapturedBacktrace::new(),
            exchange,
        }
    }

    fn log_backtrace(self) {
        if let Some(backtrace) = self.backtrace {
            backtrace.log(self.place, self.exchange);
        }
    }
}

#[cfg(feature = "cli")]
impl Drop for Panic {
    fn drop(&mut self) {
        if let Some(origin) = self.origin.take() {
            origin.log_backtrace();
        }
    }
}

fn payload_text(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a value that is not text")
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(payload_text(&*self.payload))?;
        match &self.origin {
            Some(origin) => write!(f, ", at {}", origin.place),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Panic({self})")
    }
}
