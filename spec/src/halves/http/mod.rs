//! Random sequences for the halves of an HTTP exchange.

mod events;
mod reader;
mod send;

use std::pin::Pin;

use asgi::http::{Method, Version};
use asgi::{
    AppError, Closed, DisconnectReason, Extension, HttpRequest, HttpScope, ReceiveEvent, Receiver,
    Scope, Sender,
};

use self::events::headers;
use super::MOST_STEPS;
use super::failure::{HalvesFailure, RunResult, Watch, breach, not_woken, told};
use super::random::SeededRandom;
use super::sent::{ExpectedResponse, SentToClient};
use super::waits::{PollOutcome, TaskWait};
use crate::lint::{ResponseModel, around};

/// The client's side of one HTTP exchange, and what the server does around the app.
///
/// The author of the halves implements it with what the server does when the same happens on a
/// connection. No method may wait.
pub trait HttpClientSide {
    /// A part of the request's body comes. None comes after the last part, and none after the client
    /// has left.
    fn body(&mut self, part: HttpRequest);

    /// The client leaves, or its body ends early. With the reason `Closed` it closes its side, and
    /// may still read. A client that has closed can be gone later.
    fn leave(&mut self, reason: DisconnectReason);

    /// The client reads: returns what has been sent since the last call, or a part of it. Empty if
    /// there is nothing. This makes room for what the app sends.
    fn take(&mut self) -> Vec<SentToClient>;

    /// A poll of the app has returned `Pending`. (HTTP-024)
    fn app_waits(&mut self);

    /// Whether [`take`](Self::take) polls the app if there is nothing else, as a client of a test does.
    /// What [`app_waits`](Self::app_waits) does then happens in `take` too. The default is false.
    fn take_polls_the_app(&self) -> bool {
        false
    }

    /// The app's future has returned. [`take`](Self::take) then returns the rest, and at its end
    /// [`SentToClient::Complete`] if the response is complete. (HTTP-079)
    fn app_ended(&mut self, result: &Result<(), AppError>);
}

/// A function that makes halves for a request.
pub(crate) type MakeHttp =
    dyn Fn(HttpScope) -> (Receiver, Sender, Box<dyn HttpClientSide>) + Send + Sync;

pub(crate) struct HttpRun {
    watch: Watch,
    random: SeededRandom,
    receive: Option<Receiver>,
    send: Option<Sender>,
    client: Box<dyn HttpClientSide>,
    is_head: bool,
    model: ResponseModel,
    expected: ExpectedResponse,
    receiving: TaskWait,
    sending: TaskWait,
    closing: TaskWait,
    handles: [Option<Pin<Box<Closed>>>; 2],
    handles_wait: [TaskWait; 2],
    pushed: Vec<u8>,
    last_pushed: bool,
    received: usize,
    last_received: bool,
    left: Option<DisconnectReason>,
    gone: Option<DisconnectReason>,
    ended: bool,
    /// The client has read everything.
    read_all: bool,
    parts: u32,
}

const REASONS: &[DisconnectReason] = &[
    DisconnectReason::Closed,
    DisconnectReason::Lost,
    DisconnectReason::Reset(8),
    DisconnectReason::TimedOut,
    DisconnectReason::ProtocolError,
];

impl HttpRun {
    fn new(make: &MakeHttp, seed: u64) -> Self {
        let mut random = SeededRandom::new(seed);
        let method = random.pick(&[Method::POST, Method::GET, Method::HEAD].each_ref());
        let mut scope = HttpScope::new(method.clone(), "/halves".parse().expect("a valid path"));
        scope.version = Version::HTTP_2;
        scope.headers = headers("te", "trailers");
        for extension in [Extension::Push, Extension::EarlyHint, Extension::Trailers] {
            if !random.one_in(3) {
                scope.extensions = scope.extensions.with(extension);
            }
        }
        let model = ResponseModel::new(method, scope.extensions.clone());
        let offered: Vec<&str> = scope.extensions.iter().map(Extension::name).collect();
        let begin = format!("{method} offering {offered:?}");
        let is_head = *method == Method::HEAD;
        let (receive, send, client) = make(scope.clone());
        let mut watch = Watch::new(&Scope::from(scope));
        watch.did(begin);
        let (receive, send) = around(&watch.call, receive, send);
        Self {
            watch,
            random,
            receive: Some(receive),
            send: Some(send),
            client,
            is_head,
            model,
            expected: ExpectedResponse::default(),
            receiving: TaskWait::default(),
            sending: TaskWait::default(),
            closing: TaskWait::default(),
            handles: Default::default(),
            handles_wait: Default::default(),
            pushed: Vec::new(),
            last_pushed: false,
            received: 0,
            last_received: false,
            left: None,
            gone: None,
            ended: false,
            read_all: true,
            parts: 0,
        }
    }

    /// Runs one sequence. Returns how it failed, if it did. The seed 0 is a client that never reads.
    pub(crate) fn failure(make: &MakeHttp, seed: u64) -> Option<HalvesFailure> {
        let mut run = Self::new(make, seed);
        let result = match seed {
            0 => run.run_without_a_reader(),
            _ => run.run(),
        };
        let breach = result.err()?;
        Some(run.watch.failure(seed, breach))
    }

    /// Does random things, and ends the exchange.
    fn run(&mut self) -> RunResult {
        for _ in 0..self.random.below(MOST_STEPS) {
            let step = self.step();
            // Lint names the more special requirement.
            self.watch.check()?;
            step?;
        }
        self.end()
    }

    fn step(&mut self) -> RunResult {
        match self.random.below(24) {
            0..=3 => self.receive(),
            4..=9 => self.send(),
            10 | 11 => self.respond_or_send(),
            12 => self.closed(),
            13 | 14 => self.handle(),
            15 | 16 => self.body(),
            17 if self.random.one_in(3) => self.leave(),
            18..=20 => self.take(),
            21 => self.app_waits(),
            22 if self.random.one_in(10) => self.drop_a_half(),
            _ => Ok(()),
        }
    }

    fn fresh(&mut self) -> bool {
        self.random.one_in(2)
    }

    fn is_over(&self) -> bool {
        self.ended || self.model.is_complete()
    }

    fn receive(&mut self) -> RunResult {
        let fresh = self.fresh();
        let Some(receive) = &mut self.receive else {
            return Ok(());
        };
        self.watch.did(told("receive", fresh));
        let event = match self.receiving.poll(fresh, |cx| receive.poll_receive(cx)) {
            PollOutcome::NotWoken(_) => return not_woken("CORE-009", "receive"),
            PollOutcome::Pending => {
                self.watch.result("waits");
                return self.may_wait_for_an_event();
            }
            PollOutcome::Ready(event) => event,
        };
        match event {
            ReceiveEvent::HttpRequest(part) => {
                let more = if part.more_body { "more" } else { "last" };
                self.watch
                    .result(format!("{} bytes, {more}", part.body.len()));
                let left = self.pushed.get(self.received..).unwrap_or_default();
                if !left.starts_with(&part.body) {
                    return breach("HTTP-015", "bytes of the body are lost or out of order");
                }
                self.received += part.body.len();
                let is_all = self.last_pushed && self.received == self.pushed.len();
                if !part.more_body && !is_all {
                    return breach("HTTP-016", "a last part before the end of the body");
                }
                self.last_received = !part.more_body;
                Ok(())
            }
            ReceiveEvent::HttpDisconnect(disconnect) => {
                let reason = disconnect.reason;
                self.watch.result(format!("{reason:?}"));
                self.check_reason(reason, "HTTP-043", "receive")
            }
            other => breach("HTTP-014", format!("{} in an HTTP exchange", other.name())),
        }
    }

    fn may_wait_for_an_event(&self) -> RunResult {
        if let Some(left) = self.gone.or(self.left) {
            let id = match left {
                DisconnectReason::Closed => "HTTP-041",
                _ => "HTTP-043",
            };
            return breach(
                id,
                format!("`receive` waits after the client has left: {left:?}"),
            );
        }
        let has_part = self.received < self.pushed.len() || self.last_pushed && !self.last_received;
        if has_part && !self.is_over() {
            return breach(
                "HTTP-015",
                "`receive` waits, and a part of the body is there",
            );
        }
        Ok(())
    }

    /// The app learns why the exchange is over.
    fn check_reason(&self, reason: DisconnectReason, id: &'static str, from: &str) -> RunResult {
        let known = [self.left, self.gone].contains(&Some(reason));
        let complete = reason == DisconnectReason::Complete && self.is_over();
        if known || complete {
            return Ok(());
        }
        let left = self.gone.or(self.left);
        breach(
            id,
            format!("`{from}` returns {reason:?}, and the client has left with {left:?}"),
        )
    }

    fn closed(&mut self) -> RunResult {
        let fresh = self.fresh();
        let Some(send) = &mut self.send else {
            return Ok(());
        };
        self.watch.did(told("closed", fresh));
        match self.closing.poll(fresh, |cx| send.poll_closed(cx)) {
            PollOutcome::NotWoken(_) => not_woken("CORE-009", "closed"),
            PollOutcome::Pending => self.may_wait_for_the_close(),
            PollOutcome::Ready(reason) => self.check_reason(reason, "CORE-017", "closed"),
        }
    }

    fn handle(&mut self) -> RunResult {
        let (fresh, number) = (self.fresh(), self.random.below(2) as usize);
        if self.handles[number].is_none() {
            let Some(send) = &self.send else {
                return Ok(());
            };
            self.handles[number] = Some(Box::pin(send.closed_handle()));
            self.handles_wait[number] = TaskWait::default();
        }
        let Some(handle) = &mut self.handles[number] else {
            return Ok(());
        };
        self.watch.did(told(&format!("handle {number}"), fresh));
        let polled = self.handles_wait[number].poll(fresh, |cx| handle.as_mut().poll(cx));
        if self.random.one_in(6) || !matches!(polled, PollOutcome::Pending) {
            self.handles[number] = None;
        }
        match polled {
            PollOutcome::NotWoken(_) => not_woken("CORE-030", "a handle of the close"),
            PollOutcome::Pending => self.may_wait_for_the_close(),
            PollOutcome::Ready(reason) => self.check_reason(reason, "CORE-017", "closed_handle"),
        }
    }

    fn may_wait_for_the_close(&mut self) -> RunResult {
        self.watch.result("waits");
        match self.left.is_some() || self.gone.is_some() || self.is_over() {
            true => breach("CORE-017", "`closed` waits after the end of the exchange"),
            false => Ok(()),
        }
    }

    fn body(&mut self) -> RunResult {
        if self.last_pushed || self.left.is_some() || self.gone.is_some() {
            return Ok(());
        }
        let part = HttpRequest::new(self.next_text(), !self.random.one_in(4));
        let more = if part.more_body { "more" } else { "last" };
        self.watch.did(format!(
            "the client sends {} bytes, {more}",
            part.body.len()
        ));
        self.pushed.extend_from_slice(&part.body);
        self.last_pushed = !part.more_body;
        self.client.body(part);
        Ok(())
    }

    fn leave(&mut self) -> RunResult {
        let reason = self.random.pick(REASONS);
        let closed = reason == DisconnectReason::Closed;
        if self.gone.is_some() || self.is_over() || closed && self.left.is_some() {
            return Ok(());
        }
        self.watch.did(format!("the client leaves: {reason:?}"));
        match closed {
            true => self.left = Some(reason),
            false => self.gone = Some(reason),
        }
        self.client.leave(reason);
        Ok(())
    }

    fn take(&mut self) -> RunResult {
        self.watch.did("the client reads");
        let sent = self.client.take();
        let head = |sent: &SentToClient| matches!(sent, SentToClient::Head(_));
        if self.client.take_polls_the_app() && (sent.is_empty() || sent.iter().any(head)) {
            self.expected.app_waits();
        }
        if !sent.is_empty() {
            self.watch.result(format!("{sent:?}"));
        }
        // What a client gets that is gone is of no matter.
        if self.gone.is_some() {
            self.read_all |= sent.is_empty();
            return Ok(());
        }
        if sent.is_empty() {
            self.read_all = true;
            return self.expected.all_seen();
        }
        sent.into_iter()
            .try_for_each(|sent| self.expected.sees(sent))
    }

    fn app_waits(&mut self) -> RunResult {
        if self.ended {
            return Ok(());
        }
        self.watch.did("the app waits");
        self.client.app_waits();
        self.expected.app_waits();
        self.read_all = false;
        Ok(())
    }

    fn drop_a_half(&mut self) -> RunResult {
        if self.random.one_in(2) {
            self.watch.did("the app drops its receiver");
            self.receive = None;
        } else {
            self.watch.did("the app drops its sender");
            self.send = None;
        }
        Ok(())
    }

    fn end(&mut self) -> RunResult {
        let result = match self.random.one_in(2) {
            true => Ok(()),
            false => Err("the end of the sequence".into()),
        };
        let how = if result.is_ok() { "Ok" } else { "an error" };
        self.watch.did(format!("the app returns {how}"));
        self.watch.call.over();
        self.ended = true;
        // HTTP-079
        let complete = self.model.is_complete();
        let without_trailers = result.is_ok() && self.model.unfinished().is_none() && !complete;
        self.client.app_ended(&result);
        self.expected.ended(without_trailers);
        for _ in 0..2 {
            self.send()?;
            self.closed()?;
            self.handle()?;
        }
        if self.gone.is_some() {
            return Ok(());
        }
        // Nothing is endless here, so this ends.
        for _ in 0..10_000 {
            let sent = self.client.take();
            if sent.is_empty() {
                return self.expected.all_seen();
            }
            self.watch.did(format!("the client reads {sent:?}"));
            sent.into_iter()
                .try_for_each(|sent| self.expected.sees(sent))?;
        }
        breach(
            "HTTP-049",
            "the output does not end after the app has ended",
        )
    }
}
