//! The facts of an exchange that its line in the access log needs.

use http::StatusCode;

/// The status and the bytes that were sent, and whether they are logged.
#[derive(Debug, Default)]
pub(super) struct SentResponse {
    /// `None` until the driver has taken the head.
    pub(super) status: Option<StatusCode>,
    /// The bytes of the response's body, or of the WebSocket's frames.
    pub(super) sent: u64,
    logged: bool,
}

impl SentResponse {
    /// The status and the bytes, if they are not logged yet. They then count as logged.
    pub(super) fn take(&mut self) -> Option<(Option<StatusCode>, u64)> {
        let logged = std::mem::replace(&mut self.logged, true);
        (!logged).then_some((self.status, self.sent))
    }
}
