//! Why a task failed or panicked, as the host reads it.

use std::error::Error;

use asgi::{AppError, DisconnectReason, SendError};

use crate::abi::{self, Str};

/// The texts of an error, and the array of the ABI that borrows them.
pub(super) struct Failure {
    kind: u32,
    disconnect: abi::Disconnect,
    array: Vec<Str>,
    /// Owns the texts that `array` points to.
    _messages: Vec<String>,
}

// SAFETY: `array` points to the texts of `_messages`, which are on the heap. This struct owns them
// and never changes them, so the pointers stay valid on any thread.
unsafe impl Send for Failure {}

impl Failure {
    pub(super) fn panicked(message: String) -> Self {
        Self::new(0, None, vec![message])
    }

    /// The error and its causes. A cause that a server looks for crosses as the `kind`; the host
    /// puts it back at the end of the chain.
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
            // The error "unsupported" has no cause, so it is the last message.
            messages.pop();
            return Self::new(abi::OUTCOME_UNSUPPORTED, None, messages);
        }
        Self::new(abi::OUTCOME_FAILED, None, messages)
    }

    fn new(kind: u32, reason: Option<DisconnectReason>, messages: Vec<String>) -> Self {
        Self {
            kind,
            disconnect: reason.map_or(abi::Disconnect::NONE, Into::into),
            array: messages.iter().map(|message| Str::new(message)).collect(),
            _messages: messages,
        }
    }

    /// Borrows the texts.
    pub(super) fn to_abi(&self) -> abi::Outcome {
        abi::Outcome {
            kind: self.kind,
            reserved: 0,
            disconnect: self.disconnect,
            messages: self.array.as_ptr(),
            n_messages: self.array.len(),
        }
    }
}
