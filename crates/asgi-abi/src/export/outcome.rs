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

    /// The error and its causes. A cause that a server looks for crosses as the `kind`, without its
    /// texts; the host puts it back.
    pub(super) fn error(error: &AppError) -> Self {
        let mut messages = texts(error);
        if error.is_aborted() {
            // The abort may have causes of its own, so its texts may be anywhere.
            let known = texts(&AppError::aborted());
            messages.retain(|message| !known.contains(message));
            return Self::new(abi::OUTCOME_ABORTED, None, messages);
        }
        if error.is_unsupported() {
            let kind = messages.last().cloned().unwrap_or_default();
            strip(&mut messages, &AppError::unsupported_kind(kind));
            return Self::new(abi::OUTCOME_UNSUPPORTED, None, messages);
        }
        if let Some(reason) = error.disconnect_reason() {
            strip(&mut messages, &SendError::disconnected(reason).into());
            return Self::new(abi::OUTCOME_DISCONNECTED, Some(reason), messages);
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

/// The texts of an error and of its causes.
fn texts(error: &AppError) -> Vec<String> {
    let mut texts = Vec::new();
    let mut cause: Option<&(dyn Error + 'static)> = Some(error.as_error());
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    texts
}

/// Removes the texts of `last` from the end of `messages`. The types of the errors may be hidden in
/// a wrapper, but their texts are not.
fn strip(messages: &mut Vec<String>, last: &AppError) {
    let last = texts(last);
    if messages.ends_with(&last) {
        messages.truncate(messages.len() - last.len());
    }
}
