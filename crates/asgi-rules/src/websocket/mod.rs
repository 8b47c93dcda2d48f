//! The rules of one WebSocket, including its handshake.

mod keep_alive;

use asgi::{
    DisconnectReason, Extension, Extensions, HttpResponseBody, HttpResponseStart, Message,
    SendError, SendEvent, WebSocketAccept, WebSocketClose, WebSocketDisconnect,
    WebSocketHttpResponseStart,
};
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{Method, StatusCode};

use crate::end::fault;
use crate::http::not_offered;
use crate::response::{is_connection_header, remove_headers};
use crate::{AppEnd, Ending, Fault, HttpRules, WireEvent};

pub use self::keep_alive::{WebSocketDue, WebSocketKeepAlive, WebSocketPing, WebSocketTimeouts};

/// What the server sends to the client.
///
/// The answer to the handshake comes first. If it accepts, messages and a close frame follow.
#[derive(Debug)]
#[non_exhaustive]
pub enum WebSocketWireEvent {
    /// Nothing yet.
    Nothing,
    /// The server accepts the handshake, with these headers and this subprotocol.
    Accept(WebSocketAccept),
    /// The server denies the handshake. This is a part of the HTTP response.
    Denial(WireEvent),
    /// A message.
    Message(Message),
    /// A close frame. Nothing follows it.
    Close(WebSocketClose),
}

/// The result of a WebSocket whose app has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebSocketVerdict {
    /// What the server does for the client.
    pub ending: WebSocketEnding,
    /// The app's fault, if any. The server logs it once.
    pub fault: Option<Fault>,
}

/// What the server does for the client after the app has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WebSocketEnding {
    /// The app has sent a complete denial or a close frame, so there is nothing to do.
    Complete,
    /// The handshake has no answer yet: answer 500.
    ServerError,
    /// Break the exchange off without a close frame, so that the client notices: the handshake has
    /// no answer or only a part of one, or the app asked for it (WS-043).
    Abort,
    /// The WebSocket is open: send a close frame with this code.
    Close(u16),
    /// The client is gone, so there is nothing to do.
    Gone,
}

/// The rules of one WebSocket, for any version of HTTP.
///
/// ```text
///               accept          close
///   Handshake ──────────▶ Open ───────▶ Closed
///     │                   │  ▲
///     │                   └──┘ send
///     │ close: 403
///     │ http.response.start
///     └───────────────────▶ Denial ──┐ http.response.body
///                              ▲─────┘
/// ```
///
/// In every phase, the client can leave, the server can close the WebSocket, and the app can end;
/// these are separate fields. An event that is not taken changes nothing (CORE-012).
/// [`WebSocketKeepAlive`] decides about pings and the closing handshake.
#[derive(Debug)]
pub struct WebSocketRules {
    phase: WebSocketPhase,
    /// The subprotocols that the client offers.
    subprotocols: Vec<String>,
    extensions: Extensions,
    connect_received: bool,
    /// How the WebSocket ended, if the client or the server ended it.
    disconnection: Option<Disconnection>,
    /// The app has learned that the client is gone.
    reported: bool,
    app_ended: bool,
}

#[derive(Debug)]
enum WebSocketPhase {
    Handshake,
    Denial(Box<HttpRules>),
    Open,
    Closed(WebSocketClose),
}

/// How the client left, or how the server closed the WebSocket.
#[derive(Debug)]
struct Disconnection {
    reason: DisconnectReason,
    event: WebSocketDisconnect,
}

/// The code that means that there was no close frame (RFC 6455 §7.4.1).
const NO_CLOSE_FRAME: u16 = 1006;

/// The longest close reason in bytes: a control frame carries 125 bytes, and the code takes 2
/// (RFC 6455 §5.5).
const MAX_REASON: usize = 123;

impl WebSocketRules {
    /// Creates the rules for a handshake that offers these subprotocols, on a connection with these
    /// extensions.
    pub fn new(subprotocols: Vec<String>, extensions: Extensions) -> Self {
        Self {
            phase: WebSocketPhase::Handshake,
            subprotocols,
            extensions,
            connect_received: false,
            disconnection: None,
            reported: false,
            app_ended: false,
        }
    }

    /// Returns whether the app receives `websocket.connect` now: only the first time. (WS-004)
    pub fn connect(&mut self) -> bool {
        !std::mem::replace(&mut self.connect_received, true)
    }

    /// Tells the app whether it may send.
    ///
    /// If the client is gone, the app knows it from now on, and may end in any way. (WS-027) To ask
    /// for the server's own purposes, use [`is_gone`](Self::is_gone).
    ///
    /// # Errors
    ///
    /// Returns an error if the app has ended or if the client is gone.
    pub fn report_ready(&mut self) -> Result<(), SendError> {
        if self.app_ended {
            // CORE-004
            return Err(SendError::over());
        }
        match &self.disconnection {
            None => Ok(()),
            Some(disconnection) => {
                // CORE-015
                self.reported = true;
                Err(SendError::disconnected(disconnection.reason))
            }
        }
    }

    /// Takes an event of the app and returns what the server sends to the client.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`report_ready`](Self::report_ready). Also returns an error if the event breaks the
    /// rules or if the connection does not support it. An error changes nothing. If several errors
    /// apply, CORE-027 says which one comes first.
    pub fn send(&mut self, event: SendEvent) -> Result<WebSocketWireEvent, SendError> {
        self.report_ready()?;
        if !self.is_complete()
            && let SendEvent::WebSocketHttpResponseStart(_)
            | SendEvent::WebSocketHttpResponseBody(_) = event
        {
            self.require_denial_extension()?;
        }
        match (&mut self.phase, event) {
            (WebSocketPhase::Handshake, SendEvent::WebSocketAccept(accept)) => self.accept(accept),
            (WebSocketPhase::Handshake, SendEvent::WebSocketClose(close)) => {
                check_close(&close)?;
                // WS-007
                let start = HttpResponseStart::new(StatusCode::FORBIDDEN);
                self.deny(start, Some(HttpResponseBody::last(Bytes::new())))
            }
            (WebSocketPhase::Handshake, SendEvent::WebSocketHttpResponseStart(start)) => {
                self.deny(denial_start(start)?, None)
            }
            (WebSocketPhase::Denial(response), SendEvent::WebSocketHttpResponseBody(part))
                if !response.is_complete() =>
            {
                let part = HttpResponseBody::new(part.body, part.more_body);
                response.send(part.into()).map(WebSocketWireEvent::Denial)
            }
            (WebSocketPhase::Open, SendEvent::WebSocketSend(send)) => {
                Ok(WebSocketWireEvent::Message(send.message))
            }
            (WebSocketPhase::Open, SendEvent::WebSocketClose(close)) => {
                check_close(&close)?;
                self.phase = WebSocketPhase::Closed(close.clone());
                Ok(WebSocketWireEvent::Close(close))
            }
            (_, event) => Err(self.unexpected(event.name())),
        }
    }

    /// Returns the head of a denial that was held back, if any, because the app waits for
    /// something. (HTTP-024)
    pub fn waiting(&mut self) -> WebSocketWireEvent {
        if self.app_ended || self.disconnection.is_some() {
            return WebSocketWireEvent::Nothing;
        }
        match &mut self.phase {
            WebSocketPhase::Denial(response) => match response.waiting() {
                WireEvent::Nothing => WebSocketWireEvent::Nothing,
                head => WebSocketWireEvent::Denial(head),
            },
            _ => WebSocketWireEvent::Nothing,
        }
    }

    /// Returns whether the WebSocket carries messages.
    ///
    /// The server keeps messages of the client that come before this for the app, and drops those
    /// that come after it. (WS-013, WS-014)
    pub fn is_open(&self) -> bool {
        matches!(self.phase, WebSocketPhase::Open)
            && self.disconnection.is_none()
            && !self.app_ended
    }

    /// Returns whether the app has sent its last event: the end of a denial, or a close.
    pub fn is_complete(&self) -> bool {
        match &self.phase {
            WebSocketPhase::Handshake | WebSocketPhase::Open => false,
            WebSocketPhase::Denial(response) => response.is_complete(),
            WebSocketPhase::Closed(_) => true,
        }
    }

    /// Records the client's close frame. `code` is 1005 if the frame had none. (WS-020)
    pub fn closed(&mut self, code: u16, reason: impl Into<String>) {
        self.record_disconnection(
            DisconnectReason::Closed,
            WebSocketDisconnect::new(code, reason),
        );
    }

    /// Records that the client is gone and has sent no close frame. (WS-021)
    pub fn disconnected(&mut self, reason: DisconnectReason) {
        self.record_disconnection(reason, WebSocketDisconnect::new(NO_CLOSE_FRAME, ""));
    }

    /// Records that the server closes the WebSocket itself: it stops, or the client broke a rule or
    /// was too slow. (WS-029 to WS-031)
    ///
    /// Returns whether the server must send `frame`. It does so only if the WebSocket is open. Then
    /// the app receives the code and the reason of the frame. Otherwise it receives the code 1006.
    pub fn close(&mut self, reason: DisconnectReason, frame: &WebSocketClose) -> bool {
        let open = self.is_open();
        if open {
            let event = WebSocketDisconnect::new(frame.code, frame.reason.as_str());
            self.record_disconnection(reason, event);
        } else {
            self.disconnected(reason);
        }
        open
    }

    /// Returns whether the client or the server has ended the WebSocket, so that nothing that the
    /// app sends can reach the client any more.
    pub fn is_gone(&self) -> bool {
        self.disconnection.is_some()
    }

    /// Returns the event that `receive` yields after the last message, if the WebSocket has ended.
    ///
    /// If the client is gone, the app knows it from now on. After the first `Some`, the result never
    /// changes. (CORE-008)
    pub fn report_disconnect(&mut self) -> Option<WebSocketDisconnect> {
        if let Some(disconnection) = &self.disconnection {
            self.reported = true;
            return Some(disconnection.event.clone());
        }
        match &self.phase {
            // WS-022
            WebSocketPhase::Closed(close) => {
                Some(WebSocketDisconnect::new(close.code, close.reason.as_str()))
            }
            _ if self.is_complete() || self.app_ended => {
                Some(WebSocketDisconnect::new(NO_CLOSE_FRAME, ""))
            }
            _ => None,
        }
    }

    /// Returns the result of the sender's `closed`, if the WebSocket has ended.
    ///
    /// If the client is gone, the app knows it from now on.
    pub fn report_closed(&mut self) -> Option<DisconnectReason> {
        if let Some(disconnection) = &self.disconnection {
            self.reported = true;
            return Some(disconnection.reason);
        }
        (self.is_complete() || self.app_ended).then_some(DisconnectReason::Complete)
    }

    /// Records that the app has ended. From now on, each `send` fails with `is_over`.
    pub fn ended(&mut self, end: AppEnd) -> WebSocketVerdict {
        self.app_ended = true;
        let complete = self.is_complete();
        let ending = match &mut self.phase {
            _ if complete => WebSocketEnding::Complete,
            _ if self.disconnection.is_some() => WebSocketEnding::Gone,
            WebSocketPhase::Denial(response) => match response.ended(end).ending {
                // A head that is held back has not been sent. (HTTP-038)
                Ending::ServerError => WebSocketEnding::ServerError,
                _ => WebSocketEnding::Abort,
            },
            // CORE-028, WS-043
            _ if end == AppEnd::Aborted => WebSocketEnding::Abort,
            WebSocketPhase::Handshake if end == AppEnd::Cancelled => WebSocketEnding::Abort,
            // WS-011
            WebSocketPhase::Handshake => WebSocketEnding::ServerError,
            WebSocketPhase::Open | WebSocketPhase::Closed(_) => {
                let code = match end {
                    AppEnd::Returned => 1000,  // WS-023
                    AppEnd::Cancelled => 1001, // WS-025
                    _ => 1011,                 // WS-024
                };
                self.phase = WebSocketPhase::Closed(WebSocketClose::new(code));
                WebSocketEnding::Close(code)
            }
        };
        let unfinished = match (ending, &self.phase) {
            (WebSocketEnding::ServerError, WebSocketPhase::Handshake) => Some(Fault::NoResponse),
            (WebSocketEnding::ServerError | WebSocketEnding::Abort, _) => Some(Fault::Incomplete),
            _ => None,
        };
        WebSocketVerdict {
            ending,
            fault: fault(end, self.reported, unfinished),
        }
    }

    fn record_disconnection(&mut self, reason: DisconnectReason, event: WebSocketDisconnect) {
        if self.disconnection.is_none() && !self.is_complete() {
            self.disconnection = Some(Disconnection { reason, event });
        }
    }

    fn accept(&mut self, mut accept: WebSocketAccept) -> Result<WebSocketWireEvent, SendError> {
        // WS-009
        if let Some(chosen) = &accept.subprotocol
            && !self.subprotocols.contains(chosen)
        {
            return Err(SendError::misuse(
                format!("websocket.accept with the subprotocol {chosen:?}"),
                format!(
                    "one of those that the client offers: {:?}",
                    self.subprotocols
                ),
            ));
        }
        // WS-010
        let mut names = accept.headers.keys();
        if let Some(name) = names.find(|name| name.as_str().starts_with("sec-websocket-")) {
            return Err(SendError::misuse(
                format!("websocket.accept with the header {name}"),
                "no sec-websocket-* header; use `subprotocol` to choose a subprotocol",
            ));
        }
        // RFC 9110 §8.6 forbids a content-length in a 101 response. (HTTP-028, HTTP-034)
        remove_headers(&mut accept.headers, |name| {
            is_connection_header(name) || name == CONTENT_LENGTH
        });
        self.phase = WebSocketPhase::Open;
        Ok(WebSocketWireEvent::Accept(accept))
    }

    fn deny(
        &mut self,
        start: HttpResponseStart,
        body: Option<HttpResponseBody>,
    ) -> Result<WebSocketWireEvent, SendError> {
        let mut response = HttpRules::new(&Method::GET, Extensions::new());
        let mut event = match response.send(start.into())? {
            WireEvent::Nothing => WebSocketWireEvent::Nothing,
            event => WebSocketWireEvent::Denial(event),
        };
        if let Some(body) = body {
            event = WebSocketWireEvent::Denial(response.send(body.into())?);
        }
        self.phase = WebSocketPhase::Denial(Box::new(response));
        Ok(event)
    }

    fn require_denial_extension(&self) -> Result<(), SendError> {
        if self.extensions.has(Extension::WebSocketHttpResponse) {
            return Ok(());
        }
        Err(not_offered(Extension::WebSocketHttpResponse))
    }

    /// CORE-013; after the last event CORE-014.
    fn unexpected(&self, got: &'static str) -> SendError {
        SendError::misuse(
            got,
            match &self.phase {
                WebSocketPhase::Handshake => "websocket.accept or websocket.close",
                WebSocketPhase::Open => "websocket.send or websocket.close",
                WebSocketPhase::Denial(response) if !response.is_complete() => {
                    "websocket.http.response.body"
                }
                WebSocketPhase::Denial(_) => "nothing: the handshake was denied",
                WebSocketPhase::Closed(_) => "nothing: the socket is closed",
            },
        )
    }
}

/// Converts the start of a denial into the start of a response. (WS-008)
///
/// A 2xx status is misuse, because on HTTP/2 it accepts the handshake (RFC 8441 §5).
fn denial_start(start: WebSocketHttpResponseStart) -> Result<HttpResponseStart, SendError> {
    if start.status.is_success() {
        return Err(SendError::misuse(
            format!("a denial with status {}", start.status.as_u16()),
            "a status of 300 or above",
        ));
    }
    let mut response = HttpResponseStart::new(start.status);
    response.headers = start.headers;
    Ok(response)
}

/// Checks whether a server may send this close frame.
fn check_close(close: &WebSocketClose) -> Result<(), SendError> {
    // RFC 6455 §7.4: 1004 is reserved. 1005, 1006 and 1015 never appear in a frame. Only clients
    // send 1010. 1012 to 1014 were registered later. Applications use 3000 to 4999. (WS-018)
    if !matches!(close.code, 1000..=1003 | 1007..=1009 | 1011..=1014 | 3000..=4999) {
        return Err(SendError::misuse(
            format!("websocket.close with code {}", close.code),
            "1000 to 1003, 1007 to 1009, 1011 to 1014, or 3000 to 4999",
        ));
    }
    // WS-019
    if close.reason.len() > MAX_REASON {
        return Err(SendError::misuse(
            format!(
                "websocket.close with a reason of {} bytes",
                close.reason.len()
            ),
            format!("at most {MAX_REASON}"),
        ));
    }
    Ok(())
}
