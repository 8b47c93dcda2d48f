//! Converts the outcome of a task to the error that a linked app would have returned.

use std::error::Error;
use std::fmt;

use asgi::{AppError, SendError};

use crate::abi;

type BoxError = Box<dyn Error + Send + Sync>;

/// The error of a task that failed.
///
/// # Safety
///
/// The outcome's texts must be valid.
pub(super) unsafe fn error(outcome: &abi::Outcome, kind: &'static str) -> AppError {
    // Some kinds stand for an error that servers look for. It becomes the last cause, and each text
    // wraps the error after it.
    let last: Option<BoxError> = match outcome.kind {
        abi::OUTCOME_UNSUPPORTED => Some(AppError::unsupported_kind(kind).into_error()),
        abi::OUTCOME_DISCONNECTED => {
            Some(SendError::disconnected(outcome.disconnect.into()).into())
        }
        _ => None,
    };
    // SAFETY: the caller promises that the texts are valid.
    let messages = unsafe { messages(outcome) };
    let error = messages.into_iter().rev().fold(last, |cause, message| {
        Some(Box::new(AppFailure { message, cause }))
    });
    if outcome.kind == abi::OUTCOME_ABORTED {
        return error.map_or_else(AppError::aborted, AppError::aborted_by);
    }
    AppError::from(error.unwrap_or_else(|| "the app failed without a message".into()))
}

/// The message of a task that panicked.
///
/// # Safety
///
/// The outcome's texts must be valid.
pub(super) unsafe fn panic_message(outcome: &abi::Outcome) -> String {
    // SAFETY: the caller promises that the texts are valid.
    unsafe { messages(outcome) }.join(": ")
}

/// # Safety
///
/// The outcome's texts must be valid.
unsafe fn messages(outcome: &abi::Outcome) -> Vec<String> {
    // SAFETY: the caller promises that the array is valid.
    unsafe { abi::slice(outcome.messages, outcome.n_messages) }
        .iter()
        // SAFETY: the caller promises that each text is valid.
        .map(|message| unsafe { message.to_text() }.into_owned())
        .collect()
}

/// An error of a loaded app, or a cause of one. Only the text crosses.
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
