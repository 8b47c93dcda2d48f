//! One HTTP request and its response.

use asgi::{
    DisconnectReason, Extension, Extensions, HttpResponseBody, HttpResponseEarlyHint,
    HttpResponsePush, HttpResponseStart, HttpResponseTrailers, SendError, SendEvent, State,
};
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

/// What goes on the wire, in this order and no other: hints and pushes, a head, data, an end.
#[derive(Debug)]
#[non_exhaustive]
pub enum WireEvent {
    /// Nothing, for now.
    Nothing,
    /// An interim 103 response.
    EarlyHint(HttpResponseEarlyHint),
    /// A promised request, to be answered by the same app.
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

/// The head of a final response, as it goes on the wire but for what the connection adds.
#[derive(Debug)]
#[non_exhaustive]
pub struct ResponseHead {
    /// A final status.
    pub status: StatusCode,
    /// The app's fields without those that are the connection's; with a `content-length` where the
    /// length is known.
    pub headers: HeaderMap,
    /// How the body ends.
    pub framing: Framing,
    /// Whether the app asked that the connection be closed after this response.
    pub close: bool,
    /// Whether trailers follow the body.
    pub trailers: bool,
}

/// How the body of a response ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none, whatever the fields say: HEAD, 204, 205 and 304.
    Empty,
    /// After so many bytes.
    Length(u64),
    /// When the app says so.
    Stream,
}

/// How an app's future ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppEnd {
    /// With `Ok`.
    Returned,
    /// With an error.
    Failed,
    /// With a panic.
    Panicked,
    /// It was dropped before it was done.
    Cancelled,
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

/// What an app did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It returned an error.
    Failed,
    /// It panicked.
    Panicked,
    /// It returned without a response.
    NoResponse,
    /// It returned before its response was complete.
    Incomplete,
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
/// ended. Both can come at any time. An event that is refused changes nothing (CORE-012).
#[derive(Debug)]
pub struct HttpExchange {
    phase: Phase,
    /// The response to HEAD has no body.
    head_request: bool,
    extensions: Extensions,
    /// What the app's `content-length` leaves to be sent.
    remaining: Option<u64>,
    /// The body is swallowed: the status or the method allows none.
    bodiless: bool,
    trailers_promised: bool,
    disconnect: Option<DisconnectReason>,
    /// The app has been told that the client is gone.
    told: bool,
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

impl HttpExchange {
    /// An exchange for a request of this method, on a connection that can do these things.
    pub fn new(method: &Method, extensions: Extensions) -> Self {
        Self {
            phase: Phase::Begin,
            head_request: *method == Method::HEAD,
            extensions,
            remaining: None,
            bodiless: false,
            trailers_promised: false,
            disconnect: None,
            told: false,
            app_ended: false,
        }
    }

    /// Whether the app may send at all.
    ///
    /// # Errors
    ///
    /// The app has ended, or nothing can reach the client any more.
    pub fn ready(&mut self) -> Result<(), SendError> {
        if self.app_ended {
            return Err(SendError::over());
        }
        match self.disconnect {
            // A client that closed its side may still read. (HTTP-042)
            Some(DisconnectReason::Closed) | None => Ok(()),
            Some(reason) => {
                self.told = true;
                Err(SendError::disconnected(reason))
            }
        }
    }

    /// Takes an event of the app and says what goes on the wire.
    ///
    /// # Errors
    ///
    /// As [`ready`](Self::ready); and if the event breaks the rules, or the connection cannot do
    /// it. Then nothing has changed.
    pub fn send(&mut self, event: SendEvent) -> Result<WireEvent, SendError> {
        self.ready()?;
        match event {
            SendEvent::HttpResponseStart(start) => self.start(start),
            SendEvent::HttpResponseBody(part) => self.body(part),
            SendEvent::HttpResponseTrailers(trailers) => self.trailers(trailers),
            SendEvent::HttpResponsePush(push) => self.push(push),
            SendEvent::HttpResponseEarlyHint(hint) => self.early_hint(hint),
            SendEvent::HttpResponsePathSend(_) => {
                self.offered(Extension::PathSend)?;
                Err(self.unexpected("http.response.pathsend"))
            }
            SendEvent::HttpResponseZeroCopySend(_) => {
                self.offered(Extension::ZeroCopySend)?;
                Err(self.unexpected("http.response.zerocopysend"))
            }
            SendEvent::HttpResponseDebug(debug) => {
                self.offered(Extension::Debug)?;
                match self.phase {
                    Phase::Begin => Ok(WireEvent::Debug(debug.info)),
                    _ => Err(self.unexpected("http.response.debug")),
                }
            }
            other => Err(self.unexpected(other.name())),
        }
    }

    /// The app waits for something: a head that was held back goes out. (HTTP-024)
    pub fn waiting(&mut self) -> WireEvent {
        match std::mem::replace(&mut self.phase, Phase::Body) {
            Phase::Held(start) => WireEvent::Head(self.head(start, None), Bytes::new()),
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
    /// followed by worse.
    pub fn disconnected(&mut self, reason: DisconnectReason) {
        if matches!(self.disconnect, None | Some(DisconnectReason::Closed)) {
            self.disconnect = Some(reason);
        }
    }

    /// How the exchange came to its end, if it did: what `receive` and `closed` tell.
    pub fn disconnect(&mut self) -> Option<DisconnectReason> {
        if self.is_complete() || self.app_ended {
            return Some(self.disconnect.unwrap_or(DisconnectReason::Complete));
        }
        self.told |= self.disconnect.is_some();
        self.disconnect
    }

    /// The app has ended. Whatever its halves do from now on is told that it is over.
    pub fn ended(&mut self, end: AppEnd) -> Verdict {
        self.app_ended = true;
        let ending = match (&self.phase, self.disconnect) {
            (Phase::Complete, _) => Ending::Complete,
            (_, Some(reason)) if reason != DisconnectReason::Closed => Ending::Gone,
            _ if end == AppEnd::Cancelled => Ending::Abort,
            (Phase::Begin | Phase::Held(_), _) => Ending::ServerError,
            (Phase::Body | Phase::Trailers(_), _) => Ending::Abort,
        };
        let fault = match (end, ending) {
            // A panic is a bug whatever the client did. (HTTP-036)
            (AppEnd::Panicked, _) => Some(Fault::Panicked),
            (AppEnd::Cancelled, _) => None,
            // Who was told that the client is gone may end as it likes. (HTTP-037)
            _ if self.told => None,
            (AppEnd::Failed, _) => Some(Fault::Failed),
            (AppEnd::Returned, Ending::Complete | Ending::Gone) => None,
            (AppEnd::Returned, Ending::ServerError) => Some(match self.phase {
                Phase::Held(_) => Fault::Incomplete,
                _ => Fault::NoResponse,
            }),
            (AppEnd::Returned, Ending::Abort) => Some(Fault::Incomplete),
        };
        Verdict { ending, fault }
    }

    fn start(&mut self, start: HttpResponseStart) -> Result<WireEvent, SendError> {
        let Phase::Begin = self.phase else {
            return Err(self.unexpected("http.response.start"));
        };
        if start.status.is_informational() {
            return Err(SendError::misuse(
                format!("http.response.start with status {}", start.status.as_u16()),
                "a final status, 200 or above",
            ));
        }
        if start.trailers {
            self.offered(Extension::Trailers)?;
        }
        let length = content_length(&start.headers)?;
        self.bodiless = self.head_request
            || matches!(
                start.status,
                StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
            );
        self.remaining = if self.bodiless { None } else { length };
        self.trailers_promised = start.trailers;
        self.phase = Phase::Held(start);
        Ok(WireEvent::Nothing)
    }

    fn body(&mut self, part: HttpResponseBody) -> Result<WireEvent, SendError> {
        if !matches!(self.phase, Phase::Held(_) | Phase::Body) {
            return Err(self.unexpected("http.response.body"));
        }
        let length = part.body.len() as u64;
        if let Some(remaining) = self.remaining {
            self.remaining = Some(check_length(remaining, length, part.more_body)?);
        }
        let whole = !part.more_body && !self.trailers_promised;
        let next = match (part.more_body, self.trailers_promised) {
            (true, _) => Phase::Body,
            (false, true) => Phase::Trailers(HeaderMap::new()),
            (false, false) => Phase::Complete,
        };
        let data = if self.bodiless {
            Bytes::new()
        } else {
            part.body
        };
        Ok(match std::mem::replace(&mut self.phase, next) {
            Phase::Held(start) if whole => {
                WireEvent::Response(self.head(start, Some(length)), data)
            }
            Phase::Held(start) => WireEvent::Head(self.head(start, None), data),
            _ if whole => WireEvent::Last(data),
            _ if data.is_empty() => WireEvent::Nothing,
            _ => WireEvent::Data(data),
        })
    }

    fn trailers(&mut self, trailers: HttpResponseTrailers) -> Result<WireEvent, SendError> {
        let Phase::Trailers(collected) = &mut self.phase else {
            self.offered(Extension::Trailers)?;
            return Err(self.unexpected("http.response.trailers"));
        };
        if collected.is_empty() {
            *collected = trailers.headers;
        } else {
            append_all(collected, trailers.headers);
        }
        if trailers.more_trailers {
            return Ok(WireEvent::Nothing);
        }
        let collected = std::mem::take(collected);
        self.phase = Phase::Complete;
        Ok(WireEvent::Trailers(collected))
    }

    fn push(&mut self, push: HttpResponsePush) -> Result<WireEvent, SendError> {
        self.offered(Extension::Push)?;
        match self.phase {
            Phase::Begin | Phase::Held(_) | Phase::Body => Ok(WireEvent::Push(push)),
            Phase::Trailers(_) | Phase::Complete => Err(self.unexpected("http.response.push")),
        }
    }

    fn early_hint(&mut self, hint: HttpResponseEarlyHint) -> Result<WireEvent, SendError> {
        self.offered(Extension::EarlyHint)?;
        match self.phase {
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
        Err(SendError::refused(format!(
            "{} is not offered on this connection",
            extension.name()
        )))
    }

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

    /// The head as it goes on the wire; `whole` is the length of a body in one part.
    fn head(&self, start: HttpResponseStart, whole: Option<u64>) -> ResponseHead {
        let HttpResponseStart {
            status,
            mut headers,
            ..
        } = start;
        let close = asks_to_close(&headers);
        for name in CONNECTION_FIELDS {
            headers.remove(name);
        }
        match status {
            // RFC 9110 §8.6: "A server MUST NOT send a Content-Length header field in any response
            // with a status code of 1xx (Informational) or 204 (No Content)."
            StatusCode::NO_CONTENT => {
                headers.remove(CONTENT_LENGTH);
            }
            // RFC 9110 §15.3.6: "a server MUST NOT generate content in a 205 response".
            StatusCode::RESET_CONTENT => {
                headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
            }
            // Its length would be that of another response. (RFC 9110 §8.6)
            StatusCode::NOT_MODIFIED => {}
            _ => {
                if let Some(length) = whole
                    && !headers.contains_key(CONTENT_LENGTH)
                {
                    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
                }
            }
        }
        let framing = if self.bodiless {
            Framing::Empty
        } else if let Some(length) = whole {
            Framing::Length(length)
        } else {
            match content_length(&headers) {
                Ok(Some(length)) => Framing::Length(length),
                _ => Framing::Stream,
            }
        };
        ResponseHead {
            status,
            headers,
            framing,
            close,
            trailers: self.trailers_promised,
        }
    }
}

/// Fields of the connection, which are the server's to send. (HTTP-028)
const CONNECTION_FIELDS: [HeaderName; 4] = [
    CONNECTION,
    TRANSFER_ENCODING,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

fn asks_to_close(headers: &HeaderMap) -> bool {
    headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|option| option.trim().eq_ignore_ascii_case("close"))
}

/// The length that the app announces, if it does. (HTTP-029)
fn content_length(headers: &HeaderMap) -> Result<Option<u64>, SendError> {
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let length = Some(value.as_bytes())
        .filter(|digits| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit))
        .and_then(|digits| str::from_utf8(digits).ok()?.parse().ok());
    match (length, values.next()) {
        (Some(length), None) => Ok(Some(length)),
        _ => Err(SendError::misuse(
            format!("http.response.start with content-length {value:?}"),
            "one content-length of digits alone",
        )),
    }
}

/// What is left of the announced length after a part. (HTTP-030, HTTP-031)
fn check_length(remaining: u64, length: u64, more_body: bool) -> Result<u64, SendError> {
    match remaining.checked_sub(length) {
        None => Err(SendError::misuse(
            format!("http.response.body of {length} bytes"),
            format!("at most {remaining}: that is left of the content-length"),
        )),
        Some(left) if left > 0 && !more_body => Err(SendError::misuse(
            format!("the last http.response.body with {length} bytes"),
            format!("{remaining}: that is left of the content-length"),
        )),
        Some(left) => Ok(left),
    }
}

fn append_all(to: &mut HeaderMap, from: HeaderMap) {
    let mut last = None;
    for (name, value) in from {
        last = name.or(last);
        if let Some(name) = &last {
            to.append(name, value);
        }
    }
}
