//! The side of a WebSocket's session that faces its client, for the driver.

use std::task::Context;

use asgi::{DisconnectReason, Message, WebSocketClose};

use super::deflate::Agreement;
use super::encoder::Encoder;
use super::session::Session;
use crate::exchange::{SessionExchange, SessionGuard};

/// The side of a locked session that faces its client.
pub(super) struct ClientSide<'a> {
    session: &'a mut Session,
    exchange: SessionExchange<'a>,
}

impl<'a> ClientSide<'a> {
    pub(super) fn of(guard: &'a mut SessionGuard<'_>) -> Self {
        let (session, exchange) = guard.parts();
        Self { session, exchange }
    }

    /// How messages are compressed, as the handshake has agreed.
    pub(super) fn deflate(&self) -> Option<Agreement> {
        self.session.deflate()
    }

    /// Whether another message of the client's may be read, and another answer queued for it.
    pub(super) fn wants_more(&self) -> bool {
        self.session.wants_more()
    }

    /// Whether the app has left some of the messages that came.
    pub(super) fn has_unread(&self) -> bool {
        self.session.has_unread()
    }

    /// Queues a message for the app, unless the app can take no more.
    pub(super) fn deliver(&mut self, message: Message) {
        self.session.deliver(message);
    }

    /// Wakes the task that waits for a message, unless it is this one: it polls the app next.
    pub(super) fn wake_receiver(&mut self, cx: &Context<'_>) {
        self.exchange.wake_receiver(cx);
    }

    /// The frames that wait to be written.
    pub(super) fn outgoing(&mut self) -> &mut Encoder {
        &mut self.session.outgoing
    }

    /// Whether a close frame of ours waits to be written, or was written.
    pub(super) fn is_closing(&self) -> bool {
        self.session.is_closing()
    }

    /// Whether the app has broken the open socket off.
    pub(super) fn is_aborted(&self) -> bool {
        self.session.is_aborted()
    }

    /// The client has closed the socket. It gets its own code back.
    ///
    /// RFC 6455 §5.5.1: "When sending a Close frame in response, the endpoint typically echos the
    /// status code it received." (WS-028)
    pub(super) fn closed(&mut self, code: u16, reason: String) {
        self.session.rules.closed(code, reason);
        self.session.close(&WebSocketClose::new(code));
        self.exchange.wake_app();
    }

    /// The server closes the socket.
    pub(super) fn close(&mut self, why: DisconnectReason, close: &WebSocketClose) {
        if self.session.rules.close(why, close) {
            self.session.close(close);
        }
        self.exchange.wake_app();
    }

    /// The client is gone without a close frame.
    pub(super) fn lost(&mut self, why: DisconnectReason) {
        self.session.rules.disconnected(why);
        self.exchange.wake_app();
    }

    /// Counts bytes that were written. Whether a task waits for room, and has some again.
    pub(super) fn written(&mut self, count: u64, cx: &Context<'_>) -> bool {
        self.exchange.count_sent(count);
        self.session.outgoing.has_room() && self.exchange.wake_sender(cx)
    }

    /// Whether the socket came to its end without the app.
    pub(super) fn ended_without_app(&self) -> bool {
        !self.session.rules.is_complete()
    }
}
