//! What the calls of one app have to do with each other.

use std::sync::{Mutex, MutexGuard, PoisonError};

use asgi::Scope;

use super::violation::LintFinding;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LifespanStatus {
    /// No lifespan runs.
    None,
    Starting,
    Serving {
        has_state: bool,
    },
}

/// The calls that run.
#[derive(Debug)]
pub(crate) struct Process(Mutex<ProcessState>);

#[derive(Debug)]
struct ProcessState {
    lifespan: LifespanStatus,
    /// Requests and WebSockets.
    exchanges: usize,
}

impl Process {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(ProcessState {
            lifespan: LifespanStatus::None,
            exchanges: 0,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, ProcessState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call begins.
    pub(crate) fn begin(&self, scope: &Scope) -> Option<LintFinding> {
        let mut state = self.lock();
        let has_state = match scope {
            Scope::Http(http) => !http.state.is_empty(),
            Scope::WebSocket(socket) => !socket.state.is_empty(),
            Scope::Lifespan(_) => {
                let other = state.lifespan != LifespanStatus::None;
                state.lifespan = LifespanStatus::Starting;
                let happened = "a second lifespan while the first one runs";
                return other.then(|| LintFinding::server("LIFE-001", happened));
            }
            _ => return None,
        };
        state.exchanges += 1;
        match state.lifespan {
            LifespanStatus::Starting => Some(LintFinding::server(
                "LIFE-003",
                "a request before the startup is complete",
            )),
            LifespanStatus::Serving { has_state: true } if !has_state => Some(LintFinding::server(
                "CORE-022",
                "a scope without the state of the startup",
            )),
            _ => None,
        }
    }

    /// A call has ended.
    pub(crate) fn end(&self, kind: &str) {
        let mut state = self.lock();
        match kind {
            "lifespan" => state.lifespan = LifespanStatus::None,
            "http" | "websocket" => state.exchanges = state.exchanges.saturating_sub(1),
            _ => {}
        }
    }

    /// The app says that it is ready. The server may call it at once.
    pub(crate) fn ready(&self, has_state: bool) {
        self.lock().lifespan = LifespanStatus::Serving { has_state };
    }

    /// The server has not taken that.
    pub(crate) fn not_ready(&self) {
        self.lock().lifespan = LifespanStatus::Starting;
    }

    /// The server has asked for the shutdown.
    pub(crate) fn shutdown(&self) -> Option<LintFinding> {
        let running = self.lock().exchanges;
        let happened = format!("lifespan.shutdown while {running} exchanges run");
        (running > 0).then(|| LintFinding::server("LIFE-012", happened))
    }
}
