//! How a task ended, when it did not end well.

use std::error::Error;

use asgi::{AppError, DisconnectReason, SendError};

use crate::abi::{self, Str};

/// The texts of an error, and the array that lends them.
pub(super) struct Failure {
    kind: u32,
    disconnect: abi::Disconnect,
    lent: Vec<Str>,
    /// Holds what `lent` points to.
    _messages: Vec<String>,
}

// SAFETY: `lent` points into `_messages`, which moves along and is never changed.
unsafe impl Send for Failure {}

impl Failure {
    pub(super) fn panicked(message: String) -> Self {
        Self::new(0, None, vec![message])
    }

    /// The error and its causes. A cause with a meaning of its own to a server crosses as a kind:
    /// the host puts it back in its place, at the end.
    pub(super) fn error(error: &AppError) -> Self {
        let mut messages = Vec::new();
        let mut cause: Option<&(dyn Error + 'static)> = Some(error.as_error());
        while let Some(error) = cause {
            let reason = error
                .downcast_ref::<SendError>()
                .and_then(SendError::disconnect_reason);
            if reason.is_some() {
                return Self::new(abi::OUTCOME_DISCONNECTED, reason, messages);
            }
            messages.push(error.to_string());
            cause = error.source();
        }
        if error.is_unsupported() {
            // That error has no cause, so it was the last of them.
            messages.pop();
            return Self::new(abi::OUTCOME_UNSUPPORTED, None, messages);
        }
        Self::new(abi::OUTCOME_FAILED, None, messages)
    }

    fn new(kind: u32, reason: Option<DisconnectReason>, messages: Vec<String>) -> Self {
        Self {
            kind,
            disconnect: reason.map_or(abi::Disconnect::NONE, Into::into),
            lent: messages.iter().map(|message| Str::new(message)).collect(),
            _messages: messages,
        }
    }

    pub(super) fn lend(&self) -> abi::Outcome {
        abi::Outcome {
            kind: self.kind,
            reserved: 0,
            disconnect: self.disconnect,
            messages: self.lent.as_ptr(),
            n_messages: self.lent.len(),
        }
    }
}
