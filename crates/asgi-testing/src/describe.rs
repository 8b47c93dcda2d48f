//! Events in words, for the history.

use std::fmt::Write as _;

use asgi::{Message, ReceiveEvent, SendEvent};
use asgi_rules::{WebSocketWireEvent, WireEvent};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};

/// The most letters of a body, a header or a text.
const MOST: usize = 40;

/// An event that the app sends, with its name.
pub(crate) fn sent(event: &SendEvent) -> String {
    let name = event.name();
    let content = match event {
        SendEvent::HttpResponseStart(start) => head(start.status, &start.headers),
        SendEvent::HttpResponseBody(body) => part(&body.body, body.more_body),
        SendEvent::HttpResponseTrailers(trailers) => headers(&trailers.headers),
        SendEvent::HttpResponsePush(push) => short(push.path.as_str()),
        SendEvent::HttpResponseEarlyHint(hint) => links(hint.links.len()),
        SendEvent::HttpResponsePathSend(file) => short(&file.path.display().to_string()),
        SendEvent::WebSocketAccept(accept) => match &accept.subprotocol {
            Some(name) => format!("subprotocol {name:?}"),
            None => String::new(),
        },
        SendEvent::WebSocketSend(send) => message(&send.message),
        SendEvent::WebSocketClose(close) => closing(close.code, &close.reason),
        SendEvent::WebSocketHttpResponseStart(start) => head(start.status, &start.headers),
        SendEvent::WebSocketHttpResponseBody(body) => part(&body.body, body.more_body),
        SendEvent::LifespanStartupFailed(failed) => format!("{:?}", short(&failed.message)),
        SendEvent::LifespanShutdownFailed(failed) => format!("{:?}", short(&failed.message)),
        _ => String::new(),
    };
    join(name, &content)
}

/// An event that the app receives, with its name.
pub(crate) fn received(event: &ReceiveEvent) -> String {
    let content = match event {
        ReceiveEvent::HttpRequest(request) => {
            let mut text = part(&request.body, request.more_body);
            if let Some(trailers) = &request.trailers {
                let _ = write!(text, ", trailers {}", headers(trailers));
            }
            text
        }
        ReceiveEvent::HttpDisconnect(disconnect) => disconnect.reason.to_string(),
        ReceiveEvent::WebSocketReceive(receive) => message(&receive.message),
        ReceiveEvent::WebSocketDisconnect(close) => closing(close.code, &close.reason),
        _ => String::new(),
    };
    join(event.name(), &content)
}

/// What the client receives.
pub(crate) fn output(event: &WireEvent) -> String {
    match event {
        WireEvent::EarlyHint(hint) => format!("an early hint: {}", links(hint.links.len())),
        WireEvent::Push(push) => format!("a push: {}", short(push.path.as_str())),
        WireEvent::Response(start, body) => format!(
            "the whole response: {}, {}",
            head(start.status, &start.headers),
            bytes(body)
        ),
        WireEvent::Head(start, body) if body.is_empty() => {
            format!("the head: {}", head(start.status, &start.headers))
        }
        WireEvent::Head(start, body) => format!(
            "the head: {}, and {}",
            head(start.status, &start.headers),
            bytes(body)
        ),
        WireEvent::Data(body) => bytes(body),
        WireEvent::Last(body) => format!("the end: {}", bytes(body)),
        WireEvent::Trailers(trailers) => format!("the trailers: {}", headers(trailers)),
        WireEvent::Debug(_) => String::from("debug information"),
        other => format!("{other:?}"),
    }
}

/// What the client receives on a WebSocket.
pub(crate) fn socket_output(event: &WebSocketWireEvent) -> String {
    match event {
        WebSocketWireEvent::Accept(_) => String::from("the accept"),
        WebSocketWireEvent::Message(content) => message(content),
        WebSocketWireEvent::Close(close) => {
            format!("a close: {}", closing(close.code, &close.reason))
        }
        WebSocketWireEvent::Denial(event) => format!("a denial, {}", output(event)),
        other => format!("{other:?}"),
    }
}

pub(crate) fn message(message: &Message) -> String {
    match message {
        Message::Text(text) => format!("text {:?}", short(text)),
        other => format!("binary {}", bytes(other.as_bytes())),
    }
}

pub(crate) fn closing(code: u16, reason: &str) -> String {
    match reason {
        "" => code.to_string(),
        reason => format!("{code} {reason:?}"),
    }
}

/// A part of a body.
pub(crate) fn part(body: &Bytes, more_body: bool) -> String {
    let place = match more_body {
        true => "more follows",
        false => "the last part",
    };
    format!("{}, {place}", bytes(body))
}

/// The length and the beginning of a body.
pub(crate) fn bytes(body: &[u8]) -> String {
    match body.len() {
        0 => String::from("0 bytes"),
        1 => format!("1 byte {:?}", beginning(body)),
        length => format!("{length} bytes {:?}", beginning(body)),
    }
}

fn beginning(body: &[u8]) -> String {
    // A letter has at most four bytes.
    let some = &body[..body.len().min(4 * MOST)];
    let mut text = short(&String::from_utf8_lossy(some));
    if some.len() < body.len() && !text.ends_with('…') {
        text.push('…');
    }
    text
}

fn head(status: StatusCode, fields: &HeaderMap) -> String {
    match fields.is_empty() {
        true => status.as_str().to_owned(),
        false => format!("{} {}", status.as_str(), headers(fields)),
    }
}

fn headers(fields: &HeaderMap) -> String {
    let fields = fields.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        format!("{name}: {}", short(&value))
    });
    let shown: Vec<String> = fields.collect();
    format!("{{{}}}", shown.join(", "))
}

fn links(count: usize) -> String {
    match count {
        1 => String::from("1 link"),
        count => format!("{count} links"),
    }
}

/// The beginning of a text.
fn short(text: &str) -> String {
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn join(name: &str, content: &str) -> String {
    match content {
        "" => name.to_owned(),
        content => format!("{name}: {content}"),
    }
}
