//! What a client sees of a response, compared with what the app has sent.

use asgi::bytes::Bytes;
use asgi::http::{HeaderMap, HeaderValue, StatusCode};
use asgi::{HttpResponseTrailers, SendEvent};

use super::failure::{RunResult, breach};

/// What a server sends to a client of HTTP, without its framing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SentToClient {
    /// A 103 response with these links.
    EarlyHint(Vec<HeaderValue>),
    /// The promise of a request for this path and query.
    Push(String),
    /// The head of the response, without the headers that the server adds or removes.
    Head(StatusCode),
    /// Bytes of the body.
    Data(Bytes),
    /// The trailers, without those that the server removes.
    Trailers(HeaderMap),
    /// The end of a complete response.
    Complete,
}

/// What must come, from the events that the server has taken, and what has come.
#[derive(Debug, Default)]
pub(crate) struct ExpectedResponse {
    status: Option<StatusCode>,
    discards: bool,
    /// The server must hold the head back. (HTTP-023)
    held: bool,
    body: Vec<u8>,
    hints: Vec<Vec<HeaderValue>>,
    pushes: Vec<String>,
    trailers: usize,
    complete: bool,
    seen: SeenResponse,
}

#[derive(Debug, Default)]
struct SeenResponse {
    head: bool,
    body: usize,
    hints: usize,
    pushes: usize,
    trailers: bool,
    complete: bool,
}

impl ExpectedResponse {
    /// The server has taken an event.
    pub(crate) fn taken(&mut self, event: &SendEvent, head: bool, complete: bool) {
        self.complete = complete;
        match event {
            SendEvent::HttpResponseStart(start) => {
                self.status = Some(start.status);
                self.discards = head || matches!(start.status.as_u16(), 204 | 205 | 304);
                self.held = true;
            }
            SendEvent::HttpResponseBody(part) => self.part(&part.body),
            SendEvent::HttpResponseEarlyHint(hint) => self.hints.push(hint.links.clone()),
            SendEvent::HttpResponsePush(push) => self.pushes.push(push.path.to_string()),
            SendEvent::HttpResponseTrailers(HttpResponseTrailers { headers, .. }) => {
                self.trailers += headers.len();
            }
            SendEvent::WebSocketHttpResponseStart(start) => {
                self.status = Some(start.status);
                self.discards = start.status == StatusCode::NOT_MODIFIED;
                self.held = true;
            }
            SendEvent::WebSocketHttpResponseBody(part) => self.part(&part.body),
            // WS-007
            SendEvent::WebSocketClose(_) => self.status = Some(StatusCode::FORBIDDEN),
            _ => {}
        }
    }

    fn part(&mut self, body: &[u8]) {
        self.held = false;
        if !self.discards {
            self.body.extend_from_slice(body);
        }
    }

    /// A poll of the app has returned `Pending`. (HTTP-024)
    pub(crate) fn app_waits(&mut self) {
        self.held = false;
    }

    /// The app has ended. Its response is complete too if it only lacks trailers. (HTTP-079)
    pub(crate) fn ended(&mut self, without_trailers: bool) {
        self.complete |= without_trailers;
        // A head that is held back is dropped. (HTTP-038)
        if self.held {
            self.status = None;
        }
    }

    pub(crate) fn sees(&mut self, sent: SentToClient) -> RunResult {
        if self.seen.complete {
            return breach(
                "HTTP-049",
                format!("{sent:?} after the end of the response"),
            );
        }
        match sent {
            SentToClient::EarlyHint(_) if self.seen.head => {
                return breach("HTTP-055", "an early hint after the head");
            }
            SentToClient::EarlyHint(links) => {
                if self.hints.get(self.seen.hints) != Some(&links) {
                    return breach("HINT-001", format!("an early hint out of order: {links:?}"));
                }
                self.seen.hints += 1;
            }
            SentToClient::Push(path) => {
                if self.pushes.get(self.seen.pushes) != Some(&path) {
                    return breach("CORE-010", format!("a push out of order: {path}"));
                }
                self.seen.pushes += 1;
            }
            SentToClient::Head(status) => self.sees_head(status)?,
            SentToClient::Data(data) => {
                let left = self.body.get(self.seen.body..).unwrap_or_default();
                if self.discards && !data.is_empty() {
                    return breach("HTTP-026", format!("{} bytes of a body", data.len()));
                }
                if !self.seen.head || !left.starts_with(&data) {
                    return breach("CORE-010", "bytes of the body out of order");
                }
                self.seen.body += data.len();
            }
            SentToClient::Trailers(trailers) => {
                if self.seen.body < self.body.len() || self.seen.trailers {
                    return breach("HTTP-051", "trailers before the end of the body, or twice");
                }
                if trailers.len() != self.trailers {
                    let (got, sent) = (trailers.len(), self.trailers);
                    return breach(
                        "HTTP-051",
                        format!("{got} trailers, and the app sent {sent}"),
                    );
                }
                self.seen.trailers = true;
            }
            SentToClient::Complete => {
                if !self.complete {
                    return breach("HTTP-039", "a complete response, and the app's is not");
                }
                self.seen.complete = true;
                return self.all_seen();
            }
        }
        Ok(())
    }

    fn sees_head(&mut self, status: StatusCode) -> RunResult {
        let Some(expected) = self.status else {
            return breach("CORE-010", "a head, and the app has sent no start");
        };
        if self.seen.head {
            return breach("HTTP-021", "a second head");
        }
        if self.held {
            return breach(
                "HTTP-023",
                "the head comes before a part of the body or a wait",
            );
        }
        if status != expected {
            return breach(
                "CORE-010",
                format!("the status {status} and not {expected}"),
            );
        }
        self.seen.head = true;
        Ok(())
    }

    /// The client has taken everything that it can get now.
    pub(crate) fn all_seen(&self) -> RunResult {
        let seen = &self.seen;
        if seen.hints < self.hints.len() {
            return breach("HTTP-054", "an early hint does not come");
        }
        if seen.pushes < self.pushes.len() {
            return breach("PUSH-004", "a promise does not come");
        }
        if self.status.is_some() && !self.held && !seen.head {
            return breach("HTTP-024", "the head does not come");
        }
        if seen.body < self.body.len() {
            let (got, sent) = (seen.body, self.body.len());
            return breach(
                "HTTP-025",
                format!("{got} bytes of the body come, of {sent}"),
            );
        }
        if self.complete && !self.discards && self.trailers > 0 && !seen.trailers {
            return breach("HTTP-051", "the trailers do not come");
        }
        if self.complete && !seen.complete {
            return breach("HTTP-025", "the end of the response does not come");
        }
        Ok(())
    }
}
