//! From how a task ended to the error that a linked app would have returned.

use std::error::Error;
use std::fmt;

use asgi::{AppError, SendError};

use crate::abi;

type BoxError = Box<dyn Error + Send + Sync>;

/// # Safety
///
/// The outcome's texts must be valid.
pub(super) unsafe fn error(outcome: &abi::Outcome, kind: &'static str) -> AppError {
    // The last cause is one that servers ask for, if there is one; the texts go around it.
    let last: Option<BoxError> = match outcome.kind {
        abi::OUTCOME_UNSUPPORTED => Some(AppError::unsupported_kind(kind).into_error()),
        abi::OUTCOME_DISCONNECTED => {
            Some(SendError::disconnected(outcome.disconnect.into()).into())
        }
        _ => None,
    };
    // SAFETY: the caller's promise.
    let messages = unsafe { messages(outcome) };
    let error = messages.into_iter().rev().fold(last, |cause, message| {
        Some(Box::new(AppFailure { message, cause }))
    });
    AppError::from(error.unwrap_or_else(|| "the app failed without a message".into()))
}

/// # Safety
///
/// The outcome's texts must be valid.
pub(super) unsafe fn panic_message(outcome: &abi::Outcome) -> String {
    // SAFETY: the caller's promise.
    unsafe { messages(outcome) }.join(": ")
}

/// # Safety
///
/// The outcome's texts must be valid.
unsafe fn messages(outcome: &abi::Outcome) -> Vec<String> {
    // SAFETY: the caller's promise.
    unsafe { abi::slice(outcome.messages, outcome.n_messages) }
        .iter()
        // SAFETY: as above.
        .map(|message| unsafe { message.to_text() }.into_owned())
        .collect()
}

/// An error of a loaded app, or a cause of one: its text is all that crosses.
#[derive(Debug)]
struct AppFailure {
    message: String,
    cause: Option<BoxError>,
}

impl fmt::Display for AppFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for AppFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.cause {
            Some(cause) => Some(&**cause),
            None => None,
        }
    }
}
