//! The rules of a lifespan: the startup and shutdown of an app.

use std::error::Error;
use std::fmt;

use asgi::{
    DisconnectReason, LifespanShutdown, LifespanStartup, ReceiveEvent, SendError, SendEvent, State,
};

use crate::end::fault;
use crate::{AppEnd, Fault};

/// What an event of the app, or its end, means for the server.
#[derive(Debug)]
#[non_exhaustive]
pub enum LifespanOutcome {
    /// Serve. Each scope gets a clone of this state.
    Serve(State),
    /// Serve without a lifespan: the app does not support it.
    Unsupported,
    /// Do not serve. The app gives this reason for the operator.
    Refused(String),
    /// Do not serve, because the app ended before it was ready.
    StartupFailed,
    /// The app has cleaned up.
    ShutdownComplete,
    /// The app could not clean up. The text is its reason, and is empty if the app failed without
    /// one.
    ShutdownFailed(String),
    /// The app has ended, so it cannot clean up. The server continues to serve.
    Gone,
}

impl LifespanOutcome {
    /// Returns the state for each scope, if the app's first outcome lets the server serve.
    ///
    /// # Errors
    ///
    /// Returns why the server must not serve, for its operator. (LIFE-006, LIFE-010)
    pub fn started(self) -> Result<State, LifespanFailure> {
        match self {
            Self::Serve(state) => Ok(state),
            // LIFE-009
            Self::Unsupported => Ok(State::new()),
            Self::Refused(reason) => Err(LifespanFailure("did not start", reason)),
            _ => Err(LifespanFailure("did not start", String::new())),
        }
    }

    /// Returns whether the app has cleaned up, or has ended before.
    ///
    /// # Errors
    ///
    /// Returns why the app could not clean up. The server then ends as failed. (LIFE-014, LIFE-016)
    pub fn stopped(self) -> Result<(), LifespanFailure> {
        match self {
            Self::ShutdownFailed(reason) => Err(LifespanFailure("did not clean up", reason)),
            _ => Ok(()),
        }
    }
}

/// Why an app did not start or did not clean up, for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LifespanFailure(&'static str, String);

impl fmt::Display for LifespanFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(what, reason) = self;
        match reason.as_str() {
            "" => write!(f, "the app {what}"),
            reason => write!(f, "the app {what}: {reason}"),
        }
    }
}

impl Error for LifespanFailure {}

/// The result of a lifespan whose app has ended.
#[derive(Debug)]
#[non_exhaustive]
pub struct LifespanVerdict {
    /// What it means for the server; `None` if the app had sent its last event.
    pub outcome: Option<LifespanOutcome>,
    /// The app's fault, if any. The server logs it once.
    pub fault: Option<Fault>,
}

/// The rules of one lifespan.
///
/// ```text
///              startup.complete          server stops           shutdown.complete
///   Starting ──────────────────▶ Running ────────────▶ Stopping ─────────────────▶ Over
///      │                                                       or shutdown.failed   ▲
///      └───────────────────────────── startup.failed ───────────────────────────────┘
/// ```
///
/// The app can end in every phase. An event that is not taken changes nothing (CORE-012).
#[derive(Debug)]
pub struct LifespanRules {
    phase: LifespanPhase,
    /// The app has received the startup event.
    startup_received: bool,
    app_ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LifespanPhase {
    Starting,
    Running,
    Stopping,
    /// The app has sent its last event. If it received the shutdown, `receive` repeats that event.
    Over {
        shutdown_requested: bool,
    },
}

impl Default for LifespanRules {
    fn default() -> Self {
        Self::new()
    }
}

impl LifespanRules {
    /// Creates the rules for an app that is about to start.
    pub const fn new() -> Self {
        Self {
            phase: LifespanPhase::Starting,
            startup_received: false,
            app_ended: false,
        }
    }

    /// Returns the event that the app receives now, or `None` if it must wait.
    pub fn receive(&mut self) -> Option<ReceiveEvent> {
        // After the shutdown event, each `receive` returns it again. (CORE-008)
        if let LifespanPhase::Stopping
        | LifespanPhase::Over {
            shutdown_requested: true,
        } = self.phase
        {
            return Some(LifespanShutdown::new().into());
        }
        if self.startup_received {
            return None;
        }
        // LIFE-004
        self.startup_received = true;
        Some(LifespanStartup::new().into())
    }

    /// Checks whether the app may send.
    ///
    /// # Errors
    ///
    /// Returns an error if the app has ended. (CORE-004)
    pub fn ready(&self) -> Result<(), SendError> {
        if self.app_ended {
            return Err(SendError::over());
        }
        Ok(())
    }

    /// Takes an event of the app and returns what it means for the server.
    ///
    /// # Errors
    ///
    /// Returns an error, and changes nothing, if the app has ended or if the event is not expected
    /// now.
    pub fn send(&mut self, event: SendEvent) -> Result<LifespanOutcome, SendError> {
        self.ready()?;
        match (self.phase, event) {
            (LifespanPhase::Starting, SendEvent::LifespanStartupComplete(complete)) => {
                self.phase = LifespanPhase::Running;
                Ok(LifespanOutcome::Serve(complete.state))
            }
            (LifespanPhase::Starting, SendEvent::LifespanStartupFailed(failed)) => {
                self.phase = LifespanPhase::Over {
                    shutdown_requested: false,
                };
                Ok(LifespanOutcome::Refused(failed.message))
            }
            (LifespanPhase::Stopping, SendEvent::LifespanShutdownComplete(_)) => {
                self.phase = LifespanPhase::Over {
                    shutdown_requested: true,
                };
                Ok(LifespanOutcome::ShutdownComplete)
            }
            (LifespanPhase::Stopping, SendEvent::LifespanShutdownFailed(failed)) => {
                self.phase = LifespanPhase::Over {
                    shutdown_requested: true,
                };
                Ok(LifespanOutcome::ShutdownFailed(failed.message))
            }
            (_, event) => Err(self.unexpected(event.name())),
        }
    }

    /// Asks the app to clean up, after the server has served its last request. (LIFE-012)
    ///
    /// Returns whether the app was asked. It is not asked if it has ended or has not started.
    pub fn shutdown(&mut self) -> bool {
        if self.phase == LifespanPhase::Running && !self.app_ended {
            self.phase = LifespanPhase::Stopping;
        }
        self.phase == LifespanPhase::Stopping
    }

    /// Returns the result of the app's `closed`, once the server takes no more events.
    pub fn closed(&self) -> Option<DisconnectReason> {
        let over = self.app_ended || matches!(self.phase, LifespanPhase::Over { .. });
        over.then_some(DisconnectReason::Complete)
    }

    /// Records that the app has ended. From now on, each `send` fails with `is_over`.
    pub fn ended(&mut self, end: AppEnd) -> LifespanVerdict {
        // There is no client that could see an abort, so it is an error like any other. (CORE-028)
        let end = match end {
            AppEnd::Aborted => AppEnd::Failed,
            end => end,
        };
        let outcome = match (self.phase, end) {
            // LIFE-009
            (LifespanPhase::Starting, AppEnd::Unsupported | AppEnd::Returned) => {
                Some(LifespanOutcome::Unsupported)
            }
            // LIFE-010
            (LifespanPhase::Starting, _) => Some(LifespanOutcome::StartupFailed),
            // LIFE-011
            (LifespanPhase::Running, _) | (LifespanPhase::Stopping, AppEnd::Cancelled) => {
                Some(LifespanOutcome::Gone)
            }
            // LIFE-015
            (LifespanPhase::Stopping, AppEnd::Returned) => Some(LifespanOutcome::ShutdownComplete),
            // LIFE-016
            (LifespanPhase::Stopping, _) => Some(LifespanOutcome::ShutdownFailed(String::new())),
            (LifespanPhase::Over { .. }, _) => None,
        };
        // An app may refuse the lifespan. It may also return an error after it has refused to
        // start, because the operator already knows the reason. (LIFE-009, LIFE-008)
        let excused = match self.phase {
            LifespanPhase::Starting => end == AppEnd::Unsupported,
            LifespanPhase::Over { shutdown_requested } => !shutdown_requested,
            LifespanPhase::Running | LifespanPhase::Stopping => false,
        };
        self.app_ended = true;
        LifespanVerdict {
            outcome,
            fault: fault(end, excused, None),
        }
    }

    /// CORE-013, CORE-014
    fn unexpected(&self, got: &'static str) -> SendError {
        SendError::misuse(
            got,
            match self.phase {
                LifespanPhase::Starting => "lifespan.startup.complete or lifespan.startup.failed",
                LifespanPhase::Running => "nothing before lifespan.shutdown",
                LifespanPhase::Stopping => "lifespan.shutdown.complete or lifespan.shutdown.failed",
                LifespanPhase::Over { .. } => "nothing: the lifespan is over",
            },
        )
    }
}
