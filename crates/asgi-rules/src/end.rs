//! How apps end, and which ends are the app's fault.

use std::fmt;

use asgi::AppError;

/// How an app's future ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AppEnd {
    /// It returned `Ok`.
    Returned,
    /// It returned [`AppError::unsupported`]: it does not know this kind of scope.
    Unsupported,
    /// It returned [`AppError::aborted`]: it breaks off its exchange on purpose.
    Aborted,
    /// It returned any other error.
    Failed,
    /// It panicked.
    Panicked,
    /// The server dropped it before it had returned.
    Cancelled,
}

impl From<&Result<(), AppError>> for AppEnd {
    fn from(result: &Result<(), AppError>) -> Self {
        match result {
            Ok(()) => Self::Returned,
            Err(error) if error.is_aborted() => Self::Aborted,
            Err(error) if error.is_unsupported() => Self::Unsupported,
            Err(_) => Self::Failed,
        }
    }
}

/// What an app did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It returned an error.
    Failed,
    /// It panicked.
    Panicked,
    /// It returned without a response.
    NoResponse,
    /// It returned before its response was complete.
    Incomplete,
    /// It does not know this kind of scope, and has said so before it did anything else. The server
    /// refuses the request, and does not report this as an error. (CORE-020)
    Unsupported,
}

/// What the app did, for a line in the log.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failed => "the app failed",
            Self::Panicked => "the app panicked",
            Self::NoResponse => "the app returned without a response",
            Self::Incomplete => "the app's response is incomplete",
            Self::Unsupported => "the app does not serve this kind of scope",
        })
    }
}

/// Returns what the app did wrong, if its end is its fault.
///
/// `knows_client_left` says whether the app has learned that its client left. `unfinished` is the
/// fault of an app that returned too early.
pub(crate) fn fault(
    end: AppEnd,
    knows_client_left: bool,
    unfinished: Option<Fault>,
) -> Option<Fault> {
    match end {
        // A panic is a bug, even if the client has left. (HTTP-036)
        AppEnd::Panicked => Some(Fault::Panicked),
        // CORE-029
        AppEnd::Cancelled | AppEnd::Aborted => None,
        // An app that knows that its client left may end in any way. (HTTP-037)
        _ if knows_client_left => None,
        // CORE-020
        AppEnd::Unsupported if unfinished == Some(Fault::NoResponse) => Some(Fault::Unsupported),
        AppEnd::Failed | AppEnd::Unsupported => Some(Fault::Failed),
        AppEnd::Returned => unfinished,
    }
}
