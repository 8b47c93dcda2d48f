//! The request's side of an HTTP/1 connection: a body of a known length, which the server reads.

use std::io::{self, Read};

use asgi::{DisconnectReason, HttpRequest, HttpScope};
use bytes::Bytes;
use http::header::EXPECT;
use http::{HeaderMap, Version};

use super::HttpExchange;

/// The most bytes that one read takes.
const MOST: u64 = 16 * 1024;

/// What the head of a request says about its body.
#[derive(Debug, Default)]
pub(super) struct RequestContent {
    /// How much of the body has not come.
    pub(super) unread: u64,
    /// The client waits for a 100 before it sends the body.
    pub(super) continue_due: bool,
}

impl RequestContent {
    pub(super) fn of(scope: &HttpScope) -> Self {
        let unread = scope.content_length().unwrap_or(0);
        // RFC 9110 §10.1.1: "A server that receives a 100-continue expectation in an HTTP/1.0
        // request MUST ignore that expectation."
        let may_expect = unread > 0 && scope.version >= Version::HTTP_11;
        Self {
            unread,
            continue_due: may_expect && expects_continue(&scope.headers),
        }
    }
}

fn expects_continue(headers: &HeaderMap) -> bool {
    let values = headers.get_all(EXPECT).iter();
    let values = values.filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .any(|value| value.trim().eq_ignore_ascii_case("100-continue"))
}

/// For a server that has called [`start`](HttpExchange::start), if the body has no coding and its
/// length is the `content-length` of the request.
impl HttpExchange {
    /// Returns how many bytes of the body the server has not pushed.
    pub fn unread(&self) -> u64 {
        self.shared().with(|state| state.protocol.content.unread)
    }

    /// Adds bytes of the body. The part that completes it is the last one. (HTTP-016)
    ///
    /// Bytes beyond the length are dropped. Call this once before the first poll of the app, with
    /// the bytes that came with the head: a request without a body has one part, which is empty.
    /// (HTTP-014)
    pub fn push_content(&self, bytes: impl Into<Bytes>) {
        let mut bytes = bytes.into();
        let more_body = self.shared().with(|state| {
            let content = &mut state.protocol.content;
            bytes.truncate(usize::try_from(content.unread).unwrap_or(usize::MAX));
            content.continue_due &= bytes.is_empty();
            content.unread -= bytes.len() as u64;
            content.unread > 0
        });
        if !(more_body && bytes.is_empty()) {
            self.push_body(HttpRequest::new(bytes, more_body));
        }
    }

    /// Returns whether the server must send a 100 now: the client expects one, and the app waits for
    /// the body. This is true at most once. (HTTP-018)
    pub fn take_continue(&self) -> bool {
        self.shared().with(|state| {
            let wants = state.wants_input() && !state.protocol.rules.is_head_out();
            wants && std::mem::take(&mut state.protocol.content.continue_due)
        })
    }

    /// Reads a part of the body with one call of `read`, and adds it.
    ///
    /// If the connection ends before the body, or if it fails, this records how. (HTTP-020)
    pub fn read_content(&self, mut connection: impl Read) {
        let mut part = vec![0; self.unread().min(MOST) as usize];
        match connection.read(&mut part) {
            Ok(0) => self.disconnected(DisconnectReason::ProtocolError),
            Ok(length) => {
                part.truncate(length);
                self.push_content(part);
            }
            Err(error) => self.connection_failed(&error),
        }
    }

    /// Records that a read or a write of the client's connection has failed: a time-out is the
    /// client's slowness, and any other error means that it is gone. (HTTP-043, HTTP-075, HTTP-076)
    pub fn connection_failed(&self, error: &io::Error) {
        self.disconnected(match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => DisconnectReason::TimedOut,
            _ => DisconnectReason::Lost,
        });
    }
}
