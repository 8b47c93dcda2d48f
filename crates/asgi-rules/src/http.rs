//! The rules of one HTTP request and its response.

use asgi::{
    DisconnectReason, Extension, Extensions, HttpResponseBody, HttpResponseEarlyHint,
    HttpResponsePush, HttpResponseStart, HttpResponseTrailers, SendError, SendEvent, State,
};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

use crate::end::fault;
use crate::response::{
    RequestMethod, ResponseContent, append_all, is_forbidden_trailer, remove_headers,
};
use crate::{AppEnd, Fault, ResponseHead};

/// What the server sends to the client. The order is always: hints and pushes, a head, data, an
/// end.
#[derive(Debug)]
#[non_exhaustive]
pub enum WireEvent {
    /// Nothing yet.
    Nothing,
    /// An interim 103 response.
    EarlyHint(HttpResponseEarlyHint),
    /// A promised request, for the same app to answer. It may also come between data.
    Push(HttpResponsePush),
    /// A head and the whole body. The response is complete.
    Response(ResponseHead, Bytes),
    /// A head and the first part of the body, which may be empty.
    Head(ResponseHead, Bytes),
    /// A part of the body. It is never empty.
    Data(Bytes),
    /// The last part of the body, which may be empty. The response is complete.
    Last(Bytes),
    /// The trailers after the body. The response is complete.
    Trailers(HeaderMap),
    /// Information for a test client. A server does not send it.
    Debug(State),
}

/// The result of an exchange whose app has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verdict {
    /// What the server does for the client.
    pub ending: Ending,
    /// The app's fault, if any. The server logs it once.
    pub fault: Option<Fault>,
    /// The status of the server's own answer, if no head is out and the client may read one: 500, or
    /// 404 if the app does not serve requests (CORE-020), or 408 or 400 if the client's request ended
    /// early (HTTP-069).
    pub answer: Option<StatusCode>,
}

impl Verdict {
    /// Creates a verdict, for a server that wraps these rules.
    pub const fn new(ending: Ending, fault: Option<Fault>) -> Self {
        let answer = match (ending, fault) {
            // CORE-020
            (Ending::ServerError, Some(Fault::Unsupported)) => Some(StatusCode::NOT_FOUND),
            (Ending::ServerError, _) => Some(StatusCode::INTERNAL_SERVER_ERROR),
            _ => None,
        };
        Self {
            ending,
            fault,
            answer,
        }
    }
}

/// What the server does for the client after the app has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// The response is complete, so there is nothing to do.
    Complete,
    /// The whole body has been sent, and the trailers that the start promised don't come: end the
    /// response without trailers. (HTTP-079)
    WithoutTrailers,
    /// Nothing has been sent: answer 500.
    ServerError,
    /// Break the exchange off, so that the client notices: only a part of the response has been
    /// sent, or the app asked for it.
    Abort,
    /// The client is gone, so there is nothing to do.
    Gone,
}

/// The rules of one HTTP request and its response, for any version of HTTP.
///
/// ```text
///           start                   body, more
///   Begin ─────────▶ Held ───────────────────────▶ Body ──┐ body, more
///     │               │  the app waits ──────────▶  │  ◀──┘
///     │               │ last body                   │ last body
///     │               ▼                             ▼
///     │           Complete ◀──── trailers ───── Trailers   (only if the start promised them)
///     │                        or the app returns
///     │
///     └ early hints are allowed in Begin and Held; pushes in Begin, Held and Body
/// ```
///
/// In every phase, the client can leave and the app can end; these are separate fields. An event
/// that is not taken changes nothing (CORE-012).
#[derive(Debug)]
pub struct HttpRules {
    phase: HttpPhase,
    request: RequestMethod,
    /// Whether the head gets the length of a body in one part as a `content-length` header.
    explicit_length: bool,
    /// The content that may follow the head. Empty until there is a head.
    content: ResponseContent,
    extensions: Extensions,
    disconnect: Option<DisconnectReason>,
    /// The reason that the app has already learned. It never learns another one. (HTTP-046)
    reported: Option<DisconnectReason>,
    app_ended: bool,
}

#[derive(Debug)]
enum HttpPhase {
    Begin,
    Held(HttpResponseStart),
    Body,
    /// The trailers that have come so far; `None` if no event with trailers has come.
    Trailers(Option<HeaderMap>),
    Complete,
}

impl HttpRules {
    /// Creates the rules for a request with this method, on a connection with these extensions.
    pub fn new(method: &Method, extensions: Extensions) -> Self {
        Self {
            phase: HttpPhase::Begin,
            request: match *method {
                Method::HEAD => RequestMethod::Head,
                _ => RequestMethod::Other,
            },
            explicit_length: true,
            content: ResponseContent::default(),
            extensions,
            disconnect: None,
            reported: None,
            app_ended: false,
        }
    }

    /// Leaves out the `content-length` of a body in one part if it follows from
    /// [`ResponseHead::framing`].
    ///
    /// The code that writes the head must add it then. If the framing does not contain the length,
    /// the header stays.
    #[must_use]
    pub fn with_implied_length(mut self) -> Self {
        self.explicit_length = false;
        self
    }

    /// Tells the app whether it may send.
    ///
    /// If the client is gone, the app knows it from now on, and may end in any way. (HTTP-037) To
    /// ask for the server's own purposes, use [`is_gone`](Self::is_gone).
    ///
    /// # Errors
    ///
    /// Returns an error if the app has ended or if the client is gone.
    pub fn report_ready(&mut self) -> Result<(), SendError> {
        if self.app_ended {
            // CORE-004
            return Err(SendError::over());
        }
        match self.gone_reason() {
            None => Ok(()),
            Some(reason) => {
                // CORE-015
                self.reported.get_or_insert(reason);
                Err(SendError::disconnected(reason))
            }
        }
    }

    /// Takes an event of the app and returns what the server sends to the client.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`report_ready`](Self::report_ready). Also returns an error if the event breaks the
    /// rules or if the connection does not support it. An error changes nothing. If several errors
    /// apply, CORE-027 says which one comes first.
    pub fn send(&mut self, event: SendEvent) -> Result<WireEvent, SendError> {
        self.report_ready()?;
        if self.is_complete() {
            // CORE-014
            return Err(self.unexpected(event.name()));
        }
        match event {
            SendEvent::HttpResponseStart(start) => self.start(start),
            SendEvent::HttpResponseBody(part) => self.body(part),
            SendEvent::HttpResponseTrailers(trailers) => self.trailers(trailers),
            SendEvent::HttpResponsePush(push) => self.push(push),
            SendEvent::HttpResponseEarlyHint(hint) => self.early_hint(hint),
            // A server must not offer these two. (HTTP-060)
            SendEvent::HttpResponsePathSend(_) => Err(not_offered(Extension::PathSend)),
            SendEvent::HttpResponseZeroCopySend(_) => Err(not_offered(Extension::ZeroCopySend)),
            SendEvent::HttpResponseDebug(debug) => {
                self.require(Extension::Debug)?;
                match self.phase {
                    // HTTP-061
                    HttpPhase::Begin => Ok(WireEvent::Debug(debug.info)),
                    _ => Err(self.unexpected("http.response.debug")),
                }
            }
            other => Err(self.unexpected(other.name())),
        }
    }

    /// Takes a start and a last part of the body, like two calls of [`send`](Self::send).
    ///
    /// # Errors
    ///
    /// Returns the error of the first event that is not taken. If that is the part of the body, the
    /// start has been taken.
    pub fn respond(
        &mut self,
        start: HttpResponseStart,
        body: Bytes,
    ) -> Result<WireEvent, SendError> {
        self.report_ready()?;
        let length = body.len() as u64;
        self.content = self.checked_content(&start)?;
        if self.content.trailers_promised() || self.content.discards_body() {
            self.phase = HttpPhase::Held(start);
            return self.body(HttpResponseBody::last(body));
        }
        if let Err(error) = self.content.take(length, false) {
            self.phase = HttpPhase::Held(start);
            return Err(error);
        }
        self.phase = HttpPhase::Complete;
        Ok(WireEvent::Response(
            self.content.head(start, Some(length)),
            body,
        ))
    }

    /// Returns the head that was held back, if any, because the app waits for something. (HTTP-024)
    pub fn waiting(&mut self) -> WireEvent {
        if self.app_ended || self.gone_reason().is_some() {
            return WireEvent::Nothing;
        }
        match std::mem::replace(&mut self.phase, HttpPhase::Body) {
            HttpPhase::Held(start) => WireEvent::Head(self.content.head(start, None), Bytes::new()),
            other => {
                self.phase = other;
                WireEvent::Nothing
            }
        }
    }

    /// Returns whether a head is held back.
    pub fn is_held(&self) -> bool {
        matches!(self.phase, HttpPhase::Held(_))
    }

    /// Returns whether the response is complete.
    pub fn is_complete(&self) -> bool {
        matches!(self.phase, HttpPhase::Complete)
    }

    /// Records that the client has left.
    ///
    /// The first reason stays, but any other reason replaces `Closed`. After a complete response,
    /// this does nothing.
    pub fn disconnected(&mut self, reason: DisconnectReason) {
        if !self.is_complete() && self.gone_reason().is_none() {
            self.disconnect = Some(reason);
        }
    }

    /// Returns whether nothing that the app sends can reach the client any more, because the client
    /// has left. After the reason `Closed`, the client may still read. (HTTP-042)
    pub fn is_gone(&self) -> bool {
        self.gone_reason().is_some()
    }

    /// Returns whether the client has left: it has closed its side, or it is gone.
    pub fn has_left(&self) -> bool {
        self.disconnect.is_some()
    }

    /// Tells the app how the exchange ended, if it has. The app's `receive` and `closed` return this.
    ///
    /// If the client has left, the app knows it from now on, and may end in any way. (HTTP-037)
    /// After the first `Some`, the result never changes. (HTTP-046) To ask for the server's own
    /// purposes, use [`has_left`](Self::has_left) and [`is_complete`](Self::is_complete).
    pub fn report_disconnect(&mut self) -> Option<DisconnectReason> {
        if self.reported.is_none() {
            self.reported = if self.is_complete() {
                // HTTP-045
                Some(DisconnectReason::Complete)
            } else if self.app_ended {
                Some(self.disconnect.unwrap_or(DisconnectReason::Complete))
            } else {
                self.disconnect
            };
        }
        self.reported
    }

    /// Records that the app has ended. From now on, each `send` fails with `is_over`.
    pub fn ended(&mut self, end: AppEnd) -> Verdict {
        self.app_ended = true;
        let ending = match self.phase {
            // HTTP-049
            HttpPhase::Complete => Ending::Complete,
            _ if self.gone_reason().is_some() => Ending::Gone,
            // HTTP-048, CORE-028
            _ if matches!(end, AppEnd::Cancelled | AppEnd::Aborted) => Ending::Abort,
            // HTTP-079
            HttpPhase::Trailers(None) if end == AppEnd::Returned => Ending::WithoutTrailers,
            // HTTP-038
            HttpPhase::Begin | HttpPhase::Held(_) => Ending::ServerError,
            // HTTP-039, HTTP-040
            HttpPhase::Body | HttpPhase::Trailers(_) => Ending::Abort,
        };
        let unfinished = match (ending, &self.phase) {
            (Ending::Complete | Ending::WithoutTrailers | Ending::Gone, _) => None,
            (_, HttpPhase::Begin) => Some(Fault::NoResponse),
            _ => Some(Fault::Incomplete),
        };
        if ending == Ending::WithoutTrailers {
            self.phase = HttpPhase::Complete;
        }
        let knows_client_left = self
            .reported
            .is_some_and(|reason| reason != DisconnectReason::Complete);
        let mut verdict = Verdict::new(ending, fault(end, knows_client_left, unfinished));
        if !self.is_head_out() {
            verdict.answer = match self.gone_reason() {
                Some(DisconnectReason::TimedOut) => Some(StatusCode::REQUEST_TIMEOUT),
                Some(DisconnectReason::ProtocolError) => Some(StatusCode::BAD_REQUEST),
                _ => verdict.answer,
            };
        }
        verdict
    }

    /// Returns whether the server has got the head of the response.
    pub(crate) fn is_head_out(&self) -> bool {
        !matches!(self.phase, HttpPhase::Begin | HttpPhase::Held(_))
    }

    /// Returns why the client is gone, if it is.
    fn gone_reason(&self) -> Option<DisconnectReason> {
        // A client that has closed its side may still read. (HTTP-042)
        self.disconnect
            .filter(|reason| *reason != DisconnectReason::Closed)
    }

    fn start(&mut self, start: HttpResponseStart) -> Result<WireEvent, SendError> {
        self.content = self.checked_content(&start)?;
        // HTTP-023
        self.phase = HttpPhase::Held(start);
        Ok(WireEvent::Nothing)
    }

    /// Checks that `start` may come now. Returns the content that may follow it.
    #[inline]
    fn checked_content(&self, start: &HttpResponseStart) -> Result<ResponseContent, SendError> {
        let HttpPhase::Begin = self.phase else {
            return Err(self.unexpected("http.response.start"));
        };
        let content = ResponseContent::new(self.request, self.explicit_length, start)?;
        if start.trailers {
            self.require(Extension::Trailers)?;
        }
        Ok(content)
    }

    #[inline]
    fn body(&mut self, part: HttpResponseBody) -> Result<WireEvent, SendError> {
        if !matches!(self.phase, HttpPhase::Held(_) | HttpPhase::Body) {
            return Err(self.unexpected("http.response.body"));
        }
        let length = part.body.len() as u64;
        self.content.take(length, part.more_body)?;
        let data = if self.content.discards_body() {
            Bytes::new() // HTTP-026
        } else {
            part.body
        };
        let next = match (part.more_body, self.content.trailers_promised()) {
            (true, _) => HttpPhase::Body,
            (false, true) => HttpPhase::Trailers(None),
            (false, false) => HttpPhase::Complete,
        };
        let last = matches!(next, HttpPhase::Complete);
        let content = &self.content;
        Ok(match std::mem::replace(&mut self.phase, next) {
            HttpPhase::Held(start) if last => {
                WireEvent::Response(content.head(start, Some(length)), data)
            }
            HttpPhase::Held(start) => WireEvent::Head(content.head(start, None), data),
            _ if last => WireEvent::Last(data),
            _ if data.is_empty() => WireEvent::Nothing,
            _ => WireEvent::Data(data),
        })
    }

    fn trailers(&mut self, trailers: HttpResponseTrailers) -> Result<WireEvent, SendError> {
        let HttpPhase::Trailers(collected) = &mut self.phase else {
            self.require(Extension::Trailers)?;
            return Err(self.unexpected("http.response.trailers"));
        };
        let collected = collected.get_or_insert_default();
        append_all(collected, trailers.headers);
        if trailers.more_trailers {
            return Ok(WireEvent::Nothing); // HTTP-051
        }
        let event = if self.content.discards_body() {
            WireEvent::Last(Bytes::new()) // HTTP-053
        } else {
            let mut headers = std::mem::take(collected);
            remove_headers(&mut headers, is_forbidden_trailer);
            WireEvent::Trailers(headers)
        };
        self.phase = HttpPhase::Complete;
        Ok(event)
    }

    fn push(&mut self, push: HttpResponsePush) -> Result<WireEvent, SendError> {
        self.require(Extension::Push)?;
        match self.phase {
            // On HTTP/2, a head without content ends the stream, and RFC 9113 §8.4 forbids a
            // promise on a stream that has ended. (HTTP-059)
            HttpPhase::Body if self.content.discards_body() => Err(SendError::refused(
                "a push is too late after the head of a response without content",
            )),
            HttpPhase::Begin | HttpPhase::Held(_) | HttpPhase::Body => Ok(WireEvent::Push(push)),
            HttpPhase::Trailers(_) | HttpPhase::Complete => {
                Err(self.unexpected("http.response.push"))
            }
        }
    }

    fn early_hint(&mut self, hint: HttpResponseEarlyHint) -> Result<WireEvent, SendError> {
        self.require(Extension::EarlyHint)?;
        match self.phase {
            // HTTP-054
            HttpPhase::Begin | HttpPhase::Held(_) => Ok(WireEvent::EarlyHint(hint)),
            // ASGI allows this. RFC 8297 does not, because the head is already sent. (HTTP-055)
            HttpPhase::Body => Err(SendError::refused(
                "an early hint is too late after the head",
            )),
            HttpPhase::Trailers(_) | HttpPhase::Complete => {
                Err(self.unexpected("http.response.early_hint"))
            }
        }
    }

    fn require(&self, extension: Extension) -> Result<(), SendError> {
        if self.extensions.has(extension) {
            return Ok(());
        }
        Err(not_offered(extension))
    }

    /// CORE-013
    fn unexpected(&self, got: &'static str) -> SendError {
        SendError::misuse(
            got,
            match self.phase {
                HttpPhase::Begin => "http.response.start",
                HttpPhase::Held(_) | HttpPhase::Body => "http.response.body",
                HttpPhase::Trailers(_) => "http.response.trailers",
                HttpPhase::Complete => "nothing: the response is complete",
            },
        )
    }
}

/// CORE-025
pub(crate) fn not_offered(extension: Extension) -> SendError {
    SendError::refused(format!(
        "{} is not offered on this connection",
        extension.name()
    ))
}
