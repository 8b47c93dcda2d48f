//! The part of a response that the app has sent and the driver has not taken.

use std::fmt;

use asgi::{HttpResponseEarlyHint, HttpResponsePush};
use asgi_rules::{ResponseHead, WireEvent};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

use super::push::Admission;
use crate::refusal::Refusal;

/// The part of a response that the driver has not taken: never more than a head and one part.
#[derive(Debug, Default)]
pub(super) struct ResponseQueue {
    /// Goes out before the head. Boxed, as the trailers are: they are large and rare, and an exchange that
    /// fits into 1,032 bytes comes from malloc's fast path.
    pub(super) interim: Option<Box<Interim>>,
    pub(super) head: Option<ResponseHead>,
    /// The head opens a session.
    pub(super) opens: bool,
    pub(super) data: Option<Bytes>,
    pub(super) trailers: Option<Box<HeaderMap>>,
    pub(super) end: Option<ResponseEnd>,
    /// The client has the whole length of the response, though the driver did not take the end.
    pub(super) delivered: bool,
    /// The last event had no effect on the connection, so the next one does not wait for room.
    pub(super) swallowed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResponseEnd {
    Complete,
    /// The app broke off.
    Broken,
}

/// The beginning of a response, for the driver to send.
pub(crate) struct ResponseStart {
    pub(crate) head: ResponseHead,
    /// A session follows, and nothing else.
    pub(crate) opens: bool,
    /// The whole body, if the response is complete already.
    pub(crate) whole: Option<Bytes>,
    /// Whether there is a part of the request's body that the app has not read.
    pub(crate) body_unread: bool,
}

/// Goes out before the head of a response.
#[derive(Debug)]
pub(crate) enum Interim {
    /// The app waits for the body that the client holds back. (HTTP-018)
    Continue,
    EarlyHint(HttpResponseEarlyHint),
    /// A promised request. It may go out between the parts of a body too.
    Push(HttpResponsePush, Admission),
}

/// The rest of a response after its head.
#[derive(Debug)]
pub(crate) enum ResponsePart {
    Data(Bytes),
    Trailers(HeaderMap),
    End,
    /// The app broke off: the client must be able to tell.
    Broken,
}

/// There is no response, or no more of one: the app was cut off, or broke it off itself.
#[derive(Debug)]
pub(crate) struct BrokenOff;

impl fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the response was broken off")
    }
}

impl std::error::Error for BrokenOff {}

impl ResponseQueue {
    /// Queues an event of the app. `false` if there is nothing to send.
    pub(super) fn push(&mut self, event: WireEvent) -> bool {
        match event {
            WireEvent::Response(head, data) => {
                self.head = Some(head);
                self.data = Some(data);
                self.end = Some(ResponseEnd::Complete);
            }
            WireEvent::Head(head, data) => {
                self.head = Some(head);
                self.data = Some(data).filter(|data| !data.is_empty());
            }
            WireEvent::Data(data) => self.data = Some(data),
            WireEvent::Last(data) => {
                self.data = Some(data).filter(|data| !data.is_empty());
                self.end = Some(ResponseEnd::Complete);
            }
            WireEvent::Trailers(trailers) => {
                self.trailers = Some(Box::new(trailers));
                self.end = Some(ResponseEnd::Complete);
            }
            WireEvent::EarlyHint(hint) => self.interim = Some(Box::new(Interim::EarlyHint(hint))),
            // The other events are not offered.
            _ => return false,
        }
        true
    }

    /// Queues the head that opens a session.
    pub(super) fn open(&mut self, head: ResponseHead) {
        self.head = Some(head);
        self.opens = true;
    }

    /// Takes the whole body of a response with this head, if the response is complete.
    pub(super) fn take_whole(&mut self, head: &ResponseHead) -> Option<Bytes> {
        let complete =
            self.end == Some(ResponseEnd::Complete) && self.trailers.is_none() && !head.trailers;
        complete.then(|| self.data.take().unwrap_or_default())
    }

    /// Whether there is room for another event of the app.
    pub(super) fn has_room(&self) -> bool {
        self.data.is_none() && self.interim.is_none()
    }

    /// Whether the driver has taken the whole response. One that was broken off is never done, unless
    /// the client had all of it before.
    pub(super) fn is_done(&self) -> bool {
        match self.end {
            Some(ResponseEnd::Complete) => {
                self.head.is_none() && self.data.is_none() && self.trailers.is_none()
            }
            Some(ResponseEnd::Broken) => self.delivered,
            None => false,
        }
    }

    /// Whether there is something for the driver.
    pub(super) fn has_output(&self) -> bool {
        self.interim.is_some()
            || self.head.is_some()
            || self.data.is_some()
            || self.trailers.is_some()
            || self.end.is_some()
    }

    /// A response of the server's own, in place of what the app had begun. What the app sent before its
    /// response still goes out.
    pub(super) fn whole(&mut self, status: StatusCode, method: &Method) {
        let refusal = Refusal::new(status, "the app has no answer");
        *self = Self {
            interim: self.interim.take(),
            head: Some(refusal.head()),
            data: Some(refusal.body(method)),
            end: Some(ResponseEnd::Complete),
            ..Self::default()
        };
    }
}
