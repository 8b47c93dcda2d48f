//! Counts what runs, so that a test sees that it has ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many handlers and streams run. Clones share the count.
#[derive(Debug, Clone, Default)]
pub struct Running(Arc<AtomicUsize>);

impl Running {
    /// The count.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// Counts until the result is dropped.
    pub(crate) fn begin(&self) -> impl Send + Sync + 'static {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ends(self.clone())
    }
}

struct Ends(Running);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}
