//! Checks the events that a server gives to an app.

use asgi::{DisconnectReason, HttpRequest, HttpScope, ReceiveEvent, WebSocketDisconnect};

use super::violation::LintFinding;

/// What has come so far.
#[derive(Debug, Default)]
pub(crate) struct ReceivedEvents {
    /// An event has come.
    any: bool,
    /// The last part of a request's body has come.
    last_part: bool,
    bytes: u64,
    /// The request's `content-length`.
    length: Option<u64>,
    /// The request has no body.
    bodiless: bool,
    /// The disconnect or the shutdown, which must come again and again.
    end: Option<ReceivedEnd>,
}

/// The last event of a protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
enum ReceivedEnd {
    Http(DisconnectReason),
    Socket(WebSocketDisconnect),
    Shutdown,
}

/// What was known before the server was asked for an event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Before {
    /// The app's last event was taken.
    pub(crate) complete: bool,
    /// The last event has been received.
    ended: bool,
}

/// What the app has done, as far as it decides what it may receive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Done {
    /// The app's last event was taken, or is being taken.
    pub(crate) complete: bool,
    /// The accept was taken, or is being taken.
    pub(crate) accepted: bool,
}

impl ReceivedEvents {
    pub(crate) fn of_request(scope: &HttpScope) -> Self {
        Self {
            length: scope.content_length(),
            bodiless: !scope.has_body(),
            ..Self::default()
        }
    }

    pub(crate) fn before(&self, complete: bool) -> Before {
        Before {
            complete,
            ended: self.end.is_some(),
        }
    }

    pub(crate) fn is_shutdown(&self) -> bool {
        self.end == Some(ReceivedEnd::Shutdown)
    }

    /// The server lets the app wait for an event.
    pub(crate) fn waits(before: Before, kind: &str) -> Option<LintFinding> {
        if before.ended {
            let happened = "`receive` waits after the last event";
            return Some(LintFinding::server("CORE-008", happened));
        }
        let happened = "`receive` waits after the last event of the app";
        match kind {
            "http" if before.complete => Some(LintFinding::server("HTTP-045", happened)),
            _ => None,
        }
    }

    pub(crate) fn http(
        &mut self,
        event: &ReceiveEvent,
        before: Before,
        done: Done,
    ) -> Vec<LintFinding> {
        let mut found = Vec::new();
        let name = event.name();
        match event {
            ReceiveEvent::HttpRequest(_) if before.ended => {
                found.push(LintFinding::server(
                    "CORE-008",
                    format!("{name} after http.disconnect"),
                ));
            }
            ReceiveEvent::HttpRequest(_) if before.complete => {
                let happened = format!("{name} after the response was complete");
                found.push(LintFinding::server("HTTP-045", happened));
            }
            ReceiveEvent::HttpRequest(part) => self.part(part, &mut found),
            ReceiveEvent::HttpDisconnect(disconnect) => {
                let reason = disconnect.reason;
                if reason == DisconnectReason::Complete && !done.complete {
                    let happened = "the reason is Complete before the response is complete";
                    found.push(LintFinding::server("HTTP-045", happened));
                }
                let end = ReceivedEnd::Http(reason);
                self.repeats(end, before, "HTTP-046", &mut found);
            }
            _ => found.push(LintFinding::server(
                "HTTP-014",
                format!("{name} in an HTTP exchange"),
            )),
        }
        self.any = true;
        found
    }

    fn part(&mut self, part: &HttpRequest, found: &mut Vec<LintFinding>) {
        let mut add = |id, happened: String| found.push(LintFinding::server(id, happened));
        self.bytes += part.body.len() as u64;
        let bytes = self.bytes;
        if self.last_part {
            add("HTTP-016", "a part after the last part of the body".into());
        }
        if part.trailers.is_some() && part.more_body {
            add(
                "HTTP-017",
                "trailers with a part that is not the last".into(),
            );
        }
        if self.bodiless && bytes > 0 {
            add(
                "HTTP-014",
                format!("{bytes} bytes for a request without a body"),
            );
        }
        if let Some(length) = self.length {
            if bytes > length {
                add("HTTP-015", format!("{bytes} bytes of a body of {length}"));
            } else if !part.more_body && bytes < length {
                add(
                    "HTTP-020",
                    format!("a last part after {bytes} bytes of {length}"),
                );
            }
        }
        self.last_part = !part.more_body;
    }

    /// `own` is the disconnect that must follow the app's own last event.
    pub(crate) fn socket(
        &mut self,
        event: &ReceiveEvent,
        before: Before,
        done: Done,
        own: Option<&WebSocketDisconnect>,
    ) -> Vec<LintFinding> {
        let mut found = Vec::new();
        let mut add = |id, happened: String| found.push(LintFinding::server(id, happened));
        let name = event.name();
        let is_connect = matches!(event, ReceiveEvent::WebSocketConnect(_));
        if is_connect == self.any {
            let happened = match is_connect {
                true => "websocket.connect is not the first event".into(),
                false => format!("{name} is the first event"),
            };
            add("WS-004", happened);
        }
        self.any = true;
        match event {
            ReceiveEvent::WebSocketConnect(_) => {}
            ReceiveEvent::WebSocketReceive(_) => {
                if before.ended {
                    add("CORE-008", format!("{name} after websocket.disconnect"));
                } else if !done.accepted {
                    add("WS-045", "a message before the accept".into());
                }
            }
            ReceiveEvent::WebSocketDisconnect(disconnect) => {
                let (code, length) = (disconnect.code, disconnect.reason.len());
                if !matches!(code, 1000..=1003 | 1005..=1014 | 3000..=4999) {
                    add("WS-020", format!("a disconnect with the code {code}"));
                }
                if length > 123 {
                    add("WS-020", format!("a reason of {length} bytes"));
                }
                if code == 1005 && length > 0 {
                    add("WS-020", "a reason without a code".into());
                }
                if let Some(own) = own
                    && own != disconnect
                {
                    let (code, own) = (disconnect.code, own.code);
                    add(
                        "WS-022",
                        format!("a disconnect with {code} and not with {own}"),
                    );
                }
                let end = ReceivedEnd::Socket(disconnect.clone());
                self.repeats(end, before, "CORE-008", &mut found);
            }
            _ => add("WS-004", format!("{name} on a WebSocket")),
        }
        found
    }

    pub(crate) fn lifespan(&mut self, event: &ReceiveEvent, before: Before) -> Vec<LintFinding> {
        let mut found = Vec::new();
        let mut add = |id, happened: String| found.push(LintFinding::server(id, happened));
        let name = event.name();
        match event {
            ReceiveEvent::LifespanStartup(_) if before.ended => {
                add("CORE-008", format!("{name} after lifespan.shutdown"));
            }
            ReceiveEvent::LifespanStartup(_) if self.any => {
                add("LIFE-004", format!("{name} a second time"));
            }
            ReceiveEvent::LifespanStartup(_) => {}
            ReceiveEvent::LifespanShutdown(_) => {
                if !self.any {
                    add("LIFE-004", format!("{name} is the first event"));
                }
                self.end = Some(ReceivedEnd::Shutdown);
            }
            _ => add("LIFE-004", format!("{name} in a lifespan")),
        }
        self.any = true;
        found
    }

    /// The last event has come, perhaps not for the first time.
    fn repeats(
        &mut self,
        end: ReceivedEnd,
        before: Before,
        id: &'static str,
        found: &mut Vec<LintFinding>,
    ) {
        match &self.end {
            Some(first) if before.ended && *first != end => {
                let happened = format!("`receive` returns {end:?} after {first:?}");
                found.push(LintFinding::server(id, happened));
            }
            Some(_) => {}
            None => self.end = Some(end),
        }
    }
}
