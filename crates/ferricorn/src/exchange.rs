//! One request, its response and the app between them.
//!
//! An [`Exchange`] holds the app's future in a slot, so that whoever drives the connection can poll
//! it: hyper asks for the response, or for the next part of its body, and that polls the app; when
//! hyper has no reason to ask (its buffers are full, the client reads slowly), the driver polls
//! the slot itself, so that the app's timers go on. The rules are those of
//! [`asgi_exchange::HttpExchange`]; here are the waiting, the waking and the log.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use asgi::{
    Address, AppError, AppFuture, DisconnectReason, Extensions, HttpDisconnect, HttpRequest,
    HttpScope, ReceiveEvent, ReceiveHalf, Receiver, SendError, SendEvent, SendHalf, Sender,
};
use asgi_exchange::{AppEnd, Ending, Fault, Framing, HttpExchange, ResponseHead, WireEvent};
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use http_body::Body;
use hyper::body::Incoming;
use tracing::{Span, debug, debug_span, error, info, warn};

use crate::server::{Permit, Server};

/// One request, its response and the app between them.
pub(crate) struct Exchange {
    server: Arc<Server>,
    label: Label,
    began: Instant,
    span: Span,
    /// The app, until it has ended. Locked for as long as it is polled.
    app: Mutex<Option<AppFuture<'static>>>,
    state: Mutex<State>,
}

/// What the log says of an exchange.
#[derive(Debug, Clone)]
pub(crate) struct Label {
    pub(crate) id: u64,
    pub(crate) method: Method,
    pub(crate) target: PathAndQuery,
    pub(crate) version: Version,
    pub(crate) client: Option<Address>,
}

struct State {
    rules: HttpExchange,
    request_body: Option<Incoming>,
    response: Response,
    /// Whether polling the app could get it further: something has happened since the last poll.
    runnable: bool,
    /// The app is being polled: what it does needs to wake nobody.
    polling: bool,
    /// Why the peer gets an error of its own, should the app have nothing to say to it.
    peer_fault: Option<StatusCode>,
    receive_waker: Option<Waker>,
    ready_waker: Option<Waker>,
    closed_waker: Option<Waker>,
    driver: Option<Waker>,
    /// The app waits for a part of the request's body.
    wants_body: bool,
    slow_poll_told: bool,
    permit: Option<Permit>,
    status: Option<StatusCode>,
    sent: u64,
    logged: bool,
}

/// What the app has sent and nobody has taken yet: never more than a head and one part.
#[derive(Debug, Default)]
struct Response {
    head: Option<ResponseHead>,
    data: Option<Bytes>,
    trailers: Option<HeaderMap>,
    end: Option<End>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Complete,
    /// The app broke off.
    Broken,
}

/// The beginning of a response, for the driver to send.
pub(crate) struct Beginning {
    pub(crate) head: ResponseHead,
    /// The whole body, if the response is complete already.
    pub(crate) whole: Option<Bytes>,
}

/// What follows of a response.
#[derive(Debug)]
pub(crate) enum Part {
    Data(Bytes),
    Trailers(HeaderMap),
    End,
    /// The app broke off: the client must be able to tell.
    Broken,
}

impl Exchange {
    /// Starts the server's app for a request.
    pub(crate) fn start(
        server: &Arc<Server>,
        permit: Permit,
        label: Label,
        scope: HttpScope,
        request_body: Incoming,
        began: Instant,
    ) -> Arc<Self> {
        let span = debug_span!(
            "exchange",
            id = label.id,
            method = %label.method,
            path = label.target.path(),
        );
        let rules = HttpExchange::new(&scope.method, scope.extensions.clone());
        let exchange = Arc::new(Self {
            server: Arc::clone(server),
            label,
            began,
            span,
            app: Mutex::new(None),
            state: Mutex::new(State::new(rules, request_body, permit)),
        });
        let receive = Receiver::new(Receive(Arc::clone(&exchange)));
        let send = Sender::new(Send(Arc::clone(&exchange)));
        // The call itself may panic: an app can be a plain function that returns a future.
        let call = || server.app().start(scope.into(), receive, send);
        match catch_unwind(AssertUnwindSafe(call)) {
            Ok(app) => *exchange.lock_app() = Some(app),
            Err(panic) => exchange.ended(AppEnd::Panicked, Cause::Panic(panic)),
        }
        exchange
    }

    pub(crate) fn label(&self) -> &Label {
        &self.label
    }

    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// Waits for the head of the response, or for all of it.
    pub(crate) fn poll_beginning(&self, cx: &mut Context<'_>) -> Poll<Beginning> {
        if let Some(beginning) = self.lock().take_beginning() {
            return Poll::Ready(beginning);
        }
        self.poll_app(cx);
        match self.lock().take_beginning() {
            Some(beginning) => Poll::Ready(beginning),
            None => Poll::Pending,
        }
    }

    /// Waits for the next part of the response behind its head.
    pub(crate) fn poll_part(&self, cx: &mut Context<'_>) -> Poll<Part> {
        if let Some(part) = self.take_part(cx) {
            return Poll::Ready(part);
        }
        self.poll_app(cx);
        match self.take_part(cx) {
            Some(part) => Poll::Ready(part),
            None => Poll::Pending,
        }
    }

    /// Polls the app, unless nothing has happened that could get it further.
    ///
    /// Returns whether there is something to send that was not there before.
    pub(crate) fn poll_app(&self, cx: &mut Context<'_>) -> bool {
        let mut slot = self.lock_app();
        let Some(app) = slot.as_mut() else {
            return false;
        };
        let had_output = {
            let mut state = self.lock();
            if !std::mem::take(&mut state.runnable) {
                return false;
            }
            state.polling = true;
            state.response.has_output()
        };
        let began = Instant::now();
        let polled = self
            .span
            .in_scope(|| catch_unwind(AssertUnwindSafe(|| app.as_mut().poll(cx))));
        let took = began.elapsed();
        let ended = match polled {
            Ok(Poll::Pending) => None,
            Ok(Poll::Ready(result)) => Some((
                AppEnd::from(&result),
                result.err().map_or(Cause::None, Cause::Error),
            )),
            Err(panic) => Some((AppEnd::Panicked, Cause::Panic(panic))),
        };
        self.after_poll(took);
        if let Some((end, cause)) = ended {
            self.drop_app(&mut slot);
            drop(slot);
            self.ended(end, cause);
        }
        let state = self.lock();
        !had_output && state.response.has_output()
    }

    /// A new turn of the driver: the app may be polled once more.
    pub(crate) fn begin_turn(&self) {
        self.lock().runnable = true;
    }

    /// Makes halves that are used in other tasks wake the driver.
    pub(crate) fn end_turn(&self, cx: &Context<'_>) {
        store(&mut self.lock().driver, cx);
    }

    /// Whether the app has ended.
    pub(crate) fn is_app_done(&self) -> bool {
        self.lock_app().is_none()
    }

    /// Whether everything of the response was taken, or its end.
    pub(crate) fn is_response_done(&self) -> bool {
        self.lock().response.is_taken()
    }

    /// Whether the app waits for a part of the request's body.
    pub(crate) fn wants_body(&self) -> bool {
        self.lock().wants_body
    }

    /// The client is gone, or as good as gone.
    pub(crate) fn disconnected(&self, reason: DisconnectReason) {
        let mut state = self.lock();
        state.rules.disconnected(reason);
        state.runnable = true;
        state.wake_all();
    }

    /// What the client did deserves this answer, if the app has none.
    pub(crate) fn peer_failed(&self, reason: DisconnectReason, status: StatusCode) {
        self.lock().peer_fault = Some(status);
        self.disconnected(reason);
    }

    /// Ends the app before it is done.
    pub(crate) fn cancel(&self, why: &str) {
        let mut slot = self.lock_app();
        if slot.is_none() {
            return;
        }
        debug!(parent: &self.span, exchange = self.label.id, "app cancelled: {why}");
        self.drop_app(&mut slot);
        drop(slot);
        self.ended(AppEnd::Cancelled, Cause::None);
    }

    /// The connection is done with this exchange: an app that still runs goes on in a task of its
    /// own, for as long as `grace` if its client is gone.
    pub(crate) fn detach(self: &Arc<Self>, grace: Option<Instant>) {
        self.log_access();
        if self.is_app_done() {
            return;
        }
        {
            let mut state = self.lock();
            state.driver = None;
            state.runnable = true;
            // Nobody takes what is still there.
            state.response.data = None;
            state.wake_all();
        }
        let exchange = Arc::clone(self);
        let server = Arc::clone(&self.server);
        let counted = server.count_detached();
        tokio::spawn(async move {
            let _counted = counted;
            let exchange = CancelOnDrop(exchange);
            let exchange = &exchange.0;
            let cut = server.until_cut();
            let run = std::future::poll_fn(|cx| {
                exchange.begin_turn();
                exchange.poll_app(cx);
                if exchange.is_app_done() {
                    return Poll::Ready(());
                }
                exchange.end_turn(cx);
                Poll::Pending
            });
            let deadline = async {
                match grace {
                    Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = run => {}
                () = deadline => exchange.cancel("its client left and its grace is over"),
                () = cut => exchange.cancel("the server stops"),
            }
        });
    }

    /// Writes the line of the access log, once.
    pub(crate) fn log_access(&self) {
        if !self.server.config().access_log {
            return;
        }
        let mut state = self.lock();
        if !std::mem::replace(&mut state.logged, true) {
            let (status, sent) = (state.status, state.sent);
            drop(state);
            log_access(&self.label, status, sent, self.began.elapsed());
        }
    }

    /// What becomes of the exchange now that the app is gone.
    fn ended(&self, end: AppEnd, cause: Cause) {
        let mut state = self.lock();
        let verdict = state.rules.ended(end);
        state.request_body = None;
        state.permit = None;
        state.polling = false;
        let fault = match (verdict.ending, state.peer_fault) {
            // The client's fault comes first: whatever the app made of it. (HTTP-038)
            (Ending::Gone | Ending::ServerError, Some(status)) if state.status.is_none() => {
                state.response.whole(status);
                verdict.fault.filter(|fault| *fault == Fault::Panicked)
            }
            (Ending::ServerError, _) => {
                state.response.whole(StatusCode::INTERNAL_SERVER_ERROR);
                verdict.fault
            }
            (Ending::Abort | Ending::Gone, _) => {
                state.response.end = Some(End::Broken);
                verdict.fault
            }
            (Ending::Complete, _) => verdict.fault,
        };
        state.wake_all();
        if let Some(driver) = state.driver.take() {
            driver.wake();
        }
        drop(state);
        self.log_end(fault, &cause);
    }

    fn log_end(&self, fault: Option<Fault>, cause: &Cause) {
        let Label {
            id, method, target, ..
        } = &self.label;
        let path = target.path();
        match (fault, cause) {
            (Some(Fault::Panicked), cause) => {
                error!(exchange = id, %method, path, "the app panicked: {cause}");
            }
            (Some(Fault::Failed), cause) => {
                error!(exchange = id, %method, path, "the app failed: {cause}");
            }
            (Some(Fault::NoResponse), _) => {
                error!(exchange = id, %method, path, "the app returned without a response");
            }
            (Some(Fault::Incomplete), _) => {
                error!(exchange = id, %method, path, "the app returned before its response was complete");
            }
            (None, Cause::Error(_)) => {
                debug!(exchange = id, %method, path, "the app ended after its client left: {cause}");
            }
            (None, _) => {}
        }
    }

    fn after_poll(&self, took: Duration) {
        let mut state = self.lock();
        state.polling = false;
        let event = state.rules.waiting();
        state.apply(event);
        let limit = self.server.config().slow_poll;
        if took > limit && !limit.is_zero() && !std::mem::replace(&mut state.slow_poll_told, true) {
            drop(state);
            let Label {
                id, method, target, ..
            } = &self.label;
            warn!(
                exchange = id, %method, path = target.path(),
                "the app blocked its thread for {took:?}: nothing else ran on it (slow_poll {limit:?})"
            );
        }
    }

    /// Drops the app's future, which may panic as well as a poll.
    fn drop_app(&self, slot: &mut Option<AppFuture<'static>>) {
        let app = slot.take();
        let dropped = self
            .span
            .in_scope(|| catch_unwind(AssertUnwindSafe(|| drop(app))));
        if let Err(panic) = dropped {
            let cause = Cause::Panic(panic);
            error!(
                exchange = self.label.id,
                "the app panicked while it was dropped: {cause}"
            );
        }
    }

    fn take_part(&self, cx: &Context<'_>) -> Option<Part> {
        let mut state = self.lock();
        if let Some(data) = state.response.data.take() {
            state.sent += data.len() as u64;
            // There is room again: for who waits for it, and so for another poll.
            state.runnable = true;
            if let Some(waker) = state
                .ready_waker
                .take_if(|waker| !waker.will_wake(cx.waker()))
            {
                waker.wake();
            }
            return Some(Part::Data(data));
        }
        if let Some(trailers) = state.response.trailers.take() {
            return Some(Part::Trailers(trailers));
        }
        match state.response.end? {
            End::Complete => Some(Part::End),
            End::Broken => Some(Part::Broken),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The only code that can panic under this lock is the waker of an app's own executor;
        // whatever it left is still a state that the next caller can go on from.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_app(&self) -> MutexGuard<'_, Option<AppFuture<'static>>> {
        self.app.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("label", &self.label)
            .finish_non_exhaustive()
    }
}

impl State {
    fn new(rules: HttpExchange, request_body: Incoming, permit: Permit) -> Self {
        Self {
            rules,
            request_body: Some(request_body),
            response: Response::default(),
            runnable: true,
            polling: false,
            peer_fault: None,
            receive_waker: None,
            ready_waker: None,
            closed_waker: None,
            driver: None,
            wants_body: false,
            slow_poll_told: false,
            permit: Some(permit),
            status: None,
            sent: 0,
            logged: false,
        }
    }

    fn take_beginning(&mut self) -> Option<Beginning> {
        let head = self.response.head.take()?;
        self.status = Some(head.status);
        let complete = self.response.end == Some(End::Complete)
            && self.response.trailers.is_none()
            && !head.trailers;
        let whole = complete.then(|| self.response.data.take().unwrap_or_default());
        self.sent += whole.as_ref().map_or(0, |whole| whole.len() as u64);
        Some(Beginning { head, whole })
    }

    /// Lays what goes on the wire ready to be taken.
    fn apply(&mut self, event: WireEvent) {
        let response = &mut self.response;
        match event {
            WireEvent::Response(head, data) => {
                response.head = Some(head);
                response.data = Some(data);
                response.end = Some(End::Complete);
            }
            WireEvent::Head(head, data) => {
                response.head = Some(head);
                response.data = Some(data).filter(|data| !data.is_empty());
            }
            WireEvent::Data(data) => response.data = Some(data),
            WireEvent::Last(data) => {
                response.data = Some(data).filter(|data| !data.is_empty());
                response.end = Some(End::Complete);
            }
            WireEvent::Trailers(trailers) => {
                response.trailers = Some(trailers);
                response.end = Some(End::Complete);
            }
            // The rest is not offered on HTTP/1.
            _ => return,
        }
        if !self.polling
            && let Some(driver) = self.driver.take()
        {
            driver.wake();
        }
        if self.rules.is_complete() {
            // Whoever waits for the end of the exchange can be told.
            self.wake_all();
        }
    }

    fn wake_all(&mut self) {
        for waker in [
            &mut self.receive_waker,
            &mut self.ready_waker,
            &mut self.closed_waker,
        ] {
            if let Some(waker) = waker.take() {
                waker.wake();
            }
        }
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<ReceiveEvent> {
        self.wants_body = false;
        if !self.rules.is_complete()
            && let Some(body) = &mut self.request_body
        {
            match poll_body(body, cx) {
                Poll::Ready(Ok(part)) => {
                    if !part.more_body {
                        self.request_body = None;
                    }
                    return Poll::Ready(part.into());
                }
                Poll::Ready(Err(reason)) => {
                    self.request_body = None;
                    if reason == DisconnectReason::ProtocolError {
                        self.peer_fault = Some(StatusCode::BAD_REQUEST);
                    }
                    self.rules.disconnected(reason);
                }
                // What has come is told before the end, and hyper still has some of it: it will
                // report the end itself, unless the connection is lost.
                Poll::Pending => {
                    self.wants_body = true;
                    store(&mut self.receive_waker, cx);
                    match self.rules.disconnect() {
                        None | Some(DisconnectReason::Closed) => return Poll::Pending,
                        Some(_) => self.wants_body = false,
                    }
                }
            }
        }
        match self.rules.disconnect() {
            Some(reason) => Poll::Ready(HttpDisconnect::new(reason).into()),
            None => {
                store(&mut self.receive_waker, cx);
                Poll::Pending
            }
        }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        if let Err(error) = self.rules.ready() {
            return Poll::Ready(Err(error));
        }
        // A complete response has no room to wait for: the next event is told that it is one too many.
        if self.response.has_room() || self.rules.is_complete() {
            return Poll::Ready(Ok(()));
        }
        store(&mut self.ready_waker, cx);
        Poll::Pending
    }
}

impl Response {
    fn has_room(&self) -> bool {
        self.data.is_none()
    }

    /// Whether everything but the end was taken.
    fn is_taken(&self) -> bool {
        self.end.is_some() && self.head.is_none() && self.data.is_none() && self.trailers.is_none()
    }

    fn has_output(&self) -> bool {
        self.head.is_some() || self.data.is_some() || self.trailers.is_some() || self.end.is_some()
    }

    /// A response of the server's own, in place of whatever the app had begun.
    fn whole(&mut self, status: StatusCode) {
        let reason = status.canonical_reason().unwrap_or("error");
        let body = Bytes::from(format!("{reason}\n"));
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        *self = Self::default();
        self.head = Some(server_head(status, headers, body.len() as u64));
        self.data = Some(body);
        self.end = Some(End::Complete);
    }
}

fn server_head(status: StatusCode, headers: HeaderMap, length: u64) -> ResponseHead {
    let mut head = ResponseHead::new(status, headers, Framing::Length(length));
    head.close = status.is_client_error();
    head
}

/// The app's way to receive.
struct Receive(Arc<Exchange>);

impl ReceiveHalf for Receive {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<ReceiveEvent> {
        self.0.lock().poll_receive(cx)
    }
}

/// The app's way to send.
struct Send(Arc<Exchange>);

impl SendHalf for Send {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.0.lock().poll_ready(cx)
    }

    fn start_send(&mut self, event: SendEvent) -> Result<(), SendError> {
        let mut state = self.0.lock();
        let event = state.rules.send(event)?;
        // A start that another task sends is held back until the driver has polled the app, which
        // then either has more to say or waits.
        if state.rules.is_held()
            && !state.polling
            && let Some(driver) = state.driver.take()
        {
            driver.wake();
        }
        state.apply(event);
        Ok(())
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<DisconnectReason> {
        let mut state = self.0.lock();
        match state.rules.disconnect() {
            Some(reason) => Poll::Ready(reason),
            None => {
                store(&mut state.closed_waker, cx);
                Poll::Pending
            }
        }
    }
}

/// Breaks the circle of an exchange, its app and the app's halves whatever becomes of the task.
pub(crate) struct CancelOnDrop(pub(crate) Arc<Exchange>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel("its task is gone");
    }
}

/// Why an app ended as it did.
pub(crate) enum Cause {
    None,
    Error(AppError),
    Panic(Box<dyn Any + std::marker::Send>),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("no cause"),
            Self::Error(error) => write!(f, "{}", error.chain()),
            Self::Panic(panic) => {
                let text = panic
                    .downcast_ref::<&str>()
                    .copied()
                    .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
                f.write_str(text.unwrap_or("a value that is no text"))
            }
        }
    }
}

/// The next part of a request's body; an error is why there is none.
fn poll_body(
    body: &mut Incoming,
    cx: &mut Context<'_>,
) -> Poll<Result<HttpRequest, DisconnectReason>> {
    if body.is_end_stream() {
        return Poll::Ready(Ok(HttpRequest::last(Bytes::new())));
    }
    let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) else {
        return Poll::Pending;
    };
    Poll::Ready(match frame {
        // Asked at once: after the last part hyper need not report an end. (crates/README.md)
        Some(Ok(frame)) => match frame.into_data() {
            Ok(data) => Ok(HttpRequest::new(data, !body.is_end_stream())),
            Err(frame) => {
                let mut last = HttpRequest::last(Bytes::new());
                last.trailers = frame.into_trailers().ok().map(Box::new);
                Ok(last)
            }
        },
        None => Ok(HttpRequest::last(Bytes::new())),
        Some(Err(error)) => Err(reason_of(&error)),
    })
}

fn reason_of(error: &hyper::Error) -> DisconnectReason {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return match error.kind() {
                std::io::ErrorKind::InvalidData | std::io::ErrorKind::InvalidInput => {
                    DisconnectReason::ProtocolError
                }
                _ => DisconnectReason::Lost,
            };
        }
        cause = error.source();
    }
    DisconnectReason::Lost
}

/// One line of the access log, in the manner of the common log format.
pub(crate) fn log_access(label: &Label, status: Option<StatusCode>, sent: u64, took: Duration) {
    let client = ClientName(label.client.as_ref());
    let status = status.map_or(0, |status| status.as_u16());
    let took = took.as_secs_f64() * 1000.0;
    info!(
        target: "ferricorn::access",
        "{client} - \"{} {} {:?}\" {status} {sent} {took:.3}ms",
        label.method, label.target, label.version,
    );
}

struct ClientName<'a>(Option<&'a Address>);

impl fmt::Display for ClientName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(Address::Ip(address)) => write!(f, "{address}"),
            _ => f.write_str("unix"),
        }
    }
}

/// Remembers the waker of the last caller.
fn store(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *slot = Some(cx.waker().clone()),
    }
}

/// What every exchange on a connection of HTTP/1 can do.
pub(crate) fn http1_extensions(headers: &HeaderMap, version: Version) -> Extensions {
    use asgi::Extension;

    let takes_trailers = version == Version::HTTP_11
        && headers
            .get_all(header::TE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|coding| coding.trim().eq_ignore_ascii_case("trailers"));
    if takes_trailers {
        Extensions::new().with(Extension::Trailers)
    } else {
        Extensions::new()
    }
}
