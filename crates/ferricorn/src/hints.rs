//! Advice for the operator that the log gives once, because clients cause it and could fill the log.

use std::sync::atomic::{AtomicBool, Ordering};

/// Which advice a server has given.
#[derive(Debug, Default)]
pub(crate) struct Hints {
    pub(crate) no_websockets: OneHint,
    pub(crate) no_http: OneHint,
    pub(crate) proxy_header: OneHint,
}

/// One advice.
#[derive(Debug, Default)]
pub(crate) struct OneHint(AtomicBool);

impl OneHint {
    /// Gives the advice, unless it was given before.
    pub(crate) fn give(&self, log: impl FnOnce()) {
        // A plain load first: all threads share this, and nearly always it was given.
        if !self.0.load(Ordering::Relaxed) && !self.0.swap(true, Ordering::Relaxed) {
            log();
        }
    }
}
