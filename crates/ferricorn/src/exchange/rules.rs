//! The rules that an app must follow: those of HTTP, or those of a longer session.

use asgi::{DisconnectReason, SendError};
use asgi_rules::{AppEnd, HttpRules, Verdict, WireEvent};
use http::StatusCode;

use super::SessionRules;

/// The rules of the protocol that the app speaks.
pub(super) enum Rules {
    Http(HttpRules),
    /// Boxed, so that plain HTTP exchanges don't pay for the size of a session.
    Session(Box<dyn SessionRules>),
}

impl Rules {
    pub(super) fn report_ready(&mut self) -> Result<(), SendError> {
        match self {
            Self::Http(rules) => rules.report_ready(),
            Self::Session(session) => session.report_ready(),
        }
    }

    /// Whether the session, if it is one, has room for another event of the app.
    pub(super) fn has_room(&self) -> bool {
        match self {
            Self::Http(_) => true,
            Self::Session(session) => session.has_room(),
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        match self {
            Self::Http(rules) => rules.is_complete(),
            Self::Session(session) => session.is_complete(),
        }
    }

    pub(super) fn disconnected(&mut self, reason: DisconnectReason) {
        match self {
            Self::Http(rules) => rules.disconnected(reason),
            Self::Session(session) => session.disconnected(reason),
        }
    }

    /// Tells the app how the exchange ended, if it has.
    pub(super) fn report_disconnect(&mut self) -> Option<DisconnectReason> {
        match self {
            Self::Http(rules) => rules.report_disconnect(),
            Self::Session(session) => session.report_disconnect(),
        }
    }

    pub(super) fn waiting(&mut self) -> WireEvent {
        match self {
            Self::Http(rules) => rules.waiting(),
            Self::Session(session) => session.waiting(),
        }
    }

    /// The status for a kind of scope that the app does not know.
    ///
    /// A client can cause it at will, so it says nothing about the health of the server: no 5xx. For a
    /// handshake it is what ASGI wants if an app closes before it accepts.
    pub(super) fn unsupported_status(&self) -> StatusCode {
        match self {
            Self::Http(_) => StatusCode::NOT_FOUND,
            Self::Session(_) => StatusCode::FORBIDDEN,
        }
    }

    pub(super) fn ended(&mut self, end: AppEnd) -> Verdict {
        match self {
            Self::Http(rules) => rules.ended(end),
            Self::Session(session) => session.ended(end),
        }
    }
}
