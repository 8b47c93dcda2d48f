//! The driver of one response: takes its parts from the exchange and gives them to the stream.
//!
//! A stream ends in one of these ways:
//!
//! - the protocol's library has the whole response, and sends it as the client's windows allow;
//! - the app broke its response off, or a deadline has passed: a reset tells the client;
//! - the client reset the stream, or the connection is gone;
//! - it has become a WebSocket, and that is closed ([`crate::websocket`]).
//!
//! In each of them an app that still runs goes on in a task of its own, with its grace.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use asgi::{DisconnectReason, HttpResponseEarlyHint};
use asgi_rules::Framing;
use bytes::{Bytes, BytesMut};
use http::header::LINK;
use http::{HeaderMap, Response, StatusCode};
use tokio::time::Sleep;

use super::stream::{ResetCause, ResponseStream, WebSocketStream};
use super::watch::StreamWatch;
use crate::deadlines::{LINGER, WriteWait};
use crate::exchange::{BrokenOff, Exchange, Interim, RequestBody, ResponsePart, ResponseStart};
use crate::server::Server;
use crate::websocket::{self, Io as _, SocketEnd};

/// Drives one exchange. The future is ready when the stream needs no driver any more.
pub(crate) struct ResponseDriver<S: ResponseStream> {
    server: Arc<Server>,
    exchange: Arc<Exchange>,
    watch: Arc<StreamWatch>,
    /// How far the client is. `watch` gets a copy when the client stops or goes on.
    writes: WriteWait,
    stream: S,
    stage: ResponseStage<S::WebSocket>,
}

/// How far the response has come.
enum ResponseStage<W> {
    /// The head is still to come.
    Head,
    /// The head is out; `data` waits for the client's window.
    Body {
        data: Bytes,
        last: bool,
    },
    /// The stream ended with its head, but the app has not sent the end. For the client and its limit of
    /// streams this one is over, so the app gets no longer than the timer.
    Silent(Pin<Box<Sleep>>),
    /// The app has accepted a handshake.
    WebSocket(Box<websocket::Driver<W>>),
    /// The response is out, but the request is not all in.
    Linger(Box<dyn RequestBody>, Pin<Box<Sleep>>),
    Done,
}

impl<S: ResponseStream> ResponseDriver<S> {
    pub(crate) fn new(server: &Arc<Server>, exchange: &Arc<Exchange>, stream: S) -> Self {
        Self {
            server: Arc::clone(server),
            exchange: Arc::clone(exchange),
            watch: Arc::default(),
            writes: WriteWait::default(),
            stream,
            stage: ResponseStage::Head,
        }
    }

    pub(crate) fn watch(&self) -> &Arc<StreamWatch> {
        &self.watch
    }

    /// Gives the parts of the response to the stream, until the exchange or the stream has to wait.
    fn poll_stage(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.stage {
                ResponseStage::Head => ready!(self.poll_head(cx)),
                ResponseStage::Body { .. } => ready!(self.poll_body(cx)),
                ResponseStage::Silent(deadline) => match self.exchange.poll_part(cx) {
                    Poll::Ready(ResponsePart::End | ResponsePart::Broken) => self.finish(),
                    Poll::Ready(ResponsePart::Data(_) | ResponsePart::Trailers(_)) => {}
                    Poll::Pending => {
                        ready!(deadline.as_mut().poll(cx));
                        self.exchange.superseded();
                        self.stage = ResponseStage::Done;
                    }
                },
                ResponseStage::WebSocket(driver) => {
                    let end = ready!(driver.poll(cx));
                    self.end_websocket(end);
                }
                ResponseStage::Linger(body, deadline) => {
                    if body.poll_discard(cx).is_pending() {
                        ready!(deadline.as_mut().poll(cx));
                    }
                    self.stage = ResponseStage::Done;
                }
                ResponseStage::Done => return Poll::Ready(()),
            }
        }
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match ready!(self.poll_next(Exchange::poll_start, cx)) {
            Ok(start) => self.send_head(start),
            Err(BrokenOff) => self.break_off(),
        }
        Poll::Ready(())
    }

    /// Polls the exchange with `poll`, and sends first what goes out before its result: a promise must
    /// precede what refers to it (RFC 9113 §8.4.1).
    fn poll_next<T>(
        &mut self,
        poll: fn(&Arc<Exchange>, &mut Context<'_>) -> Poll<T>,
        cx: &mut Context<'_>,
    ) -> Poll<T> {
        loop {
            if let Some(interim) = self.exchange.take_interim(cx) {
                self.send_interim(interim);
                continue;
            }
            match poll(&self.exchange, cx) {
                Poll::Pending if self.exchange.has_interim() => {}
                polled => return polled,
            }
        }
    }

    fn send_interim(&mut self, interim: Interim) {
        let response = match interim {
            Interim::Push(push, admission) => return self.stream.push(push, admission),
            Interim::Continue => {
                let mut response = Response::new(());
                *response.status_mut() = StatusCode::CONTINUE;
                response
            }
            Interim::EarlyHint(hint) => early_hints(hint),
        };
        if let ResponseStage::Head = self.stage {
            self.stream.send_interim(response);
        }
    }

    fn send_head(&mut self, start: ResponseStart) {
        let ResponseStart {
            head, whole, opens, ..
        } = start;
        let ends = head.framing == Framing::Empty && !head.trailers
            || whole.as_ref().is_some_and(Bytes::is_empty);
        if let Err(reason) = self.stream.send_head(head, ends) {
            return self.client_gone(reason);
        }
        match whole {
            _ if opens => self.open_websocket(),
            None if ends => {
                self.exchange.delivered();
                self.stage = ResponseStage::Silent(Box::pin(tokio::time::sleep(LINGER)));
            }
            Some(_) if ends => self.finish(),
            whole => {
                self.stage = ResponseStage::Body {
                    last: whole.is_some(),
                    data: whole.unwrap_or_default(),
                };
            }
        }
    }

    fn open_websocket(&mut self) {
        let body = self.exchange.take_leftover();
        let Some(io) = self.stream.open_websocket(body) else {
            return;
        };
        let exchange = Arc::clone(&self.exchange);
        let driver = websocket::Driver::new(&self.server, exchange, io, BytesMut::new());
        self.stage = ResponseStage::WebSocket(Box::new(driver));
    }

    /// Both sides have closed the WebSocket, or one of them is gone.
    fn end_websocket(&mut self, end: SocketEnd) {
        let ResponseStage::WebSocket(driver) =
            std::mem::replace(&mut self.stage, ResponseStage::Done)
        else {
            return;
        };
        let mut io = driver.finish(end);
        let client_reads = io.stuck_since().is_none();
        if let SocketEnd::Closed | SocketEnd::TimedOut(_) = end
            && client_reads
        {
            if let Some(body) = io.end() {
                self.linger(body);
            }
        } else {
            // RFC 8441 §5: "RST exceptions are represented with the RST_STREAM frame ... with the
            // CANCEL error code".
            io.reset(ResetCause::Cancelled);
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.poll_send(cx));
        if !matches!(self.stage, ResponseStage::Body { .. }) {
            return Poll::Ready(());
        }
        match ready!(self.poll_next(Exchange::poll_part, cx)) {
            ResponsePart::Data(part) => {
                if let ResponseStage::Body { data, .. } = &mut self.stage {
                    *data = part;
                }
            }
            ResponsePart::Trailers(trailers) => self.end(Some(trailers)),
            ResponsePart::End => self.end(None),
            ResponsePart::Broken => self.break_off(),
        }
        Poll::Ready(())
    }

    /// Sends the data that waits.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let ResponseStage::Body { data, last } = &mut self.stage else {
            return Poll::Ready(());
        };
        if data.is_empty() {
            return Poll::Ready(());
        }
        let last = *last;
        let before = data.len();
        let sent = self.stream.poll_send(cx, data, last);
        self.writes.taken += (before - data.len()) as u64;
        let stuck_since = self.stream.stuck_since();
        if stuck_since != self.writes.since {
            self.writes.since = stuck_since;
            self.watch.set_writes(self.writes);
        }
        match ready!(sent) {
            Ok(()) if last => self.finish(),
            Ok(()) => {}
            Err(reason) => self.client_gone(reason),
        }
        Poll::Ready(())
    }

    fn end(&mut self, trailers: Option<HeaderMap>) {
        match self.stream.end(trailers) {
            Ok(()) => self.finish(),
            Err(reason) => self.client_gone(reason),
        }
    }

    /// Looks whether the client, or the connection's driver, has ended the stream.
    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(reason) = self.watch.poll_killed(cx) {
            self.reset(ResetCause::Cancelled);
            self.client_gone(reason);
            return Poll::Ready(());
        }
        let reason = match &mut self.stage {
            ResponseStage::Head | ResponseStage::Body { .. } | ResponseStage::Silent(_) => {
                self.stream.poll_reset(cx)
            }
            ResponseStage::WebSocket(driver) => driver.io().poll_reset(cx),
            ResponseStage::Linger(..) | ResponseStage::Done => Poll::Pending,
        };
        let reason = ready!(reason);
        self.client_gone(reason);
        Poll::Ready(())
    }

    /// The stream has the whole response.
    fn finish(&mut self) {
        self.stage = ResponseStage::Done;
        if let Some(body) = self.exchange.take_leftover() {
            self.linger(body);
        }
        self.exchange.delivered();
        self.exchange.detach(None);
    }

    /// Discards the rest of the request for a while. A reset at once could overtake the response, or hit
    /// a client that is about to end its request anyway.
    fn linger(&mut self, body: Box<dyn RequestBody>) {
        self.stage = ResponseStage::Linger(body, Box::pin(tokio::time::sleep(LINGER)));
    }

    /// The app broke its response off, or never began one.
    fn break_off(&mut self) {
        self.reset(ResetCause::AppFailed);
        self.exchange.detach(None);
    }

    fn reset(&mut self, cause: ResetCause) {
        match std::mem::replace(&mut self.stage, ResponseStage::Done) {
            ResponseStage::Head | ResponseStage::Body { .. } | ResponseStage::Silent(_) => {
                self.stream.reset(cause)
            }
            ResponseStage::WebSocket(mut driver) => driver.io().reset(cause),
            ResponseStage::Linger(..) | ResponseStage::Done => {}
        }
    }

    /// The client is gone: its app has its grace.
    fn client_gone(&mut self, reason: DisconnectReason) {
        self.stage = ResponseStage::Done;
        if reason != DisconnectReason::Lost {
            // The other streams of the connection need the credit for what came and was not read, and
            // the app may not read for long. (RFC 9113 §6.9)
            self.exchange.discard_body();
        }
        self.exchange.disconnected(reason);
        let config = self.server.config();
        self.exchange
            .detach(self.watch.grace_ends(config, Instant::now()));
    }
}

impl<S: ResponseStream + Unpin> Future for ResponseDriver<S>
where
    S::WebSocket: Unpin,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.exchange.begin_turn();
        if this.poll_stage(cx).is_ready() || this.poll_reset(cx).is_ready() {
            return Poll::Ready(());
        }
        if let ResponseStage::WebSocket(_) = this.stage {
            // Its driver polls the app itself.
            return Poll::Pending;
        }
        // An app that waits for room is polled too: its timers go on.
        if this.exchange.poll_app(cx) {
            return this.poll_stage(cx);
        }
        Poll::Pending
    }
}

impl<S: ResponseStream> Drop for ResponseDriver<S> {
    fn drop(&mut self) {
        if !matches!(self.stage, ResponseStage::Done) {
            // The client would wait forever for a promised response.
            self.reset(ResetCause::Cancelled);
            self.exchange.cancel("its stream's task is gone");
        }
    }
}

fn early_hints(hint: HttpResponseEarlyHint) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::EARLY_HINTS;
    for link in hint.links {
        response.headers_mut().append(LINK, link);
    }
    response
}
