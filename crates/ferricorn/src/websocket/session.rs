//! The session of a WebSocket: its rules, and the messages that wait on both sides of them.
//!
//! The exchange asks a [`Session`] what its app may do, and hands it what the app sends. The
//! [driver](super::driver) reaches it as a [`ClientSide`](super::client_side::ClientSide).

use std::collections::VecDeque;

use asgi::{
    DisconnectReason, Message, SendError, SendEvent, WebSocketAccept, WebSocketClose,
    WebSocketConnect, WebSocketReceive, WebSocketScope,
};
use asgi_rules::{
    AppEnd, Ending, Framing, ResponseHead, Verdict, WebSocketEnding, WebSocketRules,
    WebSocketWireEvent, WireEvent,
};
use http::HeaderValue;
use http::header::SEC_WEBSOCKET_PROTOCOL;

use super::deflate::{Agreement, Deflater};
use super::encoder::Encoder;
use super::handshake::Opening;
use crate::exchange::{SessionOutput, SessionReceived, SessionRules};

/// If an app leaves this many messages or bytes, its socket is not read: the client then finds its own
/// buffers full. Some are read ahead, because a ping or a close may follow them.
const MESSAGES_AHEAD: usize = 32;
pub(crate) const BYTES_AHEAD: usize = 64 * 1024;

/// A WebSocket, from its handshake on.
pub(super) struct Session {
    pub(super) rules: WebSocketRules,
    /// Completes the handshake. `None` once the app has accepted.
    opening: Option<Opening>,
    deflate: Option<Agreement>,
    /// The messages of the client that the app has not taken.
    incoming: VecDeque<Message>,
    incoming_bytes: usize,
    pub(super) outgoing: Encoder,
    /// A close frame of ours waits to be written, or was written.
    closing: bool,
    /// The app has broken the open socket off: no close frame follows.
    aborted: bool,
}

impl Session {
    pub(super) fn new(scope: &WebSocketScope, opening: Opening) -> Self {
        let rules = WebSocketRules::new(scope.subprotocols.clone(), scope.extensions.clone());
        Self {
            rules,
            opening: Some(opening),
            deflate: None,
            incoming: VecDeque::new(),
            incoming_bytes: 0,
            outgoing: Encoder::default(),
            closing: false,
            aborted: false,
        }
    }

    /// How messages are compressed, as the handshake has agreed.
    pub(super) fn deflate(&self) -> Option<Agreement> {
        self.deflate
    }

    /// Whether another message of the client's may be read, and another answer queued for it. After a
    /// close messages have no effect, and the client's own close is awaited.
    pub(super) fn wants_more(&self) -> bool {
        let has_room = self.incoming.len() < MESSAGES_AHEAD && self.incoming_bytes < BYTES_AHEAD;
        (has_room || !self.rules.is_open()) && self.outgoing.has_room_for_control()
    }

    /// Whether the app has left some of the messages that came.
    pub(super) fn has_unread(&self) -> bool {
        !self.incoming.is_empty()
    }

    /// Queues a message for the app, unless the app can take no more.
    pub(super) fn deliver(&mut self, message: Message) {
        if self.rules.is_open() {
            self.incoming_bytes += message.as_bytes().len();
            self.incoming.push_back(message);
        }
    }

    /// Queues a close frame, unless there was one.
    pub(super) fn close(&mut self, close: &WebSocketClose) {
        if !std::mem::replace(&mut self.closing, true) {
            self.outgoing.close(close);
        }
    }

    /// Whether a close frame of ours waits to be written, or was written.
    pub(super) fn is_closing(&self) -> bool {
        self.closing
    }

    /// Whether the app has broken the open socket off.
    pub(super) fn is_aborted(&self) -> bool {
        self.aborted
    }

    /// Drops the messages that the app has not taken and can take no more.
    fn drop_messages(&mut self) {
        self.incoming = VecDeque::new();
        self.incoming_bytes = 0;
    }

    /// The head that opens the socket, with what the app has added to it.
    fn open(&mut self, accept: WebSocketAccept) -> Option<ResponseHead> {
        let Opening {
            status,
            headers: own,
            deflate,
        } = self.opening.take()?;
        let mut headers = accept.headers;
        headers.extend(own);
        // The client has offered it in a header, so it can be a header's value.
        let chosen = accept.subprotocol;
        if let Some(chosen) = chosen.and_then(|name| HeaderValue::try_from(name).ok()) {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, chosen);
        }
        self.deflate = deflate;
        self.outgoing = Encoder::new(deflate.map(Deflater::new));
        Some(ResponseHead::new(status, headers, Framing::Stream))
    }
}

impl SessionRules for Session {
    fn receive(&mut self) -> Option<SessionReceived> {
        let mut wakes_driver = false;
        let event = if self.rules.connect() {
            WebSocketConnect::new().into()
        } else if let Some(message) = self.incoming.pop_front() {
            self.incoming_bytes -= message.as_bytes().len();
            wakes_driver = self.incoming.is_empty();
            WebSocketReceive::new(message).into()
        } else {
            self.rules.report_disconnect()?.into()
        };
        Some(SessionReceived {
            event,
            wakes_driver,
        })
    }

    fn report_ready(&mut self) -> Result<(), SendError> {
        self.rules.report_ready()
    }

    fn has_room(&self) -> bool {
        self.outgoing.has_room()
    }

    fn send(&mut self, event: SendEvent) -> Result<SessionOutput, SendError> {
        match self.rules.send(event)? {
            WebSocketWireEvent::Accept(accept) => {
                if let Some(head) = self.open(accept) {
                    return Ok(SessionOutput::Open(head));
                }
            }
            WebSocketWireEvent::Denial(event) => return Ok(SessionOutput::Response(event)),
            WebSocketWireEvent::Message(message) => self.outgoing.message(message),
            WebSocketWireEvent::Close(close) => {
                self.close(&close);
                // WS-014
                self.drop_messages();
            }
            _ => {}
        }
        Ok(SessionOutput::Held)
    }

    /// The head of a denial that was held back.
    fn waiting(&mut self) -> WireEvent {
        match self.rules.waiting() {
            WebSocketWireEvent::Denial(event) => event,
            _ => WireEvent::Nothing,
        }
    }

    fn is_complete(&self) -> bool {
        self.rules.is_complete()
    }

    fn disconnected(&mut self, reason: DisconnectReason) {
        self.rules.disconnected(reason);
    }

    fn report_disconnect(&mut self) -> Option<DisconnectReason> {
        self.rules.report_closed()
    }

    fn ended(&mut self, end: AppEnd) -> Verdict {
        let verdict = self.rules.ended(end);
        self.drop_messages();
        let ending = match verdict.ending {
            WebSocketEnding::ServerError => Ending::ServerError,
            // An open socket has no response that could be broken off: its driver ends it. (WS-043)
            WebSocketEnding::Abort if self.opening.is_none() && end == AppEnd::Aborted => {
                self.aborted = true;
                Ending::Complete
            }
            WebSocketEnding::Gone => Ending::Gone,
            WebSocketEnding::Complete => Ending::Complete,
            WebSocketEnding::Close(code) => {
                self.close(&WebSocketClose::new(code));
                Ending::Complete
            }
            // `Abort`
            _ => Ending::Abort,
        };
        Verdict::new(ending, verdict.fault)
    }
}
