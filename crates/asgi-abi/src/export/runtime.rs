//! A loaded app and its tokio runtime.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::thread::available_parallelism;
use std::time::Duration;

use asgi::{AppError, DynApp, State};
use tokio::runtime::{Builder, Handle, Runtime};
use tracing_core::dispatcher::{self, Dispatch};

use super::log::LogBridge;
use super::panic_hook;
use crate::abi;

/// The most threads of the runtime if the host sets no number. They run timers, sockets and the
/// tasks that the app spawns; the host's threads poll the app's calls.
const MAX_DEFAULT_THREADS: usize = 2;

/// Which threads poll the app's calls.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PollMode {
    /// The server's, until a call waits for its own I/O; then the library's.
    Auto,
    /// Always the server's.
    Inline,
    /// Always the library's.
    OwnRuntime,
}

/// An app, its runtime, and the state that it passed on at startup.
pub(super) struct Application {
    pub(super) host: &'static abi::Host,
    pub(super) app: DynApp,
    pub(super) handle: Handle,
    pub(super) poll_mode: PollMode,
    is_running: AtomicBool,
    runtime: Mutex<Option<Runtime>>,
    state: RwLock<State>,
}

/// Whether the host is in the same program. Then it shares `tracing` and the panic hook with us.
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
    /// Starts the runtime, then makes the app in it.
    ///
    /// # Errors
    ///
    /// The reason, as a text for the host.
    pub(super) fn start(
        host: &'static abi::Host,
        threads: u32,
        poll_mode: PollMode,
        make: impl FnOnce() -> Result<DynApp, AppError>,
    ) -> Result<Self, String> {
        let threads = match threads {
            0 => available_parallelism().map_or(1, |cores| cores.get().min(MAX_DEFAULT_THREADS)),
            threads => threads as usize,
        };
        // Not a current-thread runtime: its timers fire only while a thread blocks on it.
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("app")
            .enable_all()
            .build()
            .map_err(|error| format!("the app's runtime could not start: {error}"))?;
        let handle = runtime.handle().clone();
        let make = || {
            let _runtime = handle.enter();
            make()
        };
        let made = if is_linked_in(host) {
            make()
        } else {
            panic_hook::install(host);
            // The bridge also takes the log lines of `make`. It becomes the global default after
            // that: a subscriber that the app installs in `make` takes precedence.
            let bridge = Dispatch::new(LogBridge::new(host));
            let app = dispatcher::with_default(&bridge, make);
            let _ = dispatcher::set_global_default(bridge);
            app
        };
        let app = made.map_err(|error| error.chain().to_string())?;
        Ok(Self {
            host,
            app,
            handle,
            poll_mode,
            is_running: AtomicBool::new(true),
            runtime: Mutex::new(Some(runtime)),
            state: RwLock::default(),
        })
    }

    /// A clone of the state that the app passed on at startup.
    pub(super) fn state(&self) -> State {
        // A poisoned lock still holds a complete `State`, because it is only replaced as a whole.
        self.state
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Sets the state of later scopes. Returns the old state.
    pub(super) fn set_state(&self, state: State) -> State {
        let mut current = self.state.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut current, state)
    }

    /// Whether the runtime still runs, so that a call can move to it.
    pub(super) fn is_running(&self) -> bool {
        self.is_running.load(Ordering::Relaxed)
    }

    /// Stops the runtime. A second call does nothing.
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
