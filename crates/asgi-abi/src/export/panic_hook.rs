//! The library's panic hook: it writes a panic to the server's log, not to standard error.

use std::cell::{Cell, RefCell};
use std::panic::PanicHookInfo;
use std::sync::Once;

use super::{backtraces, log};
use crate::abi::{self, Str};
use crate::panic::catch;

/// The target of the log lines.
const TARGET: &str = "panic";

thread_local! {
    /// Whether a panic on this thread ends a call. Then the server logs it, not the hook.
    static SERVER_LOGS_PANIC: Cell<bool> = const { Cell::new(false) };
    /// Where the last such panic happened.
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Installs the hook in the library's copy of the standard library, once. An app can replace it.
pub(super) fn install(host: &'static abi::Host) {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        let old_hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let level = abi::LOG_ERROR;
            if log::enabled_flags(host, level, Str::new(TARGET)) & abi::LOG_ENABLED == 0 {
                old_hook(panic);
            } else {
                log_panic(host, panic);
            }
        }));
    });
}

fn log_panic(host: &'static abi::Host, panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    let location = match &place {
        Some(place) => format!(", at {place}"),
        None => String::new(),
    };
    let log_backtrace = || {
        let place = place.as_deref().unwrap_or("an unknown place");
        backtraces::log_backtrace(host, TARGET, place);
    };
    if SERVER_LOGS_PANIC.get() {
        LOCATION.set(Some(location));
        log_backtrace();
        return;
    }
    let payload = panic.payload();
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message");
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("(unnamed)");
    let message = format!("the app panicked in its thread {name}: {text}{location}");
    log::line(host, abi::LOG_ERROR, TARGET, &message);
    log_backtrace();
}

/// Runs code of a call. Returns the message and the location of a panic as an error; the hook then
/// logs nothing, because the server logs the end of the call.
pub(super) fn catch_in_call<R>(f: impl FnOnce() -> R) -> Result<R, String> {
    let outer = SERVER_LOGS_PANIC.replace(true);
    let result = catch(f);
    SERVER_LOGS_PANIC.set(outer);
    result.map_err(|message| match LOCATION.take() {
        Some(location) => message + &location,
        None => message,
    })
}
