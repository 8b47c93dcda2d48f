//! Keeps the server answering while an app blocks a thread.
//!
//! In tokio's runtime, one thread at a time waits for I/O for all threads. When it wakes up, it runs the
//! tasks that are ready. If there is only one such task, the thread wakes no other thread to wait for
//! I/O. If an app then blocks in that task, the other threads sleep and no thread watches the sockets,
//! for as long as the app blocks. (In each of five runs, every connection stood still.)
//!
//! So this watchdog, a thread outside of the runtime, spawns an empty task a moment after a thread of
//! the runtime has woken up. A sleeping thread runs the task and then waits for I/O itself.
//!
//! While the server is idle, the watchdog sleeps too and costs nothing.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;

use tokio::runtime::Handle;

/// How long a blocking app can hold up the other threads. While there is work, this makes at most 200
/// empty tasks a second, which cost almost nothing.
const PROBE_INTERVAL: Duration = Duration::from_millis(5);

/// How many empty tasks in a row must find no wake-up before the watchdog sleeps. One is not enough: the
/// thread that ran it may be the next one that blocks.
const QUIET_PROBES: u32 = 2;

/// The state that the runtime's threads share with the watchdog's thread.
#[derive(Debug, Default)]
pub(super) struct StallWatchdog {
    /// Whether a thread of the runtime has woken up since the last empty task.
    thread_woke: AtomicBool,
    /// Whether the runtime has run the last empty task.
    probe_ran: AtomicBool,
    /// Whether the watchdog sleeps until a thread wakes up.
    sleeping: AtomicBool,
    watchdog: OnceLock<Thread>,
}

impl StallWatchdog {
    /// Notes that a thread of the runtime has woken up. That thread calls it.
    pub(super) fn note_wakeup(&self) {
        self.thread_woke.store(true, Ordering::SeqCst);
        if self.sleeping.load(Ordering::SeqCst) {
            self.unpark_watchdog();
        }
    }

    /// Starts the watchdog's thread for a runtime. It runs until the process ends.
    pub(super) fn start(self: Arc<Self>, runtime: Handle) -> io::Result<()> {
        let watch = move || {
            // This is the only place that sets it.
            let _ = self.watchdog.set(thread::current());
            loop {
                self.wait_for_wakeup();
                let mut quiet = 0;
                while quiet < QUIET_PROBES {
                    thread::sleep(PROBE_INTERVAL);
                    let busy = self.thread_woke.load(Ordering::SeqCst);
                    self.run_probe(&runtime);
                    quiet = if busy { 0 } else { quiet + 1 };
                }
            }
        };
        thread::Builder::new()
            .name("stall-watchdog".to_owned())
            .spawn(watch)
            .map(drop)
    }

    /// Sleeps until a thread of the runtime wakes up.
    fn wait_for_wakeup(&self) {
        self.sleeping.store(true, Ordering::SeqCst);
        while !self.thread_woke.load(Ordering::SeqCst) {
            thread::park();
        }
        self.sleeping.store(false, Ordering::SeqCst);
    }

    /// Spawns an empty task and waits until a thread has run it.
    fn run_probe(self: &Arc<Self>, runtime: &Handle) {
        self.probe_ran.store(false, Ordering::SeqCst);
        let watchdog = Arc::clone(self);
        drop(runtime.spawn(async move {
            watchdog.probe_ran.store(true, Ordering::SeqCst);
            watchdog.unpark_watchdog();
        }));
        // If apps block all threads, this waits until one is free again. Nothing else can help then.
        while !self.probe_ran.load(Ordering::SeqCst) {
            thread::park();
        }
        // The empty task may have woken a thread itself.
        self.thread_woke.store(false, Ordering::SeqCst);
    }

    fn unpark_watchdog(&self) {
        if let Some(watchdog) = self.watchdog.get() {
            watchdog.unpark();
        }
    }
}
