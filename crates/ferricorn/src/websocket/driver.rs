//! What drives an open socket, over either version of HTTP.
//!
//! In each turn it reads what the app has room for, polls the app, and writes what there is to write.
//! A client that floods is not read, and one that does not read stops its app at `send`; both have a
//! bound in bytes ([`Encoder`], [`ClientSide`](crate::exchange::ClientSide)).
//!
//! A socket ends in one of these ways:
//!
//! - both sides have sent their close frames, whoever was first;
//! - the client broke the protocol: a close frame says how, and nothing more is read;
//! - the client does not answer our close frame in time, or no ping, or does not read;
//! - the client is gone: the end of the connection or a reset;
//! - the server stops: a close frame with 1001 when the drain begins, and the end when it is cut off.
//!
//! In each of them an app that still runs goes on in a task of its own, with its grace.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use asgi::{DisconnectReason, WebSocketClose};
use asgi_rules::{WebSocketDue, WebSocketKeepAlive, WebSocketPing, WebSocketTimeouts};
use bytes::BytesMut;
use tracing::debug;

use super::decoder::{Decoder, Incoming, MessageLimits, WebSocketFault};
use super::deflate::{Agreement, Inflater};
use super::io::Io;
use crate::exchange::{ClientSide, Exchange};
use crate::net::Timer;
use crate::server::{Phase, Phases, Server};

/// How often a socket is looked after whose app does not take what came: nothing else tells that
/// its client is gone.
const TICK: Duration = Duration::from_secs(1);

/// How far off the clock is where nothing can become due.
const IDLE: Duration = Duration::from_secs(3600);

/// How many times a turn starts over, until other sockets get theirs.
const TURNS: usize = 32;

/// How much is read at once, in bytes: as much as it takes. A socket that has nothing to read holds
/// no buffer.
const SMALLEST_READ: usize = 2 * 1024;
const LARGEST_READ: usize = 64 * 1024;

/// How a socket ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// As it should, or with a fault that the client was told.
    Closed,
    /// A deadline has passed.
    TimedOut(&'static str),
    /// There is nobody to write to.
    Lost,
    /// The server is cut off.
    Cut,
}

/// What nothing of the client's can follow.
#[derive(Debug)]
enum Last {
    Close(u16, String),
    Fault(WebSocketFault),
}

/// An open socket.
pub(crate) struct Driver<I> {
    server: Arc<Server>,
    exchange: Arc<Exchange>,
    io: I,
    decoder: Decoder,
    /// What was read and not decoded.
    read: BytesMut,
    /// How much is read next.
    read_size: usize,
    life: WebSocketKeepAlive,
    /// When the socket was opened, from where its life counts.
    opened: Instant,
    /// The app does not take what came, so nothing is read.
    paused: bool,
    /// Nothing was there to read since this wake-up: what comes is the next one.
    waits: bool,
    /// The last that the client said, behind messages that the app has not taken, and since when.
    last: Option<(Last, Instant)>,
    phases: Phases,
    timer: Timer,
}

impl<I: Io> Driver<I> {
    /// `read` is what the client has said behind its handshake.
    pub(crate) fn new(
        server: &Arc<Server>,
        exchange: Arc<Exchange>,
        deflate: Option<Agreement>,
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
        let life = WebSocketKeepAlive::new(timeouts);
        let timer = Timer::new(opened + life.deadline().unwrap_or(IDLE));
        Self {
            server: Arc::clone(server),
            exchange,
            io,
            decoder: Decoder::new(limits, deflate.map(Inflater::new)),
            read,
            read_size: SMALLEST_READ,
            life,
            opened,
            paused: false,
            waits: false,
            last: None,
            phases: server.phases(),
            timer,
        }
    }

    /// What the socket was read from and written to, for whoever closes it. An app that still runs is
    /// let go of.
    pub(crate) fn finish(self, end: End) -> I {
        let id = self.exchange.label().id;
        match end {
            End::Closed => debug!(exchange = id, "socket closed"),
            End::TimedOut(why) => debug!(exchange = id, "socket timed out: {why}"),
            End::Lost => debug!(exchange = id, "socket lost"),
            End::Cut => debug!(exchange = id, "socket cut off: the server stops"),
        }
        if end == End::Cut {
            self.exchange.cancel("the server stops");
        }
        let left = self.exchange.client_side().is_left();
        match left {
            true => self.exchange.detach_left(),
            // It has closed the socket itself, and does no more for this client.
            false => self.exchange.detach(None),
        }
        self.io
    }

    pub(crate) fn io(&mut self) -> &mut I {
        &mut self.io
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        match self.poll_turns(cx) {
            Ok(()) => Poll::Pending,
            Err(end) => Poll::Ready(end),
        }
    }

    fn poll_turns(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
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

    /// Reads on, as far as the app has room. Whether there is something for it.
    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        let exchange = Arc::clone(&self.exchange);
        let mut side = exchange.client_side();
        let mut came = false;
        let (mut reads, mut bytes) = (0, 0);
        let result = loop {
            if self.life.is_over() {
                break Ok(());
            }
            if self.last.is_some() {
                self.paused = side.has_unread();
                came |= self.end_reading(&mut side, None);
                break Ok(());
            }
            self.paused = !side.wants_more();
            if self.paused {
                break Ok(());
            }
            match self.decoder.decode(&mut self.read) {
                Ok(Some(Incoming::Close(code, reason))) => {
                    self.last = Some((Last::Close(code, reason), Instant::now()));
                }
                Ok(Some(said)) => came |= self.take(said, &mut side),
                Err(fault) => self.last = Some((Last::Fault(fault), Instant::now())),
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
                        break Err(End::Lost);
                    }
                    Poll::Pending => break Ok(()),
                },
            }
        };
        if self.read.is_empty() {
            self.read = BytesMut::new();
        }
        if reads > 0 {
            self.expect(bytes);
        }
        if came {
            side.wake_receiver(cx);
        }
        result.map(|()| came)
    }

    /// Makes the next read as large as what came this time: one read for a message, and no buffer that is
    /// much larger.
    fn expect(&mut self, bytes: usize) {
        if bytes > self.read_size {
            self.read_size = LARGEST_READ.min(bytes.next_power_of_two());
        } else if bytes < self.read_size / 4 {
            self.read_size = SMALLEST_READ.max(self.read_size / 2);
        }
    }

    /// Reads once; how much that was.
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
        self.life.heard(self.opened.elapsed());
        Poll::Ready(Ok(read))
    }

    /// Takes what the client said. Whether that is something for the app.
    fn take(&mut self, said: Incoming, side: &mut ClientSide<'_>) -> bool {
        match said {
            Incoming::Message(message) => {
                self.life.message();
                side.deliver(message);
                true
            }
            Incoming::Ping(payload) => {
                match self.life.ping(self.opened.elapsed()) {
                    WebSocketPing::Answer => side.outgoing().pong(payload),
                    WebSocketPing::Ignore => {}
                    WebSocketPing::Flood => self.fail(TOO_MANY_PINGS, side),
                }
                true
            }
            // The other is for `end_reading`.
            Incoming::Pong | Incoming::Close(..) => false,
        }
    }

    /// Takes the last that the client said, once the app has taken what came before: it may have
    /// answers to that. One that takes nothing is not waited for beyond a tick. Whether it was taken.
    fn end_reading(&mut self, side: &mut ClientSide<'_>, now: Option<Instant>) -> bool {
        let in_time = |(_, since): &mut (Last, Instant)| {
            let waited = now.map(|now| now.duration_since(*since));
            !side.has_unread() || waited.is_some_and(|waited| waited >= TICK)
        };
        match self.last.take_if(in_time) {
            None => return false,
            Some((Last::Fault(fault), _)) => self.fail(fault, side),
            Some((Last::Close(code, reason), _)) => {
                self.life.closed();
                side.closed(code, reason);
            }
        }
        true
    }

    /// The client broke a rule.
    fn fail(&mut self, fault: WebSocketFault, side: &mut ClientSide<'_>) {
        let WebSocketFault { code, why } = fault;
        let id = self.exchange.label().id;
        debug!(exchange = id, "socket closed with {code}: {why}");
        let close = WebSocketClose::new(code).reason(why);
        side.close(DisconnectReason::ProtocolError, &close);
        self.life.fail();
    }

    /// Writes what waits. Whether that makes room for who waits for some.
    fn poll_outgoing(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        let exchange = Arc::clone(&self.exchange);
        let mut side = exchange.client_side();
        if side.is_closing() {
            self.life.close(self.opened.elapsed());
        }
        let mut written = 0;
        let outgoing = side.outgoing();
        let polled = self.io.poll_write(cx, outgoing, &mut written);
        let all = outgoing.is_empty();
        let room = written > 0 && side.written(written as u64, cx);
        match polled {
            Poll::Ready(Err(reason)) => {
                side.lost(reason);
                Err(End::Lost)
            }
            Poll::Ready(Ok(())) if all && self.life.is_over() => Err(End::Closed),
            _ => Ok(room),
        }
    }

    /// The server's phase, as far as it matters here.
    fn poll_phase(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        while let Poll::Ready(phase) = self.phases.poll_next(cx) {
            let close = WebSocketClose::new(1001).reason("the server stops");
            let side = &mut self.exchange.client_side();
            side.close(DisconnectReason::Shutdown, &close);
            if phase >= Phase::Cut {
                // As much as can be written at once.
                let _ = self.io.poll_write(cx, side.outgoing(), &mut 0);
                return Err(End::Cut);
            }
        }
        Ok(())
    }

    fn poll_clock(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        loop {
            self.timer.hasten(self.next_look());
            if self.timer.poll(cx).is_pending() {
                return Ok(());
            }
            let now = Instant::now();
            self.look(now, cx)?;
            self.timer.reset(self.next_look().max(now));
        }
    }

    fn next_look(&self) -> Instant {
        let idle = || Instant::now() + if self.paused { TICK } else { IDLE };
        let write_timeout = self.server.config().write_timeout;
        let stuck = self.io.stuck_since().map(|since| since + write_timeout);
        let due = match self.paused {
            // Its silence is ours.
            true => None,
            false => self.life.deadline().map(|after| self.opened + after),
        };
        let deadline = [stuck, due].into_iter().flatten().min();
        deadline.unwrap_or_else(idle)
    }

    /// Does what is due.
    fn look(&mut self, now: Instant, cx: &mut Context<'_>) -> Result<(), End> {
        if let Some(since) = self.io.stuck_since()
            && now.duration_since(since) >= self.server.config().write_timeout
        {
            self.exchange.client_side().lost(DisconnectReason::TimedOut);
            return Err(End::TimedOut("the client does not read"));
        }
        if self.paused {
            self.life.heard(now - self.opened);
            let exchange = Arc::clone(&self.exchange);
            if self.end_reading(&mut exchange.client_side(), Some(now)) {
                // Another turn, in which it goes out and the app is told.
                cx.waker().wake_by_ref();
                return Ok(());
            }
            if self.io.is_lost(cx) {
                self.exchange.client_side().lost(DisconnectReason::Lost);
                return Err(End::Lost);
            }
        }
        match self.life.overdue(now - self.opened) {
            WebSocketDue::Nothing => Ok(()),
            WebSocketDue::Ping => {
                self.exchange.client_side().outgoing().ping();
                self.poll_outgoing(cx).map(drop)
            }
            WebSocketDue::NoPong => {
                let close = WebSocketClose::new(1011).reason("no answer to a ping");
                let side = &mut self.exchange.client_side();
                side.close(DisconnectReason::TimedOut, &close);
                let _ = self.io.poll_write(cx, side.outgoing(), &mut 0);
                Err(End::TimedOut("no answer to a ping"))
            }
            WebSocketDue::NoClose => Err(End::TimedOut("no answer to a close frame")),
        }
    }
}

const TOO_MANY_PINGS: WebSocketFault = WebSocketFault {
    code: 1008,
    why: "too many pings",
};
