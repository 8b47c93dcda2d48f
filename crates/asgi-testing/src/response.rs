//! The responses that a client has received.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use asgi::{AppError, HttpResponseEarlyHint, HttpResponsePush, State};
use asgi_rules::{Fault, WireEvent};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};

use crate::history::History;

/// The parts of a response that the client has received so far.
#[derive(Debug)]
pub(crate) struct ResponseRecord {
    pub(crate) head: Option<(StatusCode, HeaderMap)>,
    pub(crate) chunks: Vec<Bytes>,
    pub(crate) trailers: Option<HeaderMap>,
    pub(crate) early_hints: Vec<HttpResponseEarlyHint>,
    pub(crate) pushes: Vec<Pushed>,
    pub(crate) debug: Option<State>,
    pub(crate) complete: bool,
    pub(crate) app_error: Option<AppError>,
    pub(crate) fault: Option<Fault>,
    pub(crate) history: History,
    /// The redirects that led to this response.
    redirects: Vec<Response>,
}

impl ResponseRecord {
    pub(crate) fn new(history: History) -> Self {
        Self {
            head: None,
            chunks: Vec::new(),
            trailers: None,
            early_hints: Vec::new(),
            pushes: Vec::new(),
            debug: None,
            complete: false,
            app_error: None,
            fault: None,
            history,
            redirects: Vec::new(),
        }
    }

    /// Adds an event of the response.
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
            WireEvent::Debug(info) => self.debug = Some(info),
            // The exchange handles `Push`.
            _ => {}
        }
    }

    fn add_data(&mut self, data: Bytes) {
        if !data.is_empty() {
            self.chunks.push(data);
        }
    }

    /// Adds the parts that complete and broken responses have in common, except the head and the
    /// body.
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
            let mut body = BytesMut::with_capacity(many.iter().map(Bytes::len).sum());
            for chunk in many {
                body.extend_from_slice(chunk);
            }
            body.freeze()
        }
    }
}

/// A complete response, and how the app ended.
///
/// It does not contain the headers that a server adds, such as `date` and `server`.
pub struct Response {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    record: ResponseRecord,
}

impl Response {
    /// Returns the status.
    ///
    /// It is 500 if the app failed before its response started. Then [`app_error`](Self::app_error)
    /// or [`fault`](Self::fault) returns the reason.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Returns the first value of a header as text, or `None` if there is none.
    ///
    /// # Panics
    ///
    /// Panics if the value is not visible ASCII.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| match value.to_str() {
            Ok(text) => text,
            Err(_) => panic!("the value of the header {name} is not visible ASCII: {value:?}"),
        })
    }

    /// Returns the whole body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Returns the parts of the body, as the app sent them. Empty parts are left out.
    pub fn chunks(&self) -> &[Bytes] {
        &self.record.chunks
    }

    /// Returns the body as text. Bytes that are not valid UTF-8 become U+FFFD.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// Returns the trailers, if the app sent some.
    pub fn trailers(&self) -> Option<&HeaderMap> {
        self.record.trailers.as_ref()
    }

    /// Returns the 103 responses that came before this response.
    pub fn early_hints(&self) -> &[HttpResponseEarlyHint] {
        &self.record.early_hints
    }

    /// Returns the promised requests with their responses.
    ///
    /// There are none unless the client accepts pushes; see
    /// [`Client::extensions`](crate::Client::extensions).
    pub fn pushes(&self) -> &[Pushed] {
        &self.record.pushes
    }

    /// Returns the redirects that led to this response, the first one first. See
    /// [`Client::follow_redirects`](crate::Client::follow_redirects).
    pub fn redirects(&self) -> &[Self] {
        &self.record.redirects
    }

    pub(crate) fn set_redirects(&mut self, redirects: Vec<Self>) {
        self.record.redirects = redirects;
    }

    /// Returns the values that the app sent with [`HttpResponseDebug`](asgi::HttpResponseDebug).
    pub fn debug(&self) -> Option<&State> {
        self.record.debug.as_ref()
    }

    /// Returns the error that the app returned, if any. An app can also fail after a complete
    /// response.
    pub fn app_error(&self) -> Option<&AppError> {
        self.record.app_error.as_ref()
    }

    /// Returns the fault that a server would log for this app, if any.
    pub fn fault(&self) -> Option<Fault> {
        self.record.fault
    }

    /// Returns what happened in this exchange.
    pub fn history(&self) -> &History {
        &self.record.history
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

/// A promised request and its response.
pub struct Pushed {
    promise: HttpResponsePush,
    result: Result<Response, Broken>,
}

impl Pushed {
    pub(crate) fn new(promise: HttpResponsePush, result: Result<Response, Broken>) -> Self {
        Self { promise, result }
    }

    /// Returns the path and query of the promised request.
    pub fn path(&self) -> &str {
        self.promise.path.as_str()
    }

    /// Returns the headers of the promised request.
    pub fn headers(&self) -> &HeaderMap {
        &self.promise.headers
    }

    /// Returns the response to the promised request.
    ///
    /// # Errors
    ///
    /// Returns an error if the response is incomplete.
    pub fn response(&self) -> Result<&Response, &Broken> {
        self.result.as_ref()
    }
}

impl fmt::Debug for Pushed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Pushed");
        shown.field("promise", &self.promise);
        match &self.result {
            Ok(response) => shown.field("response", response),
            Err(broken) => shown.field("broken", &format_args!("{broken}")),
        };
        shown.finish()
    }
}

/// An incomplete response: the app did not finish it, or the client left before its end.
///
/// It contains the parts that the client received.
pub struct Broken(Box<BrokenInner>);

struct BrokenInner {
    head: Option<(StatusCode, HeaderMap)>,
    body: Bytes,
    record: ResponseRecord,
}

impl Broken {
    /// Returns the status, if the client received the head.
    pub fn status(&self) -> Option<StatusCode> {
        self.0.head.as_ref().map(|(status, _)| *status)
    }

    /// Returns the headers, if the client received the head.
    pub fn headers(&self) -> Option<&HeaderMap> {
        self.0.head.as_ref().map(|(_, headers)| headers)
    }

    /// Returns the part of the body that the client received.
    pub fn body(&self) -> &Bytes {
        &self.0.body
    }

    /// Returns the parts of the body that the client received, as the app sent them.
    pub fn chunks(&self) -> &[Bytes] {
        &self.0.record.chunks
    }

    /// Returns the 103 responses that the client received.
    pub fn early_hints(&self) -> &[HttpResponseEarlyHint] {
        &self.0.record.early_hints
    }

    /// Returns the promised requests with their responses.
    pub fn pushes(&self) -> &[Pushed] {
        &self.0.record.pushes
    }

    /// Returns the error that the app returned, if any.
    pub fn app_error(&self) -> Option<&AppError> {
        self.0.record.app_error.as_ref()
    }

    /// Returns the fault that a server would log for this app. This is `None` if the app ended
    /// because its client left.
    pub fn fault(&self) -> Option<Fault> {
        self.0.record.fault
    }

    /// Returns what happened in this exchange.
    pub fn history(&self) -> &History {
        &self.0.record.history
    }
}

/// Prints what is wrong, why, and the history, because a test that calls `unwrap` prints this.
impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record = &self.0.record;
        write!(f, "{self}")?;
        if let Some(fault) = record.fault {
            write!(f, ": {fault}")?;
        }
        if let Some(error) = &record.app_error {
            write!(f, ": {}", error.chain())?;
        }
        write!(f, "\n{}", record.history)
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.0.body.len();
        match (&self.0.head, self.0.record.fault) {
            (Some(_), Some(_)) => {
                write!(f, "the app stopped its response after {length} bytes")
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
