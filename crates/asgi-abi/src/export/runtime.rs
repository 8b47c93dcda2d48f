//! An app that was loaded, with the runtime that it owns.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::thread::available_parallelism;
use std::time::Duration;

use asgi::{AppError, DynApp, State};
use tokio::runtime::{Builder, Handle, Runtime};
use tracing_core::dispatcher::{self, Dispatch};

use super::log::Bridge;
use super::panic_hook;
use crate::abi;

/// Without a hint from the host: the app's futures run on the host's threads, so these serve only
/// timers, sockets and what the app spawns.
const MOST_DEFAULT_THREADS: usize = 2;

/// Which threads poll the app's calls.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runs {
    /// The server's, until a call waits for something that is not the server's; then the library's.
    WhereItWaits,
    /// The server's alone.
    Inline,
    /// The library's alone.
    OnItsOwn,
}

/// An app, its runtime, and what it handed over at start-up.
pub(super) struct Application {
    pub(super) host: &'static abi::Host,
    pub(super) app: DynApp,
    pub(super) handle: Handle,
    pub(super) runs: Runs,
    is_running: AtomicBool,
    runtime: Mutex<Option<Runtime>>,
    state: RwLock<State>,
}

/// Whether the host is in this very program, and its log and its panic hook are ours already.
fn is_linked_in(host: &abi::Host) -> bool {
    #[cfg(feature = "loader")]
    return std::ptr::eq(host, &crate::host::HOST);
    #[cfg(not(feature = "loader"))]
    return {
        let _ = host;
        false
    };
}

impl Application {
    /// Starts the runtime, then makes the app within it.
    ///
    /// # Errors
    ///
    /// A sentence for the host.
    pub(super) fn start(
        host: &'static abi::Host,
        threads: u32,
        runs: Runs,
        make: impl FnOnce() -> Result<DynApp, AppError>,
    ) -> Result<Self, String> {
        let threads = match threads {
            0 => available_parallelism().map_or(1, |cores| cores.get().min(MOST_DEFAULT_THREADS)),
            threads => threads as usize,
        };
        // Not a current-thread runtime: one that nobody blocks on never fires its timers.
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("app")
            .enable_all()
            .build()
            .map_err(|error| format!("the app's runtime could not start: {error}"))?;
        let handle = runtime.handle().clone();
        let make = || {
            let _within = handle.enter();
            make()
        };
        let made = if is_linked_in(host) {
            make()
        } else {
            panic_hook::install(host);
            // What the app says as it is made is to be heard too; only then is it known whether it
            // has a subscriber of its own, which has precedence.
            let bridge = Dispatch::new(Bridge::new(host));
            let app = dispatcher::with_default(&bridge, make);
            let _ = dispatcher::set_global_default(bridge);
            app
        };
        let app = made.map_err(|error| error.chain().to_string())?;
        Ok(Self {
            host,
            app,
            handle,
            runs,
            is_running: AtomicBool::new(true),
            runtime: Mutex::new(Some(runtime)),
            state: RwLock::default(),
        })
    }

    /// A clone of what the app handed over at start-up.
    pub(super) fn state(&self) -> State {
        // A poisoned lock still holds a whole `State`: it is only ever replaced.
        self.state
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Replaces what later scopes get; gives back what they got.
    pub(super) fn set_state(&self, state: State) -> State {
        let mut current = self.state.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut current, state)
    }

    /// Whether there is a runtime that a call could be moved to.
    pub(super) fn is_running(&self) -> bool {
        self.is_running.load(Ordering::Relaxed)
    }

    /// Stops the runtime; a second time it does nothing.
    ///
    /// The handle stays: a task that is polled or dropped later still enters it.
    pub(super) fn shutdown(&self, grace: Duration) {
        self.is_running.store(false, Ordering::Relaxed);
        let runtime = self
            .runtime
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(runtime) = runtime {
            runtime.shutdown_timeout(grace);
        }
    }
}
