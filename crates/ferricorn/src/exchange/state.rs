//! What an exchange has to say to the driver and to the app's halves, under one lock.

use std::fmt;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use asgi::{
    DisconnectReason, HttpDisconnect, HttpResponseEarlyHint, HttpResponsePush, ReceiveEvent,
    SendError,
};
use asgi_rules::{
    AppEnd, Ending, Fault, Framing, HttpRules, ResponseHead, Verdict, WebSocketEnding, WireEvent,
};
use bytes::Bytes;
use h2::RecvStream;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::body::RequestBody;
use super::push::{Admission, Pushes};
use super::socket::Socket;

pub(super) struct State {
    pub(super) rules: Rules,
    pub(super) request_body: Option<RequestBody>,
    pub(super) response: Response,
    /// Whether polling the app could get it further: something has happened since the last poll.
    pub(super) runnable: bool,
    /// The app has ended, or was dropped.
    pub(super) app_ended: bool,
    /// The app is being polled, or was not yet: what it does needs to wake nobody.
    pub(super) polling: bool,
    /// The client has closed its side, and the rules know.
    pub(super) client_closed: bool,
    /// Why the peer gets an error of its own, should the app have nothing to say to it.
    pub(super) peer_fault: Option<StatusCode>,
    pub(super) receive_waker: Option<Waker>,
    pub(super) ready_waker: Option<Waker>,
    pub(super) closed_waker: Option<Waker>,
    pub(super) driver: Option<Waker>,
    /// The app waits for a part of the request's body.
    pub(super) wants_body: bool,
    /// Since when, however often it asked again.
    pub(super) wants_body_since: Option<Instant>,
    /// The client waits for a 100 before it sends the body.
    pub(super) expects_continue: bool,
    /// Whether interim responses are ours to send, and not hyper's.
    pub(super) sends_interim: bool,
    /// Where pushes are offered.
    pub(super) pushes: Option<Pushes>,
    /// The app has ended and left a part of the request's body unread.
    pub(super) body_unread: bool,
    /// That part, where the driver lets go of it.
    pub(super) leftover: Option<RecvStream>,
    /// What was sent last came to nothing on the wire, so nothing but this holds back the next.
    pub(super) swallowed: bool,
    pub(super) slow_poll_told: bool,
    /// The app counts among those that run.
    pub(super) counted: bool,
    pub(super) status: Option<StatusCode>,
    pub(super) sent: u64,
    pub(super) logged: bool,
}

/// What the app may do: the rules of its protocol.
pub(super) enum Rules {
    Http(HttpRules),
    /// Apart, so that an exchange of HTTP is no larger for it.
    WebSocket(Box<Socket>),
}

impl Rules {
    pub(super) fn ready(&mut self) -> Result<(), SendError> {
        match self {
            Self::Http(rules) => rules.ready(),
            Self::WebSocket(socket) => socket.rules.ready(),
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        match self {
            Self::Http(rules) => rules.is_complete(),
            Self::WebSocket(socket) => socket.rules.is_complete(),
        }
    }

    pub(super) fn disconnected(&mut self, reason: DisconnectReason) {
        match self {
            Self::Http(rules) => rules.disconnected(reason),
            Self::WebSocket(socket) => socket.rules.disconnected(reason),
        }
    }

    /// Why nobody will see another event, if that is so.
    pub(super) fn disconnect_reason(&mut self) -> Option<DisconnectReason> {
        match self {
            Self::Http(rules) => rules.disconnect(),
            Self::WebSocket(socket) => socket.rules.disconnect_reason(),
        }
    }

    pub(super) fn waiting(&mut self) -> WireEvent {
        match self {
            Self::Http(rules) => rules.waiting(),
            Self::WebSocket(socket) => socket.waiting(),
        }
    }

    fn ended(&mut self, end: AppEnd) -> Verdict {
        match self {
            Self::Http(rules) => rules.ended(end),
            Self::WebSocket(socket) => {
                let verdict = socket.ended(end);
                let ending = match verdict.ending {
                    WebSocketEnding::ServerError => Ending::ServerError,
                    WebSocketEnding::Abort => Ending::Abort,
                    WebSocketEnding::Gone => Ending::Gone,
                    WebSocketEnding::Complete | WebSocketEnding::Close(_) => Ending::Complete,
                };
                Verdict {
                    ending,
                    fault: verdict.fault,
                }
            }
        }
    }
}

/// What the app has sent and nobody has taken yet: never more than a head and one part.
#[derive(Debug, Default)]
pub(super) struct Response {
    /// What goes out before the head.
    pub(super) interim: Option<Interim>,
    pub(super) head: Option<ResponseHead>,
    /// The head opens a WebSocket.
    pub(super) opens: bool,
    pub(super) data: Option<Bytes>,
    pub(super) trailers: Option<HeaderMap>,
    pub(super) end: Option<End>,
    /// The client has all of it, as its length says, though the end was not taken.
    pub(super) delivered: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Complete,
    /// The app broke off.
    Broken,
}

/// The beginning of a response, for the driver to send.
pub(crate) struct ResponseStart {
    pub(crate) head: ResponseHead,
    /// A WebSocket follows, and nothing else.
    pub(crate) opens: bool,
    /// The whole body, if the response is complete already.
    pub(crate) whole: Option<Bytes>,
    /// Whether there is a part of the request's body that the app has not read.
    pub(crate) body_unread: bool,
}

/// What goes out before the head of a response.
#[derive(Debug)]
pub(crate) enum Interim {
    /// The app waits for the body that the client holds back. (HTTP-018)
    Continue,
    EarlyHint(HttpResponseEarlyHint),
    /// A promised request; may go out between the parts of a body too.
    Push(HttpResponsePush, Admission),
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

/// What follows of a response.
#[derive(Debug)]
pub(crate) enum Part {
    Data(Bytes),
    Trailers(HeaderMap),
    End,
    /// The app broke off: the client must be able to tell.
    Broken,
}

impl State {
    pub(super) fn new(rules: Rules, request_body: RequestBody, expects_continue: bool) -> Self {
        Self {
            rules,
            response: Response::default(),
            runnable: true,
            sends_interim: !matches!(request_body, RequestBody::Http1(_)),
            request_body: Some(request_body),
            app_ended: false,
            polling: true,
            client_closed: false,
            peer_fault: None,
            receive_waker: None,
            ready_waker: None,
            closed_waker: None,
            driver: None,
            wants_body: false,
            wants_body_since: None,
            expects_continue,
            body_unread: false,
            leftover: None,
            pushes: None,
            swallowed: false,
            slow_poll_told: false,
            counted: true,
            status: None,
            sent: 0,
            logged: false,
        }
    }

    pub(super) fn take_start(
        &mut self,
        cx: &Context<'_>,
    ) -> Option<Result<ResponseStart, BrokenOff>> {
        if self.owes_continue() && self.response.head.is_some() && self.response.end.is_none() {
            if !self.sends_interim {
                // hyper sends it in its next turn, and only while no final head is out. (HTTP-018)
                self.expects_continue = false;
                cx.waker().wake_by_ref();
            }
            return None;
        }
        let Some(head) = self.response.head.take() else {
            return (self.response.end == Some(End::Broken)).then_some(Err(BrokenOff));
        };
        self.status = Some(head.status);
        let complete = self.response.end == Some(End::Complete)
            && self.response.trailers.is_none()
            && !head.trailers;
        let body_unread = match &self.request_body {
            Some(body) => !body.is_end_stream(),
            None => self.body_unread,
        };
        let whole = complete.then(|| self.response.data.take().unwrap_or_default());
        self.sent += whole.as_ref().map_or(0, |whole| whole.len() as u64);
        Some(Ok(ResponseStart {
            head,
            opens: self.response.opens,
            whole,
            body_unread,
        }))
    }

    /// Whether the app waits for a body that the client holds back until a 100. It may have begun its
    /// response before.
    pub(super) fn owes_continue(&self) -> bool {
        self.wants_body && self.expects_continue
    }

    /// Where the protocol leaves interim responses to us.
    pub(super) fn take_interim(&mut self, cx: &Context<'_>) -> Option<Interim> {
        if self.owes_continue() {
            self.expects_continue = false;
            return Some(Interim::Continue);
        }
        let interim = self.response.interim.take()?;
        self.make_room(cx);
        Some(interim)
    }

    /// There is room again: for who waits for it, and so for another poll of the app. Who waits in
    /// this very task is polled anyway.
    fn make_room(&mut self, cx: &Context<'_>) {
        self.runnable = true;
        if let Some(waker) = self
            .ready_waker
            .take_if(|waker| !waker.will_wake(cx.waker()))
        {
            waker.wake();
        }
    }

    pub(super) fn take_part(&mut self, cx: &Context<'_>) -> Option<Part> {
        if let Some(data) = self.response.data.take() {
            self.sent += data.len() as u64;
            self.make_room(cx);
            return Some(Part::Data(data));
        }
        if let Some(trailers) = self.response.trailers.take() {
            return Some(Part::Trailers(trailers));
        }
        match self.response.end? {
            End::Complete => Some(Part::End),
            End::Broken => Some(Part::Broken),
        }
    }

    /// What becomes of the exchange now that the app is gone; what is to be logged of it.
    pub(super) fn ended(&mut self, end: AppEnd) -> Option<Fault> {
        let verdict = self.rules.ended(end);
        self.app_ended = true;
        let body = self.request_body.take();
        let unread = body.filter(|body| !body.is_end_stream());
        self.body_unread = unread.is_some();
        if let Some(RequestBody::Http2(body)) = unread {
            self.leftover = Some(body);
        }
        self.polling = false;
        let mut fault = verdict.fault;
        match (verdict.ending, self.peer_fault) {
            // The client's fault comes before what the app made of it. (HTTP-020)
            (Ending::Gone | Ending::ServerError, Some(status)) if self.status.is_none() => {
                self.response.whole(status);
                fault = fault.filter(|fault| *fault == Fault::Panicked);
            }
            (Ending::ServerError, _) => self.response.whole(StatusCode::INTERNAL_SERVER_ERROR),
            (Ending::Abort | Ending::Gone, _) => self.response.end = Some(End::Broken),
            (Ending::Complete, _) => {}
        }
        self.wake_all();
        self.wake_driver();
        fault
    }

    /// Lays what goes on the wire ready to be taken.
    pub(super) fn apply(&mut self, event: WireEvent) {
        let response = &mut self.response;
        match event {
            WireEvent::Response(head, data) => {
                response.head = Some(head);
                response.data = Some(data);
                response.end = Some(End::Complete);
            }
            WireEvent::Head(head, data) => {
                response.head = Some(head);
                response.data = Some(data).filter(|data| !data.is_empty());
            }
            WireEvent::Data(data) => response.data = Some(data),
            WireEvent::Last(data) => {
                response.data = Some(data).filter(|data| !data.is_empty());
                response.end = Some(End::Complete);
            }
            WireEvent::Trailers(trailers) => {
                response.trailers = Some(trailers);
                response.end = Some(End::Complete);
            }
            WireEvent::EarlyHint(hint) => response.interim = Some(Interim::EarlyHint(hint)),
            // The rest is not offered.
            _ => return,
        }
        self.wake_driver();
        if self.rules.is_complete() {
            // Whoever waits for the end of the exchange can be told.
            self.wake_all();
        }
    }

    /// Whether the last `receive` was polled by this task.
    pub(super) fn receives_in(&self, cx: &Context<'_>) -> bool {
        let waker = self.receive_waker.as_ref();
        waker.is_some_and(|waker| waker.will_wake(cx.waker()))
    }

    /// Wakes the driver, unless it is polling the app and looks afterwards.
    pub(super) fn wake_driver(&mut self) {
        if !self.polling
            && let Some(driver) = self.driver.take()
        {
            driver.wake();
        }
    }

    pub(super) fn wake_all(&mut self) {
        for waker in [
            &mut self.receive_waker,
            &mut self.ready_waker,
            &mut self.closed_waker,
        ] {
            if let Some(waker) = waker.take() {
                waker.wake();
            }
        }
    }

    pub(super) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<ReceiveEvent> {
        if let Rules::WebSocket(_) = self.rules {
            return self.poll_message(cx);
        }
        self.wants_body = false;
        if !self.rules.is_complete()
            && let Some(body) = &mut self.request_body
        {
            match body.poll_part(cx) {
                Poll::Ready(Ok(part)) => {
                    self.wants_body_since = None;
                    if !part.more_body {
                        self.request_body = None;
                    }
                    return Poll::Ready(part.into());
                }
                Poll::Ready(Err(reason)) => {
                    self.request_body = None;
                    if reason == DisconnectReason::ProtocolError {
                        self.peer_fault = Some(StatusCode::BAD_REQUEST);
                    }
                    self.rules.disconnected(reason);
                }
                // What has come is told before the end, and hyper still has some of it: it will
                // report the end itself, unless the connection is lost.
                Poll::Pending => {
                    self.wants_body = true;
                    self.wants_body_since.get_or_insert_with(Instant::now);
                    store(&mut self.receive_waker, cx);
                    if self.expects_continue {
                        // Where the driver sends the 100 it has to learn of this.
                        self.wake_driver();
                    }
                    match self.rules.disconnect_reason() {
                        None | Some(DisconnectReason::Closed) => return Poll::Pending,
                        Some(_) => self.wants_body = false,
                    }
                }
            }
        }
        match self.rules.disconnect_reason() {
            Some(reason) => Poll::Ready(HttpDisconnect::new(reason).into()),
            None => {
                store(&mut self.receive_waker, cx);
                Poll::Pending
            }
        }
    }

    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        if let Err(error) = self.rules.ready() {
            return Poll::Ready(Err(error));
        }
        // An app that answers HEAD with an endless body would never wait for anything.
        if std::mem::take(&mut self.swallowed) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        // A complete response has no room to wait for: the next event is told that it is one too many.
        let has_room = match &self.rules {
            Rules::WebSocket(socket) => self.response.has_room() && socket.outgoing.has_room(),
            Rules::Http(_) => self.response.has_room(),
        };
        if has_room || self.rules.is_complete() {
            return Poll::Ready(Ok(()));
        }
        store(&mut self.ready_waker, cx);
        Poll::Pending
    }
}

impl Response {
    fn has_room(&self) -> bool {
        self.data.is_none() && self.interim.is_none()
    }

    /// Whether all of it was sent, and taken. One that was broken off never is, unless the client
    /// had it all before.
    pub(super) fn is_done(&self) -> bool {
        match self.end {
            Some(End::Complete) => {
                self.head.is_none() && self.data.is_none() && self.trailers.is_none()
            }
            Some(End::Broken) => self.delivered,
            None => false,
        }
    }

    pub(super) fn has_output(&self) -> bool {
        self.interim.is_some()
            || self.head.is_some()
            || self.data.is_some()
            || self.trailers.is_some()
            || self.end.is_some()
    }

    /// A response of the server's own, in place of whatever the app had begun.
    fn whole(&mut self, status: StatusCode) {
        let reason = status.canonical_reason().unwrap_or("error");
        let body = Bytes::from(format!("{reason}\n"));
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        *self = Self::default();
        self.head = Some(server_head(status, headers, body.len() as u64));
        self.data = Some(body);
        self.end = Some(End::Complete);
    }
}

fn server_head(status: StatusCode, headers: HeaderMap, length: u64) -> ResponseHead {
    let mut head = ResponseHead::new(status, headers, Framing::Length(length));
    head.close = status.is_client_error();
    head
}

/// Remembers the waker of the last caller.
pub(crate) fn store(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *slot = Some(cx.waker().clone()),
    }
}
