//! The task of one connection: what is done in a turn beside hyper, and how it ends.
//!
//! A connection ends in one of these ways:
//!
//! - hyper is done: the client closed between two requests, or a response said `connection: close`,
//!   or a handshake was accepted and the connection goes on as a WebSocket;
//! - the peer is lost: a reset, or a write that fails;
//! - a deadline: the head, the body or the reading of a response took too long, or nothing came;
//! - the app broke its response off: the connection is closed so that the client can tell;
//! - the server is cut off.
//!
//! In each of them an app that still runs goes on in a task of its own, with its grace.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use asgi::DisconnectReason;
use http::{StatusCode, Version};
use tracing::debug;

use super::current::CurrentConnection;
use super::request_framing::Position;
use super::transport::{Transport, TransportStatus};
use super::{Connection, Hyper};
use crate::exchange::{BrokenOff, Exchange, TurnEnd, log_unreadable};
use crate::net::Peer;
use crate::net::Timer;
use crate::server::{Phase, Phases, Server};

/// How often a connection on which something runs is looked after. A client that leaves while a
/// part of its request lies unread wakes nobody: this is how late it can be noticed.
const TICK: Duration = Duration::from_secs(1);

/// How long an idle connection is kept when the server drains: a client may have sent its next
/// request before it could know.
const DRAIN_SILENCE: Duration = Duration::from_secs(1);

/// How many times a turn starts over because the app had more to send, until others get theirs.
const TURNS: usize = 32;

/// How a connection ended.
#[derive(Debug)]
pub(super) enum End {
    /// hyper has finished, one way or the other.
    Hyper(Result<(), hyper::Error>),
    /// There is nobody to write to.
    Lost,
    /// A deadline of ours has passed.
    TimedOut(&'static str),
    /// It was idle for long enough.
    Idle,
    /// The server is cut off.
    Cut,
}

/// The task of one connection.
pub(super) struct Driver {
    connection: CurrentConnection,
    phases: Phases,
    draining_since: Option<Instant>,
    timer: Timer,
    /// Whether something ran, or waited to be read by the client, after the last turn.
    ran: bool,
    /// Since when a head is being read.
    head_since: Option<Instant>,
    /// Since when the client has closed its side.
    left_at: Option<Instant>,
}

impl Driver {
    pub(super) fn new(connection: Connection) -> Self {
        let opened = connection.last_activity;
        let phases = connection.server.phases();
        let timer = Timer::new(opened + connection.server.config().header_timeout);
        Self {
            connection: CurrentConnection::new(connection),
            phases,
            draining_since: None,
            timer,
            ran: false,
            head_since: None,
            left_at: None,
        }
    }

    pub(super) fn poll(&mut self, mut hyper: Pin<&mut Hyper>, cx: &mut Context<'_>) -> Poll<End> {
        if self.poll_phase(cx) == Phase::Cut {
            return Poll::Ready(End::Cut);
        }
        let mut turns = 0;
        let standing = loop {
            if let Some(exchange) = &self.connection.current {
                exchange.begin_turn();
            }
            let hyper = self.connection.enter(|| hyper.as_mut().poll(cx));
            let more = self.poll_app(cx);
            let Ok(standing) = self.connection.transport.flush(cx) else {
                return Poll::Ready(End::Lost);
            };
            if let Poll::Ready(result) = hyper {
                return Poll::Ready(End::Hyper(result));
            }
            if !more {
                break standing;
            }
            turns += 1;
            if turns == TURNS {
                cx.waker().wake_by_ref();
                break standing;
            }
        };
        self.end_turn(standing, cx)
    }

    /// Polls the app if hyper had no reason to. `true` if hyper has now.
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

    /// Looks at what hyper does not: whether the peer is there, and the clock.
    fn end_turn(&mut self, standing: TransportStatus, cx: &mut Context<'_>) -> Poll<End> {
        let connection = &mut *self.connection;
        if let Some(exchange) = &connection.current {
            match connection.transport.poll_peer(cx) {
                Peer::There => {}
                Peer::Closed => {
                    self.left_at.get_or_insert_with(Instant::now);
                    if exchange.client_closed() {
                        // Another turn, so that the app can take note.
                        cx.waker().wake_by_ref();
                    }
                }
                Peer::Lost => return Poll::Ready(End::Lost),
            }
        }
        self.poll_clock(standing, cx)
    }

    /// The server's phase, as far as it matters here.
    fn poll_phase(&mut self, cx: &mut Context<'_>) -> Phase {
        while let Poll::Ready(phase) = self.phases.poll_next(cx) {
            if phase >= Phase::Cut {
                return Phase::Cut;
            }
            self.draining_since = Some(Instant::now());
        }
        Phase::Serving
    }

    /// The exchange that keeps the connection busy.
    ///
    /// Behind a response that is out a connection is idle, even if the app has not noticed.
    fn running(&self) -> Option<&Arc<Exchange>> {
        self.connection
            .current
            .as_ref()
            .filter(|exchange| !exchange.is_delivered())
    }

    fn poll_clock(&mut self, standing: TransportStatus, cx: &mut Context<'_>) -> Poll<End> {
        // While the client reads on, hyper may hold more of a response whose app is done.
        let runs = self.running().is_some() || standing.stuck_since.is_some();
        if std::mem::replace(&mut self.ran, runs) || runs {
            self.connection.last_activity = Instant::now();
        }
        let in_head = !runs && standing.position == Position::Head;
        if !in_head {
            self.head_since = None;
        } else if self.head_since.is_none() {
            self.head_since = Some(Instant::now());
        }
        let busy = runs || in_head || self.draining_since.is_some();
        if busy {
            self.timer.hasten(Instant::now() + TICK);
        } else {
            self.timer.hasten(self.idle_deadline());
        }
        while self.timer.poll(cx).is_ready() {
            let now = Instant::now();
            if let Some(end) = self.overdue(standing, now) {
                return Poll::Ready(end);
            }
            let next = if busy {
                now + TICK
            } else {
                self.idle_deadline()
            };
            self.timer.reset(next);
        }
        Poll::Pending
    }

    fn idle_deadline(&self) -> Instant {
        let config = self.connection.server.config();
        let last = self.connection.last_activity;
        match self.draining_since {
            Some(since) => since.max(last) + DRAIN_SILENCE,
            None if self.connection.requests == 0 => last + config.header_timeout,
            None => last + config.keep_alive_timeout,
        }
    }

    /// What took too long, if anything did.
    fn overdue(&mut self, standing: TransportStatus, now: Instant) -> Option<End> {
        let config = self.connection.server.config();
        let past = |since: Instant, limit: Duration| now.duration_since(since) >= limit;
        if let Some(since) = standing.stuck_since
            && past(since, config.write_timeout)
        {
            return Some(End::TimedOut("the client does not read its response"));
        }
        if let Some(exchange) = self.running().map(Arc::clone) {
            if let Some(since) = exchange.wants_body_since()
                && standing.position == Position::Body
            {
                let read = self.connection.transport.body_read();
                let last = read.map_or(since, |read| read.max(since));
                if past(last, config.body_timeout) {
                    exchange.peer_failed(DisconnectReason::TimedOut, StatusCode::REQUEST_TIMEOUT);
                    self.left_at.get_or_insert(now);
                }
            }
            if let (Some(left_at), Some(grace)) = (self.left_at, config.disconnect_grace)
                && past(left_at, grace)
            {
                exchange.cancel("its client left and its grace is over");
            }
            return None;
        }
        if let Some(since) = self.head_since {
            if past(since, config.header_timeout) {
                self.connection.transport.push(REQUEST_TIMEOUT);
                return Some(End::TimedOut("the head of a request is incomplete"));
            }
            return None;
        }
        (now >= self.idle_deadline()).then_some(End::Idle)
    }

    /// Lets go of the connection: of its app, then of its socket.
    pub(super) async fn finish(mut self, end: End) {
        let broken_off = self.log_end(&end);
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
            End::Cut | End::Lost => return,
            // The end of the connection is the end of the body: only a reset tells that it is not
            // whole. (HTTP-039)
            End::Hyper(Err(_)) if broken_off && close_delimited => {
                transport.reset_on_close();
                return;
            }
            End::TimedOut(_) if transport.stuck_since().is_some() => {
                transport.reset_on_close();
                return;
            }
            _ => {}
        }
        transport.close(&connection.server).await;
    }

    /// The connection, if it has become a WebSocket's: the socket, and whose it is.
    pub(super) fn into_socket(mut self) -> Option<(Arc<Server>, Transport, Arc<Exchange>)> {
        let Connection {
            server,
            transport,
            current,
            ..
        } = *self.connection.take()?;
        Some((server, transport, current?))
    }

    /// Whether hyper has answered a handshake with 101, and is done with the connection.
    pub(super) fn opens_socket(&self, end: &End) -> bool {
        self.connection.opens && matches!(end, End::Hyper(Ok(())))
    }

    /// Leaves an app that still runs to a task of its own, unless the server is cut off.
    fn let_go(&mut self, exchange: &Arc<Exchange>, end: &End) {
        if let End::Cut = end {
            exchange.disconnected(DisconnectReason::Shutdown);
            exchange.cancel("the server stops");
            exchange.log_access();
            return;
        }
        let reason = match end {
            End::TimedOut(_) => DisconnectReason::TimedOut,
            _ => DisconnectReason::Lost,
        };
        if exchange.is_response_done() {
            exchange.detach(None);
            return;
        }
        exchange.disconnected(reason);
        let grace = self.connection.server.config().disconnect_grace;
        let since = self.left_at.unwrap_or_else(Instant::now);
        exchange.detach(grace.map(|grace| since + grace));
    }

    /// A request that hyper could not read, and answered itself, has a line in the access log too.
    fn log_unreadable(&self, error: &hyper::Error) {
        let server = &self.connection.server;
        if !server.config().access_log || !error.is_parse() {
            return;
        }
        let status = match error.is_parse_too_large() {
            true => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            false => StatusCode::BAD_REQUEST,
        };
        log_unreadable(self.connection.ends.client.as_ref(), status);
    }

    /// Says how it ended; whether the app broke its response off.
    fn log_end(&self, end: &End) -> bool {
        let client = &self.connection.ends.client;
        match end {
            End::Hyper(Ok(())) | End::Idle => {}
            End::Hyper(Err(error)) => {
                self.log_unreadable(error);
                let cause: Option<&(dyn Error + 'static)> = error.source();
                debug!(?client, cause, "connection ended: {error}");
                return cause.is_some_and(|cause| cause.is::<BrokenOff>());
            }
            End::Lost => debug!(?client, "connection lost"),
            End::TimedOut(why) => debug!(?client, "connection timed out: {why}"),
            End::Cut => debug!(?client, "connection cut off: the server stops"),
        }
        false
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Only if the whole task was dropped: it breaks the circle of an app and its halves.
        let connection = self.connection.take();
        if let Some(exchange) = connection.and_then(|mut connection| connection.current.take()) {
            exchange.cancel("its connection's task is gone");
        }
    }
}

/// hyper has no request to answer here, so this is written past it.
const REQUEST_TIMEOUT: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
