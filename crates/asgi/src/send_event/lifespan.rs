//! The events that an app sends in its lifespan.

use crate::State;

macro_rules! new_failed {
    ($event:ident) => {
        impl $event {
            /// Creates the event with a reason.
            pub fn new(message: impl Into<String>) -> Self {
                let message = message.into();
                Self { message }
            }
        }
    };
}

/// The app is ready to serve.
///
/// Spec: lifespan §2.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct LifespanStartupComplete {
    /// The state that the server clones into each later scope.
    pub state: State,
}

impl LifespanStartupComplete {
    /// Creates the event with an empty state.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates the event with a state. Each later scope gets a clone of it.
    pub fn with_state(state: State) -> Self {
        Self { state }
    }
}

/// The app cannot serve. The server logs this and does not start.
///
/// Spec: lifespan §2.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct LifespanStartupFailed {
    /// The reason, for the server's log.
    pub message: String,
}

new_failed!(LifespanStartupFailed);

/// The app has cleaned up.
///
/// Spec: lifespan §3.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct LifespanShutdownComplete {}

new_is_default!(LifespanShutdownComplete);

/// The app failed to clean up. The server logs this and ends anyway.
///
/// Spec: lifespan §3.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct LifespanShutdownFailed {
    /// The reason, for the server's log.
    pub message: String,
}

new_failed!(LifespanShutdownFailed);
