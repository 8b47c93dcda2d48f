//! What an exchange has of a WebSocket, and the side of it that faces the client.

use std::collections::VecDeque;
use std::sync::MutexGuard;
use std::task::{Context, Poll};

use asgi::{
    DisconnectReason, Message, ReceiveEvent, SendError, SendEvent, WebSocketClose,
    WebSocketConnect, WebSocketReceive, WebSocketScope,
};
use asgi_rules::{
    AppEnd, Framing, ResponseHead, WebSocketEnding, WebSocketRules, WebSocketVerdict,
    WebSocketWireEvent, WireEvent,
};
use http::HeaderValue;
use http::header::SEC_WEBSOCKET_PROTOCOL;

use super::state::{Rules, State, store};
use super::{Exchange, RequestBody};
use crate::websocket::{Agreement, Deflater, Encoder, Opening};

/// A socket whose app leaves this many messages is not read on, nor one that has left this many
/// bytes: the client then finds its own buffers full. Some are read ahead, for a ping or a close may
/// stand behind them.
const MESSAGES_AHEAD: usize = 32;
const BYTES_AHEAD: usize = 64 * 1024;

/// A WebSocket, from its handshake on.
pub(super) struct Socket {
    pub(super) rules: WebSocketRules,
    /// What completes the handshake, until it is accepted.
    opening: Option<Opening>,
    deflate: Option<Agreement>,
    /// What the client said and the app has not taken.
    incoming: VecDeque<Message>,
    incoming_bytes: usize,
    pub(super) outgoing: Encoder,
    /// A close frame is among what is to be written, or was.
    closing: bool,
}

impl Socket {
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
        }
    }

    /// The head of a denial that was held back.
    pub(super) fn waiting(&mut self) -> WireEvent {
        match self.rules.waiting() {
            WebSocketWireEvent::Denial(event) => event,
            _ => WireEvent::Nothing,
        }
    }

    pub(super) fn ended(&mut self, end: AppEnd) -> WebSocketVerdict {
        let verdict = self.rules.ended(end);
        self.forget_messages();
        if let WebSocketEnding::Close(code) = verdict.ending {
            self.close(&WebSocketClose::new(code));
        }
        verdict
    }

    fn close(&mut self, close: &WebSocketClose) {
        if !std::mem::replace(&mut self.closing, true) {
            self.outgoing.close(close);
        }
    }

    /// Nobody will ask for what the client has said.
    fn forget_messages(&mut self) {
        self.incoming = VecDeque::new();
        self.incoming_bytes = 0;
    }

    /// The head that opens the socket, with what the app has added to it.
    fn open(&mut self, accept: asgi::WebSocketAccept) -> Option<ResponseHead> {
        let Opening {
            status,
            headers: own,
            deflate,
        } = self.opening.take()?;
        let mut headers = accept.headers;
        headers.extend(own);
        // It is one of those that the client has offered, so it can be a field's value.
        let chosen = accept.subprotocol;
        if let Some(chosen) = chosen.and_then(|name| HeaderValue::try_from(name).ok()) {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, chosen);
        }
        self.deflate = deflate;
        self.outgoing = Encoder::new(deflate.map(Deflater::new));
        Some(ResponseHead::new(status, headers, Framing::Stream))
    }
}

impl State {
    /// What the app receives of its socket.
    pub(super) fn poll_message(&mut self, cx: &Context<'_>) -> Poll<ReceiveEvent> {
        let Rules::WebSocket(socket) = &mut self.rules else {
            return Poll::Pending;
        };
        if socket.rules.connect() {
            return Poll::Ready(WebSocketConnect::new().into());
        }
        if let Some(message) = socket.incoming.pop_front() {
            socket.incoming_bytes -= message.as_bytes().len();
            if socket.incoming.is_empty() {
                // The driver may read on.
                self.wake_driver();
            }
            return Poll::Ready(WebSocketReceive::new(message).into());
        }
        match socket.rules.disconnect() {
            Some(disconnect) => Poll::Ready(disconnect.into()),
            None => {
                store(&mut self.receive_waker, cx);
                Poll::Pending
            }
        }
    }

    pub(super) fn start_send_on_socket(&mut self, event: SendEvent) -> Result<(), SendError> {
        let Rules::WebSocket(socket) = &mut self.rules else {
            return Ok(());
        };
        match socket.rules.send(event)? {
            WebSocketWireEvent::Accept(accept) => {
                self.response.head = socket.open(accept);
                self.response.opens = true;
            }
            WebSocketWireEvent::Message(message) => socket.outgoing.message(message),
            WebSocketWireEvent::Close(close) => {
                socket.close(&close);
                // WS-014
                socket.forget_messages();
            }
            WebSocketWireEvent::Denial(event) => self.apply(event),
            _ => {}
        }
        self.wake_driver();
        if self.rules.is_complete() {
            self.wake_all();
        }
        Ok(())
    }
}

impl Exchange {
    /// What the driver of an open socket needs of the handshake: what is left of the request, and
    /// what was agreed on.
    pub(crate) fn opened(&self) -> (Option<RequestBody>, Option<Agreement>) {
        let mut state = self.lock();
        let agreement = match &state.rules {
            Rules::WebSocket(socket) => socket.deflate,
            Rules::Http(_) => None,
        };
        // Its app may have ended already.
        let left = state.leftover.take().map(RequestBody::Http2);
        (state.request_body.take().or(left), agreement)
    }

    /// The side of a WebSocket that faces its client; the app's halves wait meanwhile.
    pub(crate) fn client_side(&self) -> ClientSide<'_> {
        ClientSide(self.lock())
    }
}

/// The side of a WebSocket that faces its client.
pub(crate) struct ClientSide<'a>(MutexGuard<'a, State>);

impl ClientSide<'_> {
    fn socket(&mut self) -> &mut Socket {
        match &mut self.0.rules {
            Rules::WebSocket(socket) => socket,
            Rules::Http(_) => unreachable!("only a WebSocket has such a driver"),
        }
    }

    /// Whether the app may be given another message, and its client another answer. Behind a close
    /// messages come to nothing, and the client's own close is looked for.
    pub(crate) fn wants_more(&mut self) -> bool {
        let socket = self.socket();
        let has_room =
            socket.incoming.len() < MESSAGES_AHEAD && socket.incoming_bytes < BYTES_AHEAD;
        (has_room || !socket.rules.is_open()) && socket.outgoing.has_room_for_control()
    }

    /// Whether the app has left some of what came.
    pub(crate) fn has_unread(&mut self) -> bool {
        !self.socket().incoming.is_empty()
    }

    /// Lays a message ready for the app, unless nobody will ask for it any more.
    pub(crate) fn deliver(&mut self, message: Message) {
        let socket = self.socket();
        if socket.rules.is_open() {
            socket.incoming_bytes += message.as_bytes().len();
            socket.incoming.push_back(message);
        }
    }

    /// Wakes who waits for a message, unless that is this very task: it polls the app next.
    pub(crate) fn wake_receiver(&mut self, cx: &Context<'_>) {
        let waker = &mut self.0.receive_waker;
        if let Some(waker) = waker.take_if(|waker| !waker.will_wake(cx.waker())) {
            waker.wake();
        }
    }

    pub(crate) fn outgoing(&mut self) -> &mut Encoder {
        &mut self.socket().outgoing
    }

    /// Whether a close frame of ours is out, or on its way.
    pub(crate) fn is_closing(&mut self) -> bool {
        self.socket().closing
    }

    /// The client has closed the socket. It gets its own code back.
    ///
    /// RFC 6455 §5.5.1: "When sending a Close frame in response, the endpoint typically echos the
    /// status code it received." (WS-028)
    pub(crate) fn closed(&mut self, code: u16, reason: String) {
        let socket = self.socket();
        socket.rules.closed(code, reason);
        socket.close(&WebSocketClose::new(code));
        self.leave();
    }

    /// The server closes the socket.
    pub(crate) fn close(&mut self, why: DisconnectReason, close: &WebSocketClose) {
        let socket = self.socket();
        if socket.rules.close(why, close) {
            socket.close(close);
        }
        self.leave();
    }

    /// The client is gone without a word.
    pub(crate) fn lost(&mut self, why: DisconnectReason) {
        self.socket().rules.disconnected(why);
        self.leave();
    }

    /// So many bytes have left. Whether somebody waits for room and has some again.
    pub(crate) fn written(&mut self, count: u64, cx: &Context<'_>) -> bool {
        self.0.sent += count;
        if !self.socket().outgoing.has_room() {
            return false;
        }
        let Some(waker) = self.0.ready_waker.take() else {
            return false;
        };
        // Who waits in this very task is polled next.
        if !waker.will_wake(cx.waker()) {
            waker.wake();
        }
        true
    }

    /// Whether the socket came to its end without the app.
    pub(crate) fn is_left(&mut self) -> bool {
        !self.socket().rules.is_complete()
    }

    fn leave(&mut self) {
        self.0.runnable = true;
        self.0.wake_all();
    }
}
