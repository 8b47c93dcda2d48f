//! Converts a [`DisconnectReason`] to its number in the ABI and back.

use asgi::DisconnectReason;

use crate::abi;

impl From<DisconnectReason> for abi::Disconnect {
    fn from(reason: DisconnectReason) -> Self {
        let (reason, code) = match reason {
            DisconnectReason::Complete => (abi::DISCONNECT_COMPLETE, 0),
            DisconnectReason::Closed => (abi::DISCONNECT_CLOSED, 0),
            DisconnectReason::Reset(code) => (abi::DISCONNECT_RESET, code),
            DisconnectReason::TimedOut => (abi::DISCONNECT_TIMED_OUT, 0),
            DisconnectReason::ProtocolError => (abi::DISCONNECT_PROTOCOL_ERROR, 0),
            DisconnectReason::Shutdown => (abi::DISCONNECT_SHUTDOWN, 0),
            // Reasons that a newer version of `asgi` adds also come here: the app cannot send
            // any more.
            _ => (abi::DISCONNECT_LOST, 0),
        };
        Self {
            reason,
            reserved: 0,
            code,
        }
    }
}

impl From<abi::Disconnect> for DisconnectReason {
    fn from(disconnect: abi::Disconnect) -> Self {
        match disconnect.reason {
            abi::DISCONNECT_COMPLETE => Self::Complete,
            abi::DISCONNECT_CLOSED => Self::Closed,
            abi::DISCONNECT_RESET => Self::Reset(disconnect.code),
            abi::DISCONNECT_TIMED_OUT => Self::TimedOut,
            abi::DISCONNECT_PROTOCOL_ERROR => Self::ProtocolError,
            abi::DISCONNECT_SHUTDOWN => Self::Shutdown,
            _ => Self::Lost,
        }
    }
}
