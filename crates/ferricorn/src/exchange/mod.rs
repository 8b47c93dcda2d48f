//! One request, its response and the app between them; or one WebSocket, from its handshake on.
//!
//! An [`Exchange`] holds the app's future in a slot, so that whoever drives the connection can poll
//! it: hyper asks for the response, or for the next part of its body, and that polls the app; when
//! hyper has no reason to ask (its buffers are full, the client reads slowly), the driver polls
//! the slot itself, so that the app's timers go on. The rules are those of
//! [`asgi_rules::HttpRules`] and [`asgi_rules::WebSocketRules`]; here are the waiting, the
//! waking and the log. A handshake is answered like a request, and its denial is a response; what
//! an open socket has beside that is in [`socket`].

mod body;
mod detached;
mod halves;
mod log;
mod push;
mod socket;
mod state;

use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use asgi::{AppError, AppFuture, DisconnectReason, HttpScope, Scope, WebSocketScope};
use asgi_rules::{AppEnd, HttpRules};
use h2::RecvStream;
use http::StatusCode;
use http::header::EXPECT;
use tracing::{Span, debug, debug_span, error};

pub(crate) use self::body::{RequestBody, h2_reason_of};
pub(crate) use self::detached::CancelOnDrop;
pub(crate) use self::log::{Cause, RequestInfo, log_unreadable};
use self::push::Pushes;
pub(crate) use self::push::{Admission, PushGate, PushSlot, PushSlots};
pub(crate) use self::socket::ClientSide;
use self::socket::Socket;
pub(crate) use self::state::store;
pub(crate) use self::state::{BrokenOff, Interim, Part, ResponseStart};
use self::state::{Rules, State};
use crate::panic::{self, Panic};
use crate::server::{Permit, Server};
use crate::websocket::{self, Opening};

/// How an exchange stands at the end of a driver's turn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TurnEnd {
    /// There is something to send that was not there before.
    pub(crate) more: bool,
    /// The response is out: nothing is left for the driver to do.
    pub(crate) over: bool,
}

thread_local! {
    /// The exchange whose app this thread polls; 0 if none.
    static CURRENT: Cell<u64> = const { Cell::new(0) };
}

/// The number of the exchange whose app this thread polls now, as it stands in the log.
///
/// For what writes into the log on behalf of an app without knowing its exchange, such as the
/// loader of an app that has a log of its own.
pub fn current_exchange() -> Option<u64> {
    match CURRENT.get() {
        0 => None,
        id => Some(id),
    }
}

/// One request, its response and the app between them.
pub(crate) struct Exchange {
    server: Arc<Server>,
    label: RequestInfo,
    began: Instant,
    span: Span,
    /// Locked for as long as the app is polled.
    app: Mutex<Slot>,
    state: Mutex<State>,
    /// The app has ended and its whole response was taken: nothing is left to ask the rest for.
    over: AtomicBool,
}

/// The app of an exchange.
enum Slot {
    /// It is called with its first poll.
    New(Scope),
    Running(AppFuture<'static>),
    /// It has ended, or was dropped.
    Ended,
}

/// What a poll of the app came to: its result once it has one, or its panic.
type Polled = (Option<Result<(), AppError>>, Result<(), Panic>);

impl Exchange {
    /// Makes the server's app ready for a request. It is called when it is first polled.
    pub(crate) fn start(
        server: &Arc<Server>,
        permit: Permit<'_>,
        label: RequestInfo,
        scope: Box<HttpScope>,
        request_body: RequestBody,
        began: Instant,
    ) -> Arc<Self> {
        // Without a body there is nothing to wait for.
        let expects_continue = !request_body.is_end_stream() && scope.headers.contains_key(EXPECT);
        let mut rules = HttpRules::new(&scope.method, scope.extensions.clone());
        if let RequestBody::Http1(_) = request_body {
            // hyper writes it, and costs less than a field that it copies.
            rules = rules.with_implied_length();
        }
        let (scope, rules) = (Scope::Http(scope), Rules::Http(rules));
        Self::new(server, permit, label, scope, began, || {
            State::new(rules, request_body, expects_continue)
        })
    }

    /// Makes the server's app ready for a handshake, which `opening` completes if the app accepts.
    pub(crate) fn start_socket(
        server: &Arc<Server>,
        permit: Permit<'_>,
        mut label: RequestInfo,
        scope: Box<WebSocketScope>,
        opening: Opening,
        request_body: RequestBody,
        began: Instant,
    ) -> Arc<Self> {
        label.target = websocket::own(&label.target);
        let rules = Rules::WebSocket(Box::new(Socket::new(&scope, opening)));
        let scope = Scope::WebSocket(scope);
        Self::new(server, permit, label, scope, began, || {
            State::new(rules, request_body, false)
        })
    }

    fn new(
        server: &Arc<Server>,
        permit: Permit<'_>,
        label: RequestInfo,
        scope: Scope,
        began: Instant,
        // Made where it stays: it is large.
        state: impl FnOnce() -> State,
    ) -> Arc<Self> {
        let span = debug_span!(
            "exchange",
            id = label.id,
            method = %label.method,
            path = label.target.path(),
        );
        // From here on the exchange gives it back.
        permit.keep();
        Arc::new(Self {
            server: Arc::clone(server),
            label,
            began,
            span,
            app: Mutex::new(Slot::New(scope)),
            state: Mutex::new(state()),
            over: AtomicBool::new(false),
        })
    }

    /// Lets the app push. To be called before it is polled.
    pub(crate) fn allow_pushes(&self, gate: Arc<dyn PushGate>) {
        self.lock().pushes = Some(Pushes::new(gate));
    }

    pub(crate) fn label(&self) -> &RequestInfo {
        &self.label
    }

    /// Waits for the head of the response, or for all of it.
    ///
    /// # Errors
    ///
    /// There will be none: the app was cut off before it had begun.
    pub(crate) fn poll_start(
        self: &Arc<Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<ResponseStart, BrokenOff>> {
        let slot = self.lock_app();
        let polled = if let Slot::New(_) = *slot {
            // Nothing can be there yet.
            Some(self.run_now(slot, cx))
        } else {
            let mut state = self.lock();
            if let Some(beginning) = state.take_start(cx) {
                return Poll::Ready(beginning);
            }
            self.run(slot, state, cx)
        };
        let Some(mut state) = polled else {
            return Poll::Pending;
        };
        let Some(beginning) = state.take_start(cx) else {
            return Poll::Pending;
        };
        if state.app_ended && state.response.is_done() {
            self.over.store(true, Ordering::Release);
        }
        Poll::Ready(beginning)
    }

    /// What goes out before the head, if there is something now.
    pub(crate) fn take_interim(&self, cx: &Context<'_>) -> Option<Interim> {
        self.lock().take_interim(cx)
    }

    /// Whether [`take_interim`](Self::take_interim) has something.
    pub(crate) fn has_interim(&self) -> bool {
        let state = self.lock();
        state.response.interim.is_some() || state.owes_continue()
    }

    /// What the app has left of an upload over HTTP/2 that still comes.
    pub(crate) fn take_leftover(&self) -> Option<RecvStream> {
        let mut state = self.lock();
        match state.request_body.take() {
            Some(RequestBody::Http2(body)) if !body.is_end_stream() => Some(body),
            _ => state.leftover.take(),
        }
    }

    /// Waits for the next part of the response behind its head.
    pub(crate) fn poll_part(self: &Arc<Self>, cx: &mut Context<'_>) -> Poll<Part> {
        let slot = self.lock_app();
        let mut state = self.lock();
        if let Some(part) = state.take_part(cx) {
            return Poll::Ready(part);
        }
        match self.run(slot, state, cx) {
            Some(mut state) => state.take_part(cx).map_or(Poll::Pending, Poll::Ready),
            None => Poll::Pending,
        }
    }

    /// Polls the app, unless nothing has happened that could get it further.
    ///
    /// Returns whether there is something to send that was not there before.
    pub(crate) fn poll_app(self: &Arc<Self>, cx: &mut Context<'_>) -> bool {
        let slot = self.lock_app();
        let state = self.lock();
        let had_output = state.response.has_output();
        let state = self.run(slot, state, cx);
        !had_output && state.is_some_and(|state| state.response.has_output())
    }

    /// [`poll_app`](Self::poll_app) at the end of a driver's turn, and whether the driver is done
    /// with this exchange.
    pub(crate) fn end_turn(self: &Arc<Self>, cx: &mut Context<'_>) -> TurnEnd {
        if self.over.load(Ordering::Acquire) {
            self.log_access();
            return TurnEnd {
                more: false,
                over: true,
            };
        }
        let slot = self.lock_app();
        let state = self.lock();
        let had_output = state.response.has_output();
        let polled = self.run(slot, state, cx);
        let more = !had_output
            && polled
                .as_ref()
                .is_some_and(|state| state.response.has_output());
        let over = polled.unwrap_or_else(|| self.lock()).response.is_done();
        if over {
            // What the app still does behind its response is no longer this connection's.
            self.detach(None);
        }
        TurnEnd { more, over }
    }

    /// Polls the app, unless it has ended or nothing has happened that could get it further.
    fn run<'a>(
        self: &'a Arc<Self>,
        slot: MutexGuard<'_, Slot>,
        mut state: MutexGuard<'a, State>,
        cx: &mut Context<'_>,
    ) -> Option<MutexGuard<'a, State>> {
        if matches!(*slot, Slot::Ended) || !std::mem::take(&mut state.runnable) {
            return None;
        }
        state.polling = true;
        // It says so again if it still waits: it may have given up on a `receive`.
        if state.receives_in(cx) {
            state.wants_body = false;
        }
        drop(state);
        Some(self.run_now(slot, cx))
    }

    /// Polls the app.
    fn run_now<'a>(
        self: &'a Arc<Self>,
        mut slot: MutexGuard<'_, Slot>,
        cx: &mut Context<'_>,
    ) -> MutexGuard<'a, State> {
        let first = matches!(*slot, Slot::New(_));
        // The first poll comes at once, and reading the clock is not free.
        let began = if first { self.began } else { Instant::now() };
        let polled = self.poll_slot(&mut slot, cx);
        let limit = self.server.config().slow_poll;
        let took = began.elapsed();
        if took > limit && !limit.is_zero() {
            self.tell_slow_poll(took, limit);
        }
        let (end, cause) = match polled {
            (None, Ok(())) => return self.waiting(first, cx),
            (None, Err(panic)) => {
                self.drop_app(&mut slot);
                (AppEnd::Panicked, Cause::Panic(panic))
            }
            (Some(result), caught) => {
                if let Err(panic) = caught {
                    self.log_panic_in_drop(panic);
                }
                let end = AppEnd::from(&result);
                (end, result.err().map_or(Cause::None, Cause::Error))
            }
        };
        drop(slot);
        self.ended(end, cause)
    }

    /// Polls the app, and drops it if that was its end. All of that is the app's code and may panic.
    fn poll_slot(self: &Arc<Self>, slot: &mut Slot, cx: &mut Context<'_>) -> Polled {
        let mut result = None;
        let caught = self.within(|| {
            if let Slot::New(_) = slot
                && let Slot::New(scope) = std::mem::replace(slot, Slot::Ended)
            {
                let (receive, send) = asgi::halves(Arc::clone(self));
                let app = self.server.app();
                *slot = Slot::Running(app.start(scope, receive, send));
            }
            if let Slot::Running(app) = slot
                && let Poll::Ready(ended) = app.as_mut().poll(cx)
            {
                result = Some(ended);
                drop(std::mem::replace(slot, Slot::Ended));
            }
        });
        (result, caught)
    }

    /// A new turn of the driver: the app may be polled once more.
    pub(crate) fn begin_turn(&self) {
        self.lock().runnable = true;
    }

    /// Whether the app has ended.
    pub(crate) fn is_app_done(&self) -> bool {
        matches!(*self.lock_app(), Slot::Ended)
    }

    /// Whether nothing more of the response will go out.
    pub(crate) fn is_response_done(&self) -> bool {
        self.lock().response.is_done()
    }

    /// Whether the client has all of the response, whatever the app still has to say.
    pub(crate) fn is_delivered(&self) -> bool {
        self.lock().response.delivered
    }

    /// hyper has all that the length of the response lets out. (It asks for nothing behind that: the
    /// app's last event, or its end, changes nothing any more.)
    pub(crate) fn delivered(&self) {
        self.lock().response.delivered = true;
    }

    /// Since when the app waits for a part of the request's body, if it does.
    pub(crate) fn wants_body_since(&self) -> Option<Instant> {
        let state = self.lock();
        state.wants_body_since.filter(|_| state.wants_body)
    }

    /// The client has closed its side. Whether that is news.
    pub(crate) fn client_closed(&self) -> bool {
        let news = !std::mem::replace(&mut self.lock().client_closed, true);
        if news {
            self.disconnected(DisconnectReason::Closed);
        }
        news
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

    /// ConnectionInfo the app before it is done.
    pub(crate) fn cancel(&self, why: &str) {
        let mut slot = self.lock_app();
        if matches!(*slot, Slot::Ended) {
            return;
        }
        debug!(parent: &self.span, exchange = self.label.id, "app cancelled: {why}");
        self.drop_app(&mut slot);
        drop(slot);
        drop(self.ended(AppEnd::Cancelled, Cause::None));
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
            self.label.log_access(status, sent, self.began.elapsed());
        }
    }

    /// The app has ended.
    fn ended(&self, end: AppEnd, cause: Cause) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        let fault = state.ended(end);
        if std::mem::take(&mut state.counted) {
            self.server.give_back();
        }
        if fault.is_none() && matches!(cause, Cause::None) {
            return state;
        }
        drop(state);
        // An error's text and its destructor are the app's code too.
        let log = || {
            self.label.log_end(fault, &cause);
            drop(cause);
        };
        if panic::catch(log).is_err() {
            let id = self.label.id;
            error!(exchange = id, "the app's error panicked when it was logged");
        }
        self.lock()
    }

    /// The app waits for something.
    fn waiting(&self, first: bool, cx: &Context<'_>) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        // The first poll did not take this.
        state.runnable &= !first;
        // From here on, what halves in other tasks do has to wake the driver.
        store(&mut state.driver, cx);
        if !state.wants_body {
            state.wants_body_since = None;
        }
        // If it waits for a hint or a push to be taken, that goes out before the head, and the app is
        // polled again behind it. (HTTP-054)
        if state.response.interim.is_none() {
            let event = state.rules.waiting();
            state.apply(event);
        }
        state.polling = false;
        state
    }

    /// Says that a poll of the app took longer than it may, once.
    fn tell_slow_poll(&self, took: Duration, limit: Duration) {
        let told = std::mem::replace(&mut self.lock().slow_poll_told, true);
        if !told {
            self.label.log_slow_poll(took, limit);
        }
    }

    /// Drops the app's future, which may panic as well as a poll.
    fn drop_app(&self, slot: &mut Slot) {
        let app = std::mem::replace(slot, Slot::Ended);
        if let Err(panic) = self.within(|| drop(app)) {
            self.log_panic_in_drop(panic);
        }
    }

    fn log_panic_in_drop(&self, panic: Panic) {
        let cause = Cause::Panic(panic);
        error!(
            exchange = self.label.id,
            "the app panicked while it was dropped: {cause}"
        );
    }

    /// Runs code of the app's; the error is its panic.
    fn within<R>(&self, f: impl FnOnce() -> R) -> Result<R, Panic> {
        let outer = CURRENT.replace(self.label.id);
        let result = self.span.in_scope(|| panic::catch(f));
        CURRENT.set(outer);
        result
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The only code that can panic under this lock is the waker of an app's own executor;
        // whatever it left is still a state that the next caller can go on from.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_app(&self) -> MutexGuard<'_, Slot> {
        self.app.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        if state.unwrap_or_else(PoisonError::into_inner).counted {
            self.server.give_back();
        }
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("label", &self.label)
            .finish_non_exhaustive()
    }
}
