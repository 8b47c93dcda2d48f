//! One request, its response and the app between them; or one WebSocket, from its handshake on.
//!
//! An [`Exchange`] holds the app's future, so that the driver of a connection or stream can poll it.
//! The driver asks for the head of the response, then for the next part of its body, and that polls
//! the app. When the driver has no reason to ask (its buffers are full, the client reads slowly), it
//! polls the app itself, so that the app's timers go on.
//!
//! The rules are those of [`asgi_rules::HttpRules`], or a session's ([`SessionRules`]); this module
//! waits, wakes and logs. A handshake is answered like a request, and its denial is a response.
//! This module knows no protocol: each version of HTTP brings its request body ([`RequestBody`])
//! and says what it leaves to the exchange ([`ExchangeOptions`]).

mod app;
mod app_status;
mod detached;
mod halves;
mod limited_body;
mod push;
mod request_body;
mod request_side;
mod response_queue;
mod rules;
mod sent_response;
mod session;
mod state;
mod wakers;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use asgi::{DisconnectReason, HttpScope, Scope, WebSocketScope};
use asgi_rules::HttpRules;
use http::StatusCode;
use http::header::EXPECT;
use tracing::{Span, debug_span};

use self::app::AppSlot;
pub use self::app::{app_is_working, current_exchange};
pub(crate) use self::detached::CancelOnDrop;
use self::limited_body::LimitedBody;
use self::push::Pushes;
pub(crate) use self::push::{Admission, PushGate};
pub(crate) use self::request_body::RequestBody;
use self::request_side::RequestSide;
pub(crate) use self::response_queue::{BrokenOff, Interim, ResponsePart, ResponseStart};
use self::rules::Rules;
pub(crate) use self::session::{
    SessionExchange, SessionGuard, SessionOutput, SessionReceived, SessionRules,
};
use self::state::ExchangeState;
pub(crate) use self::wakers::store_waker;
use crate::access_log::{AccessRecord, RequestInfo};
use crate::deadlines::is_past;
use crate::server::{Permit, Server};

/// The state of an exchange at the end of a driver's turn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TurnEnd {
    /// There is something to send that was not there before.
    pub(crate) more: bool,
    /// The response is out: nothing is left for the driver to do.
    pub(crate) over: bool,
}

/// What a version of HTTP leaves to the exchange and to its driver.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ExchangeOptions {
    /// Whether the driver sends interim responses, 100 (Continue) among them.
    pub(crate) sends_interim: bool,
    /// Whether the protocol's library writes the `content-length` of a body in one part.
    pub(crate) implies_length: bool,
    /// Whether the driver discards the part of an upload that the app leaves unread.
    pub(crate) keeps_leftover: bool,
}

/// A request that the server admits, and that becomes an exchange.
pub(crate) struct NewExchange<'a> {
    pub(crate) server: &'a Arc<Server>,
    pub(crate) permit: Permit<'a>,
    pub(crate) info: RequestInfo,
    /// `None` if the request has no content.
    pub(crate) body: Option<Box<dyn RequestBody>>,
    pub(crate) options: ExchangeOptions,
    pub(crate) began: Instant,
}

/// One request, its response and the app between them.
pub(crate) struct Exchange {
    server: Arc<Server>,
    info: RequestInfo,
    began: Instant,
    span: Span,
    /// Locked while the app is polled.
    app: Mutex<AppSlot>,
    state: Mutex<ExchangeState>,
    /// The app has ended and its whole response was taken, so the driver asks for nothing more.
    over: AtomicBool,
}

/// How an exchange begins.
impl Exchange {
    /// Makes the server's app ready for a request. The first poll calls the app.
    pub(crate) fn start(new: NewExchange<'_>, mut scope: Box<HttpScope>) -> Arc<Self> {
        if new.body.is_none() {
            scope.set_without_body();
        }
        let expects_continue = new.body.is_some() && scope.headers.contains_key(EXPECT);
        let mut rules = HttpRules::new(&scope.method, scope.extensions.clone());
        if new.options.implies_length {
            // The protocol's library writes this header faster than it copies one.
            rules = rules.with_implied_length();
        }
        let most = new.server.config().max_body_size;
        Self::new(new, Scope::Http(scope), |body, options| {
            let body = match (body, most) {
                (Some(body), Some(most)) => {
                    Some(Box::new(LimitedBody::new(body, most)) as Box<dyn RequestBody>)
                }
                (body, _) => body,
            };
            let request = RequestSide::new(body, expects_continue, options);
            ExchangeState::new(Rules::Http(rules), request)
        })
    }

    /// Makes the server's app ready for a handshake, with the rules of its session.
    pub(crate) fn start_session(
        new: NewExchange<'_>,
        scope: Box<WebSocketScope>,
        session: Box<dyn SessionRules>,
    ) -> Arc<Self> {
        Self::new(new, Scope::WebSocket(scope), |body, options| {
            let request = RequestSide::new(body, false, options);
            ExchangeState::new(Rules::Session(session), request)
        })
    }

    fn new(
        new: NewExchange<'_>,
        scope: Scope,
        // Makes the state where it stays: it is large.
        state: impl FnOnce(Option<Box<dyn RequestBody>>, ExchangeOptions) -> ExchangeState,
    ) -> Arc<Self> {
        let NewExchange {
            server,
            permit,
            info,
            body,
            options,
            began,
        } = new;
        let span = debug_span!(
            "exchange",
            id = info.id,
            method = %info.method,
            path = info.target.path(),
        );
        // From here on the exchange gives it back.
        permit.keep();
        Arc::new(Self {
            server: Arc::clone(server),
            info,
            began,
            span,
            app: Mutex::new(AppSlot::New(scope)),
            state: Mutex::new(state(body, options)),
            over: AtomicBool::new(false),
        })
    }

    /// Lets the app push. Must be called before the first poll.
    pub(crate) fn allow_pushes(&self, gate: Arc<dyn PushGate>) {
        self.lock().pushes = Some(Pushes::new(gate));
    }

    pub(crate) fn info(&self) -> &RequestInfo {
        &self.info
    }
}

/// How a driver takes the response.
impl Exchange {
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
        let polled = if let AppSlot::New(_) = *slot {
            // Nothing can be there yet.
            Some(self.run_now(slot, cx))
        } else {
            let mut state = self.lock();
            if let Some(start) = state.take_start(cx) {
                return Poll::Ready(start);
            }
            self.run(slot, state, cx)
        };
        let Some(mut state) = polled else {
            return Poll::Pending;
        };
        let Some(start) = state.take_start(cx) else {
            return Poll::Pending;
        };
        if state.app.ended && state.response.is_done() {
            self.over.store(true, Ordering::Release);
        }
        Poll::Ready(start)
    }

    /// Takes the interim response or push that goes out now, if there is one.
    pub(crate) fn take_interim(&self, cx: &Context<'_>) -> Option<Interim> {
        self.lock().take_interim(cx)
    }

    /// Whether [`take_interim`](Self::take_interim) has something.
    pub(crate) fn has_interim(&self) -> bool {
        let state = self.lock();
        state.response.interim.is_some() || state.request.owes_continue()
    }

    /// Takes the part of an upload that the app has not read and that still comes.
    pub(crate) fn take_leftover(&self) -> Option<Box<dyn RequestBody>> {
        self.lock().request.take_leftover()
    }

    /// Waits for the next part of the response after its head.
    pub(crate) fn poll_part(self: &Arc<Self>, cx: &mut Context<'_>) -> Poll<ResponsePart> {
        let slot = self.lock_app();
        let mut state = self.lock();
        if state.app.taken.must_yield(cx) {
            return Poll::Pending;
        }
        if let Some(part) = state.take_part(cx) {
            return Poll::Ready(part);
        }
        match self.run(slot, state, cx) {
            Some(mut state) => state.take_part(cx).map_or(Poll::Pending, Poll::Ready),
            None => Poll::Pending,
        }
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
            // The app may go on after its response, but no longer on this connection.
            self.detach(None);
        }
        TurnEnd { more, over }
    }

    /// Whether nothing more of the response will go out.
    pub(crate) fn is_response_done(&self) -> bool {
        self.lock().response.is_done()
    }

    /// Whether the client has all of the response, even if the app has not sent its end.
    pub(crate) fn is_delivered(&self) -> bool {
        self.lock().response.delivered
    }

    /// The driver has sent all that the length of the response allows, and asks for nothing after
    /// that. The app's last event, or its end, changes nothing any more.
    pub(crate) fn delivered(&self) {
        self.lock().response.delivered = true;
    }

    /// Writes the line of the access log, once.
    pub(crate) fn log_access(&self) {
        let config = self.server.config();
        if !config.access_log {
            return;
        }
        let record = self.lock().access.take();
        if let Some((status, sent)) = record {
            let took = self.began.elapsed();
            let record = AccessRecord { status, sent, took };
            self.info.log_access(config, record);
        }
    }
}

/// What a driver reports of the client.
impl Exchange {
    /// When the app began to wait for a part of the request's body; `None` if it does not wait.
    pub(crate) fn wants_body_since(&self) -> Option<Instant> {
        self.lock().request.wants_body_since()
    }

    /// The client has closed its side. Returns whether this call is the first to say so.
    pub(crate) fn client_closed(&self) -> bool {
        let news = !std::mem::replace(&mut self.lock().client_closed, true);
        if news {
            self.disconnected(DisconnectReason::Closed);
        }
        news
    }

    /// Drops what came of the request's body and was not read. The app receives a disconnect next, once
    /// [`disconnected`](Self::disconnected) says why.
    pub(crate) fn discard_body(&self) {
        let body = self.lock().request.take_body();
        // Its destructor wakes the connection's task.
        drop(body);
    }

    /// The client has left, or the server has given it up, for this reason.
    pub(crate) fn disconnected(&self, reason: DisconnectReason) {
        let mut state = self.lock();
        state.disconnected(reason);
        state.app.runnable = true;
        state.wakers.wake_app();
    }

    /// Ends the app if its request takes longer than the operator allows.
    pub(crate) fn check_time(&self, now: Instant) {
        let Some(limit) = self.server.config().request_timeout else {
            return;
        };
        if !is_past(self.began, limit, now) {
            return;
        }
        let status = match &*self.lock() {
            state if matches!(state.rules, Rules::Session(_)) || state.response.is_done() => return,
            state if state.request.wants_body_since().is_some() => StatusCode::REQUEST_TIMEOUT,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        self.peer_failed(DisconnectReason::TimedOut, status);
        self.cancel("its request took too long");
    }

    /// The client did something that deserves this answer, if the app has none.
    pub(crate) fn peer_failed(&self, reason: DisconnectReason, status: StatusCode) {
        self.lock().client_fault = Some(status);
        self.disconnected(reason);
    }
}

impl Exchange {
    fn lock(&self) -> MutexGuard<'_, ExchangeState> {
        // The only code that can panic under this lock is the waker of an app's own executor. After
        // that the state is still one from which the next caller can go on.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_app(&self) -> MutexGuard<'_, AppSlot> {
        self.app.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        if state.unwrap_or_else(PoisonError::into_inner).app.counted {
            self.server.give_back();
        }
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}
