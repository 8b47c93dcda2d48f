//! One call of the app: what both sides have done so far.

mod model;
mod respond;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use asgi::http::Method;
use asgi::http::uri::PathAndQuery;
use asgi::{AppError, DisconnectReason, ReceiveEvent, Scope, SendError, SendEvent};

use self::model::{InFlight, Model, ModelEffect};
use super::judged::{ExpectedAnswer, Judged};
use super::lifespan::LifespanEffect;
use super::process::Process;
use super::received::{Before, Done, ReceivedEvents};
use super::response::ResponseEffect;
use super::violation::{LintFinding, Report, Side, Violation};

/// What one call of the app and its halves share.
pub(crate) struct LintedCall {
    kind: &'static str,
    target: Option<(Method, PathAndQuery)>,
    report: Arc<Report>,
    skipped: Arc<[&'static str]>,
    process: Arc<Process>,
    state: Mutex<CallState>,
}

struct CallState {
    model: Model,
    received: ReceivedEvents,
    /// An event that the server is taking at this moment.
    in_flight: Option<InFlight>,
    /// How the client left, as far as the app knows.
    left: Option<DisconnectReason>,
    /// Why nothing can reach the client any more, as far as the app knows.
    gone: Option<DisconnectReason>,
    /// How many tasks of the app ask the server for an event or for the close at this moment. Lint does
    /// not know yet what they have learned.
    asking: usize,
    /// The app's future is over.
    ended: bool,
    /// The server has taken what it must not take, so the model is wrong.
    lost: bool,
    seen: Vec<(Side, &'static str)>,
    /// Violations whose panics somebody may have caught.
    panicked: Vec<Violation>,
}

/// What was known before the server was asked about the close.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BeforeClosed {
    complete: bool,
    left: bool,
}

/// An event that the app sends, before the server has answered.
pub(crate) struct Sending {
    name: &'static str,
    judged: Option<Judged<ModelEffect>>,
    /// It may be the empty part of `Sender::flush`, which is no fault of the app.
    may_be_flush: bool,
    gone_before: Option<DisconnectReason>,
}

impl LintedCall {
    pub(crate) fn new(
        scope: &Scope,
        report: Arc<Report>,
        skipped: Arc<[&'static str]>,
        process: Arc<Process>,
    ) -> Self {
        let received = match scope {
            Scope::Http(http) => ReceivedEvents::of_request(http),
            _ => ReceivedEvents::default(),
        };
        let target = match scope {
            Scope::Http(http) => Some((http.method.clone(), http.target.clone())),
            Scope::WebSocket(socket) => Some((Method::GET, socket.target.clone())),
            _ => None,
        };
        Self {
            kind: scope.kind(),
            target,
            report,
            skipped,
            process,
            state: Mutex::new(CallState {
                model: Model::new(scope),
                received,
                in_flight: None,
                left: None,
                gone: None,
                asking: 0,
                ended: false,
                lost: false,
                seen: Vec::new(),
                panicked: Vec::new(),
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, CallState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports each violation once.
    ///
    /// # Panics
    ///
    /// Panics with all that is new, if Lint reports by panics.
    pub(crate) fn report(&self, found: impl IntoIterator<Item = LintFinding>) {
        let mut violations = Vec::new();
        for finding in found {
            let LintFinding { id, side, happened } = finding;
            let mut state = self.lock();
            if self.skipped.contains(&id) || state.seen.contains(&(side, id)) {
                continue;
            }
            state.seen.push((side, id));
            violations.push(Violation {
                id,
                side,
                happened,
                exchange: self.to_string(),
            });
        }
        if violations.is_empty() {
            return;
        }
        match &*self.report {
            Report::Tell(tell) => violations.into_iter().for_each(tell),
            Report::Panic => {
                self.lock().panicked.extend(violations.iter().cloned());
                panic_with(&violations);
            }
        }
    }

    /// The server asks for the scope's check and the check of what runs beside this call.
    pub(crate) fn begin(&self, scope: &Scope) {
        let beside = self.process.begin(scope);
        self.report(super::scope::check_scope(scope).into_iter().chain(beside));
    }

    /// The app's future has returned.
    pub(crate) fn returned(&self, result: &Result<(), AppError>) {
        let found = {
            let state = self.lock();
            let unfinished = match &state.model {
                Model::Response(model) => model.unfinished().map(|what| ("HTTP-021", what)),
                Model::Socket(model) => model.unfinished(),
                Model::Lifespan(_) | Model::Unknown => None,
            };
            // An app whose client has left may end in any way.
            unfinished.filter(|_| result.is_ok() && !state.lost && state.left.is_none())
        };
        self.report(found.map(|(id, happened)| LintFinding::app(id, happened)));
        let caught = std::mem::take(&mut self.lock().panicked);
        if !caught.is_empty() {
            panic_with(&caught);
        }
    }

    /// The app's future is over: it has returned or panicked, or the server has dropped it.
    pub(crate) fn over(&self) {
        self.lock().ended = true;
        self.process.end(self.kind);
    }

    pub(crate) fn before_receive(&self) -> Before {
        let mut state = self.lock();
        state.asking += 1;
        state.received.before(state.model.is_complete())
    }

    pub(crate) fn received(&self, before: Before, event: &Poll<ReceiveEvent>) {
        let found = {
            let state = &mut *self.lock();
            state.asking -= 1;
            if state.ended || state.lost {
                return;
            }
            match event {
                Poll::Pending => Vec::from_iter(ReceivedEvents::waits(before, self.kind)),
                Poll::Ready(event) => self.check_event(state, before, event),
            }
        };
        self.report(found);
    }

    fn check_event(
        &self,
        state: &mut CallState,
        before: Before,
        event: &ReceiveEvent,
    ) -> Vec<LintFinding> {
        let done = state.done();
        let CallState {
            model, received, ..
        } = state;
        match (model, event) {
            (Model::Response(_), event) => {
                let mut found = received.http(event, before, done);
                if let ReceiveEvent::HttpDisconnect(disconnect) = event {
                    let reason = disconnect.reason;
                    found.extend(state.knows(reason, before.complete, "receive"));
                }
                found
            }
            (Model::Socket(model), event) => {
                let own = model.own_disconnect().filter(|_| before.complete);
                let found = received.socket(event, before, done, own);
                if let ReceiveEvent::WebSocketDisconnect(_) = event
                    && !done.complete
                {
                    state.left.get_or_insert(DisconnectReason::Closed);
                    state.gone.get_or_insert(DisconnectReason::Closed);
                }
                found
            }
            (Model::Lifespan(model), event) => {
                let mut found = received.lifespan(event, before);
                if received.is_shutdown() && !model.shutdown {
                    model.shutdown = true;
                    found.extend(self.process.shutdown());
                }
                found
            }
            (Model::Unknown, _) => Vec::new(),
        }
    }

    /// Says what the app sends. [`settle`](Self::settle) must follow.
    pub(crate) fn sending(&self, event: &SendEvent) -> Sending {
        let mut state = self.lock();
        let silent = state.ended || state.lost;
        let judged = state.model.judge(event).filter(|_| !silent);
        let effect = judged.as_ref().and_then(|judged| judged.effect.as_ref());
        state.in_flight = effect.map(|effect| state.model.in_flight(effect));
        if let Some(ModelEffect::Lifespan(LifespanEffect::Ready { has_state })) = effect {
            self.process.ready(*has_state);
        }
        let may_be_flush = match event {
            SendEvent::HttpResponseBody(part) => part.body.is_empty() && part.more_body,
            _ => false,
        };
        Sending {
            name: event.name(),
            judged,
            may_be_flush,
            gone_before: state.gone,
        }
    }

    /// Says how the server has answered; `None` if the app still waits.
    pub(crate) fn settle(&self, sending: Sending, result: Option<&Result<(), SendError>>) {
        let mut found = Vec::new();
        {
            let state = &mut *self.lock();
            state.in_flight = None;
            let Some(judged) = sending.judged else {
                return;
            };
            if !matches!(result, Some(Ok(())))
                && let Some(ModelEffect::Lifespan(LifespanEffect::Ready { .. })) = &judged.effect
            {
                self.process.not_ready();
            }
            match result {
                None if sending.gone_before.is_some() => {
                    let happened = "`send` waits for a client that is gone";
                    found.push(LintFinding::server("CORE-016", happened));
                }
                None => {}
                Some(Err(error)) if error.is_over() => {}
                Some(Err(error)) if error.is_disconnected() => {
                    found.extend(state.send_failed(error));
                }
                Some(result) => {
                    let name = sending.name;
                    if let Some(rule) = &judged.app
                        && !sending.may_be_flush
                    {
                        found.push(LintFinding::app(rule.id, format!("{name} {}", rule.what)));
                    }
                    if let Some(reason) = sending.gone_before {
                        let happened = format!("`send` does not fail after the reason {reason:?}");
                        found.push(LintFinding::server("CORE-015", happened));
                    }
                    found.extend(check_answer(name, &judged.answer, result));
                    if result.is_ok() {
                        match judged.effect {
                            Some(effect) => state.model.apply(effect),
                            None => state.lost = true,
                        }
                    }
                }
            }
        }
        self.report(found);
    }

    /// The server has said whether there is room.
    pub(crate) fn ready(
        &self,
        gone: Option<DisconnectReason>,
        ready: &Poll<Result<(), SendError>>,
    ) {
        let found = {
            let state = &mut *self.lock();
            if state.ended || state.lost {
                return;
            }
            match (ready, gone) {
                (Poll::Ready(Err(error)), _) if error.is_disconnected() => state.send_failed(error),
                (Poll::Pending, Some(_)) => Some(LintFinding::server(
                    "CORE-016",
                    "`poll_ready` waits for a client that is gone",
                )),
                (Poll::Ready(Ok(())), Some(_)) => Some(LintFinding::server(
                    "CORE-015",
                    "`poll_ready` does not fail for a client that is gone",
                )),
                _ => None,
            }
        };
        self.report(found);
    }

    pub(crate) fn gone(&self) -> Option<DisconnectReason> {
        self.lock().gone
    }

    /// What was known before the server was asked about the close.
    pub(crate) fn before_closed(&self) -> BeforeClosed {
        let mut state = self.lock();
        state.asking += 1;
        BeforeClosed {
            complete: state.model.is_complete(),
            left: state.left.is_some(),
        }
    }

    pub(crate) fn closed(&self, before: BeforeClosed, closed: Poll<DisconnectReason>) {
        let found = {
            let state = &mut *self.lock();
            state.asking -= 1;
            if state.ended || state.lost || matches!(state.model, Model::Unknown) {
                return;
            }
            match closed {
                Poll::Pending if before.complete || before.left => Some(LintFinding::server(
                    "CORE-017",
                    "`closed` waits after the end of the exchange",
                )),
                Poll::Pending => None,
                Poll::Ready(DisconnectReason::Complete) if !state.done().complete => {
                    Some(LintFinding::server(
                        "CORE-017",
                        "`closed` returns Complete before the last event of the app",
                    ))
                }
                Poll::Ready(reason) => state.knows(reason, before.complete, "closed"),
            }
        };
        self.report(found);
    }
}

impl CallState {
    fn done(&self) -> Done {
        let in_flight = |test: fn(InFlight) -> bool| self.in_flight.is_some_and(test);
        let accepted = match &self.model {
            Model::Socket(model) => model.is_accepted(),
            _ => false,
        };
        Done {
            complete: self.model.is_complete() || in_flight(|event| event.completes),
            accepted: accepted || in_flight(|event| event.accepts),
        }
    }

    fn apply_response(&mut self, effect: ResponseEffect) {
        self.model.apply(ModelEffect::Response(effect));
    }

    /// The app learns how its client left.
    fn knows(
        &mut self,
        reason: DisconnectReason,
        complete: bool,
        from: &str,
    ) -> Option<LintFinding> {
        if reason == DisconnectReason::Complete {
            return None;
        }
        let is_socket = matches!(self.model, Model::Socket(_));
        if complete && self.left.is_none() && self.asking == 0 && !is_socket {
            let happened = format!("`{from}` returns {reason:?} after a complete response");
            return Some(LintFinding::server("HTTP-045", happened));
        }
        if reason.is_gone() || is_socket {
            self.gone.get_or_insert(reason);
        }
        match self.left {
            // A task may learn `Closed` while another one learns that the client is gone.
            Some(first) if first != reason && reason != DisconnectReason::Closed && !is_socket => {
                let happened = format!("`{from}` returns {reason:?} after {first:?}");
                Some(LintFinding::server("HTTP-046", happened))
            }
            _ => {
                self.left.get_or_insert(reason);
                None
            }
        }
    }

    /// `send` or `poll_ready` has said that the client is gone.
    fn send_failed(&mut self, error: &SendError) -> Option<LintFinding> {
        let reason = error.disconnect_reason()?;
        let is_socket = matches!(self.model, Model::Socket(_));
        if !is_socket && !reason.is_gone() {
            let happened = format!("`send` fails with {reason:?}, which says that it works");
            let id = match reason {
                DisconnectReason::Closed => "HTTP-042",
                _ => "CORE-015",
            };
            return Some(LintFinding::server(id, happened));
        }
        let first = *self.gone.get_or_insert(reason);
        self.left.get_or_insert(reason);
        let happened = format!("`send` fails with {reason:?} after {first:?}");
        (first != reason && !is_socket).then(|| LintFinding::server("HTTP-046", happened))
    }
}

fn check_answer(
    name: &str,
    answer: &ExpectedAnswer,
    result: &Result<(), SendError>,
) -> Option<LintFinding> {
    let (id, what) = match (answer, result) {
        (ExpectedAnswer::Take { misuse, .. }, Err(error)) if error.is_misuse() => (
            *misuse,
            format!("{name} is misuse, and it breaks no rule: {error}"),
        ),
        (ExpectedAnswer::Take { refused, .. }, Err(error)) => {
            ((*refused)?, format!("{name} is refused: {error}"))
        }
        (ExpectedAnswer::Misuse(rule) | ExpectedAnswer::Refuse(rule), Ok(())) => {
            (rule.id, format!("{name} {}, and is taken", rule.what))
        }
        (ExpectedAnswer::Misuse(rule), Err(error)) if !error.is_misuse() => (
            "CORE-027",
            format!("{name} {}, and is refused instead of misuse", rule.what),
        ),
        (ExpectedAnswer::Refuse(rule), Err(error)) if !error.is_refused() => (
            "CORE-027",
            format!("{name} {}, and is misuse instead of refused", rule.what),
        ),
        _ => return None,
    };
    Some(LintFinding::server(id, what))
}

fn panic_with(violations: &[Violation]) -> ! {
    let lines: Vec<String> = violations.iter().map(ToString::to_string).collect();
    panic!("{}", lines.join("\n"));
}

/// The exchange, for a message.
impl fmt::Display for LintedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            Some((_, target)) if self.kind == "websocket" => write!(f, "the WebSocket {target}"),
            Some((method, target)) => write!(f, "{method} {target}"),
            None => write!(f, "the {}", self.kind),
        }
    }
}
