//! Reports an `exit` of a linked-in app, which would look like a clean stop of the server.
//!
//! `exit` runs the destructors of the thread-locals of its thread. So each thread of the runtime has a
//! thread-local with a destructor. The runtime says when a thread ends in another way.
//!
//! A thread that the app has started itself has no such thread-local. The command, which loads its app,
//! does not need this module: see `asgi_abi::report_exits`.

use std::cell::RefCell;
use std::time::Duration;

use super::logging::{self, print_line};

/// How long the line waits for the reader of the log.
const FLUSH_LIMIT: Duration = Duration::from_millis(500);

thread_local! {
    static GUARD: RefCell<Option<ExitGuard>> = const { RefCell::new(None) };
}

/// Dropped when its thread ends, or when code on its thread calls `exit`.
struct ExitGuard {
    is_armed: bool,
}

/// A thread of the runtime starts.
pub(super) fn arm() {
    GUARD.set(Some(ExitGuard { is_armed: true }));
}

/// A thread of the runtime ends.
pub(super) fn disarm() {
    if let Some(mut guard) = GUARD.take() {
        guard.is_armed = false;
    }
}

impl Drop for ExitGuard {
    fn drop(&mut self) {
        if self.is_armed {
            print_line(format_args!(
                "error: the app called `exit`, which ends the server at once"
            ));
            logging::flush(FLUSH_LIMIT);
            // The code of `exit` cannot be changed here, and 0 would look like a clean stop.
            std::process::abort();
        }
    }
}
