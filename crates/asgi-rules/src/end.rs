//! How apps end, and which ends are their fault.

use asgi::AppError;

/// How an app's future ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppEnd {
    /// With `Ok`.
    Returned,
    /// With [`AppError::unsupported`]: it does not know this kind of scope.
    Unsupported,
    /// With any other error.
    Failed,
    /// With a panic.
    Panicked,
    /// It was dropped before it was done.
    Cancelled,
}

impl From<&Result<(), AppError>> for AppEnd {
    fn from(result: &Result<(), AppError>) -> Self {
        match result {
            Ok(()) => Self::Returned,
            Err(error) if error.is_unsupported() => Self::Unsupported,
            Err(_) => Self::Failed,
        }
    }
}

/// What an app did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It returned an error.
    Failed,
    /// It panicked.
    Panicked,
    /// It returned without a response.
    NoResponse,
    /// It returned before its response was complete.
    Incomplete,
}

/// Whose fault an end is; `left_out` is what an app that returned had still to send.
pub(crate) fn fault(end: AppEnd, told_gone: bool, left_out: Option<Fault>) -> Option<Fault> {
    match end {
        // A panic is a bug whatever the client did. (HTTP-036)
        AppEnd::Panicked => Some(Fault::Panicked),
        AppEnd::Cancelled => None,
        // Who was told that the client is gone may end as it likes. (HTTP-037)
        _ if told_gone => None,
        // Who is asked for more than it serves has failed like any other. (CORE-020)
        AppEnd::Failed | AppEnd::Unsupported => Some(Fault::Failed),
        AppEnd::Returned => left_out,
    }
}
