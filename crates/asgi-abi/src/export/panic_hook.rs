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
    let place = place(panic);
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
    let name = thread.name().unwrap_or("(unnamed)");
    let message = format!("the app panicked in its thread {name}: {text}{place}");
    log::line(host, abi::LOG_ERROR, TARGET, &message);
}

/// Where a panic was, to stand behind its message; and the way there, if RUST_BACKTRACE asks for it.
fn place(panic: &PanicHookInfo<'_>) -> String {
    let place = panic
        .location()
        .map_or_else(String::new, |at| format!(", at {at}"));
    let backtrace = Backtrace::capture();
    match backtrace.status() {
        BacktraceStatus::Captured => format!("{place}\n{backtrace}"),
        _ => place,
    }
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
