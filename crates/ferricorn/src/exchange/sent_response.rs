//! The facts of an exchange that its line in the access log needs.

use asgi::DisconnectReason;
use http::StatusCode;

use crate::access_log::CLIENT_LEFT;

/// The status and the bytes that were sent, and whether they are logged.
#[derive(Debug, Default)]
pub(super) struct SentResponse {
    /// `None` until the driver has taken the head.
    pub(super) status: Option<StatusCode>,
    /// The bytes of the response's body, or of the WebSocket's frames.
    pub(super) sent: u64,
    /// The client left, or closed its side, before the app had ended.
    client_left: bool,
    /// The app gave the request up because its client had left. The server's own answer goes to a client
    /// that has most likely left.
    given_up: bool,
    logged: bool,
}

impl SentResponse {
    /// The exchange has ended for this reason, before its app had.
    pub(super) fn note_disconnect(&mut self, reason: DisconnectReason) {
        self.client_left |= matches!(
            reason,
            DisconnectReason::Closed | DisconnectReason::Lost | DisconnectReason::Reset(_)
        );
    }

    /// The app has ended without a response and without a fault.
    pub(super) fn note_unanswered(&mut self) {
        self.given_up = self.client_left;
    }

    /// The status and the bytes, if they are not logged yet. They then count as logged.
    pub(super) fn take(&mut self) -> Option<(Option<StatusCode>, u64)> {
        if std::mem::replace(&mut self.logged, true) {
            return None;
        }
        if self.given_up || self.client_left && self.status.is_none() {
            return Some((StatusCode::from_u16(CLIENT_LEFT).ok(), 0));
        }
        Some((self.status, self.sent))
    }
}
