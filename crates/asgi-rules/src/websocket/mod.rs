//! One WebSocket, from its handshake on.

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
use crate::response::{is_connection_field, remove_fields};
use crate::{AppEnd, Ending, Fault, HttpRules, WireEvent};

pub use self::keep_alive::{WebSocketDue, WebSocketKeepAlive, WebSocketPing, WebSocketTimeouts};

/// What goes on the wire: an answer to the handshake, then, if that accepts it, messages and a
/// close.
#[derive(Debug)]
#[non_exhaustive]
pub enum WebSocketWireEvent {
    /// Nothing, for now.
    Nothing,
    /// The handshake is accepted, with these fields and this subprotocol.
    Accept(WebSocketAccept),
    /// The handshake is denied: a part of an HTTP response.
    Denial(WireEvent),
    /// A message.
    Message(Message),
    /// A close frame; nothing follows.
    Close(WebSocketClose),
}

/// What becomes of a WebSocket whose app has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebSocketVerdict {
    /// What the client sees.
    pub ending: WebSocketEnding,
    /// What is to be logged as the app's fault, once.
    pub fault: Option<Fault>,
}

/// What the client sees of an app's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebSocketEnding {
    /// A whole denial, or a close frame; nothing is left to do.
    Complete,
    /// No answer to its handshake yet: answer 500.
    ServerError,
    /// No answer to its handshake, or half of one: break it off so that the client can tell.
    Abort,
    /// An open socket: send a close frame with this code.
    Close(u16),
    /// Nothing more; it is gone.
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
/// Beside that there are two more facts: whether the client is gone, or the server has closed the
/// socket itself, and whether the app has ended. Both can come at any time. An event that is not
/// taken changes nothing (CORE-012). What an open socket owes its client on the wire is for
/// [`WebSocketKeepAlive`] to say.
#[derive(Debug)]
pub struct WebSocketRules {
    phase: Phase,
    /// What the client offers.
    subprotocols: Vec<String>,
    extensions: Extensions,
    connect_received: bool,
    left: Option<Left>,
    /// The app has been told that the client is gone.
    told: bool,
    app_ended: bool,
}

#[derive(Debug)]
enum Phase {
    Handshake,
    Denial(Box<HttpRules>),
    Open,
    Closed(WebSocketClose),
}

/// How the client left.
#[derive(Debug)]
struct Left {
    reason: DisconnectReason,
    disconnect: WebSocketDisconnect,
}

/// There was no close frame (RFC 6455 §7.4.1).
const NO_CLOSE_FRAME: u16 = 1006;

/// What a close frame holds beside its code: a control frame carries 125 bytes (RFC 6455 §5.5).
const MAX_REASON: usize = 123;

impl WebSocketRules {
    /// A handshake that offers these subprotocols, on a connection that can do these things.
    pub fn new(subprotocols: Vec<String>, extensions: Extensions) -> Self {
        Self {
            phase: Phase::Handshake,
            subprotocols,
            extensions,
            connect_received: false,
            left: None,
            told: false,
            app_ended: false,
        }
    }

    /// Whether the app receives `websocket.connect` now: yes, the first time. (WS-004)
    pub fn connect(&mut self) -> bool {
        !std::mem::replace(&mut self.connect_received, true)
    }

    /// Whether the app may send at all.
    ///
    /// # Errors
    ///
    /// The app has ended, or the client is gone.
    pub fn ready(&mut self) -> Result<(), SendError> {
        if self.app_ended {
            // CORE-004
            return Err(SendError::over());
        }
        match &self.left {
            None => Ok(()),
            Some(left) => {
                // CORE-015
                self.told = true;
                Err(SendError::disconnected(left.reason))
            }
        }
    }

    /// Takes an event of the app and says what goes on the wire.
    ///
    /// # Errors
    ///
    /// As [`ready`](Self::ready); and if the event breaks the rules, or the connection cannot do
    /// it. Then nothing has changed. Which error it is if several hold is said by CORE-027.
    pub fn send(&mut self, event: SendEvent) -> Result<WebSocketWireEvent, SendError> {
        self.ready()?;
        if !self.is_complete()
            && let SendEvent::WebSocketHttpResponseStart(_)
            | SendEvent::WebSocketHttpResponseBody(_) = event
        {
            self.offered()?;
        }
        match (&mut self.phase, event) {
            (Phase::Handshake, SendEvent::WebSocketAccept(accept)) => self.accept(accept),
            (Phase::Handshake, SendEvent::WebSocketClose(close)) => {
                check_close(&close)?;
                // WS-007
                let start = HttpResponseStart::new(StatusCode::FORBIDDEN);
                self.deny(start, Some(HttpResponseBody::last(Bytes::new())))
            }
            (Phase::Handshake, SendEvent::WebSocketHttpResponseStart(start)) => {
                self.deny(denial(start)?, None)
            }
            (Phase::Denial(response), SendEvent::WebSocketHttpResponseBody(part))
                if !response.is_complete() =>
            {
                let part = HttpResponseBody::new(part.body, part.more_body);
                response.send(part.into()).map(WebSocketWireEvent::Denial)
            }
            (Phase::Open, SendEvent::WebSocketSend(send)) => {
                Ok(WebSocketWireEvent::Message(send.message))
            }
            (Phase::Open, SendEvent::WebSocketClose(close)) => {
                check_close(&close)?;
                self.phase = Phase::Closed(close.clone());
                Ok(WebSocketWireEvent::Close(close))
            }
            (_, event) => Err(self.unexpected(event.name())),
        }
    }

    /// The app waits for something: the head of a denial that was held back goes out. (HTTP-024)
    pub fn waiting(&mut self) -> WebSocketWireEvent {
        if self.app_ended || self.left.is_some() {
            return WebSocketWireEvent::Nothing;
        }
        match &mut self.phase {
            Phase::Denial(response) => match response.waiting() {
                WireEvent::Nothing => WebSocketWireEvent::Nothing,
                head => WebSocketWireEvent::Denial(head),
            },
            _ => WebSocketWireEvent::Nothing,
        }
    }

    /// Whether messages go to and fro: those of the client's that come before are kept for the
    /// app, those that come after are dropped. (WS-013, WS-014)
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open) && self.left.is_none() && !self.app_ended
    }

    /// Whether the app has sent its last event: the rest of a denial, or a close.
    pub fn is_complete(&self) -> bool {
        match &self.phase {
            Phase::Handshake | Phase::Open => false,
            Phase::Denial(response) => response.is_complete(),
            Phase::Closed(_) => true,
        }
    }

    /// The client's close frame came; its code is 1005 if it had none. (WS-020)
    pub fn closed(&mut self, code: u16, reason: impl Into<String>) {
        self.leave(
            DisconnectReason::Closed,
            WebSocketDisconnect::new(code, reason),
        );
    }

    /// The client is gone without a close frame. (WS-021)
    pub fn disconnected(&mut self, reason: DisconnectReason) {
        self.leave(reason, WebSocketDisconnect::new(NO_CLOSE_FRAME, ""));
    }

    /// The server closes the socket itself: it stops, or the client broke a rule or was too slow.
    /// Whether a close frame goes out: on an open socket alone. (WS-029 to WS-031)
    ///
    /// The app is told the code and the reason of that frame, and 1006 where there is none.
    pub fn close(&mut self, why: DisconnectReason, close: &WebSocketClose) -> bool {
        let open = self.is_open();
        if open {
            let told = WebSocketDisconnect::new(close.code, close.reason.as_str());
            self.leave(why, told);
        } else {
            self.disconnected(why);
        }
        open
    }

    /// What `receive` yields behind the last message, if the socket came to its end.
    ///
    /// Once it has said something it says the same for ever. (CORE-008)
    pub fn disconnect(&mut self) -> Option<WebSocketDisconnect> {
        if let Some(left) = &self.left {
            self.told = true;
            return Some(left.disconnect.clone());
        }
        match &self.phase {
            // WS-022
            Phase::Closed(close) => {
                Some(WebSocketDisconnect::new(close.code, close.reason.as_str()))
            }
            _ if self.is_complete() || self.app_ended => {
                Some(WebSocketDisconnect::new(NO_CLOSE_FRAME, ""))
            }
            _ => None,
        }
    }

    /// What the sender's `closed` tells, if the socket came to its end.
    pub fn disconnect_reason(&mut self) -> Option<DisconnectReason> {
        if let Some(left) = &self.left {
            self.told = true;
            return Some(left.reason);
        }
        (self.is_complete() || self.app_ended).then_some(DisconnectReason::Complete)
    }

    /// The app has ended. Whatever its halves do from now on is told that it is over.
    pub fn ended(&mut self, end: AppEnd) -> WebSocketVerdict {
        self.app_ended = true;
        let complete = self.is_complete();
        let ending = match &mut self.phase {
            _ if complete => WebSocketEnding::Complete,
            _ if self.left.is_some() => WebSocketEnding::Gone,
            Phase::Denial(response) => match response.ended(end).ending {
                // A head that was held back is not on the wire. (HTTP-038)
                Ending::ServerError => WebSocketEnding::ServerError,
                _ => WebSocketEnding::Abort,
            },
            Phase::Handshake if end == AppEnd::Cancelled => WebSocketEnding::Abort,
            // WS-011
            Phase::Handshake => WebSocketEnding::ServerError,
            Phase::Open | Phase::Closed(_) => {
                let code = match end {
                    AppEnd::Returned => 1000,                                        // WS-023
                    AppEnd::Cancelled => 1001,                                       // WS-025
                    AppEnd::Failed | AppEnd::Unsupported | AppEnd::Panicked => 1011, // WS-024
                };
                self.phase = Phase::Closed(WebSocketClose::new(code));
                WebSocketEnding::Close(code)
            }
        };
        let left_out = match (ending, &self.phase) {
            (WebSocketEnding::ServerError, Phase::Handshake) => Some(Fault::NoResponse),
            (WebSocketEnding::ServerError | WebSocketEnding::Abort, _) => Some(Fault::Incomplete),
            _ => None,
        };
        WebSocketVerdict {
            ending,
            fault: fault(end, self.told, left_out),
        }
    }

    fn leave(&mut self, reason: DisconnectReason, disconnect: WebSocketDisconnect) {
        if self.left.is_none() && !self.is_complete() {
            self.left = Some(Left { reason, disconnect });
        }
    }

    fn accept(&mut self, mut accept: WebSocketAccept) -> Result<WebSocketWireEvent, SendError> {
        // WS-009
        if let Some(chosen) = &accept.subprotocol
            && !self.subprotocols.contains(chosen)
        {
            return Err(SendError::misuse(
                format!("websocket.accept with the subprotocol {chosen:?}"),
                format!("one that the client offers: {:?}", self.subprotocols),
            ));
        }
        // WS-010
        let mut names = accept.headers.keys();
        if let Some(name) = names.find(|name| name.as_str().starts_with("sec-websocket-")) {
            return Err(SendError::misuse(
                format!("websocket.accept with the field {name}"),
                "no field of the handshake's own; a subprotocol goes into `subprotocol`",
            ));
        }
        // RFC 9110 §8.6 forbids a content-length beside 101. (HTTP-028, HTTP-034)
        remove_fields(&mut accept.headers, |name| {
            is_connection_field(name) || name == CONTENT_LENGTH
        });
        self.phase = Phase::Open;
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
        self.phase = Phase::Denial(Box::new(response));
        Ok(event)
    }

    fn offered(&self) -> Result<(), SendError> {
        if self.extensions.has(Extension::WebSocketHttpResponse) {
            return Ok(());
        }
        Err(not_offered(Extension::WebSocketHttpResponse))
    }

    /// CORE-013; and CORE-014 behind the last event.
    fn unexpected(&self, got: &'static str) -> SendError {
        SendError::misuse(
            got,
            match &self.phase {
                Phase::Handshake => "websocket.accept or websocket.close",
                Phase::Open => "websocket.send or websocket.close",
                Phase::Denial(response) if !response.is_complete() => {
                    "websocket.http.response.body"
                }
                Phase::Denial(_) => "nothing: the handshake was denied",
                Phase::Closed(_) => "nothing: the socket is closed",
            },
        )
    }
}

/// A denial as a response. (WS-008)
///
/// On HTTP/2 a 2xx is what accepts the handshake (RFC 8441 §5).
fn denial(start: WebSocketHttpResponseStart) -> Result<HttpResponseStart, SendError> {
    if start.status.is_success() {
        return Err(SendError::misuse(
            format!("a denial with status {}", start.status.as_u16()),
            "a status that denies, 300 or above",
        ));
    }
    let mut response = HttpResponseStart::new(start.status);
    response.headers = start.headers;
    Ok(response)
}

/// Whether a server may send this close frame.
fn check_close(close: &WebSocketClose) -> Result<(), SendError> {
    // RFC 6455 §7.4: 1004 is reserved, 1005, 1006 and 1015 never go on the wire, 1010 is the
    // client's; 1012 to 1014 were registered later; applications have 3000 to 4999. (WS-018)
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
