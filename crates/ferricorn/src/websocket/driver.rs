//! Drives an open socket, over any version of HTTP.
//!
//! In each turn it reads as much as the app has room for, polls the app, and writes the frames that
//! wait. It does not read from a client that floods, and a client that does not read stops its app at
//! `send`. Both have a bound in bytes ([`Encoder`](super::encoder::Encoder), [`ClientSide`]).
//!
//! A socket ends in one of these ways:
//!
//! - both sides have sent their close frames, in either order;
//! - the client broke the protocol: a close frame says how, and nothing more is read;
//! - the client does not answer our close frame or a ping in time, or does not read;
//! - the client is gone: the connection has ended, or was reset;
//! - the app breaks it off: the messages before that go out, but no close frame;
//! - the server stops: it sends a close frame with 1001 when the drain begins, and ends the socket when
//!   it is cut off.
//!
//! In each of them an app that still runs goes on in a task of its own, with its grace.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use asgi::{DisconnectReason, WebSocketClose};
use asgi_rules::{WebSocketDue, WebSocketKeepAlive, WebSocketPing, WebSocketTimeouts};
use bytes::BytesMut;
use tracing::debug;

use super::client_side::ClientSide;
use super::decoder::{Decoder, Incoming, MessageLimits, WebSocketFault};
use super::deflate::Inflater;
use super::io::Io;
use crate::deadlines::{TICK, TURNS, is_past};
use crate::exchange::Exchange;
use crate::lifecycle::{Phase, PhaseWatch};
use crate::net::Timer;
use crate::server::Server;

/// How far off the timer is set when nothing can become due.
const IDLE: Duration = Duration::from_secs(3600);

/// The bounds of one read, in bytes; within them it is as large as the messages need. A socket that has
/// nothing to read holds no buffer.
const SMALLEST_READ: usize = 2 * 1024;
pub(crate) const LARGEST_READ: usize = 64 * 1024;

/// How a socket ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SocketEnd {
    /// Both sides have closed it, or a close frame told the client of its fault.
    Closed,
    /// A deadline has passed.
    TimedOut(&'static str),
    /// The client is gone.
    Lost,
    /// The app broke it off, so there is no close frame.
    Aborted,
    /// The server is cut off.
    Cut,
}

/// The end of the client's side: nothing that it sends can follow.
#[derive(Debug)]
enum ClientEnd {
    Close(u16, String),
    Fault(WebSocketFault),
}

/// Drives one open socket.
pub(crate) struct Driver<I> {
    server: Arc<Server>,
    exchange: Arc<Exchange>,
    io: I,
    decoder: Decoder,
    /// Bytes that were read and not decoded.
    read: BytesMut,
    /// The size of the next read.
    read_size: usize,
    keep_alive: WebSocketKeepAlive,
    /// When the socket was opened. The keep-alive counts from here.
    opened: Instant,
    /// The app does not take its messages, so nothing is read.
    paused: bool,
    /// The last read found nothing: the next one waits for a wake-up.
    waits: bool,
    /// The end of the client's side, after messages that the app has not taken, and when it came.
    client_end: Option<(ClientEnd, Instant)>,
    phases: PhaseWatch,
    timer: Timer,
}

impl<I: Io> Driver<I> {
    /// `read` holds the bytes that the client has sent after its handshake.
    pub(crate) fn new(
        server: &Arc<Server>,
        exchange: Arc<Exchange>,
        io: I,
        read: BytesMut,
    ) -> Self {
        let config = server.config();
        let opened = Instant::now();
        let timeouts = WebSocketTimeouts {
            ping_interval: config.ws_ping_interval,
            ping_timeout: config.ws_ping_timeout,
            close_timeout: config.ws_close_timeout,
        };
        let limits = MessageLimits {
            frame: config.ws_max_frame_size,
            message: config.ws_max_message_size,
        };
        let deflate = ClientSide::of(&mut exchange.lock_session()).deflate();
        let keep_alive = WebSocketKeepAlive::new(timeouts);
        let timer = Timer::new(opened + keep_alive.deadline().unwrap_or(IDLE));
        Self {
            server: Arc::clone(server),
            exchange,
            io,
            decoder: Decoder::new(limits, deflate.map(Inflater::new)),
            read,
            read_size: SMALLEST_READ,
            keep_alive,
            opened,
            paused: false,
            waits: false,
            client_end: None,
            phases: server.watch_phases(),
            timer,
        }
    }

    /// Lets an app that still runs go on by itself, and returns the I/O for the caller to close.
    pub(crate) fn finish(self, end: SocketEnd) -> I {
        let id = self.exchange.info().id;
        match end {
            SocketEnd::Closed => debug!(exchange = id, "socket closed"),
            SocketEnd::TimedOut(why) => debug!(exchange = id, "socket timed out: {why}"),
            SocketEnd::Lost => debug!(exchange = id, "socket lost"),
            SocketEnd::Aborted => debug!(exchange = id, "socket broken off by the app"),
            SocketEnd::Cut => debug!(exchange = id, "socket cut off: the server stops"),
        }
        if end == SocketEnd::Cut {
            self.exchange.cancel("the server stops");
        }
        let ended_without_app =
            ClientSide::of(&mut self.exchange.lock_session()).ended_without_app();
        match ended_without_app {
            true => self.exchange.detach_left(),
            // The app has closed the socket itself, and does no more for this client.
            false => self.exchange.detach(None),
        }
        self.io
    }

    pub(crate) fn io(&mut self) -> &mut I {
        &mut self.io
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<SocketEnd> {
        match self.poll_turns(cx) {
            Ok(()) => Poll::Pending,
            Err(end) => Poll::Ready(end),
        }
    }

    fn poll_turns(&mut self, cx: &mut Context<'_>) -> Result<(), SocketEnd> {
        self.poll_phase(cx)?;
        self.waits = false;
        let mut go_on = true;
        for _ in 0..TURNS {
            go_on |= self.poll_incoming(cx)?;
            if !go_on {
                return self.poll_clock(cx);
            }
            self.exchange.begin_turn();
            self.exchange.poll_app(cx);
            go_on = self.poll_outgoing(cx)?;
        }
        cx.waker().wake_by_ref();
        self.poll_clock(cx)
    }

    /// Reads on, as far as the app has room. Returns whether something came for the app.
    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Result<bool, SocketEnd> {
        let exchange = Arc::clone(&self.exchange);
        let mut guard = exchange.lock_session();
        let mut side = ClientSide::of(&mut guard);
        let mut came = false;
        let (mut reads, mut bytes) = (0, 0);
        let result = loop {
            if self.keep_alive.is_over() {
                break Ok(());
            }
            if self.client_end.is_some() {
                self.paused = side.has_unread();
                came |= self.take_client_end(&mut side, None);
                break Ok(());
            }
            self.paused = !side.wants_more();
            if self.paused {
                break Ok(());
            }
            match self.decoder.decode(&mut self.read) {
                Ok(Some(Incoming::Close(code, reason))) => {
                    self.client_end = Some((ClientEnd::Close(code, reason), Instant::now()));
                }
                Ok(Some(incoming)) => came |= self.take(incoming, &mut side),
                Err(fault) => self.client_end = Some((ClientEnd::Fault(fault), Instant::now())),
                Ok(None) if reads == TURNS => {
                    cx.waker().wake_by_ref();
                    break Ok(());
                }
                Ok(None) => match self.poll_read(cx) {
                    Poll::Ready(Ok(read)) => {
                        reads += 1;
                        bytes += read;
                    }
                    Poll::Ready(Err(reason)) => {
                        side.lost(reason);
                        break Err(SocketEnd::Lost);
                    }
                    Poll::Pending => break Ok(()),
                },
            }
        };
        if self.read.is_empty() {
            self.read = BytesMut::new();
        }
        if reads > 0 {
            self.adapt_read_size(bytes);
        }
        if came {
            side.wake_receiver(cx);
        }
        result.map(|()| came)
    }

    /// Makes the next read as large as the bytes that came this time: one read for a message, and no
    /// buffer that is much larger.
    fn adapt_read_size(&mut self, bytes: usize) {
        if bytes > self.read_size {
            self.read_size = LARGEST_READ.min(bytes.next_power_of_two());
        } else if bytes < self.read_size / 4 {
            self.read_size = SMALLEST_READ.max(self.read_size / 2);
        }
    }

    /// Reads once, and returns the number of bytes.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, DisconnectReason>> {
        if self.waits {
            return Poll::Pending;
        }
        let size = self.read_size.max(self.decoder.missing(&self.read));
        self.read.reserve(size);
        let polled = self.io.poll_read(cx, &mut self.read);
        let Poll::Ready(read) = polled? else {
            self.waits = true;
            return Poll::Pending;
        };
        if read == 0 {
            return Poll::Ready(Err(DisconnectReason::Lost));
        }
        self.keep_alive.heard(self.opened.elapsed());
        Poll::Ready(Ok(read))
    }

    /// Takes a message or a control frame. Returns whether the app or the client must be served now.
    fn take(&mut self, incoming: Incoming, side: &mut ClientSide<'_>) -> bool {
        match incoming {
            Incoming::Message(message) => {
                self.keep_alive.message();
                side.deliver(message);
                true
            }
            Incoming::Ping(payload) => {
                match self.keep_alive.ping(self.opened.elapsed()) {
                    WebSocketPing::Answer => side.outgoing().pong(payload),
                    WebSocketPing::Ignore => {}
                    WebSocketPing::Flood => self.fail(TOO_MANY_PINGS, side),
                }
                true
            }
            // `take_client_end` takes a close frame.
            Incoming::Pong | Incoming::Close(..) => false,
        }
    }

    /// Takes the end of the client's side, once the app has taken the messages before it: the app may
    /// have answers to those. After a tick it no longer waits for an app that takes nothing. Returns
    /// whether it took the end.
    fn take_client_end(&mut self, side: &mut ClientSide<'_>, now: Option<Instant>) -> bool {
        let is_due = |(_, since): &mut (ClientEnd, Instant)| {
            let waited = now.map(|now| now.duration_since(*since));
            !side.has_unread() || waited.is_some_and(|waited| waited >= TICK)
        };
        match self.client_end.take_if(is_due) {
            None => return false,
            Some((ClientEnd::Fault(fault), _)) => self.fail(fault, side),
            Some((ClientEnd::Close(code, reason), _)) => {
                self.keep_alive.closed();
                side.closed(code, reason);
            }
        }
        true
    }

    /// Closes the socket because the client broke a rule.
    fn fail(&mut self, fault: WebSocketFault, side: &mut ClientSide<'_>) {
        let WebSocketFault { code, why } = fault;
        let id = self.exchange.info().id;
        debug!(exchange = id, "socket closed with {code}: {why}");
        let close = WebSocketClose::new(code).reason(why);
        side.close(DisconnectReason::ProtocolError, &close);
        self.keep_alive.fail();
    }

    /// Writes the frames that wait. Returns whether a task that waits for room has some now.
    fn poll_outgoing(&mut self, cx: &mut Context<'_>) -> Result<bool, SocketEnd> {
        let exchange = Arc::clone(&self.exchange);
        let mut guard = exchange.lock_session();
        let mut side = ClientSide::of(&mut guard);
        if side.is_closing() {
            self.keep_alive.close(self.opened.elapsed());
        }
        let mut written = 0;
        let outgoing = side.outgoing();
        let polled = self.io.poll_write(cx, outgoing, &mut written);
        let all = outgoing.is_empty();
        let room = written > 0 && side.written(written as u64, cx);
        match polled {
            Poll::Ready(Err(reason)) => {
                side.lost(reason);
                Err(SocketEnd::Lost)
            }
            Poll::Ready(Ok(())) if all && side.is_aborted() => Err(SocketEnd::Aborted),
            Poll::Ready(Ok(())) if all && self.keep_alive.is_over() => Err(SocketEnd::Closed),
            _ => Ok(room),
        }
    }

    /// Closes the socket when the server drains, and ends it when the server is cut off.
    fn poll_phase(&mut self, cx: &mut Context<'_>) -> Result<(), SocketEnd> {
        while let Poll::Ready(phase) = self.phases.poll_next(cx) {
            let close = WebSocketClose::new(1001).reason("the server stops");
            let mut guard = self.exchange.lock_session();
            let mut side = ClientSide::of(&mut guard);
            side.close(DisconnectReason::Shutdown, &close);
            if phase >= Phase::Cut {
                // As much as can be written at once.
                let _ = self.io.poll_write(cx, side.outgoing(), &mut 0);
                return Err(SocketEnd::Cut);
            }
        }
        Ok(())
    }

    fn poll_clock(&mut self, cx: &mut Context<'_>) -> Result<(), SocketEnd> {
        loop {
            self.timer.fire_by(self.next_check());
            if self.timer.poll(cx).is_pending() {
                return Ok(());
            }
            let now = Instant::now();
            self.check_deadlines(now, cx)?;
            self.timer.reset(self.next_check().max(now));
        }
    }

    /// When the deadlines must be checked next.
    fn next_check(&self) -> Instant {
        let idle = || Instant::now() + if self.paused { TICK } else { IDLE };
        let write_timeout = self.server.config().write_timeout;
        let stuck = self.io.stuck_since().map(|since| since + write_timeout);
        let due = match self.paused {
            // The client is silent because nothing is read.
            true => None,
            false => self.keep_alive.deadline().map(|after| self.opened + after),
        };
        let deadline = [stuck, due].into_iter().flatten().min();
        deadline.unwrap_or_else(idle)
    }

    /// Acts on the deadlines that have passed.
    fn check_deadlines(&mut self, now: Instant, cx: &mut Context<'_>) -> Result<(), SocketEnd> {
        if let Some(since) = self.io.stuck_since()
            && is_past(since, self.server.config().write_timeout, now)
        {
            ClientSide::of(&mut self.exchange.lock_session()).lost(DisconnectReason::TimedOut);
            return Err(SocketEnd::TimedOut("the client does not read"));
        }
        if self.paused {
            self.keep_alive.heard(now - self.opened);
            let exchange = Arc::clone(&self.exchange);
            if self.take_client_end(&mut ClientSide::of(&mut exchange.lock_session()), Some(now)) {
                // Another turn sends the answer and lets the app learn of the end.
                cx.waker().wake_by_ref();
                return Ok(());
            }
            if self.io.is_lost(cx) {
                ClientSide::of(&mut self.exchange.lock_session()).lost(DisconnectReason::Lost);
                return Err(SocketEnd::Lost);
            }
        }
        match self.keep_alive.overdue(now - self.opened) {
            WebSocketDue::Nothing => Ok(()),
            WebSocketDue::Ping => {
                ClientSide::of(&mut self.exchange.lock_session())
                    .outgoing()
                    .ping();
                self.poll_outgoing(cx).map(drop)
            }
            WebSocketDue::NoPong => {
                let close = WebSocketClose::new(1011).reason("no answer to a ping");
                let mut guard = self.exchange.lock_session();
                let mut side = ClientSide::of(&mut guard);
                side.close(DisconnectReason::TimedOut, &close);
                let _ = self.io.poll_write(cx, side.outgoing(), &mut 0);
                Err(SocketEnd::TimedOut("no answer to a ping"))
            }
            WebSocketDue::NoClose => Err(SocketEnd::TimedOut("no answer to a close frame")),
        }
    }
}

const TOO_MANY_PINGS: WebSocketFault = WebSocketFault {
    code: 1008,
    why: "too many pings",
};
