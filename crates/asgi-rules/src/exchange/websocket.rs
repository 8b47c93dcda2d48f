//! One WebSocket.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use asgi::{
    DisconnectReason, Message, ReceiveEvent, Receiver, SendError, SendEvent, Sender,
    WebSocketClose, WebSocketConnect, WebSocketReceive,
};

use super::shared::{ExchangeProtocol, SharedExchange, Stage};
use crate::{AppEnd, WebSocketRules, WebSocketVerdict, WebSocketWireEvent, WireEvent};

/// The server's handle of one WebSocket. See the [module](crate::exchange) for the loop of a server.
///
/// It knows nothing of frames, pings and the closing handshake:
/// [`WebSocketKeepAlive`](crate::WebSocketKeepAlive) decides about these.
///
/// A clone is cheap and refers to the same WebSocket.
#[derive(Clone)]
pub struct WebSocketExchange(Arc<SharedExchange<WebSocketProtocol>>);

struct WebSocketProtocol {
    rules: WebSocketRules,
    /// The client's messages that the app has not received.
    messages: VecDeque<Message>,
    accepted: bool,
    app_ended: bool,
    /// The client or the server has ended the WebSocket.
    disconnected: bool,
}

impl WebSocketExchange {
    /// Creates an exchange with these rules.
    ///
    /// There is room for one message between the app and the server.
    /// [`with_room`](Self::with_room) changes that.
    pub fn new(rules: WebSocketRules) -> Self {
        Self(Arc::new(SharedExchange::new(WebSocketProtocol {
            rules,
            messages: VecDeque::new(),
            accepted: false,
            app_ended: false,
            disconnected: false,
        })))
    }

    /// Sets how many bytes of output may wait for the server before the app waits for room.
    ///
    /// Each output counts the bytes of its message, and one more. The last event that the app sends
    /// may go beyond the bound. (CORE-011)
    #[must_use]
    pub fn with_room(self, bytes: usize) -> Self {
        self.0.set_room(bytes);
        self
    }

    /// Makes the receiver and the sender for the app. Call it once.
    pub fn halves(&self) -> (Receiver, Sender) {
        asgi::halves(Arc::clone(&self.0))
    }

    /// Adds a message of the client. The app receives it after it has accepted.
    ///
    /// Messages that come after the app's close or after the client's are dropped. (WS-014)
    pub fn push_message(&self, message: Message) {
        self.0.with(|state| {
            if state.protocol.can_receive() && !state.protocol.disconnected {
                state.protocol.messages.push_back(message);
                state.input_came();
            }
        });
    }

    /// Returns whether the app waits for a message.
    pub fn wants_message(&self) -> bool {
        self.0.with(|state| state.wants_input())
    }

    /// Waits until [`wants_message`](Self::wants_message).
    pub fn poll_wants_message(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_wants_input(cx)
    }

    /// Records the client's close frame. `code` is 1005 if the frame had none. (WS-020)
    ///
    /// The app receives the messages that came before it.
    pub fn closed(&self, code: u16, reason: impl Into<String>) {
        self.end(|rules| rules.closed(code, reason));
    }

    /// Records that the client is gone and has sent no close frame. (WS-021)
    pub fn disconnected(&self, reason: DisconnectReason) {
        self.end(|rules| rules.disconnected(reason));
    }

    /// Records that the server closes the WebSocket itself, as
    /// [`WebSocketRules::close`] does. Returns whether the server must send `frame`.
    pub fn close(&self, reason: DisconnectReason, frame: &WebSocketClose) -> bool {
        self.end(|rules| rules.close(reason, frame))
    }

    /// Sends the head of a denial that is held back, because a poll of the app returned `Pending`.
    /// (HTTP-024)
    pub fn app_is_waiting(&self) {
        self.0.app_is_waiting();
    }

    /// Polls for the next thing to send to the client. It is never [`WebSocketWireEvent::Nothing`].
    ///
    /// Taking it makes room for another event of the app.
    pub fn poll_output(&self, cx: &mut Context<'_>) -> Poll<WebSocketWireEvent> {
        self.0.poll_output(cx)
    }

    /// Takes the next output, if there is one. Unlike [`poll_output`](Self::poll_output), this does
    /// not wake the caller later.
    pub fn take_output(&self) -> Option<WebSocketWireEvent> {
        self.0.with(|state| state.take_output())
    }

    /// Records that the app has ended: a reference to its result, or an [`AppEnd`].
    ///
    /// The outputs that the app sent before still come. After them, the server does what the
    /// verdict says, such as sending a close frame.
    pub fn ended(&self, end: impl Into<AppEnd>) -> WebSocketVerdict {
        let end = end.into();
        self.0.with(|state| {
            state.protocol.app_ended = true;
            state.protocol.messages.clear();
            state.wake_app();
            state.protocol.rules.ended(end)
        })
    }

    fn end<T>(&self, end: impl FnOnce(&mut WebSocketRules) -> T) -> T {
        self.0.with(|state| {
            state.protocol.disconnected = true;
            state.wake_app();
            end(&mut state.protocol.rules)
        })
    }
}

impl fmt::Debug for WebSocketExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.with(|state| {
            f.debug_struct("WebSocketExchange")
                .field("rules", &state.protocol.rules)
                .finish_non_exhaustive()
        })
    }
}

impl WebSocketProtocol {
    /// Returns whether messages still reach the app: none do after its own close.
    fn can_receive(&self) -> bool {
        !self.app_ended && !self.rules.is_complete()
    }
}

impl ExchangeProtocol for WebSocketProtocol {
    type Output = WebSocketWireEvent;

    fn ready(&mut self) -> Result<(), SendError> {
        self.rules.report_ready()
    }

    fn send(&mut self, event: SendEvent) -> Result<Option<WebSocketWireEvent>, SendError> {
        let output = self.rules.send(event)?;
        self.accepted |= matches!(output, WebSocketWireEvent::Accept(_));
        Ok(some_output(output))
    }

    fn waiting(&mut self) -> Option<WebSocketWireEvent> {
        some_output(self.rules.waiting())
    }

    fn receive(&mut self) -> Option<ReceiveEvent> {
        if self.rules.connect() {
            return Some(WebSocketConnect::new().into());
        }
        if self.accepted
            && self.can_receive()
            && let Some(message) = self.messages.pop_front()
        {
            return Some(WebSocketReceive::new(message).into());
        }
        self.rules.report_disconnect().map(Into::into)
    }

    fn closed(&mut self) -> Option<DisconnectReason> {
        self.rules.report_closed()
    }

    fn takes_input(&self) -> bool {
        self.accepted && self.can_receive() && !self.disconnected
    }

    fn stage(&self) -> Stage {
        match self.rules.is_complete() {
            false if !self.accepted => Stage::Start,
            false => Stage::Accepted,
            true => Stage::Complete,
        }
    }

    fn size(output: &WebSocketWireEvent) -> usize {
        1 + match output {
            WebSocketWireEvent::Message(message) => message.as_bytes().len(),
            WebSocketWireEvent::Denial(
                WireEvent::Response(_, body)
                | WireEvent::Head(_, body)
                | WireEvent::Data(body)
                | WireEvent::Last(body),
            ) => body.len(),
            _ => 0,
        }
    }
}

fn some_output(event: WebSocketWireEvent) -> Option<WebSocketWireEvent> {
    match event {
        WebSocketWireEvent::Nothing => None,
        event => Some(event),
    }
}
