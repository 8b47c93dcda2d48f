//! One HTTP request and its response.

use asgi::{
    DisconnectReason, Extension, Extensions, HttpResponseBody, HttpResponseEarlyHint,
    HttpResponsePush, HttpResponseStart, HttpResponseTrailers, SendError, SendEvent, State,
};
use bytes::Bytes;
use http::{HeaderMap, Method};

use crate::end::fault;
use crate::response::{Content, RequestKind, append_all, is_no_trailer, remove_fields};
use crate::{AppEnd, Fault, ResponseHead};

/// What goes on the wire, in this order and no other: hints and pushes, a head, data, an end.
#[derive(Debug)]
#[non_exhaustive]
pub enum WireEvent {
    /// Nothing, for now.
    Nothing,
    /// An interim 103 response.
    EarlyHint(HttpResponseEarlyHint),
    /// A promised request, to be answered by the same app; may come between data as well.
    Push(HttpResponsePush),
    /// A head and the whole body; the response is complete.
    Response(ResponseHead, Bytes),
    /// A head and the first part of the body, which may be empty.
    Head(ResponseHead, Bytes),
    /// A part of the body; never empty.
    Data(Bytes),
    /// The last part of the body, which may be empty; the response is complete.
    Last(Bytes),
    /// The trailers behind the body; the response is complete.
    Trailers(HeaderMap),
    /// Something for a test client to look at; not for the wire.
    Debug(State),
}

/// What becomes of an exchange whose app has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// What the client sees.
    pub ending: Ending,
    /// What is to be logged as the app's fault, once.
    pub fault: Option<Fault>,
}

/// What the client sees of an app's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// A complete response; nothing is left to do.
    Complete,
    /// Nothing yet: answer 500.
    ServerError,
    /// Half a response: break it off so that the client can tell.
    Abort,
    /// Nothing more; it is gone.
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
///     │           Complete ◀──── trailers ───── Trailers   (only if the start promised some)
///     │
///     └ early hints: in Begin and Held; pushes: in Begin, Held and Body
/// ```
///
/// Beside that there are two more facts: whether the client is gone, and whether the app has
/// ended. Both can come at any time. An event that is not taken changes nothing (CORE-012).
#[derive(Debug)]
pub struct HttpRules {
    phase: Phase,
    request: RequestKind,
    /// Whether the length of a body in one part is told by a field of the head.
    tells_length: bool,
    /// What may follow the head; nothing while there is none.
    content: Content,
    extensions: Extensions,
    disconnect: Option<DisconnectReason>,
    /// What the app was told of the end; it is never told anything else. (HTTP-046)
    told: Option<DisconnectReason>,
    app_ended: bool,
}

#[derive(Debug)]
enum Phase {
    Begin,
    Held(HttpResponseStart),
    Body,
    Trailers(HeaderMap),
    Complete,
}

impl HttpRules {
    /// An exchange for a request of this method, on a connection that can do these things.
    pub fn new(method: &Method, extensions: Extensions) -> Self {
        Self {
            phase: Phase::Begin,
            request: match *method {
                Method::HEAD => RequestKind::Head,
                _ => RequestKind::Other,
            },
            tells_length: true,
            content: Content::default(),
            extensions,
            disconnect: None,
            told: None,
            app_ended: false,
        }
    }

    /// Leaves the `content-length` of a body in one part to whoever writes the head: it follows
    /// from [`ResponseHead::framing`]. Where the framing does not tell, the field is there all the
    /// same.
    #[must_use]
    pub fn with_implied_length(mut self) -> Self {
        self.tells_length = false;
        self
    }

    /// Whether the app may send at all.
    ///
    /// # Errors
    ///
    /// The app has ended, or nothing can reach the client any more.
    pub fn ready(&mut self) -> Result<(), SendError> {
        if self.app_ended {
            // CORE-004
            return Err(SendError::over());
        }
        match self.gone() {
            None => Ok(()),
            Some(reason) => {
                // CORE-015
                self.told.get_or_insert(reason);
                Err(SendError::disconnected(reason))
            }
        }
    }

    /// Takes an event of the app and says what goes on the wire.
    ///
    /// # Errors
    ///
    /// As [`ready`](Self::ready); and if the event breaks the rules, or the connection cannot do
    /// it. Then nothing has changed. Which error it is if several hold is said by CORE-027.
    pub fn send(&mut self, event: SendEvent) -> Result<WireEvent, SendError> {
        self.ready()?;
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
            // Nobody may offer these two. (HTTP-060)
            SendEvent::HttpResponsePathSend(_) => Err(not_offered(Extension::PathSend)),
            SendEvent::HttpResponseZeroCopySend(_) => Err(not_offered(Extension::ZeroCopySend)),
            SendEvent::HttpResponseDebug(debug) => {
                self.offered(Extension::Debug)?;
                match self.phase {
                    // HTTP-061
                    Phase::Begin => Ok(WireEvent::Debug(debug.info)),
                    _ => Err(self.unexpected("http.response.debug")),
                }
            }
            other => Err(self.unexpected(other.name())),
        }
    }

    /// The app waits for something: a head that was held back goes out. (HTTP-024)
    pub fn waiting(&mut self) -> WireEvent {
        if self.app_ended || self.gone().is_some() {
            return WireEvent::Nothing;
        }
        match std::mem::replace(&mut self.phase, Phase::Body) {
            Phase::Held(start) => WireEvent::Head(self.content.head(start, None), Bytes::new()),
            other => {
                self.phase = other;
                WireEvent::Nothing
            }
        }
    }

    /// Whether a head waits to go out.
    pub fn is_held(&self) -> bool {
        matches!(self.phase, Phase::Held(_))
    }

    /// Whether the whole response was sent.
    pub fn is_complete(&self) -> bool {
        matches!(self.phase, Phase::Complete)
    }

    /// The client is gone. What was recorded first stays, but that it closed its side may be
    /// followed by worse. What comes behind a complete response does not matter to it.
    pub fn disconnected(&mut self, reason: DisconnectReason) {
        if !self.is_complete() && self.gone().is_none() {
            self.disconnect = Some(reason);
        }
    }

    /// How the exchange came to its end, if it did: what `receive` and `closed` tell.
    ///
    /// Once it has said something it says the same for ever. (HTTP-046)
    pub fn disconnect(&mut self) -> Option<DisconnectReason> {
        if self.told.is_none() {
            self.told = if self.is_complete() {
                // HTTP-045
                Some(DisconnectReason::Complete)
            } else if self.app_ended {
                Some(self.disconnect.unwrap_or(DisconnectReason::Complete))
            } else {
                self.disconnect
            };
        }
        self.told
    }

    /// The app has ended. Whatever its halves do from now on is told that it is over.
    pub fn ended(&mut self, end: AppEnd) -> Verdict {
        self.app_ended = true;
        let ending = match self.phase {
            // HTTP-049
            Phase::Complete => Ending::Complete,
            _ if self.gone().is_some() => Ending::Gone,
            // HTTP-048
            _ if end == AppEnd::Cancelled => Ending::Abort,
            // HTTP-038
            Phase::Begin | Phase::Held(_) => Ending::ServerError,
            // HTTP-039, HTTP-040
            Phase::Body | Phase::Trailers(_) => Ending::Abort,
        };
        let left_out = match (ending, &self.phase) {
            (Ending::Complete | Ending::Gone, _) => None,
            (_, Phase::Begin) => Some(Fault::NoResponse),
            _ => Some(Fault::Incomplete),
        };
        let told_gone = self
            .told
            .is_some_and(|reason| reason != DisconnectReason::Complete);
        Verdict {
            ending,
            fault: fault(end, told_gone, left_out),
        }
    }

    /// Why nothing can reach the client any more, if so.
    fn gone(&self) -> Option<DisconnectReason> {
        // A client that closed its side may still read. (HTTP-042)
        self.disconnect
            .filter(|reason| *reason != DisconnectReason::Closed)
    }

    fn start(&mut self, start: HttpResponseStart) -> Result<WireEvent, SendError> {
        let Phase::Begin = self.phase else {
            return Err(self.unexpected("http.response.start"));
        };
        let content = Content::new(self.request, self.tells_length, &start)?;
        if start.trailers {
            self.offered(Extension::Trailers)?;
        }
        self.content = content;
        // HTTP-023
        self.phase = Phase::Held(start);
        Ok(WireEvent::Nothing)
    }

    fn body(&mut self, part: HttpResponseBody) -> Result<WireEvent, SendError> {
        if !matches!(self.phase, Phase::Held(_) | Phase::Body) {
            return Err(self.unexpected("http.response.body"));
        }
        let length = part.body.len() as u64;
        self.content.take(length, part.more_body)?;
        let data = if self.content.is_swallowed() {
            Bytes::new() // HTTP-026
        } else {
            part.body
        };
        let next = match (part.more_body, self.content.trailers_promised()) {
            (true, _) => Phase::Body,
            (false, true) => Phase::Trailers(HeaderMap::new()),
            (false, false) => Phase::Complete,
        };
        let last = matches!(next, Phase::Complete);
        let content = &self.content;
        Ok(match std::mem::replace(&mut self.phase, next) {
            Phase::Held(start) if last => {
                WireEvent::Response(content.head(start, Some(length)), data)
            }
            Phase::Held(start) => WireEvent::Head(content.head(start, None), data),
            _ if last => WireEvent::Last(data),
            _ if data.is_empty() => WireEvent::Nothing,
            _ => WireEvent::Data(data),
        })
    }

    fn trailers(&mut self, trailers: HttpResponseTrailers) -> Result<WireEvent, SendError> {
        let Phase::Trailers(collected) = &mut self.phase else {
            self.offered(Extension::Trailers)?;
            return Err(self.unexpected("http.response.trailers"));
        };
        append_all(collected, trailers.headers);
        if trailers.more_trailers {
            return Ok(WireEvent::Nothing); // HTTP-051
        }
        let event = if self.content.is_swallowed() {
            WireEvent::Last(Bytes::new()) // HTTP-053
        } else {
            let mut fields = std::mem::take(collected);
            remove_fields(&mut fields, is_no_trailer);
            WireEvent::Trailers(fields)
        };
        self.phase = Phase::Complete;
        Ok(event)
    }

    fn push(&mut self, push: HttpResponsePush) -> Result<WireEvent, SendError> {
        self.offered(Extension::Push)?;
        match self.phase {
            // On HTTP/2 a head without content ends the stream, and RFC 9113 §8.4 forbids a
            // promise on a stream that has ended. (HTTP-059)
            Phase::Body if self.content.is_swallowed() => Err(SendError::refused(
                "the head of a response without content is out, a push comes too late",
            )),
            Phase::Begin | Phase::Held(_) | Phase::Body => Ok(WireEvent::Push(push)),
            Phase::Trailers(_) | Phase::Complete => Err(self.unexpected("http.response.push")),
        }
    }

    fn early_hint(&mut self, hint: HttpResponseEarlyHint) -> Result<WireEvent, SendError> {
        self.offered(Extension::EarlyHint)?;
        match self.phase {
            // HTTP-054
            Phase::Begin | Phase::Held(_) => Ok(WireEvent::EarlyHint(hint)),
            // Lawful by ASGI's text, too late by RFC 8297: the head is out. (HTTP-055)
            Phase::Body => Err(SendError::refused("the head is out, a hint comes too late")),
            Phase::Trailers(_) | Phase::Complete => {
                Err(self.unexpected("http.response.early_hint"))
            }
        }
    }

    fn offered(&self, extension: Extension) -> Result<(), SendError> {
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
                Phase::Begin => "http.response.start",
                Phase::Held(_) | Phase::Body => "http.response.body",
                Phase::Trailers(_) => "http.response.trailers",
                Phase::Complete => "nothing: the response is complete",
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
