//! The life of a server, as its app sees it.

use asgi::{
    DisconnectReason, LifespanShutdown, LifespanStartup, ReceiveEvent, SendError, SendEvent, State,
};

use crate::end::fault;
use crate::{AppEnd, Fault};

/// What an app says, or what its end means, for the server.
#[derive(Debug)]
#[non_exhaustive]
pub enum LifespanOutcome {
    /// Serve; each scope gets a clone of this state.
    Serve(State),
    /// Serve; the app does not want to know of the server's life.
    Unsupported,
    /// Do not serve, and tell the operator this.
    Refused(String),
    /// Do not serve: the app ended before it was ready.
    StartupFailed,
    /// Everything is cleaned up.
    ShutdownComplete,
    /// The app could not clean up, and says this; empty if it just failed.
    ShutdownFailed(String),
    /// The app is not there to clean up; what is served goes on.
    Gone,
}

/// What becomes of a lifespan whose app has ended.
#[derive(Debug)]
pub struct LifespanVerdict {
    /// What it means for the server; `None` if the app had said all before.
    pub outcome: Option<LifespanOutcome>,
    /// What is to be logged as the app's fault, once.
    pub fault: Option<Fault>,
}

/// The rules of the life of a server.
///
/// ```text
///              startup.complete            the server           shutdown.complete
///   Starting ──────────────────▶ Running ────────────▶ Stopping ─────────────────▶ Over
///      │                                                        shutdown.failed     ▲
///      └───────────────────────────── startup.failed ───────────────────────────────┘
/// ```
///
/// The app can end at any time. An event that is not taken changes nothing (CORE-012).
#[derive(Debug)]
pub struct LifespanRules {
    phase: Phase,
    /// The app has received the startup event.
    startup_received: bool,
    app_ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Starting,
    Running,
    Stopping,
    /// Nothing more is to be said; the shutdown event stays the last one if there was one.
    Over {
        asked_to_stop: bool,
    },
}

impl Default for LifespanRules {
    fn default() -> Self {
        Self::new()
    }
}

impl LifespanRules {
    /// A server that is about to serve.
    pub const fn new() -> Self {
        Self {
            phase: Phase::Starting,
            startup_received: false,
            app_ended: false,
        }
    }

    /// What the app receives now; `None` if it has to wait.
    pub fn receive(&mut self) -> Option<ReceiveEvent> {
        // The shutdown comes again whenever it is asked for. (CORE-008)
        if let Phase::Stopping
        | Phase::Over {
            asked_to_stop: true,
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

    /// Whether the app may send at all.
    ///
    /// # Errors
    ///
    /// The app has ended. (CORE-004)
    pub fn ready(&self) -> Result<(), SendError> {
        if self.app_ended {
            return Err(SendError::over());
        }
        Ok(())
    }

    /// Takes an event of the app and says what it means for the server.
    ///
    /// # Errors
    ///
    /// The app has ended, or the event is not expected now. Then nothing has changed.
    pub fn send(&mut self, event: SendEvent) -> Result<LifespanOutcome, SendError> {
        self.ready()?;
        match (self.phase, event) {
            (Phase::Starting, SendEvent::LifespanStartupComplete(complete)) => {
                self.phase = Phase::Running;
                Ok(LifespanOutcome::Serve(complete.state))
            }
            (Phase::Starting, SendEvent::LifespanStartupFailed(failed)) => {
                self.phase = Phase::Over {
                    asked_to_stop: false,
                };
                Ok(LifespanOutcome::Refused(failed.message))
            }
            (Phase::Stopping, SendEvent::LifespanShutdownComplete(_)) => {
                self.phase = Phase::Over {
                    asked_to_stop: true,
                };
                Ok(LifespanOutcome::ShutdownComplete)
            }
            (Phase::Stopping, SendEvent::LifespanShutdownFailed(failed)) => {
                self.phase = Phase::Over {
                    asked_to_stop: true,
                };
                Ok(LifespanOutcome::ShutdownFailed(failed.message))
            }
            (_, event) => Err(self.unexpected(event.name())),
        }
    }

    /// The server has served its last request: the app is to clean up. (LIFE-012)
    ///
    /// Whether it was asked: it is not if it has ended, or had not started.
    pub fn shutdown(&mut self) -> bool {
        if self.phase == Phase::Running && !self.app_ended {
            self.phase = Phase::Stopping;
        }
        self.phase == Phase::Stopping
    }

    /// What `closed` tells, once nothing that the app sends matters.
    pub fn closed(&self) -> Option<DisconnectReason> {
        let over = self.app_ended || matches!(self.phase, Phase::Over { .. });
        over.then_some(DisconnectReason::Complete)
    }

    /// The app has ended. Whatever its halves do from now on is told that it is over.
    pub fn ended(&mut self, end: AppEnd) -> LifespanVerdict {
        let outcome = match (self.phase, end) {
            // LIFE-009
            (Phase::Starting, AppEnd::Unsupported | AppEnd::Returned) => {
                Some(LifespanOutcome::Unsupported)
            }
            // LIFE-010
            (Phase::Starting, AppEnd::Failed | AppEnd::Panicked | AppEnd::Cancelled) => {
                Some(LifespanOutcome::StartupFailed)
            }
            // LIFE-011
            (Phase::Running, _) | (Phase::Stopping, AppEnd::Cancelled) => {
                Some(LifespanOutcome::Gone)
            }
            // LIFE-015
            (Phase::Stopping, AppEnd::Returned) => Some(LifespanOutcome::ShutdownComplete),
            // LIFE-016
            (Phase::Stopping, AppEnd::Failed | AppEnd::Unsupported | AppEnd::Panicked) => {
                Some(LifespanOutcome::ShutdownFailed(String::new()))
            }
            (Phase::Over { .. }, _) => None,
        };
        // Not to serve the lifespan is no fault, nor is an error behind a refusal: the operator
        // has been told why. (LIFE-009, LIFE-008)
        let excused = match self.phase {
            Phase::Starting => end == AppEnd::Unsupported,
            Phase::Over { asked_to_stop } => !asked_to_stop,
            Phase::Running | Phase::Stopping => false,
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
                Phase::Starting => "lifespan.startup.complete or lifespan.startup.failed",
                Phase::Running => "nothing before lifespan.shutdown",
                Phase::Stopping => "lifespan.shutdown.complete or lifespan.shutdown.failed",
                Phase::Over { .. } => "nothing: the lifespan is over",
            },
        )
    }
}
