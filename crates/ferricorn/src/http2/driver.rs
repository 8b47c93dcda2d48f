//! The task of one HTTP/2 connection.
//!
//! In each turn it lets h2 read and write, starts the apps of new requests, and looks after what h2
//! does not: the server's phase, the clock, a client that says nothing any more.
//!
//! A connection ends in one of these ways:
//!
//! - the client has closed it, or it is broken;
//! - the client broke the protocol, by h2's judgement or by the guard's: GOAWAY says how;
//! - it was idle for long enough, or the server drains: GOAWAY, then what runs may finish;
//! - a deadline has passed: what is written is not read, or a ping is not answered;
//! - the server is cut off.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use asgi::Extension;
use bytes::Bytes;
use h2::server::{Connection, SendResponse};
use h2::{Ping, PingPong, Reason, RecvStream};
use http::{HeaderValue, Request, StatusCode, header};
use tracing::debug;

use super::fault::ConnectionFault;
use super::push::Parent;
use super::request::{Asked, Refused};
use super::transport::H2Io;
use super::{EXCHANGE_OPTIONS, Shared, body, request, response, stream};
use crate::Config;
use crate::connection::LINGER;
use crate::exchange::{Exchange, NewExchange, RequestInfo};
use crate::net::Timer;
use crate::server::{Phase, Phases};
use crate::websocket;

/// How often a connection with open streams is looked after, unless a time-out is shorter.
const TICK: Duration = Duration::from_secs(1);

/// How often it is looked after whatever is set.
const SHORTEST_TICK: Duration = Duration::from_millis(10);

/// How long a connection without streams is kept behind its first GOAWAY: time for the client's
/// last requests to arrive.
const GOODBYE: Duration = Duration::from_secs(1);

/// How many requests a turn starts, until other connections get theirs.
const STARTS: usize = 64;

/// An app whose first poll takes longer makes the connection poll no app itself any more.
const INLINE: Duration = Duration::from_millis(1);

/// A request, and h2's handle for its response.
type Accepted = Result<(Request<RecvStream>, SendResponse<Bytes>), h2::Error>;

/// How a connection ended.
#[derive(Debug)]
pub(super) enum End {
    /// h2 has finished, one way or the other.
    H2(Result<(), h2::Error>),
    /// A deadline of ours has passed, and nobody listens to a goodbye.
    TimedOut(&'static str),
    /// There is nobody to write to.
    Lost,
    /// The server is cut off.
    Cut,
}

/// The task of one connection.
pub(super) struct Driver {
    shared: Arc<Shared>,
    h2: Connection<H2Io, Bytes>,
    requests: u64,
    /// Whether an app is polled here first.
    inline: bool,
    /// When a stream was last open; before the first one, when the connection came.
    last_activity: Instant,
    phases: Phases,
    /// Since when the client has been told to open no more streams.
    goodbye_since: Option<Instant>,
    /// Since when the connection is to be closed, whatever runs.
    closing_since: Option<Instant>,
    keep_alive: KeepAlive,
    tick: Duration,
    timer: Timer,
}

impl Driver {
    pub(super) fn new(shared: Shared, mut h2: Connection<H2Io, Bytes>, opened: Instant) -> Self {
        shared.wire.gather();
        let phases = shared.server.phases();
        let timer = Timer::new(opened + shared.server.config().header_timeout);
        let keep_alive = KeepAlive::new(h2.ping_pong());
        let tick = tick(shared.server.config());
        Self {
            shared: Arc::new(shared),
            h2,
            requests: 0,
            inline: true,
            last_activity: opened,
            phases,
            goodbye_since: None,
            closing_since: None,
            keep_alive,
            tick,
            timer,
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        if self.poll_phase(cx) == Phase::Cut {
            return Poll::Ready(End::Cut);
        }
        loop {
            let h2 = self.poll_h2(cx);
            match self.shared.wire.poll_drain(cx) {
                Poll::Ready(Err(error)) => {
                    debug!(client = ?self.shared.ends.client, "cannot write: {error}");
                    return Poll::Ready(End::Lost);
                }
                // Reading was held until now, and nothing else ends that.
                Poll::Ready(Ok(())) if self.shared.pushes.is_parked() => cx.waker().wake_by_ref(),
                _ => {}
            }
            if let Poll::Ready(result) = h2 {
                return Poll::Ready(End::H2(result));
            }
            let Some(fault) = self.shared.wire.fault() else {
                break;
            };
            if self.closing_since.is_some() {
                break;
            }
            let (client, ConnectionFault { code, why }) = (&self.shared.ends.client, fault);
            debug!(?client, "connection ended with {code:?}: {why}");
            self.close(Reason::from(code as u32));
        }
        self.keep_alive.poll_pong(cx);
        self.poll_clock(cx)
    }

    /// Lets h2 go on, and starts the requests that have come.
    fn poll_h2(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        for _ in 0..STARTS {
            match self.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => self.start(request, respond, cx),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// A turn of h2's, and what it means for pushes.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Option<Accepted>> {
        let (pushes, wire) = (&self.shared.pushes, &self.shared.wire);
        let mut parked = pushes.turn();
        loop {
            let held = parked.as_deref().is_some_and(|parked| *parked);
            if held {
                wire.hold(true);
            }
            let finished = pushes.finished();
            let accepted = self.h2.poll_accept(cx);
            if held {
                wire.hold(false);
            }
            pushes.allow(self.h2.max_concurrent_send_streams());
            // It has written what the socket took.
            let all_written = wire.stuck_since().is_none();
            if all_written {
                pushes.flushed(finished);
            }
            match &mut parked {
                Some(parked) if held && all_written => **parked = false,
                _ => return accepted,
            }
            if accepted.is_ready() {
                return accepted;
            }
        }
    }

    fn start(
        &mut self,
        request: Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
        cx: &mut Context<'_>,
    ) {
        let began = Instant::now();
        if self.has_said_goodbye_long_ago(began) {
            // RFC 9113 §8.7: it "can be safely retried", elsewhere. This is no activity: the connection
            // is closed when nothing else runs.
            return respond.send_reset(Reason::REFUSED_STREAM);
        }
        self.last_activity = began;
        self.requests += 1;
        let config = self.shared.server.config();
        if config.keep_alive_max_requests == Some(self.requests) {
            self.say_goodbye(began);
        }
        let (parts, body) = request.into_parts();
        let label = self.shared.label(&parts.method, &parts.uri, parts.version);
        let config = self.shared.server.config();
        let server = &self.shared.server;
        let asked = request::asked(parts, &self.shared.ends, config, server.state());
        let asked = match asked {
            Ok(asked) => asked,
            Err(refused) => return self.refuse(&label, refused, respond, began),
        };
        // A socket that comes while it drains would be closed at once: another server may take it.
        let in_vain = matches!(asked, Asked::WebSocket(..)) && server.phase() >= Phase::Draining;
        let Some(permit) = server.admit().filter(|_| !in_vain) else {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            let refused = Refused::Status(status, "too many exchanges run, or the server drains");
            return self.refuse(&label, refused, respond, began);
        };
        let new = NewExchange {
            server,
            permit,
            info: label,
            body: body::request_body(body),
            options: EXCHANGE_OPTIONS,
            began,
        };
        let mut scope = match asked {
            Asked::Http(scope) => scope,
            Asked::WebSocket(scope, opening) => {
                let exchange = websocket::start(new, scope, opening);
                // Never polled here first: it stays, and so does what wakes it.
                let stream = stream::respond_to(&self.shared, &exchange, respond, None);
                return self.shared.running.spawn(exchange, stream);
            }
        };
        let parent = self.may_push().then(|| Parent::new(&scope, config));
        let parent = parent.flatten();
        if parent.is_some() {
            scope.extensions = scope.extensions.with(Extension::Push);
        }
        let exchange = Exchange::start(new, scope);
        let mut stream = stream::respond_to(&self.shared, &exchange, respond, parent);
        if self.inline && Pin::new(&mut stream).poll(cx).is_ready() {
            return;
        }
        self.inline &= began.elapsed() < INLINE;
        self.shared.running.spawn(exchange, stream);
    }

    /// Whether the client takes pushes, as far as it has said.
    fn may_push(&self) -> bool {
        let shared = &self.shared;
        shared.server.config().h2_push && shared.wire.allows_push() && shared.pushes.any()
    }

    fn refuse(
        &self,
        label: &RequestInfo,
        refused: Refused,
        mut respond: SendResponse<Bytes>,
        began: Instant,
    ) {
        let config = self.shared.server.config();
        let (status, sent) = match refused {
            Refused::Malformed(why) => {
                debug!(exchange = label.id, "malformed request: {why}");
                respond.send_reset(Reason::PROTOCOL_ERROR);
                (StatusCode::BAD_REQUEST, 0)
            }
            Refused::Status(status, why) => {
                debug!(exchange = label.id, "request refused with {status}: {why}");
                let text = match status {
                    StatusCode::SERVICE_UNAVAILABLE => "too busy\n",
                    _ => "refused\n",
                };
                let mut head = response::refusal(status, text.len(), config);
                if status == StatusCode::SERVICE_UNAVAILABLE {
                    let headers = head.headers_mut();
                    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
                }
                let sent = respond.send_response(head, false).and_then(|mut send| {
                    // A few bytes: if the client gives no window for them, h2 holds them until the
                    // connection's end.
                    send.send_data(Bytes::from_static(text.as_bytes()), true)
                });
                if let Err(error) = sent {
                    debug!(exchange = label.id, "cannot send the refusal: {error}");
                }
                (status, text.len() as u64)
            }
        };
        if config.access_log {
            label.log_access(Some(status), sent, began.elapsed());
        }
    }

    /// The server's phase, as far as it matters here.
    fn poll_phase(&mut self, cx: &mut Context<'_>) -> Phase {
        while let Poll::Ready(phase) = self.phases.poll_next(cx) {
            if phase >= Phase::Cut {
                return Phase::Cut;
            }
            self.say_goodbye(Instant::now());
        }
        Phase::Serving
    }

    /// Tells the client to open no more streams; those that are open may finish.
    ///
    /// RFC 9113 §6.8: "A server that is attempting to gracefully shut down a connection SHOULD send
    /// an initial GOAWAY frame with the last stream identifier set to 2^31-1 and a NO_ERROR code."
    /// h2 sends the second one when the ping between them has come back.
    fn say_goodbye(&mut self, now: Instant) {
        if self.goodbye_since.is_none() {
            self.goodbye_since = Some(now);
            self.h2.graceful_shutdown();
        }
    }

    /// Whether the client could have heard the goodbye, however slow it is. One that answers the ping
    /// behind it is told the last stream by h2; one that does not could go on for ever.
    fn has_said_goodbye_long_ago(&self, now: Instant) -> bool {
        let patience = self.shared.server.config().h2_keep_alive_timeout;
        let since = self.goodbye_since;
        since.is_some_and(|since| now.duration_since(since) >= patience)
    }

    /// Closes the connection behind a GOAWAY, whatever runs.
    fn close(&mut self, reason: Reason) {
        self.closing_since = Some(Instant::now());
        self.h2.abrupt_shutdown(reason);
    }

    fn poll_clock(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let now = Instant::now();
        // h2 does not count a stream that is promised, until its response begins.
        let has_streams = self.h2.has_streams() || !self.shared.running.is_empty();
        if has_streams {
            self.last_activity = now;
        }
        let busy = has_streams
            || self.goodbye_since.is_some()
            || self.closing_since.is_some()
            || self.shared.wire.field_block_since().is_some();
        self.timer.hasten(self.next_look(busy, now));
        while self.timer.poll(cx).is_ready() {
            let now = Instant::now();
            if let Some(end) = self.overdue(has_streams, now, cx) {
                return Poll::Ready(end);
            }
            self.timer.reset(self.next_look(busy, now));
        }
        Poll::Pending
    }

    fn next_look(&self, busy: bool, now: Instant) -> Instant {
        if busy {
            now + self.tick
        } else {
            // Not in the past, where it would be looked at again and again.
            self.idle_deadline().max(now + Duration::from_millis(1))
        }
    }

    fn idle_deadline(&self) -> Instant {
        let config = self.shared.server.config();
        match self.requests {
            0 => self.last_activity + config.header_timeout,
            _ => self.last_activity + config.keep_alive_timeout,
        }
    }

    /// Does what is due; how the connection ends, if it must.
    fn overdue(&mut self, has_streams: bool, now: Instant, cx: &mut Context<'_>) -> Option<End> {
        let config = self.shared.server.config();
        if let Some(since) = self.shared.wire.stuck_since()
            && now.duration_since(since) >= config.write_timeout
        {
            return Some(End::TimedOut("the client does not read"));
        }
        if let Some(since) = self.closing_since {
            let over = now.duration_since(since) >= LINGER;
            return over.then_some(End::TimedOut("the client does not read the last frames"));
        }
        if let Some(since) = self.shared.wire.field_block_since()
            && now.duration_since(since) >= config.header_timeout
        {
            debug!(client = ?self.shared.ends.client, "the fields of a request are incomplete");
            self.close(Reason::ENHANCE_YOUR_CALM);
            cx.waker().wake_by_ref();
            return None;
        }
        self.shared.running.check(config, now);
        if has_streams {
            let heard = self.shared.wire.take_heard();
            let (interval, timeout) = (config.h2_keep_alive_interval, config.h2_keep_alive_timeout);
            if self.keep_alive.is_overdue(heard, interval, timeout, now) {
                return Some(End::TimedOut("no answer to a ping"));
            }
            return None;
        }
        if let Some(since) = self.goodbye_since {
            if now.duration_since(since.max(self.last_activity)) >= GOODBYE {
                self.close(Reason::NO_ERROR);
                cx.waker().wake_by_ref();
            }
        } else if now >= self.idle_deadline() {
            // RFC 9113 §5.4.1 and §9.1: a client is told which of its requests were processed.
            self.say_goodbye(now);
            cx.waker().wake_by_ref();
        }
        None
    }

    /// Lets go of the connection: of its apps, then of its socket.
    pub(super) async fn finish(mut self, end: End) {
        self.log_end(&end);
        if let End::Cut = end {
            self.shared.running.cut();
            self.h2.abrupt_shutdown(Reason::NO_ERROR);
            // As much as the socket takes at once.
            std::future::poll_fn(|cx| {
                let _ = self.h2.poll_closed(cx);
                let _ = self.shared.wire.poll_drain(cx);
                Poll::Ready(())
            })
            .await;
            return;
        }
        let Shared {
            running,
            wire,
            server,
            ..
        } = &*self.shared;
        // The streams learn from this that the connection is gone.
        drop(self.h2);
        running.end();
        running.until_none().await;
        if let End::TimedOut(_) | End::Lost = end {
            return;
        }
        super::close(wire, server).await;
    }

    fn log_end(&self, end: &End) {
        let client = &self.shared.ends.client;
        match end {
            End::H2(Ok(())) | End::Lost => {}
            End::H2(Err(error)) => debug!(?client, "connection ended: {error}"),
            End::TimedOut(why) => debug!(?client, "connection timed out: {why}"),
            End::Cut => debug!(?client, "connection cut off: the server stops"),
        }
    }
}

/// Often enough for each of the time-outs of a stream.
fn tick(config: &Config) -> Duration {
    let ping = config
        .h2_keep_alive_interval
        .map_or(TICK, |interval| interval.min(config.h2_keep_alive_timeout));
    TICK.min(config.write_timeout)
        .min(config.body_timeout)
        .min(ping)
        .max(SHORTEST_TICK)
}

/// Asks a client that says nothing whether it is still there.
struct KeepAlive {
    ping_pong: Option<PingPong>,
    last_heard: Instant,
    asked_at: Option<Instant>,
}

impl KeepAlive {
    fn new(ping_pong: Option<PingPong>) -> Self {
        Self {
            ping_pong,
            last_heard: Instant::now(),
            asked_at: None,
        }
    }

    /// Takes the answer, if it has come: only then can be asked again.
    fn poll_pong(&mut self, cx: &mut Context<'_>) {
        if self.asked_at.is_some()
            && let Some(ping_pong) = &mut self.ping_pong
            && ping_pong.poll_pong(cx).is_ready()
        {
            self.asked_at = None;
        }
    }

    /// Whether the client has not answered in time. Asks if it is time to.
    fn is_overdue(
        &mut self,
        heard: bool,
        interval: Option<Duration>,
        timeout: Duration,
        now: Instant,
    ) -> bool {
        if heard {
            self.last_heard = now;
        }
        let silence = now.duration_since(self.last_heard);
        if let Some(asked_at) = self.asked_at {
            // Anything that comes is an answer.
            return !heard && now.duration_since(asked_at) >= timeout && silence >= timeout;
        }
        if let (Some(interval), Some(ping_pong)) = (interval, &mut self.ping_pong)
            && silence >= interval
            && ping_pong.send_ping(Ping::opaque()).is_ok()
        {
            self.asked_at = Some(now);
        }
        false
    }
}
