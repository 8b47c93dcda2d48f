//! Why the server ends an HTTP/2 connection because of its client.
//!
//! [`FrameCheck`](super::frame_check::FrameCheck) finds the faults, the driver sends their code in a
//! GOAWAY frame. Errors that h2 finds are `h2::Error`s, not these.

use super::flood::Flood;

/// An error code. (RFC 9113 §7)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum ErrorCode {
    Protocol = 0x1,
    FlowControl = 0x3,
    StreamClosed = 0x5,
    FrameSize = 0x6,
    RefusedStream = 0x7,
    Compression = 0x9,
    EnhanceYourCalm = 0xb,
}

impl ErrorCode {
    /// Whether a reset with this code blames the client, not the app or the server.
    pub(crate) fn is_provoked(code: u32) -> bool {
        [
            Self::Protocol,
            Self::FlowControl,
            Self::StreamClosed,
            Self::FrameSize,
            Self::RefusedStream,
            Self::Compression,
        ]
        .iter()
        .any(|provoked| *provoked as u32 == code)
    }
}

/// Why the server must end the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConnectionFault {
    pub(crate) code: ErrorCode,
    /// For the log.
    pub(crate) why: &'static str,
}

impl ConnectionFault {
    pub(crate) const fn protocol(why: &'static str) -> Self {
        let code = ErrorCode::Protocol;
        Self { code, why }
    }

    pub(crate) const fn frame_size(why: &'static str) -> Self {
        let code = ErrorCode::FrameSize;
        Self { code, why }
    }
}

impl From<Flood> for ConnectionFault {
    fn from(flood: Flood) -> Self {
        Self {
            code: ErrorCode::EnhanceYourCalm,
            why: flood.why(),
        }
    }
}
