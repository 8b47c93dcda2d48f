//! One connection of HTTP/1: hyper parses and writes, the driver here does the rest.
//!
//! The driver is the connection's task. In each turn it polls hyper, which polls the app when it
//! wants a response or more of one; then, if hyper did not, it polls the app itself; then it sends
//! what was gathered and looks after the deadlines. So an app needs no task and no channel, and
//! goes on when its client does not read.
//!
//! A connection ends in one of these ways:
//!
//! - hyper is done: the client closed between two requests, or a response said `connection: close`;
//! - the peer is lost: a reset, or a write that fails;
//! - a deadline: the head, the body or the reading of a response took too long, or nothing came;
//! - the app broke its response off: the connection is closed so that the client can tell;
//! - the server is cut off.
//!
//! In each of them an app that still runs goes on in a task of its own, with its grace.

pub(crate) mod guard;
mod request;
mod response;
mod timer;

use std::error::Error;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use asgi::DisconnectReason;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use tracing::debug;

use self::guard::Position;
use self::request::Refused;
use self::response::{Adornment, ResponseBody};
use self::timer::Timer;
use crate::connection::Ends;
use crate::exchange::{BrokenOff, Exchange, Label};
use crate::server::{Phase, Server};
use crate::transport::{Peer, Socket, Standing, Transport, TransportIo};

/// How often a connection on which something runs is looked after. A client that leaves while a
/// part of its request lies unread wakes nobody: this is how late it can be noticed.
const TICK: Duration = Duration::from_secs(1);

/// How long an idle connection is kept when the server drains: a client may have sent its next
/// request before it could know.
const DRAIN_SILENCE: Duration = Duration::from_secs(1);

/// How long what still comes is thrown away behind our end of the connection. Closing at once
/// would reset it, and the reset can overtake the last response. nginx waits 5 s.
const LINGER: Duration = Duration::from_secs(2);

/// hyper's read buffer may grow to this: what a fast upload holds in memory for each connection.
const READ_BUFFER: usize = 128 * 1024;

/// hyper has room for this many fields on its stack; other numbers cost an allocation.
const USUAL_MAX_HEADERS: usize = 100;

/// How many times a turn starts over because the app had more to send, until others get theirs.
const TURNS: usize = 32;

/// Serves one connection to its end.
pub(crate) async fn serve(server: Arc<Server>, socket: Socket, ends: Ends) {
    let config = server.config();
    let (transport, io) = Transport::new(socket, config.max_head_size);
    let mut builder = http1::Builder::new();
    builder
        // With it off, a client that closes its side behind the request gets no response.
        .half_close(true)
        // The driver has one timer for all deadlines.
        .header_read_timeout(None)
        .max_header_size(config.max_head_size)
        .max_buf_size(READ_BUFFER.max(config.max_head_size))
        .auto_date_header(config.date_header);
    if config.max_headers != USUAL_MAX_HEADERS {
        builder.max_headers(config.max_headers);
    }
    let connection = Arc::new(Connection {
        server,
        transport,
        ends,
        requests: AtomicU64::new(0),
        news: Mutex::new(News {
            started: None,
            last_activity: Instant::now(),
        }),
    });
    let hyper = builder.serve_connection(TokioIo::new(io), Requests(Arc::clone(&connection)));
    let mut driver = Driver::new(Arc::clone(&connection));
    let end = {
        let mut hyper = pin!(hyper);
        std::future::poll_fn(|cx| driver.poll(hyper.as_mut(), cx)).await
    };
    driver.finish(end).await;
}

/// What the driver and hyper's calls share.
struct Connection {
    server: Arc<Server>,
    transport: Arc<Transport>,
    ends: Ends,
    /// How many requests hyper has handed over.
    requests: AtomicU64,
    news: Mutex<News>,
}

/// What hyper's call with a request leaves for the driver.
struct News {
    /// The newest exchange, until the driver takes it over.
    started: Option<Arc<Exchange>>,
    /// When the last request came; before the first one, when the connection did.
    last_activity: Instant,
}

impl Connection {
    fn news(&self) -> MutexGuard<'_, News> {
        // Every change in here is one assignment: a panic leaves nothing half done.
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn adornment(&self, label: &Label, close: bool) -> Adornment {
        Adornment {
            server_header: self.server.config().server_header,
            close: close || self.server.phase() >= Phase::Draining,
            version: label.version,
        }
    }

    /// The app's answer to a request, or ours.
    fn answer(self: &Arc<Self>, request: Request<Incoming>) -> Answer {
        let began = Instant::now();
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let (parts, body) = request.into_parts();
        let label = Label {
            id: self.server.next_id(),
            method: parts.method.clone(),
            target: parts
                .uri
                .path_and_query()
                .cloned()
                .unwrap_or_else(|| PathAndQuery::from_static("/")),
            version: parts.version,
            client: self.ends.client.clone(),
        };
        if let Some(refusal) = self.transport.refusal_of(number) {
            let why = refusal.as_str();
            return self.refuse(&label, StatusCode::BAD_REQUEST, why, began);
        }
        let config = self.server.config();
        let scope = request::scope(parts, &self.ends, &config.root_path, self.server.state());
        let scope = match scope {
            Ok(scope) => scope,
            Err(Refused { status, why }) => return self.refuse(&label, status, why, began),
        };
        let Some(permit) = self.server.admit() else {
            return self.turn_away(&label, began);
        };
        let exchange = Exchange::start(&self.server, permit, label, scope, body, began);
        let before = {
            let mut news = self.news();
            news.last_activity = began;
            news.started.replace(Arc::clone(&exchange))
        };
        if let Some(before) = before {
            // Its response is complete, or hyper would not have read on.
            before.detach(None);
        }
        Answer::App {
            connection: Arc::clone(self),
            exchange,
        }
    }

    fn refuse(
        &self,
        label: &Label,
        status: StatusCode,
        why: &'static str,
        began: Instant,
    ) -> Answer {
        debug!(exchange = label.id, "request refused with {status}: {why}");
        self.news().last_activity = began;
        let response = response::refusal(status, "refused\n", self.adornment(label, true));
        self.log_refusal(label, status, began);
        Answer::Ours(Some(response))
    }

    fn turn_away(&self, label: &Label, began: Instant) -> Answer {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        debug!(
            exchange = label.id,
            "request turned away: too many exchanges run"
        );
        self.news().last_activity = began;
        let mut response = response::refusal(status, "too busy\n", self.adornment(label, false));
        let headers = response.headers_mut();
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        self.log_refusal(label, status, began);
        Answer::Ours(Some(response))
    }

    fn log_refusal(&self, label: &Label, status: StatusCode, began: Instant) {
        if self.server.config().access_log {
            label.log_access(Some(status), 0, began.elapsed());
        }
    }
}

/// What hyper calls with each request.
struct Requests(Arc<Connection>);

impl Service<Request<Incoming>> for Requests {
    type Response = Response<ResponseBody>;
    type Error = BrokenOff;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        self.0.answer(request)
    }
}

/// The response that hyper waits for.
enum Answer {
    Ours(Option<Response<ResponseBody>>),
    App {
        connection: Arc<Connection>,
        exchange: Arc<Exchange>,
    },
}

impl Future for Answer {
    type Output = Result<Response<ResponseBody>, BrokenOff>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Ours(response) => match response.take() {
                Some(response) => Poll::Ready(Ok(response)),
                None => Poll::Pending,
            },
            Self::App {
                connection,
                exchange,
            } => {
                let beginning = ready!(exchange.poll_beginning(cx))?;
                if beginning.whole.is_some() {
                    exchange.log_access();
                }
                let adornment = connection.adornment(exchange.label(), false);
                let transport = &connection.transport;
                Poll::Ready(Ok(response::response(
                    exchange, transport, beginning, adornment,
                )))
            }
        }
    }
}

type Hyper = http1::Connection<TokioIo<TransportIo>, Requests>;

/// How a connection ended.
#[derive(Debug)]
enum End {
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
struct Driver {
    connection: Arc<Connection>,
    /// The newest exchange, until it is done.
    current: Option<Arc<Exchange>>,
    /// When the last request came; before the first one, when the connection did.
    last_activity: Instant,
    phases: Pin<Box<dyn Future<Output = Phase> + Send>>,
    /// The server's phase when `phases` was last polled.
    phase: Option<Phase>,
    draining_since: Option<Instant>,
    timer: Timer,
    /// Since when a head is being read.
    head_since: Option<Instant>,
    /// Since when the client has closed its side.
    left_at: Option<Instant>,
}

impl Driver {
    fn new(connection: Arc<Connection>) -> Self {
        let opened = connection.news().last_activity;
        let phases = connection.server.until_draining();
        let timer = Timer::new(opened + connection.server.config().header_timeout);
        Self {
            connection,
            current: None,
            last_activity: opened,
            phases,
            phase: None,
            draining_since: None,
            timer,
            head_since: None,
            left_at: None,
        }
    }

    fn poll(&mut self, mut hyper: Pin<&mut Hyper>, cx: &mut Context<'_>) -> Poll<End> {
        if self.poll_phase(cx) == Phase::Cut {
            return Poll::Ready(End::Cut);
        }
        let mut turns = 0;
        let standing = loop {
            if let Some(exchange) = &self.current {
                exchange.begin_turn();
            }
            let hyper = hyper.as_mut().poll(cx);
            self.take_news();
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

    /// Takes over the exchange that hyper has begun, if it has.
    fn take_news(&mut self) {
        let mut news = self.connection.news();
        self.last_activity = news.last_activity;
        let started = news.started.take();
        drop(news);
        if let Some(started) = started
            && let Some(before) = self.current.replace(started)
        {
            // Its response is complete, or hyper would not have read on.
            before.detach(None);
        }
    }

    /// Polls the app if hyper had no reason to. `true` if hyper has now.
    fn poll_app(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(exchange) = &self.current else {
            return false;
        };
        let more = exchange.poll_app(cx);
        if exchange.is_response_done() {
            // What the app still does behind its response is no longer this connection's.
            exchange.detach(None);
            self.current = None;
        }
        more
    }

    /// Looks at what hyper does not: whether the peer is there, and the clock.
    fn end_turn(&mut self, standing: Standing, cx: &mut Context<'_>) -> Poll<End> {
        if let Some(exchange) = &self.current {
            exchange.end_turn(cx);
            match self.connection.transport.poll_peer(cx) {
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
        // It has this task's waker since then, and nothing new to say until the next phase.
        let phase = self.connection.server.phase();
        if self.phase.replace(phase) == Some(phase) {
            return Phase::Serving;
        }
        // The future is polled only until it is ready: then it waits for the next phase.
        while let Poll::Ready(phase) = self.phases.as_mut().poll(cx) {
            if phase >= Phase::Cut {
                return Phase::Cut;
            }
            self.draining_since = Some(Instant::now());
            let cut = self.connection.server.until_cut();
            self.phases = Box::pin(async move {
                cut.await;
                Phase::Cut
            });
        }
        Phase::Serving
    }

    fn poll_clock(&mut self, standing: Standing, cx: &mut Context<'_>) -> Poll<End> {
        let in_head = self.current.is_none() && standing.position == Position::Head;
        if !in_head {
            self.head_since = None;
        } else if self.head_since.is_none() {
            self.head_since = Some(Instant::now());
        }
        let busy = self.current.is_some()
            || in_head
            || self.draining_since.is_some()
            || standing.stuck_since.is_some();
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
        let last = self.last_activity;
        match self.draining_since {
            Some(since) => since.max(last) + DRAIN_SILENCE,
            None if self.connection.requests.load(Ordering::Relaxed) == 0 => {
                last + config.header_timeout
            }
            None => last + config.keep_alive_timeout,
        }
    }

    /// What took too long, if anything did.
    fn overdue(&self, standing: Standing, now: Instant) -> Option<End> {
        let config = self.connection.server.config();
        let transport = &self.connection.transport;
        let past = |since: Instant, limit: Duration| now.duration_since(since) >= limit;
        if let Some(since) = standing.stuck_since
            && past(since, config.write_timeout)
        {
            return Some(End::TimedOut("the client does not read its response"));
        }
        if let Some(exchange) = &self.current {
            if exchange.wants_body() && standing.position == Position::Body {
                let last = transport.body_read().max(Some(exchange.began()));
                if past(last.unwrap_or(now), config.body_timeout) {
                    exchange.peer_failed(DisconnectReason::TimedOut, StatusCode::REQUEST_TIMEOUT);
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
                transport.push(REQUEST_TIMEOUT);
                return Some(End::TimedOut("the head of a request is incomplete"));
            }
            return None;
        }
        (now >= self.idle_deadline()).then_some(End::Idle)
    }

    /// Lets go of the connection: of its app, then of its socket.
    async fn finish(mut self, end: End) {
        let broken_off = self.log_end(&end);
        self.take_news();
        let current = self.current.take();
        let close_delimited = current
            .as_ref()
            .is_some_and(|exchange| exchange.label().version == Version::HTTP_10);
        if let Some(exchange) = current {
            self.let_go(&exchange, &end);
        }
        let transport = &self.connection.transport;
        match end {
            End::Cut | End::Lost => return,
            // The end of the connection is the end of the body: only a reset tells that it is not
            // whole. (HTTP-035)
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
        let write_timeout = self.connection.server.config().write_timeout;
        let close = async {
            let shut = std::future::poll_fn(|cx| transport.poll_shutdown(cx));
            let shut = tokio::time::timeout(write_timeout, shut).await;
            if matches!(shut, Ok(Ok(()))) && !transport.is_read_end() {
                let gone = async {
                    while !std::future::poll_fn(|cx| transport.poll_discard(cx)).await {
                        tokio::task::yield_now().await;
                    }
                };
                // Whether the client closes in time or not, the socket is closed now.
                let _ = tokio::time::timeout(LINGER, gone).await;
            }
        };
        tokio::select! {
            () = close => {}
            () = self.connection.server.until_cut() => {}
        }
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

    /// Says how it ended; whether the app broke its response off.
    fn log_end(&self, end: &End) -> bool {
        let client = &self.connection.ends.client;
        match end {
            End::Hyper(Ok(())) | End::Idle => {}
            End::Hyper(Err(error)) => {
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
        let started = self.connection.news().started.take();
        for exchange in [self.current.take(), started].into_iter().flatten() {
            exchange.cancel("its connection's task is gone");
        }
    }
}

/// hyper has no request to answer here, so this is written past it.
const REQUEST_TIMEOUT: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
