//! The task of one HTTP/2 connection.
//!
//! In each turn it lets h2 read and write, starts the apps of new requests, and does what h2 does not
//! do: it follows the server's phase, keeps the deadlines, and pings a silent client.
//!
//! A connection ends in one of these ways:
//!
//! - the client has closed it, or it is broken;
//! - the client broke the protocol, as h2 or the frame check found: GOAWAY says how;
//! - it was idle for long enough, or the server drains: GOAWAY, then running requests may finish;
//! - a deadline has passed: the client does not read, or does not answer a ping;
//! - the server cuts it off.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use asgi::Extension;
use bytes::Bytes;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::{Request, StatusCode};
use tracing::debug;

use super::fault::ConnectionFault;
use super::keep_alive::KeepAlive;
use super::push::Parent;
use super::request::{Asked, RequestFault};
use super::transport::H2Io;
use super::{EXCHANGE_OPTIONS, Shared, body, request, response, stream};
use crate::access_log::{AccessRecord, RequestInfo};
use crate::connection_end::ConnectionEnd;
use crate::deadlines::{ConnectionDeadlines, ConnectionDue};
use crate::exchange::{Exchange, NewExchange};
use crate::lifecycle::{Phase, PhaseWatch};
use crate::net::{self, Timer};
use crate::refusal::Refusal;
use crate::websocket;

/// How many requests a turn starts, before other connections get theirs.
const STARTS: usize = 64;

/// If the first poll of an app takes longer, the connection polls no app itself any more.
const INLINE: Duration = Duration::from_millis(1);

/// A request, and h2's handle for its response.
type Accepted = Result<(Request<RecvStream>, SendResponse<Bytes>), h2::Error>;

type H2End = ConnectionEnd<h2::Error>;

/// The task of one connection.
pub(super) struct Driver {
    shared: Arc<Shared>,
    h2: Connection<H2Io, Bytes>,
    requests: u64,
    /// Whether the first poll of an app happens in this task.
    inline: bool,
    phases: PhaseWatch,
    keep_alive: KeepAlive,
    deadlines: ConnectionDeadlines,
    timer: Timer,
}

impl Driver {
    pub(super) fn new(shared: Shared, mut h2: Connection<H2Io, Bytes>, opened: Instant) -> Self {
        shared.transport.collect_writes();
        let config = shared.server.config();
        let mut deadlines = ConnectionDeadlines::new(config, opened);
        if let Some(interval) = KeepAlive::tick(config) {
            deadlines.tick_within(interval);
        }
        let timer = Timer::new(deadlines.next_look(config, Instant::now));
        let keep_alive = KeepAlive::new(h2.ping_pong());
        Self {
            phases: shared.server.watch_phases(),
            shared: Arc::new(shared),
            h2,
            requests: 0,
            inline: true,
            keep_alive,
            deadlines,
            timer,
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<H2End> {
        if self.poll_phase(cx) == Phase::Cut {
            return Poll::Ready(ConnectionEnd::Cut);
        }
        loop {
            let h2 = self.poll_h2(cx);
            match self.shared.transport.poll_drain(cx) {
                Poll::Ready(Err(error)) => {
                    debug!(client = ?self.shared.info.client, "cannot write: {error}");
                    return Poll::Ready(ConnectionEnd::Lost);
                }
                // A parked push has held up reading until now, and no other wake-up resumes it.
                Poll::Ready(Ok(())) if self.shared.pushes.is_parked() => cx.waker().wake_by_ref(),
                _ => {}
            }
            if let Poll::Ready(result) = h2 {
                return Poll::Ready(ConnectionEnd::Finished(result));
            }
            let Some(fault) = self.shared.transport.fault() else {
                break;
            };
            if self.deadlines.is_closing() {
                break;
            }
            let (client, ConnectionFault { code, why }) = (&self.shared.info.client, fault);
            debug!(?client, "connection ended with {code:?}: {why}");
            self.close(Reason::from(code as u32));
        }
        self.keep_alive.poll_pong(cx);
        self.poll_clock(cx)
    }

    /// Polls h2, and starts the requests that came.
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

    /// Polls h2 once, and tells the push slots what it has written.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Option<Accepted>> {
        let (pushes, transport) = (&self.shared.pushes, &self.shared.transport);
        let mut parked = pushes.turn();
        loop {
            let held = parked.as_deref().is_some_and(|parked| *parked);
            if held {
                transport.hold(true);
            }
            let finished = pushes.finished();
            let accepted = self.h2.poll_accept(cx);
            if held {
                transport.hold(false);
            }
            pushes.allow(self.h2.max_concurrent_send_streams());
            // h2 has written as much as the socket took.
            let all_written = transport.stuck_since().is_none();
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
        if self.is_farewell_past(began) {
            // RFC 9113 §8.7: it "can be safely retried", elsewhere. This is no activity: the
            // connection closes when nothing else runs.
            return respond.send_reset(Reason::REFUSED_STREAM);
        }
        self.deadlines.served(began);
        self.requests += 1;
        let config = self.shared.server.config();
        if config.keep_alive_max_requests == Some(self.requests) {
            self.say_farewell(began);
        }
        let (parts, body) = request.into_parts();
        let info = self
            .shared
            .request_info(&parts.method, &parts.uri, parts.version);
        let config = self.shared.server.config();
        let server = &self.shared.server;
        let asked = match request::asked(parts, &self.shared.info, config, server.state()) {
            Ok(asked) => asked,
            Err(fault) => return self.refuse(&info, fault, respond, began),
        };
        // A server that drains would close a new WebSocket at once: another server may take it.
        let in_vain = matches!(asked, Asked::WebSocket(..)) && server.phase() >= Phase::Draining;
        let Some(permit) = server.admit().filter(|_| !in_vain) else {
            return self.refuse(&info, Refusal::UNAVAILABLE.into(), respond, began);
        };
        let new = NewExchange {
            server,
            permit,
            info,
            body: body::request_body(body),
            options: EXCHANGE_OPTIONS,
            began,
        };
        let stream_id = Some(respond.stream_id().as_u32());
        let mut scope = match asked {
            Asked::Http(scope) => scope,
            Asked::WebSocket(scope, opening) => {
                let exchange = websocket::start(new, scope, opening);
                // This task never polls it: a WebSocket lives long, and its own task must get the
                // wake-ups.
                let stream = stream::respond_to(&self.shared, &exchange, respond, None);
                return self.shared.streams.spawn(exchange, stream, stream_id);
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
        self.shared.streams.spawn(exchange, stream, stream_id);
    }

    /// Whether the server and the client's settings allow pushes.
    fn may_push(&self) -> bool {
        let shared = &self.shared;
        shared.server.config().h2_push && shared.transport.allows_push() && shared.pushes.any()
    }

    fn refuse(
        &self,
        info: &RequestInfo,
        fault: RequestFault,
        respond: SendResponse<Bytes>,
        began: Instant,
    ) {
        let config = self.shared.server.config();
        let (status, sent) = match fault {
            RequestFault::Malformed(why) => {
                debug!(exchange = info.id, "malformed request: {why}");
                let mut respond = respond;
                respond.send_reset(Reason::PROTOCOL_ERROR);
                (StatusCode::BAD_REQUEST, 0)
            }
            RequestFault::Refused(refusal) => {
                refusal.log(info.id);
                (refusal.status, self.send_refusal(info, &refusal, respond))
            }
        };
        let (status, took) = (Some(status), began.elapsed());
        info.log_access(config, AccessRecord { status, sent, took });
    }

    /// Returns how many bytes of the body were sent.
    fn send_refusal(
        &self,
        info: &RequestInfo,
        refusal: &Refusal,
        mut respond: SendResponse<Bytes>,
    ) -> u64 {
        let (mut head, body) = refusal.response(&info.method).into_parts();
        response::add_server_headers(&mut head.headers, self.shared.server.config());
        let length = body.len() as u64;
        let head = http::Response::from_parts(head, ());
        let sent = respond
            .send_response(head, body.is_empty())
            .and_then(|mut send| match body.is_empty() {
                true => Ok(()),
                // A few bytes. If the client gives no window for them, h2 holds them until the
                // connection ends.
                false => send.send_data(body, true),
            });
        if let Err(error) = sent {
            debug!(exchange = info.id, "cannot send the refusal: {error}");
        }
        length
    }

    /// Follows the server's phase. Returns `Cut` if the connection must end.
    fn poll_phase(&mut self, cx: &mut Context<'_>) -> Phase {
        while let Poll::Ready(phase) = self.phases.poll_next(cx) {
            if phase >= Phase::Cut {
                return Phase::Cut;
            }
            self.say_farewell(Instant::now());
        }
        Phase::Serving
    }

    /// Asks the client to open no more streams. Open streams may finish.
    ///
    /// RFC 9113 §6.8: "A server that is attempting to gracefully shut down a connection SHOULD send
    /// an initial GOAWAY frame with the last stream identifier set to 2^31-1 and a NO_ERROR code."
    /// h2 sends the second GOAWAY when the ping between them has come back.
    fn say_farewell(&mut self, now: Instant) {
        if !self.deadlines.has_said_farewell() {
            self.deadlines.said_farewell(now);
            self.h2.graceful_shutdown();
        }
    }

    /// Whether even a slow client must have seen the farewell. A client that answers the ping after it
    /// gets the last stream's number from h2; one that does not could go on for ever.
    fn is_farewell_past(&self, now: Instant) -> bool {
        let patience = self.shared.server.config().h2_keep_alive_timeout;
        self.deadlines.is_farewell_past(patience, now)
    }

    /// Closes the connection after a GOAWAY, whatever runs.
    fn close(&mut self, reason: Reason) {
        self.deadlines.closes(Instant::now());
        self.h2.abrupt_shutdown(reason);
    }

    fn poll_clock(&mut self, cx: &mut Context<'_>) -> Poll<H2End> {
        // h2 does not count a promised stream until its response begins.
        let has_streams = self.h2.has_streams() || !self.shared.streams.is_empty();
        let in_head = self.shared.transport.is_in_header_block();
        let now = Instant::now();
        self.deadlines.turn(has_streams, in_head, || now);
        self.timer.fire_by(self.next_look(now));
        while self.timer.poll(cx).is_ready() {
            let now = Instant::now();
            if let Some(end) = self.check_deadlines(has_streams, now, cx) {
                return Poll::Ready(end);
            }
            self.timer.reset(self.next_look(now));
        }
        Poll::Pending
    }

    fn next_look(&self, now: Instant) -> Instant {
        let config = self.shared.server.config();
        self.deadlines.next_look(config, || now)
    }

    /// Does what is due. Returns how the connection ends, if it must.
    fn check_deadlines(
        &mut self,
        has_streams: bool,
        now: Instant,
        cx: &mut Context<'_>,
    ) -> Option<H2End> {
        let shared = Arc::clone(&self.shared);
        let Shared {
            server, transport, ..
        } = &*shared;
        let config = server.config();
        match self.deadlines.due(config, transport.write_wait(), now) {
            Some(ConnectionDue::Write) => {
                return Some(ConnectionEnd::TimedOut("the client does not read"));
            }
            Some(ConnectionDue::Close) => {
                let why = "the client does not read the last frames";
                return Some(ConnectionEnd::TimedOut(why));
            }
            Some(ConnectionDue::Head) => {
                debug!(client = ?shared.info.client, "the headers of a request are incomplete");
                self.close(Reason::ENHANCE_YOUR_CALM);
                cx.waker().wake_by_ref();
                return None;
            }
            Some(ConnectionDue::Idle) => {
                if self.deadlines.has_said_farewell() {
                    self.close(Reason::NO_ERROR);
                } else {
                    // RFC 9113 §5.4.1 and §9.1: a client learns which of its requests were processed.
                    self.say_farewell(now);
                }
                cx.waker().wake_by_ref();
                return None;
            }
            None if self.deadlines.is_closing() => return None,
            None => {}
        }
        shared
            .streams
            .check(config, &transport.take_body_reads(), now);
        let is_silent = has_streams
            && self
                .keep_alive
                .is_overdue(transport.take_heard(), config, now);
        is_silent.then_some(ConnectionEnd::TimedOut("no answer to a ping"))
    }

    /// Lets go of the apps, then closes the socket.
    pub(super) async fn finish(mut self, end: H2End) {
        end.log(self.shared.info.client.as_ref());
        if let ConnectionEnd::Cut = end {
            self.shared.streams.cut();
            self.h2.abrupt_shutdown(Reason::NO_ERROR);
            // Sends as much as the socket takes at once.
            std::future::poll_fn(|cx| {
                let _ = self.h2.poll_closed(cx);
                let _ = self.shared.transport.poll_drain(cx);
                Poll::Ready(())
            })
            .await;
            return;
        }
        let Shared {
            streams,
            transport,
            server,
            ..
        } = &*self.shared;
        // The streams learn from this that the connection is gone.
        drop(self.h2);
        streams.end();
        streams.until_none().await;
        if let ConnectionEnd::TimedOut(_) | ConnectionEnd::Lost = end {
            return;
        }
        let write_timeout = server.config().write_timeout;
        net::close(
            &mut transport.clone(),
            write_timeout,
            server.until(Phase::Cut),
        )
        .await;
    }
}
