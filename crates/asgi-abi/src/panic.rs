//! Catches panics, so that none crosses the boundary.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `f`. Returns the message of a panic as an error.
///
/// The caller is responsible for unwind safety: after a panic, it must not use data that `f` may
/// have left half changed.
pub(crate) fn catch<R>(f: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(f)).map_err(message)
}

fn message(payload: Box<dyn Any + Send>) -> String {
    let payload = match payload.downcast::<String>() {
        Ok(message) => return *message,
        Err(payload) => payload,
    };
    match payload.downcast_ref::<&'static str>() {
        Some(message) => (*message).to_owned(),
        None => {
            // Not dropped: its destructor is code of the app, and a panic in it would not be
            // caught here.
            std::mem::forget(payload);
            "a panic without a message".to_owned()
        }
    }
}
