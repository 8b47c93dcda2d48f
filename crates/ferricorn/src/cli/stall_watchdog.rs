//! Keeps the server answering while an app blocks a thread.
//!
//! One thread at a time waits for I/O on behalf of all. The one that wakes up runs what has become
//! ready, and if that is one task alone it wakes nobody to take its place: an app that blocks there
//! leaves the other threads asleep and the sockets unwatched, for as long as it blocks (seen: every
//! connection stood still, in each of five runs). So somebody outside gives the runtime a task that
//! does nothing, a moment after its threads last woke up: a sleeping thread runs it, and then waits
//! for I/O itself.
//!
//! While nothing happens it sleeps too, and costs nothing.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;

use tokio::runtime::Handle;

/// How long one app that blocks can hold up the others. Two hundred empty tasks a second, while there
/// is work, are nothing.
const AFTER: Duration = Duration::from_millis(5);

/// So many empty tasks in a row after which no thread woke up show that all are asleep. One is not
/// enough: the thread that ran it may have been the one that blocks next.
const QUIET: u32 = 2;

/// What the threads that serve tell the one that watches over them.
#[derive(Debug, Default)]
pub(super) struct StallWatchdog {
    /// Whether a thread has woken up since the last empty task.
    woken: AtomicBool,
    /// Whether the last empty task was run.
    relieved: AtomicBool,
    asleep: AtomicBool,
    watch: OnceLock<Thread>,
}

impl StallWatchdog {
    /// A thread has woken up; called by it.
    pub(super) fn woken(&self) {
        self.woken.store(true, Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst) {
            self.wake();
        }
    }

    /// Watches over the threads of a runtime, for the rest of the process.
    pub(super) fn watch(self: Arc<Self>, runtime: Handle) -> io::Result<()> {
        let watch = move || {
            // Nobody else sets it.
            let _ = self.watch.set(thread::current());
            loop {
                self.sleep();
                let mut quiet = 0;
                while quiet < QUIET {
                    thread::sleep(AFTER);
                    let busy = self.woken.load(Ordering::SeqCst);
                    self.relieve(&runtime);
                    quiet = if busy { 0 } else { quiet + 1 };
                }
            }
        };
        thread::Builder::new()
            .name("ferricorn-relief".to_owned())
            .spawn(watch)
            .map(drop)
    }

    /// Waits until a thread wakes up.
    fn sleep(&self) {
        self.asleep.store(true, Ordering::SeqCst);
        while !self.woken.load(Ordering::SeqCst) {
            thread::park();
        }
        self.asleep.store(false, Ordering::SeqCst);
    }

    /// Has some thread run a task that does nothing, and waits until it has.
    fn relieve(self: &Arc<Self>, runtime: &Handle) {
        self.relieved.store(false, Ordering::SeqCst);
        let relief = Arc::clone(self);
        drop(runtime.spawn(async move {
            relief.relieved.store(true, Ordering::SeqCst);
            relief.wake();
        }));
        // For ever if all of them are blocked: then there is nobody to relieve them.
        while !self.relieved.load(Ordering::SeqCst) {
            thread::park();
        }
        // It may have woken a thread itself.
        self.woken.store(false, Ordering::SeqCst);
    }

    fn wake(&self) {
        if let Some(watch) = self.watch.get() {
            watch.unpark();
        }
    }
}
