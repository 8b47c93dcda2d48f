//! One stream: takes what the exchange has to say and gives it to h2, as far as the client lets it.
//!
//! A stream ends in one of these ways:
//!
//! - the whole response is with h2, which sends it as the client's windows allow;
//! - the app broke its response off, or a deadline has passed: RST_STREAM says so;
//! - the client reset the stream, or the connection is gone;
//! - it has become a WebSocket, and that is closed ([`crate::websocket`]).
//!
//! In each of them an app that still runs goes on in a task of its own, with its grace.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use asgi::{DisconnectReason, HttpResponsePush};
use asgi_rules::Framing;
use bytes::{Bytes, BytesMut};
use h2::server::{SendPushedResponse, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::header::LINK;
use http::{HeaderMap, Response, StatusCode};
use tokio::time::Sleep;
use tracing::debug;

use super::push::Parent;
use super::{SEND_BUFFER, Shared, request, response};
use crate::exchange::{
    Admission, BrokenOff, Exchange, Interim, Part, PushGate, PushSlot, PushSlots, RequestBody,
    ResponseStart, h2_reason_of, store,
};
use crate::websocket::{self, Io as _, OverHttp2};

/// How long what still comes of a request is thrown away when its response is complete. A reset at
/// once could overtake the response, or hit a client that is about to end its request anyway. And
/// how long an app may still speak when its client has all of the response: without content, that is
/// with the head.
const LINGER: Duration = Duration::from_secs(1);

/// Drives one exchange; a future that is ready when the stream needs nobody any more.
pub(super) struct Stream {
    shared: Arc<Shared>,
    exchange: Arc<Exchange>,
    watch: Arc<Watch>,
    stage: Stage,
    /// What promised requests are made of, if the app may push.
    parent: Option<Parent>,
    /// The place of a stream that is itself a push.
    slot: Option<PushSlot>,
}

/// How far the response has come.
enum Stage {
    /// The head is still to come.
    Head(Respond),
    /// The head is out; `data` waits for the client's window.
    Body {
        respond: Respond,
        send: SendStream<Bytes>,
        data: Bytes,
        last: bool,
    },
    /// The end of the stream went out with its head, but the app has not said all. To the client
    /// and to its limit of streams this one is over: an app gets no longer than the timer for it.
    Silent(SendStream<Bytes>, Pin<Box<Sleep>>),
    /// The app has accepted a handshake.
    Socket(Box<websocket::Driver<OverHttp2>>),
    /// The response is out, but the request is not all in.
    Linger(RecvStream, Pin<Box<Sleep>>),
    Done,
}

/// h2's handle of a stream before its head is out.
enum Respond {
    Request(SendResponse<Bytes>),
    Push(SendPushedResponse<Bytes>),
}

impl Respond {
    fn send_response(
        &mut self,
        response: Response<()>,
        end_of_stream: bool,
    ) -> Result<SendStream<Bytes>, h2::Error> {
        match self {
            Self::Request(respond) => respond.send_response(response, end_of_stream),
            Self::Push(respond) => respond.send_response(response, end_of_stream),
        }
    }

    fn send_reset(&mut self, reason: Reason) {
        match self {
            Self::Request(respond) => respond.send_reset(reason),
            Self::Push(respond) => respond.send_reset(reason),
        }
    }

    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reason, h2::Error>> {
        match self {
            Self::Request(respond) => respond.poll_reset(cx),
            Self::Push(respond) => respond.poll_reset(cx),
        }
    }
}

/// What the connection's driver sees of a stream, and says to it.
#[derive(Debug, Default)]
pub(super) struct Watch(Mutex<Watched>);

#[derive(Debug, Default)]
struct Watched {
    /// Since when the client's window has had no room for what the app has sent.
    stuck_since: Option<Instant>,
    /// The stream is to be reset, and why the app is told so.
    kill: Option<(Reason, DisconnectReason)>,
    /// The stream's task, when it waits.
    task: Option<Waker>,
}

impl Watch {
    pub(super) fn stuck_since(&self) -> Option<Instant> {
        self.lock().stuck_since
    }

    /// Makes the stream reset itself.
    pub(super) fn kill(&self, reason: Reason, told: DisconnectReason) {
        self.lock().kill = Some((reason, told));
        self.wake();
    }

    /// Makes the stream look again.
    pub(super) fn wake(&self) {
        let task = self.lock().task.take();
        if let Some(task) = task {
            task.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        // Every change is one assignment: a panic leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream {
    pub(super) fn new(
        shared: &Arc<Shared>,
        exchange: &Arc<Exchange>,
        respond: SendResponse<Bytes>,
        parent: Option<Parent>,
    ) -> Self {
        if parent.is_some() {
            exchange.allow_pushes(Arc::clone(shared) as Arc<dyn PushGate>);
        }
        Self {
            shared: Arc::clone(shared),
            exchange: Arc::clone(exchange),
            watch: Arc::default(),
            stage: Stage::Head(Respond::Request(respond)),
            parent,
            slot: None,
        }
    }

    pub(super) fn watch(&self) -> &Arc<Watch> {
        &self.watch
    }

    /// What the exchange has to send goes to h2, until one of them has to wait.
    fn poll_stage(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.stage {
                Stage::Head(_) => ready!(self.poll_head(cx)),
                Stage::Body { .. } => ready!(self.poll_body(cx)),
                Stage::Silent(_, deadline) => match self.exchange.poll_part(cx) {
                    Poll::Ready(Part::End | Part::Broken) => self.finish(),
                    Poll::Ready(Part::Data(_) | Part::Trailers(_)) => {}
                    Poll::Pending => {
                        ready!(deadline.as_mut().poll(cx));
                        self.exchange.superseded();
                        self.stage = Stage::Done;
                    }
                },
                Stage::Socket(socket) => {
                    let end = ready!(socket.poll(cx));
                    self.end_socket(end);
                }
                Stage::Linger(body, deadline) => {
                    if poll_linger(body, cx).is_pending() {
                        ready!(deadline.as_mut().poll(cx));
                    }
                    self.stage = Stage::Done;
                }
                Stage::Done => return Poll::Ready(()),
            }
        }
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let beginning = ready!(self.poll_next(Exchange::poll_start, cx));
        match beginning {
            Ok(beginning) => self.send_head(beginning),
            Err(BrokenOff) => self.break_off(Reason::INTERNAL_ERROR),
        }
        Poll::Ready(())
    }

    /// The next that `next` gives, behind what goes out before it: a promise has to precede what refers
    /// to it (RFC 9113 §8.4.1).
    fn poll_next<T>(
        &mut self,
        next: fn(&Arc<Exchange>, &mut Context<'_>) -> Poll<T>,
        cx: &mut Context<'_>,
    ) -> Poll<T> {
        loop {
            if let Some(interim) = self.exchange.take_interim(cx) {
                self.send_interim(interim);
                continue;
            }
            match next(&self.exchange, cx) {
                Poll::Pending if self.exchange.has_interim() => {}
                polled => return polled,
            }
        }
    }

    fn send_head(&mut self, beginning: ResponseStart) {
        let pushes = self.pushes();
        let parked = pushes.as_ref().map(|pushes| pushes.between_turns());
        if let (Some(slot), Some(mut parked)) = (&self.slot, parked) {
            if slot.fits() {
                *parked = true;
                self.begin(beginning);
            } else {
                // The client has lowered its limit. h2 would park the response for long.
                self.reset(Reason::CANCEL);
                self.gone(DisconnectReason::Reset(Reason::REFUSED_STREAM.into()));
            }
        } else {
            self.begin(beginning);
        }
    }

    fn begin(&mut self, beginning: ResponseStart) {
        let Stage::Head(mut respond) = std::mem::replace(&mut self.stage, Stage::Done) else {
            return;
        };
        let ResponseStart {
            head, whole, opens, ..
        } = beginning;
        let empty = head.framing == Framing::Empty && !head.trailers
            || whole.as_ref().is_some_and(Bytes::is_empty);
        let response = response::head(head, self.shared.server.config());
        let send = match respond.send_response(response, empty) {
            Ok(send) => send,
            Err(error) => return self.lost(&error),
        };
        self.stage = match whole {
            _ if opens => self.open_socket(send),
            _ if empty && whole.is_none() => {
                self.exchange.delivered();
                Stage::Silent(send, Box::pin(tokio::time::sleep(LINGER)))
            }
            _ if empty => return self.finish(),
            whole => Stage::Body {
                respond,
                send,
                last: whole.is_some(),
                data: whole.unwrap_or_default(),
            },
        };
    }

    fn open_socket(&self, send: SendStream<Bytes>) -> Stage {
        let (body, deflate) = self.exchange.opened();
        let body = match body {
            Some(RequestBody::Http2(body)) => Some(body),
            _ => None,
        };
        let io = OverHttp2::new(send, body);
        let (server, exchange) = (&self.shared.server, Arc::clone(&self.exchange));
        let read = BytesMut::new();
        Stage::Socket(Box::new(websocket::Driver::new(
            server, exchange, deflate, io, read,
        )))
    }

    /// Both sides have closed the socket, or one of them is not there any more.
    fn end_socket(&mut self, end: websocket::End) {
        let Stage::Socket(socket) = std::mem::replace(&mut self.stage, Stage::Done) else {
            return;
        };
        let mut io = socket.finish(end);
        let reads = io.stuck_since().is_none();
        if let websocket::End::Closed | websocket::End::TimedOut(_) = end
            && reads
        {
            if let Some(body) = io.end() {
                self.stage = Stage::Linger(body, Box::pin(tokio::time::sleep(LINGER)));
            }
        } else {
            // RFC 8441 §5: "RST exceptions are represented with the RST_STREAM frame ... with the
            // CANCEL error code".
            io.reset(Reason::CANCEL);
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.poll_send(cx));
        let part = ready!(self.poll_next(Exchange::poll_part, cx));
        match part {
            Part::Data(part) => {
                if let Stage::Body { data, .. } = &mut self.stage {
                    *data = part;
                }
            }
            Part::Trailers(trailers) => self.end(Some(trailers)),
            Part::End => self.end(None),
            Part::Broken => self.break_off(Reason::INTERNAL_ERROR),
        }
        Poll::Ready(())
    }

    fn end(&mut self, trailers: Option<HeaderMap>) {
        let pushes = self.pushes();
        let _between = pushes.as_ref().map(|pushes| pushes.between_turns());
        let Stage::Body { send, .. } = &mut self.stage else {
            return;
        };
        let result = match trailers {
            Some(trailers) => send.send_trailers(trailers),
            None => send.send_data(Bytes::new(), true),
        };
        match result {
            Ok(()) => self.finish(),
            Err(error) => self.lost(&error),
        }
    }

    /// What counts this stream, if it is a push.
    fn pushes(&self) -> Option<Arc<PushSlots>> {
        let pushes = &self.shared.pushes;
        self.slot.as_ref().map(|_| Arc::clone(pushes))
    }

    fn send_interim(&mut self, interim: Interim) {
        let mut response = Response::new(());
        match interim {
            Interim::Push(promise, admission) => return self.push(promise, admission),
            Interim::Continue => *response.status_mut() = StatusCode::CONTINUE,
            Interim::EarlyHint(hint) => {
                *response.status_mut() = StatusCode::EARLY_HINTS;
                for link in hint.links {
                    response.headers_mut().append(LINK, link);
                }
            }
        }
        if let Stage::Head(Respond::Request(respond)) = &mut self.stage
            && let Err(error) = respond.send_informational(response)
        {
            // The stream is over, which `poll_reset` tells.
            debug!("cannot send an interim response: {error}");
        }
    }

    /// Promises a request, and has the app answer it on a stream of its own.
    fn push(&mut self, promise: HttpResponsePush, admission: Admission) {
        let (Stage::Head(respond) | Stage::Body { respond, .. }) = &mut self.stage else {
            return;
        };
        let promised = self
            .parent
            .as_ref()
            .and_then(|parent| parent.promise(promise));
        let (Respond::Request(respond), Some(request)) = (respond, promised) else {
            return;
        };
        let Shared { server, ends, .. } = &*self.shared;
        let began = Instant::now();
        let scope = request::promised_scope(&request, ends, server.config(), server.state());
        let label = self
            .shared
            .label(request.method(), request.uri(), request.version());
        let Admission { slot, permit } = admission;
        let respond = match respond.push_request(request) {
            Ok(respond) => respond,
            Err(error) => {
                debug!(exchange = label.id, "cannot push: {error}");
                return;
            }
        };
        let permit = permit.take(server);
        let exchange = Exchange::start(server, permit, label, scope, RequestBody::None, began);
        let stream = Self {
            shared: Arc::clone(&self.shared),
            exchange: Arc::clone(&exchange),
            watch: Arc::default(),
            stage: Stage::Head(Respond::Push(respond)),
            parent: None,
            slot: Some(slot),
        };
        // Never polled here first: what the client has asked for comes before what it has not.
        self.shared.running.spawn(exchange, stream);
    }

    /// Hands what waits to h2, no more than the client has room for: what h2 holds beyond that would
    /// be out of reach of any deadline.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Stage::Body {
                send, data, last, ..
            } = &mut self.stage
            else {
                return Poll::Ready(());
            };
            if data.is_empty() {
                return Poll::Ready(());
            }
            // Reserved only while there is something: capacity that lies idle is missing elsewhere
            // on the connection. No more than h2 takes at once: it would keep the low 32 bits of the
            // number alone, which are zero for 4 GiB.
            send.reserve_capacity(data.len().min(SEND_BUFFER));
            let room = match send.capacity() {
                0 => match send.poll_capacity(cx) {
                    Poll::Pending => {
                        self.watch
                            .lock()
                            .stuck_since
                            .get_or_insert_with(Instant::now);
                        return Poll::Pending;
                    }
                    Poll::Ready(Some(Ok(room))) => room,
                    Poll::Ready(Some(Err(error))) => {
                        self.lost(&error);
                        return Poll::Ready(());
                    }
                    // The stream is over; the reset behind it says why.
                    Poll::Ready(None) => return Poll::Pending,
                },
                room => room,
            };
            if room == 0 {
                continue;
            }
            self.watch.lock().stuck_since = None;
            let part = data.split_to(room.min(data.len()));
            let end = *last && data.is_empty();
            let counted = self.slot.as_ref().filter(|_| end);
            let pushes = counted.map(|_| Arc::clone(&self.shared.pushes));
            let _between = pushes.as_ref().map(|pushes| pushes.between_turns());
            match send.send_data(part, end) {
                Ok(()) if end => {
                    self.finish();
                    return Poll::Ready(());
                }
                Ok(()) => {}
                Err(error) => {
                    self.lost(&error);
                    return Poll::Ready(());
                }
            }
        }
    }

    /// Looks whether the client, or the connection's driver, has ended the stream.
    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let kill = {
            let mut watched = self.watch.lock();
            store(&mut watched.task, cx);
            watched.kill
        };
        if let Some((reason, told)) = kill {
            self.reset(reason);
            self.gone(told);
            return Poll::Ready(());
        }
        let reset = match &mut self.stage {
            Stage::Head(respond) => respond.poll_reset(cx),
            Stage::Body { send, .. } | Stage::Silent(send, _) => send.poll_reset(cx),
            Stage::Socket(socket) => socket.io().poll_reset(cx),
            Stage::Linger(..) | Stage::Done => return Poll::Pending,
        };
        let reason = match reset {
            Poll::Ready(Ok(reason)) => DisconnectReason::Reset(reason.into()),
            Poll::Ready(Err(error)) => h2_reason_of(&error),
            Poll::Pending if self.shared.running.is_over() => DisconnectReason::Lost,
            Poll::Pending => return Poll::Pending,
        };
        self.gone(reason);
        Poll::Ready(())
    }

    /// h2 has the whole response.
    fn finish(&mut self) {
        self.stage = match self.exchange.take_leftover() {
            Some(body) => Stage::Linger(body, Box::pin(tokio::time::sleep(LINGER))),
            None => Stage::Done,
        };
        self.slot = None;
        self.exchange.delivered();
        self.exchange.detach(None);
    }

    /// The app broke its response off, or never began one.
    fn break_off(&mut self, reason: Reason) {
        self.reset(reason);
        self.exchange.detach(None);
    }

    fn reset(&mut self, reason: Reason) {
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Head(mut respond) => respond.send_reset(reason),
            Stage::Body { mut send, .. } | Stage::Silent(mut send, _) => send.send_reset(reason),
            Stage::Socket(mut socket) => socket.io().reset(reason),
            Stage::Linger(..) | Stage::Done => {}
        }
    }

    fn lost(&mut self, error: &h2::Error) {
        debug!(
            exchange = self.exchange.label().id,
            "cannot send the response: {error}"
        );
        self.gone(h2_reason_of(error));
    }

    /// The client is gone: its app has its grace.
    fn gone(&mut self, reason: DisconnectReason) {
        self.stage = Stage::Done;
        self.exchange.disconnected(reason);
        self.exchange.detach_left();
    }
}

impl Future for Stream {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.exchange.begin_turn();
        if this.poll_stage(cx).is_ready() || this.poll_reset(cx).is_ready() {
            return Poll::Ready(());
        }
        if let Stage::Socket(_) = this.stage {
            // It polls its app itself.
            return Poll::Pending;
        }
        // An app that waits for room is polled too: its timers go on.
        if this.exchange.poll_app(cx) {
            return this.poll_stage(cx);
        }
        Poll::Pending
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !matches!(self.stage, Stage::Done) {
            // A promise that is dropped would have its client wait for ever.
            self.reset(Reason::CANCEL);
            self.exchange.cancel("its stream's task is gone");
        }
    }
}

/// Throws away what comes of a request, as much as the client's window allows: it gets no new credit.
///
/// When the stream is dropped h2 asks the client to stop: RFC 9113 §8.1, "a server MAY request that
/// the client abort transmission of a request without error by sending a RST_STREAM with an error
/// code of NO_ERROR after sending a complete response".
fn poll_linger(body: &mut RecvStream, cx: &mut Context<'_>) -> Poll<()> {
    while let Some(data) = ready!(body.poll_data(cx)) {
        if data.is_err() {
            return Poll::Ready(());
        }
    }
    body.poll_trailers(cx).map(drop)
}
