//! The library's panic hook: a panic goes to the server's log, not to a raw standard error.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::{Cell, RefCell};
use std::panic::PanicHookInfo;
use std::sync::Once;

use super::log;
use crate::abi::{self, Str};
use crate::panic::caught;

/// What the lines are said to be from.
const TARGET: &str = "panic";

thread_local! {
    /// Whether a panic on this thread becomes the end of a call, which the server logs.
    static TOLD_BY_THE_SERVER: Cell<bool> = const { Cell::new(false) };
    /// Where the last such panic was.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Installs the hook for this copy of the standard library, once. A hook that the app sets later
/// takes its place.
pub(super) fn install(host: &'static abi::Host) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let level = abi::LOG_ERROR;
            if log::is_enabled(host, level, Str::new(TARGET)) & abi::LOG_ENABLED == 0 {
                before(panic);
            } else {
                tell(host, panic);
            }
        }));
    });
}

fn tell(host: &abi::Host, panic: &PanicHookInfo<'_>) {
    let place = panic
        .location()
        .map_or_else(String::new, |at| format!(", at {at}"));
    // RUST_BACKTRACE asks for one; else it is free.
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        let message = format!("backtrace of the panic{place}:\n{backtrace}");
        log::line(host, abi::LOG_ERROR, TARGET, &message);
    }
    if TOLD_BY_THE_SERVER.get() {
        PLACE.set(Some(place));
        return;
    }
    let payload = panic.payload();
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message");
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("without a name");
    let message = format!("a task or a thread of the app panicked: {text}{place} (thread {name})");
    log::line(host, abi::LOG_ERROR, TARGET, &message);
}

/// Runs a part of a call. A panic comes out as its message and its place, and the hook is silent:
/// the server logs how the call ended.
pub(super) fn caught_in_call<R>(f: impl FnOnce() -> R) -> Result<R, String> {
    let outer = TOLD_BY_THE_SERVER.replace(true);
    let result = caught(f);
    TOLD_BY_THE_SERVER.set(outer);
    result.map_err(|message| match PLACE.take() {
        Some(place) => message + &place,
        None => message,
    })
}
