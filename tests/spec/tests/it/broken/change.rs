//! Events that reach the server as others than the app has sent.

use asgi::http::{HeaderMap, HeaderValue, StatusCode};
use asgi::{
    HttpResponseStart, LifespanShutdownComplete, LifespanStartupComplete, SendEvent,
    WebSocketAccept,
};

use super::exchange::Exchange;

/// Changes an event. False means that the event is lost.
pub(super) fn change(exchange: &Exchange, event: &mut SendEvent) -> bool {
    match (exchange.id, &mut *event) {
        ("HTTP-042", _) if exchange.is_closed() => return false,
        ("HTTP-051", SendEvent::HttpResponseTrailers(trailers)) => return !trailers.more_trailers,
        ("HINT-001", SendEvent::HttpResponseEarlyHint(_)) => {
            return !exchange.has_sent("http.response.early_hint");
        }
        ("HINT-002", SendEvent::HttpResponseEarlyHint(hint)) => hint.links.reverse(),
        (
            "LIFE-003",
            SendEvent::LifespanStartupComplete(_) | SendEvent::LifespanStartupFailed(_),
        ) => {
            return false;
        }
        ("LIFE-013", SendEvent::LifespanShutdownComplete(_)) => return false,
        ("TRAIL-005", SendEvent::HttpResponseTrailers(trailers)) => {
            trailers.headers = last_ones(&trailers.headers);
        }
        (_, SendEvent::HttpResponseStart(start)) => change_start(exchange, start),
        ("WS-007", SendEvent::WebSocketClose(_)) => *event = WebSocketAccept::new().into(),
        ("WS-006" | "WS-009", SendEvent::WebSocketAccept(accept)) => accept.subprotocol = None,
        ("WS-046", SendEvent::WebSocketAccept(accept)) => {
            accept.headers = last_ones(&accept.headers);
        }
        ("WS-018", SendEvent::WebSocketClose(close)) if close.code == 1005 => close.code = 1000,
        ("WS-019", SendEvent::WebSocketClose(close)) => close.reason.truncate(123),
        ("LIFE-006", SendEvent::LifespanStartupFailed(_)) => {
            *event = LifespanStartupComplete::new().into();
        }
        ("LIFE-014", SendEvent::LifespanShutdownFailed(_)) => {
            *event = LifespanShutdownComplete::new().into();
        }
        _ => {}
    }
    true
}

fn change_start(exchange: &Exchange, start: &mut HttpResponseStart) {
    match exchange.id {
        "HTTP-022" if start.status.as_u16() < 200 => start.status = StatusCode::OK,
        "HTTP-062" if start.status.as_u16() > 599 => {
            start.status = StatusCode::INTERNAL_SERVER_ERROR;
        }
        "HTTP-032" => drop(start.headers.remove("connection")),
        "HTTP-035" => {
            let close = HeaderValue::from_static("close");
            start.headers.insert("connection", close);
        }
        "HTTP-072" => drop(start.headers.remove("date")),
        "HTTP-087" => start.headers = last_ones(&start.headers),
        "HINT-003" if exchange.has_sent("http.response.early_hint") => {
            let link = HeaderValue::from_static("</a>");
            start.headers.insert("link", link);
        }
        "TRAIL-002" if !exchange.offers_trailers => start.trailers = false,
        "TRAIL-006" => drop(start.headers.remove("trailer")),
        _ => {}
    }
}

/// Only the last header of each name.
fn last_ones(headers: &HeaderMap) -> HeaderMap {
    let mut last = HeaderMap::new();
    for (name, value) in headers {
        last.insert(name.clone(), value.clone());
    }
    last
}
