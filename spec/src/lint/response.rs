//! A model of one response: which event may come next, and what it does.

use asgi::http::header::CONTENT_LENGTH;
use asgi::http::{HeaderMap, Method, StatusCode};
use asgi::{
    Extension, Extensions, HttpResponsePathSend, HttpResponsePush, HttpResponseStart,
    HttpResponseZeroCopySend, SendEvent,
};

use super::judged::{ExpectedAnswer, Judged};

/// How far a response is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ResponseStep {
    /// No start yet.
    Begin,
    /// The start, but no part of the body.
    Started,
    Body,
    /// The last part, but not the trailers that the start promised.
    Trailers {
        /// An event with trailers has come, and has said that another one comes.
        begun: bool,
    },
    Complete,
}

/// What an event that is taken does to a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ResponseEffect {
    Start {
        discards: bool,
        length: Option<u64>,
        trailers: bool,
    },
    Part {
        /// `None` if Lint does not know how many bytes a file has.
        bytes: Option<u64>,
        last: bool,
    },
    Trailers {
        last: bool,
    },
    Push(String),
    /// A hint, or values for a test.
    Nothing,
}

/// One response, or the denial of a WebSocket.
#[derive(Debug, Clone)]
pub(crate) struct ResponseModel {
    head: bool,
    extensions: Extensions,
    stage: ResponseStep,
    /// The server does not send the body. (HTTP-026)
    discards: bool,
    /// How many bytes are missing to the content-length.
    left: Option<u64>,
    promised: bool,
    pushed: Vec<String>,
}

impl ResponseModel {
    pub(crate) fn new(method: &Method, extensions: Extensions) -> Self {
        Self {
            head: *method == Method::HEAD,
            extensions,
            stage: ResponseStep::Begin,
            discards: false,
            left: None,
            promised: false,
            pushed: Vec::new(),
        }
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.stage == ResponseStep::Complete
    }

    /// Why an app that returns `Ok` now has not done its work.
    pub(crate) fn unfinished(&self) -> Option<&'static str> {
        match self.stage {
            ResponseStep::Begin => Some("the app returns without a response"),
            ResponseStep::Started | ResponseStep::Body => {
                Some("the app returns before the last part of the body")
            }
            ResponseStep::Trailers { begun: true } => {
                Some("the app returns before the trailers that it has announced")
            }
            // HTTP-079
            ResponseStep::Trailers { begun: false } | ResponseStep::Complete => None,
        }
    }

    /// Returns what the event does if it would complete the response.
    pub(crate) fn would_complete(&self, effect: &ResponseEffect) -> bool {
        match effect {
            ResponseEffect::Part { last, .. } => *last && !self.promised,
            ResponseEffect::Trailers { last } => *last,
            _ => false,
        }
    }

    pub(crate) fn judge(&self, event: &SendEvent) -> Judged<ResponseEffect> {
        if self.is_complete() {
            return Judged::after_the_end();
        }
        match event {
            SendEvent::HttpResponseStart(start) => self.start(start),
            SendEvent::HttpResponseBody(part) => {
                self.part("HTTP-021", Some(part.body.len() as u64), !part.more_body)
            }
            SendEvent::HttpResponseTrailers(trailers) => match self.stage {
                ResponseStep::Trailers { .. } => Judged::taken(ResponseEffect::Trailers {
                    last: !trailers.more_trailers,
                }),
                _ if !self.offers(Extension::Trailers) => not_offered(Extension::Trailers),
                _ => Judged::misuse("TRAIL-004", "before the last part, or without a promise"),
            },
            SendEvent::HttpResponsePush(push) => self.push(push),
            SendEvent::HttpResponseEarlyHint(_) => self.hint(),
            SendEvent::HttpResponsePathSend(file) => self.file(file),
            SendEvent::HttpResponseZeroCopySend(part) => self.file_part(part),
            SendEvent::HttpResponseDebug(_) if !self.offers(Extension::Debug) => {
                not_offered(Extension::Debug)
            }
            SendEvent::HttpResponseDebug(_) => match self.stage {
                ResponseStep::Begin => Judged::taken(ResponseEffect::Nothing),
                _ => Judged::misuse("DEBUG-002", "after the start"),
            },
            _ => Judged::misuse("CORE-013", "in an HTTP exchange"),
        }
    }

    /// Judges a start, also that of a denial.
    pub(crate) fn start(&self, start: &HttpResponseStart) -> Judged<ResponseEffect> {
        self.head(start.status, &start.headers, start.trailers)
    }

    pub(crate) fn head(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        trailers: bool,
    ) -> Judged<ResponseEffect> {
        if self.stage != ResponseStep::Begin {
            return Judged::misuse("HTTP-021", "a second time");
        }
        if status.is_informational() {
            return Judged::misuse("HTTP-022", format!("with the status {}", status.as_u16()));
        }
        let announced = announced(headers);
        let length = match announced {
            Announced::Wrong => {
                return Judged::misuse("HTTP-029", "with a content-length that is not one number");
            }
            Announced::Nothing | Announced::TooLarge => None,
            Announced::Length(length) => Some(length),
        };
        if trailers && !self.offers(Extension::Trailers) {
            return Judged::refused("TRAIL-002", "promises trailers that are not offered");
        }
        let discards = self.head
            || matches!(
                status,
                StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
            );
        let effect = ResponseEffect::Start {
            discards,
            length: length.filter(|_| !discards),
            trailers,
        };
        let answer = match announced {
            Announced::TooLarge => ExpectedAnswer::Unknown,
            _ => ExpectedAnswer::Take {
                misuse: "HTTP-062",
                refused: Some("HTTP-062"),
            },
        };
        Judged::allowed(effect, answer)
    }

    /// Judges a part of the body that has its own requirement for the order.
    pub(crate) fn part(
        &self,
        order: &'static str,
        bytes: Option<u64>,
        last: bool,
    ) -> Judged<ResponseEffect> {
        match self.stage {
            ResponseStep::Started | ResponseStep::Body => {}
            ResponseStep::Begin => return Judged::misuse(order, "before the start"),
            _ => return Judged::misuse(order, "after the last part"),
        }
        let effect = ResponseEffect::Part { bytes, last };
        let (Some(left), false) = (self.left, self.discards) else {
            return Judged::taken(effect);
        };
        match bytes {
            None => Judged::allowed(effect, ExpectedAnswer::Unknown),
            Some(bytes) if bytes > left => Judged::misuse(
                "HTTP-030",
                format!("has {bytes} bytes, and only {left} are left of the content-length"),
            ),
            Some(bytes) if last && bytes < left => Judged::misuse(
                "HTTP-031",
                format!("is the last with {bytes} bytes, and {left} are missing"),
            ),
            Some(_) => Judged::taken(effect),
        }
    }

    fn push(&self, push: &HttpResponsePush) -> Judged<ResponseEffect> {
        if !self.offers(Extension::Push) {
            return not_offered(Extension::Push);
        }
        if let ResponseStep::Trailers { .. } = self.stage {
            return Judged::misuse("CORE-013", "after the last part of the body");
        }
        let path = push.path.as_str();
        if !path.starts_with('/') {
            return Judged::refused("PUSH-014", format!("has the path {path}"));
        }
        if self.stage == ResponseStep::Body && self.discards {
            return Judged::refused_by_chance("HTTP-059", "after the head without content");
        }
        if self.pushed.iter().any(|pushed| pushed == path) {
            return Judged::refused_by_chance("PUSH-013", format!("for {path} once more"));
        }
        Judged::allowed(
            ResponseEffect::Push(path.into()),
            ExpectedAnswer::Take {
                misuse: "HTTP-059",
                refused: None,
            },
        )
    }

    fn hint(&self) -> Judged<ResponseEffect> {
        if !self.offers(Extension::EarlyHint) {
            return not_offered(Extension::EarlyHint);
        }
        match self.stage {
            ResponseStep::Begin => Judged::allowed(
                ResponseEffect::Nothing,
                ExpectedAnswer::Take {
                    misuse: "HTTP-054",
                    refused: Some("HTTP-054"),
                },
            ),
            // Only the server knows whether it still holds the head back.
            ResponseStep::Started => Judged::taken(ResponseEffect::Nothing),
            ResponseStep::Body => Judged::refused("HTTP-055", "after a part of the body"),
            _ => Judged::misuse("CORE-013", "after the last part of the body"),
        }
    }

    fn file(&self, file: &HttpResponsePathSend) -> Judged<ResponseEffect> {
        if !self.offers(Extension::PathSend) {
            return not_offered(Extension::PathSend);
        }
        match self.stage {
            ResponseStep::Started => {}
            ResponseStep::Body => return Judged::misuse("PATH-002", "after a part of the body"),
            _ => return Judged::misuse("PATH-001", "in place of no body"),
        }
        if !file.path.is_absolute() {
            let path = file.path.display();
            return Judged::misuse("PATH-003", format!("has the path {path}"));
        }
        self.part("PATH-001", None, true)
    }

    fn file_part(&self, part: &HttpResponseZeroCopySend) -> Judged<ResponseEffect> {
        if !self.offers(Extension::ZeroCopySend) {
            return not_offered(Extension::ZeroCopySend);
        }
        self.part("ZERO-001", part.count, !part.more_body)
    }

    fn offers(&self, extension: Extension) -> bool {
        self.extensions.has(extension)
    }

    pub(crate) fn apply(&mut self, effect: ResponseEffect) {
        match effect {
            ResponseEffect::Start {
                discards,
                length,
                trailers,
            } => {
                self.stage = ResponseStep::Started;
                self.discards = discards;
                self.left = length;
                self.promised = trailers;
            }
            ResponseEffect::Part { bytes, last } => {
                self.left = match (self.left, bytes) {
                    (Some(left), Some(bytes)) => Some(left.saturating_sub(bytes)),
                    // A file of unknown length: nothing after it can be checked.
                    _ => None,
                };
                self.stage = match (last, self.promised) {
                    (false, _) => ResponseStep::Body,
                    (true, true) => ResponseStep::Trailers { begun: false },
                    (true, false) => ResponseStep::Complete,
                };
            }
            ResponseEffect::Trailers { last } => {
                self.stage = match last {
                    true => ResponseStep::Complete,
                    false => ResponseStep::Trailers { begun: true },
                };
            }
            ResponseEffect::Push(path) => self.pushed.push(path),
            ResponseEffect::Nothing => {}
        }
    }
}

fn not_offered(extension: Extension) -> Judged<ResponseEffect> {
    Judged::not_offered(extension.name())
}

#[derive(Clone, Copy)]
enum Announced {
    Nothing,
    Length(u64),
    /// Digits only, but more than 64 bits.
    TooLarge,
    Wrong,
}

fn announced(headers: &HeaderMap) -> Announced {
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    let Some(value) = values.next() else {
        return Announced::Nothing;
    };
    let digits = value.as_bytes();
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    if !is_number || values.next().is_some() {
        return Announced::Wrong;
    }
    match std::str::from_utf8(digits).map(str::parse) {
        Ok(Ok(length)) => Announced::Length(length),
        _ => Announced::TooLarge,
    }
}
