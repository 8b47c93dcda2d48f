//! What a library logs goes to the server's subscriber, under the target `app`.

use tracing::{Level, enabled, event};

use crate::abi::{self, Str};
use crate::panic::caught;

/// `tracing` wants level and target to be constants at each call site, so there is one for each
/// level and the library's own target is a field.
macro_rules! at_level {
    ($level:expr, $run:ident $(, $($fields:tt)+)?) => {
        match $level {
            abi::LOG_ERROR => $run!(target: "app", Level::ERROR $(, $($fields)+)?),
            abi::LOG_WARN => $run!(target: "app", Level::WARN $(, $($fields)+)?),
            abi::LOG_INFO => $run!(target: "app", Level::INFO $(, $($fields)+)?),
            abi::LOG_DEBUG => $run!(target: "app", Level::DEBUG $(, $($fields)+)?),
            _ => $run!(target: "app", Level::TRACE $(, $($fields)+)?),
        }
    };
}

pub(super) unsafe extern "C" fn log_enabled(level: u32, _target: Str) -> u32 {
    // The subscriber is no code of ours; if it panics, the hook has printed that.
    caught(|| at_level!(level, enabled)).unwrap_or(false).into()
}

pub(super) unsafe extern "C" fn log(level: u32, target: Str, message: Str) {
    // SAFETY: both texts are valid for this call.
    let (target, message) = unsafe { (target.to_text(), message.to_text()) };
    // As above.
    let _ = caught(|| at_level!(level, event, module = %target, "{message}"));
}
