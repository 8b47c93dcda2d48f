//! What a client has received.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use asgi::{AppError, HttpResponseEarlyHint, HttpResponsePush, State};
use asgi_rules::{Fault, WireEvent};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};

/// Everything that has come of a response so far.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) head: Option<(StatusCode, HeaderMap)>,
    pub(crate) chunks: Vec<Bytes>,
    pub(crate) trailers: Option<HeaderMap>,
    pub(crate) early_hints: Vec<HttpResponseEarlyHint>,
    pub(crate) pushes: Vec<Pushed>,
    pub(crate) debug: Option<State>,
    pub(crate) complete: bool,
    pub(crate) app_error: Option<AppError>,
    pub(crate) fault: Option<Fault>,
}

impl Record {
    /// Adds what came on the wire.
    pub(crate) fn add(&mut self, event: WireEvent) {
        match event {
            WireEvent::EarlyHint(hint) => self.early_hints.push(hint),
            WireEvent::Response(head, body) => {
                self.head = Some((head.status, head.headers));
                self.add_data(body);
                self.complete = true;
            }
            WireEvent::Head(head, body) => {
                self.head = Some((head.status, head.headers));
                self.add_data(body);
            }
            WireEvent::Data(body) => self.add_data(body),
            WireEvent::Last(body) => {
                self.add_data(body);
                self.complete = true;
            }
            WireEvent::Trailers(trailers) => {
                self.trailers = Some(trailers);
                self.complete = true;
            }
            // `Push` is the exchange's; `Nothing` and `Debug` never come this far.
            _ => {}
        }
    }

    fn add_data(&mut self, data: Bytes) {
        if !data.is_empty() {
            self.chunks.push(data);
        }
    }

    /// What a whole response and one that was broken off have beside their head and body, as far
    /// as it came.
    fn debug_rest(&self, f: &mut fmt::DebugStruct<'_, '_>) -> fmt::Result {
        if let Some(trailers) = &self.trailers {
            f.field("trailers", trailers);
        }
        if !self.early_hints.is_empty() {
            f.field("early_hints", &self.early_hints);
        }
        if !self.pushes.is_empty() {
            f.field("pushes", &self.pushes);
        }
        if let Some(debug) = &self.debug {
            f.field("debug", debug);
        }
        if let Some(error) = &self.app_error {
            f.field("app_error", error);
        }
        if let Some(fault) = &self.fault {
            f.field("fault", fault);
        }
        f.finish()
    }

    pub(crate) fn into_response(mut self) -> Result<Response, Broken> {
        let body = concatenate(&self.chunks);
        match self.head.take() {
            Some((status, headers)) if self.complete => Ok(Response {
                status,
                headers,
                body,
                record: self,
            }),
            head => Err(Broken(Box::new(BrokenInner {
                head,
                body,
                record: self,
            }))),
        }
    }
}

fn concatenate(chunks: &[Bytes]) -> Bytes {
    match chunks {
        [] => Bytes::new(),
        [one] => one.clone(),
        many => {
            let mut whole = BytesMut::with_capacity(many.iter().map(Bytes::len).sum());
            for chunk in many {
                whole.extend_from_slice(chunk);
            }
            whole.freeze()
        }
    }
}

/// A whole response, and how the app ended.
///
/// What a server adds of its own (`date`, `server`, the framing of a connection) is not in it.
pub struct Response {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    record: Record,
}

impl Response {
    /// The status. 500 also stands for an app that failed before its response had begun; then
    /// [`app_error`](Self::app_error) or [`fault`](Self::fault) says why.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The fields.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The first value of a field as text, `None` if there is none.
    ///
    /// # Panics
    ///
    /// If the value is not visible ASCII.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| match value.to_str() {
            Ok(text) => text,
            Err(_) => panic!("the field {name} is no text: {value:?}"),
        })
    }

    /// The whole body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The body in the parts in which the app sent it, without the empty ones.
    pub fn chunks(&self) -> &[Bytes] {
        &self.record.chunks
    }

    /// The body as text; what is no UTF-8 is U+FFFD.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// The fields behind the body, if the app sent some.
    pub fn trailers(&self) -> Option<&HeaderMap> {
        self.record.trailers.as_ref()
    }

    /// The 103 responses before this one.
    pub fn early_hints(&self) -> &[HttpResponseEarlyHint] {
        &self.record.early_hints
    }

    /// The promised requests with their responses. There are none unless the client takes them:
    /// see [`Client::extensions`](crate::Client::extensions).
    pub fn pushes(&self) -> &[Pushed] {
        &self.record.pushes
    }

    /// What the app told the test with [`HttpResponseDebug`](asgi::HttpResponseDebug).
    pub fn debug(&self) -> Option<&State> {
        self.record.debug.as_ref()
    }

    /// The error that the app returned, if it did: also after a whole response.
    pub fn app_error(&self) -> Option<&AppError> {
        self.record.app_error.as_ref()
    }

    /// What a server would log as the app's fault.
    pub fn fault(&self) -> Option<Fault> {
        self.record.fault
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Response");
        shown.field("status", &self.status);
        shown.field("headers", &self.headers);
        shown.field("body", &self.body);
        self.record.debug_rest(&mut shown)
    }
}

/// A promised request, and what came of it.
#[derive(Debug)]
pub struct Pushed {
    promise: HttpResponsePush,
    result: Result<Response, Broken>,
}

impl Pushed {
    pub(crate) fn new(promise: HttpResponsePush, result: Result<Response, Broken>) -> Self {
        Self { promise, result }
    }

    /// The path and query of the promised request.
    pub fn path(&self) -> &str {
        self.promise.path.as_str()
    }

    /// The fields of the promised request.
    pub fn headers(&self) -> &HeaderMap {
        &self.promise.headers
    }

    /// Its response.
    ///
    /// # Errors
    ///
    /// It was broken off.
    pub fn response(&self) -> Result<&Response, &Broken> {
        self.result.as_ref()
    }
}

/// A response that is not whole: the app broke it off, or the client left before its end.
///
/// It holds what came until then.
pub struct Broken(Box<BrokenInner>);

struct BrokenInner {
    head: Option<(StatusCode, HeaderMap)>,
    body: Bytes,
    record: Record,
}

impl Broken {
    /// The status, if the head had come.
    pub fn status(&self) -> Option<StatusCode> {
        self.0.head.as_ref().map(|(status, _)| *status)
    }

    /// The fields, if the head had come.
    pub fn headers(&self) -> Option<&HeaderMap> {
        self.0.head.as_ref().map(|(_, headers)| headers)
    }

    /// What had come of the body.
    pub fn body(&self) -> &Bytes {
        &self.0.body
    }

    /// The error that the app returned, if it did.
    pub fn app_error(&self) -> Option<&AppError> {
        self.0.record.app_error.as_ref()
    }

    /// What a server would log as the app's fault; nothing if it ended because its client left.
    pub fn fault(&self) -> Option<Fault> {
        self.0.record.fault
    }
}

impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Broken");
        if let Some((status, headers)) = &self.0.head {
            shown.field("status", status);
            shown.field("headers", headers);
        }
        shown.field("body", &self.0.body);
        self.0.record.debug_rest(&mut shown)
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.0.body.len();
        match (&self.0.head, self.0.record.fault) {
            (Some(_), Some(_)) => {
                write!(f, "the app broke its response off after {length} bytes")
            }
            (Some(_), None) => write!(f, "the exchange ended after {length} bytes of the response"),
            (None, _) => f.write_str("the exchange ended without a response"),
        }
    }
}

impl Error for Broken {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let error = self.0.record.app_error.as_ref()?;
        Some(error.as_error())
    }
}
