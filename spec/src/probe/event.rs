//! The events that steps send.

use std::fs::File;
use std::sync::Arc;

use asgi::http::uri::PathAndQuery;
use asgi::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use asgi::{
    HttpResponseBody, HttpResponseDebug, HttpResponseEarlyHint, HttpResponsePathSend,
    HttpResponsePush, HttpResponseStart, HttpResponseTrailers, HttpResponseZeroCopySend,
    LifespanShutdownComplete, LifespanShutdownFailed, LifespanStartupComplete,
    LifespanStartupFailed, SendEvent, State, WebSocketAccept, WebSocketClose,
    WebSocketHttpResponseBody, WebSocketHttpResponseStart, WebSocketSend,
};
use bytes::Bytes;

use super::script::Step;

/// The value that steps put into a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StateText(pub(super) String);

/// Returns the event that a step sends, or `None` if the step sends none.
///
/// A number or a path that is no such thing becomes one that is always valid: a suite writes the
/// steps, so this is an error of the suite.
pub(super) fn event(step: &Step) -> Option<SendEvent> {
    let bytes = || Bytes::from(step.argument.clone());
    let filled = || Bytes::from(vec![b'x'; step.number()]);
    let status = || StatusCode::from_u16(number(step)).unwrap_or(StatusCode::IM_A_TEAPOT);
    Some(match step.name.as_str() {
        "start" => start(status(), step).into(),
        "start-trailers" => start(status(), step).with_trailers().into(),
        "more" => HttpResponseBody::more(bytes()).into(),
        "last" => HttpResponseBody::last(bytes()).into(),
        "fill" => HttpResponseBody::more(filled()).into(),
        "last-fill" => HttpResponseBody::last(filled()).into(),
        "trailers" => HttpResponseTrailers::new(headers(step)).into(),
        "more-trailers" => HttpResponseTrailers::more(headers(step)).into(),
        "hint" => {
            let links = std::iter::once(&step.argument).chain(&step.parts);
            let links = links.filter_map(|link| HeaderValue::from_bytes(link).ok());
            HttpResponseEarlyHint::new(links).into()
        }
        "push" => {
            let path = step.text().parse().unwrap_or_else(|_| any_path());
            let mut push = HttpResponsePush::new(path);
            push.headers = headers(step);
            push.into()
        }
        "pathsend" => HttpResponsePathSend::new(step.text()).into(),
        "debug" => HttpResponseDebug::default().into(),
        "accept" => {
            let mut accept = WebSocketAccept::new();
            if !step.argument.is_empty() {
                accept = accept.subprotocol(step.text());
            }
            for (name, value) in step.headers() {
                accept = accept.header(name, value);
            }
            accept.into()
        }
        "text" => WebSocketSend::text(step.text()).into(),
        "binary" => WebSocketSend::binary(bytes()).into(),
        "text-fill" => WebSocketSend::text("x".repeat(step.number())).into(),
        "close" => {
            let reason = step.parts.first().map_or(&[][..], Vec::as_slice);
            let reason = String::from_utf8_lossy(reason);
            WebSocketClose::new(number(step)).reason(reason).into()
        }
        "deny" => {
            let mut start = WebSocketHttpResponseStart::new(status());
            for (name, value) in step.headers() {
                start = start.header(name, value);
            }
            start.into()
        }
        "deny-more" => WebSocketHttpResponseBody::more(bytes()).into(),
        "deny-last" => WebSocketHttpResponseBody::last(bytes()).into(),
        "startup-complete" => {
            let mut state = State::new();
            state.insert(StateText(step.text()));
            LifespanStartupComplete::with_state(state).into()
        }
        "startup-failed" => LifespanStartupFailed::new(step.text()).into(),
        "shutdown-complete" => LifespanShutdownComplete::new().into(),
        "shutdown-failed" => LifespanShutdownFailed::new(step.text()).into(),
        _ => return None,
    })
}

/// A part of an open file: `zerocopy=more;offset:N;count:N`.
pub(super) fn zero_copy(file: Arc<File>, step: &Step) -> HttpResponseZeroCopySend {
    let number = |wanted: &[u8]| {
        let (_, value) = step.headers().find(|(name, _)| *name == wanted)?;
        std::str::from_utf8(value).ok()?.parse().ok()
    };
    let mut event = HttpResponseZeroCopySend::new(file);
    event.offset = number(b"offset");
    event.count = number(b"count");
    event.more_body = step.argument == b"more";
    event
}

fn number(step: &Step) -> u16 {
    u16::try_from(step.number()).unwrap_or(u16::MAX)
}

fn any_path() -> PathAndQuery {
    PathAndQuery::from_static("/")
}

/// An invalid header stays in the event and makes it misuse.
fn start(status: StatusCode, step: &Step) -> HttpResponseStart {
    let start = HttpResponseStart::new(status);
    step.headers()
        .fold(start, |start, (name, value)| start.header(name, value))
}

fn headers(step: &Step) -> HeaderMap {
    let pairs = step.headers().filter_map(|(name, value)| {
        let name = HeaderName::from_bytes(name).ok()?;
        Some((name, HeaderValue::from_bytes(value).ok()?))
    });
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(name, value);
    }
    headers
}
