//! A model of one lifespan: which event may come next.

use asgi::SendEvent;

use super::judged::{BrokenRule, ExpectedAnswer, Judged};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LifespanStep {
    Starting,
    Running,
    Over,
}

/// What an event that is taken does to a lifespan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LifespanEffect {
    /// The app is ready, and has made a state or not.
    Ready { has_state: bool },
    /// It has refused to start, or has cleaned up or not.
    Over,
}

#[derive(Debug)]
pub(crate) struct LifespanModel {
    step: LifespanStep,
    /// The app has received the shutdown.
    pub(crate) shutdown: bool,
}

impl LifespanModel {
    pub(crate) fn new() -> Self {
        Self {
            step: LifespanStep::Starting,
            shutdown: false,
        }
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.step == LifespanStep::Over
    }

    pub(crate) fn judge(&self, event: &SendEvent) -> Judged<LifespanEffect> {
        match (self.step, event) {
            (LifespanStep::Over, _) => Judged::after_the_end(),
            (LifespanStep::Starting, SendEvent::LifespanStartupComplete(complete)) => {
                let has_state = !complete.state.is_empty();
                Judged::taken(LifespanEffect::Ready { has_state })
            }
            (LifespanStep::Starting, SendEvent::LifespanStartupFailed(_)) => {
                Judged::taken(LifespanEffect::Over)
            }
            (
                LifespanStep::Running,
                SendEvent::LifespanShutdownComplete(_) | SendEvent::LifespanShutdownFailed(_),
            ) if self.shutdown => Judged::taken(LifespanEffect::Over),
            (
                LifespanStep::Running,
                SendEvent::LifespanShutdownComplete(_) | SendEvent::LifespanShutdownFailed(_),
            ) => Judged {
                app: Some(BrokenRule::new(
                    "CORE-013",
                    "before the app has received lifespan.shutdown",
                )),
                // The server may have asked for the shutdown already.
                answer: ExpectedAnswer::Unknown,
                effect: Some(LifespanEffect::Over),
            },
            (LifespanStep::Starting, _) => Judged::misuse("CORE-013", "before the startup"),
            (LifespanStep::Running, _) => Judged::misuse("CORE-013", "while the server serves"),
        }
    }

    pub(crate) fn apply(&mut self, effect: LifespanEffect) {
        self.step = match effect {
            LifespanEffect::Ready { .. } => LifespanStep::Running,
            LifespanEffect::Over => LifespanStep::Over,
        };
    }
}
