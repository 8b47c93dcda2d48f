//! The task of one connection: does what hyper does not do, and ends the connection.
//!
//! A connection ends in one of these ways:
//!
//! - hyper is done: the client closed between two requests, or a response said `connection: close`,
//!   or the connection goes on as a WebSocket;
//! - the client is lost: a reset, or a write that fails;
//! - a deadline has passed: a head, a body or the reading of a response took too long, or nothing
//!   came;
//! - a head is refused: the request framing found a fault in it, and hyper never gets it;
//! - the app broke its response off: the connection is closed so that the client can tell;
//! - the server cuts it off.
//!
//! In each of them a running app goes on in a task of its own, with its grace.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use asgi::DisconnectReason;
use http::{Method, StatusCode, Version};

use super::current::CurrentConnection;
use super::request_framing::Position;
use super::transport::{Transport, TransportStatus};
use super::{Connection, Hyper};
use crate::access_log::log_unreadable;
use crate::connection_end::ConnectionEnd;
use crate::deadlines::{BodyWait, ConnectionDue, TURNS};
use crate::exchange::{BrokenOff, Exchange, TurnEnd};
use crate::lifecycle::{Phase, PhaseWatch};
use crate::net::{Peer, Timer};
use crate::refusal::Refusal;
use crate::server::Server;

pub(super) type HyperEnd = ConnectionEnd<hyper::Error>;

/// The task of one connection.
pub(super) struct Driver {
    connection: CurrentConnection,
    phases: PhaseWatch,
    timer: Timer,
}

impl Driver {
    pub(super) fn new(connection: Connection) -> Self {
        let (server, deadlines) = (&connection.server, &connection.deadlines);
        let phases = server.watch_phases();
        let timer = Timer::new(deadlines.next_look(server.config(), Instant::now));
        Self {
            connection: CurrentConnection::new(connection),
            phases,
            timer,
        }
    }

    pub(super) fn poll(
        &mut self,
        mut hyper: Pin<&mut Hyper>,
        cx: &mut Context<'_>,
    ) -> Poll<HyperEnd> {
        if self.poll_phase(cx) == Phase::Cut {
            return Poll::Ready(ConnectionEnd::Cut);
        }
        let mut turns = 0;
        let status = loop {
            if let Some(exchange) = &self.connection.current {
                exchange.begin_turn();
            }
            let hyper = self.connection.enter(|| hyper.as_mut().poll(cx));
            let more = self.poll_app(cx);
            let Ok(status) = self.connection.transport.flush(cx) else {
                return Poll::Ready(ConnectionEnd::Lost);
            };
            if let Poll::Ready(result) = hyper {
                return Poll::Ready(ConnectionEnd::Finished(result));
            }
            if !(more | self.connection.transport.can_take_body()) {
                break status;
            }
            turns += 1;
            if turns == TURNS {
                cx.waker().wake_by_ref();
                break status;
            }
        };
        self.end_turn(status, cx)
    }

    /// Polls the app if hyper did not. Returns whether hyper has something to write now.
    fn poll_app(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(exchange) = &self.connection.current else {
            return false;
        };
        let TurnEnd { more, over } = exchange.end_turn(cx);
        if over {
            self.connection.current = None;
        }
        more
    }

    /// Looks whether the client is still there, then at the deadlines. hyper does neither.
    fn end_turn(&mut self, status: TransportStatus, cx: &mut Context<'_>) -> Poll<HyperEnd> {
        let connection = &mut *self.connection;
        if let Some(exchange) = &connection.current {
            match connection.transport.poll_peer(cx) {
                Peer::There => {}
                Peer::Closed => {
                    connection.request_deadlines.client_left(Instant::now());
                    if exchange.client_closed() {
                        // Another turn, so that the app can react.
                        cx.waker().wake_by_ref();
                    }
                }
                Peer::Lost => return Poll::Ready(ConnectionEnd::Lost),
            }
        }
        if let Some(end) = self.refuse_head(status) {
            return Poll::Ready(end);
        }
        self.poll_clock(status, cx)
    }

    /// Answers a head that the request framing has refused, after the responses to all requests
    /// before it.
    fn refuse_head(&mut self, status: TransportStatus) -> Option<HyperEnd> {
        let (number, error) = self.connection.transport.refused_head()?;
        let waits = self.connection.requests < number
            || self.running().is_some()
            || status.writes.since.is_some();
        if waits {
            return None;
        }
        let connection = &mut *self.connection;
        let config = connection.server.config();
        let refusal = Refusal::from(error);
        let transport = &mut connection.transport;
        let line = match transport.refused_line() {
            b"" => b"-",
            line => line,
        };
        log_unreadable(
            config,
            connection.info.client.as_ref(),
            line,
            refusal.status,
        );
        let method = if line.starts_with(b"HEAD ") {
            Method::HEAD
        } else {
            Method::GET
        };
        let answer = refusal.to_http1(config, &method);
        transport.push(&answer);
        Some(ConnectionEnd::Refused(refusal.why))
    }

    /// Follows the server's phase. Returns `Cut` if the connection must end.
    fn poll_phase(&mut self, cx: &mut Context<'_>) -> Phase {
        while let Poll::Ready(phase) = self.phases.poll_next(cx) {
            if phase >= Phase::Cut {
                return Phase::Cut;
            }
            self.connection.deadlines.said_farewell(Instant::now());
        }
        Phase::Serving
    }

    /// The exchange that keeps the connection busy.
    ///
    /// After its response is out the connection is idle, even if the app has not noticed.
    fn running(&self) -> Option<&Arc<Exchange>> {
        self.connection
            .current
            .as_ref()
            .filter(|exchange| !exchange.is_delivered())
    }

    fn poll_clock(&mut self, status: TransportStatus, cx: &mut Context<'_>) -> Poll<HyperEnd> {
        // While the client reads on, hyper may hold more of a response whose app is done.
        let runs = self.running().is_some() || status.writes.since.is_some();
        let in_head = !runs && status.position == Position::Head;
        self.connection.deadlines.turn(runs, in_head, Instant::now);
        self.timer.fire_by(self.next_look());
        while self.timer.poll(cx).is_ready() {
            if let Some(end) = self.check_deadlines(status, Instant::now()) {
                return Poll::Ready(end);
            }
            self.timer.reset(self.next_look());
        }
        Poll::Pending
    }

    fn next_look(&self) -> Instant {
        let config = self.connection.server.config();
        self.connection.deadlines.next_look(config, Instant::now)
    }

    /// Does what is due. Returns how the connection ends, if it must.
    fn check_deadlines(&mut self, status: TransportStatus, now: Instant) -> Option<HyperEnd> {
        let running = self.running().map(Arc::clone);
        let connection = &mut *self.connection;
        let config = connection.server.config();
        match connection.deadlines.due(config, status.writes, now) {
            Some(ConnectionDue::Write) => {
                let why = "the client does not read its response";
                return Some(ConnectionEnd::TimedOut(why));
            }
            Some(ConnectionDue::Head) => {
                // hyper has no request to answer.
                let refusal = Refusal::new(StatusCode::REQUEST_TIMEOUT, "an incomplete head");
                let client = connection.info.client.as_ref();
                log_unreadable(config, client, b"-", refusal.status);
                let answer = refusal.to_http1(config, &Method::GET);
                connection.transport.push(&answer);
                return Some(ConnectionEnd::TimedOut(
                    "the head of a request is incomplete",
                ));
            }
            Some(ConnectionDue::Idle | ConnectionDue::Close) => return Some(ConnectionEnd::Idle),
            None => {}
        }
        let exchange = running?;
        exchange.check_time(now);
        let wait = exchange
            .wants_body_since()
            .filter(|_| status.position == Position::Body)
            .map(|since| BodyWait {
                since,
                last_byte: connection.transport.body_read(),
            });
        let came = connection.transport.body_bytes();
        let due = connection.request_deadlines.due(config, wait, came, now);
        if due.body {
            exchange.peer_failed(DisconnectReason::TimedOut, StatusCode::REQUEST_TIMEOUT);
        }
        if due.grace {
            exchange.cancel("its client left and its grace is over");
        }
        None
    }

    /// Lets go of the app, then closes the socket.
    pub(super) async fn finish(mut self, end: HyperEnd) {
        end.log(self.connection.info.client.as_ref());
        let broken_off = self.is_broken_off(&end);
        let current = self.connection.current.take();
        let close_delimited = current
            .as_ref()
            .is_some_and(|exchange| exchange.info().version == Version::HTTP_10);
        if let Some(exchange) = current {
            self.let_go(&exchange, &end);
        }
        let connection = &mut *self.connection;
        let transport = &mut connection.transport;
        match end {
            ConnectionEnd::Cut | ConnectionEnd::Lost => return,
            // The end of the connection is the end of the body. Only a reset shows that the body is
            // incomplete. (HTTP-039)
            ConnectionEnd::Finished(Err(_)) if broken_off && close_delimited => {
                transport.reset_on_close();
                return;
            }
            ConnectionEnd::TimedOut(_) if transport.stuck_since().is_some() => {
                transport.reset_on_close();
                return;
            }
            _ => {}
        }
        transport.close(&connection.server).await;
    }

    /// Hands over the connection of a WebSocket.
    pub(super) fn into_websocket(mut self) -> Option<(Arc<Server>, Transport, Arc<Exchange>)> {
        let Connection {
            server,
            transport,
            current,
            ..
        } = *self.connection.take()?;
        Some((server, transport, current?))
    }

    /// Whether hyper has answered a handshake with 101, and is done with the connection.
    pub(super) fn opens_websocket(&self, end: &HyperEnd) -> bool {
        self.connection.opens && matches!(end, ConnectionEnd::Finished(Ok(())))
    }

    /// Gives a running app a task of its own, unless the server is cut off.
    fn let_go(&mut self, exchange: &Arc<Exchange>, end: &HyperEnd) {
        if let ConnectionEnd::Cut = end {
            exchange.disconnected(DisconnectReason::Shutdown);
            exchange.cancel("the server stops");
            exchange.log_access();
            return;
        }
        let reason = match end {
            ConnectionEnd::TimedOut(_) => DisconnectReason::TimedOut,
            _ => DisconnectReason::Lost,
        };
        if exchange.is_response_done() {
            exchange.detach(None);
            return;
        }
        exchange.disconnected(reason);
        let connection = &*self.connection;
        let config = connection.server.config();
        exchange.detach(
            connection
                .request_deadlines
                .grace_ends(config, Instant::now()),
        );
    }

    /// Whether the app broke its response off. Logs a request that hyper could not read, and answered
    /// itself.
    fn is_broken_off(&self, end: &HyperEnd) -> bool {
        let ConnectionEnd::Finished(Err(error)) = end else {
            return false;
        };
        if error.is_parse() {
            let status = match error.is_parse_too_large() {
                true => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                false => StatusCode::BAD_REQUEST,
            };
            let client = self.connection.info.client.as_ref();
            log_unreadable(self.connection.server.config(), client, b"-", status);
        }
        let cause = error.source();
        cause.is_some_and(|cause| cause.is::<BrokenOff>())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Only if the whole task was dropped: this breaks the cycle of an app and its halves.
        let connection = self.connection.take();
        if let Some(exchange) = connection.and_then(|mut connection| connection.current.take()) {
            exchange.cancel("its connection's task is gone");
        }
    }
}
