//! The request side of an exchange: its body, and whether the app waits for it.

use std::task::{Context, Poll};
use std::time::Instant;

use asgi::{DisconnectReason, HttpRequest};
use bytes::Bytes;
use http::StatusCode;

use super::{ExchangeOptions, RequestBody};

/// The body of the request, and whether the app waits for it.
pub(super) struct RequestSide {
    body: Unread,
    /// The app has ended and left a part of the body unread.
    left_unread: bool,
    /// That part, if the driver discards it.
    leftover: Option<Box<dyn RequestBody>>,
    /// Whether the driver wants the leftover. Otherwise the body is dropped with the app.
    keeps_leftover: bool,
    /// The app waits for a part of the body.
    pub(super) wants_body: bool,
    /// When it began to wait. Asking again does not change this.
    wants_body_since: Option<Instant>,
    /// The client waits for a 100 before it sends the body.
    expects_continue: bool,
    /// Whether the driver sends the 100. Otherwise the protocol's library does.
    sends_interim: bool,
}

/// The rest of a body does not come.
pub(super) struct BodyFailure {
    pub(super) reason: DisconnectReason,
    /// The answer, if it is the client's fault.
    pub(super) status: Option<StatusCode>,
}

/// The part of the body that the app has not read.
enum Unread {
    /// The request has no content. The app receives one empty part.
    Empty,
    Body(Box<dyn RequestBody>),
    /// The app has read all of it, or may not read the rest.
    Nothing,
}

impl RequestSide {
    pub(super) fn new(
        body: Option<Box<dyn RequestBody>>,
        expects_continue: bool,
        options: ExchangeOptions,
    ) -> Self {
        Self {
            body: body.map_or(Unread::Empty, Unread::Body),
            left_unread: false,
            leftover: None,
            keeps_leftover: options.keeps_leftover,
            wants_body: false,
            wants_body_since: None,
            expects_continue,
            sends_interim: options.sends_interim,
        }
    }

    /// Waits for the next part of the body. `None` if the app can read no more of it.
    pub(super) fn poll_part(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<HttpRequest, BodyFailure>>> {
        let part = match &mut self.body {
            Unread::Nothing => return Poll::Ready(None),
            Unread::Empty => Ok(HttpRequest::last(Bytes::new())),
            Unread::Body(body) if body.is_end_stream() => Ok(HttpRequest::last(Bytes::new())),
            Unread::Body(body) => {
                let Poll::Ready(part) = body.poll_part(cx) else {
                    self.wants_body = true;
                    self.wants_body_since.get_or_insert_with(Instant::now);
                    return Poll::Pending;
                };
                part
            }
        };
        if let Ok(part) = &part {
            self.wants_body_since = None;
            if !part.more_body {
                self.body = Unread::Nothing;
            }
        }
        Poll::Ready(Some(part.map_err(|reason| self.failed(reason))))
    }

    /// The rest of the body does not come.
    fn failed(&mut self, reason: DisconnectReason) -> BodyFailure {
        let status = self.status_of_failure(reason);
        BodyFailure { reason, status }
    }

    fn status_of_failure(&mut self, reason: DisconnectReason) -> Option<StatusCode> {
        if matches!(&self.body, Unread::Body(body) if body.is_over_limit()) {
            // The client sends on, and its connection or stream can be used for the answer.
            self.app_ended();
            return Some(StatusCode::PAYLOAD_TOO_LARGE);
        }
        self.body = Unread::Nothing;
        (reason == DisconnectReason::ProtocolError).then_some(StatusCode::BAD_REQUEST)
    }

    /// When the app began to wait for a part of the body; `None` if it does not wait.
    pub(super) fn wants_body_since(&self) -> Option<Instant> {
        self.wants_body_since.filter(|_| self.wants_body)
    }

    /// The app waits, but perhaps for something else.
    pub(super) fn app_waits(&mut self) {
        if !self.wants_body {
            self.wants_body_since = None;
        }
    }

    /// Whether there is a part of the body that the app has not read.
    pub(super) fn has_unread(&self) -> bool {
        match &self.body {
            Unread::Body(body) => !body.is_end_stream(),
            Unread::Empty => false,
            Unread::Nothing => self.left_unread,
        }
    }

    /// Whether the client waits for a 100 before it sends the body.
    pub(super) fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    /// Whether a 100 must go out: the app waits for a body that the client holds back until then. The
    /// app may have begun its response before.
    pub(super) fn owes_continue(&self) -> bool {
        self.wants_body && self.expects_continue
    }

    /// Whether a 100 must go out, and the driver must send it. It then counts as sent.
    pub(super) fn take_continue(&mut self) -> bool {
        let owes = self.owes_continue();
        self.expects_continue &= !owes;
        owes
    }

    /// A 100 must go out before the head that is ready to be sent.
    pub(super) fn hold_head_for_continue(&mut self, cx: &Context<'_>) {
        if !self.sends_interim {
            // The library sends it in its next turn, and only before a final head. (HTTP-018)
            self.expects_continue = false;
            cx.waker().wake_by_ref();
        }
    }

    /// The app has ended and reads no more.
    pub(super) fn app_ended(&mut self) {
        let Unread::Body(body) = std::mem::replace(&mut self.body, Unread::Nothing) else {
            return;
        };
        if !body.is_end_stream() {
            self.left_unread = true;
            self.leftover = Some(body).filter(|_| self.keeps_leftover);
        }
    }

    /// Takes the body away from the app.
    pub(super) fn take_body(&mut self) -> Option<Box<dyn RequestBody>> {
        match std::mem::replace(&mut self.body, Unread::Nothing) {
            Unread::Body(body) => Some(body),
            Unread::Empty | Unread::Nothing => None,
        }
    }

    /// Drops the body. The protocol's library keeps reading as long as the body exists.
    pub(super) fn drop_body(&mut self) {
        self.body = Unread::Nothing;
    }

    /// Takes the part of the body that the app has not read and that still comes.
    pub(super) fn take_leftover(&mut self) -> Option<Box<dyn RequestBody>> {
        match std::mem::replace(&mut self.body, Unread::Nothing) {
            Unread::Body(body) if !body.is_end_stream() => Some(body),
            _ => self.leftover.take(),
        }
    }
}
