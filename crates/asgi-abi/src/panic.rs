//! Panics stay on the side that they happen on.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `f`; a panic comes out as its message.
///
/// Unwind safety is the caller's: it must not use again what `f` may have left half done.
pub(crate) fn caught<R>(f: impl FnOnce() -> R) -> Result<R, String> {
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
            // Its destructor is code of the app's and might panic in turn, outside of any guard.
            std::mem::forget(payload);
            "a panic without a message".to_owned()
        }
    }
}
