//! Random sequences for the halves of an HTTP exchange.

use std::pin::Pin;

use asgi::bytes::Bytes;
use asgi::http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use asgi::{
    AppError, Closed, DisconnectReason, Extension, HttpRequest, HttpResponseBody,
    HttpResponseDebug, HttpResponseEarlyHint, HttpResponsePush, HttpResponseStart,
    HttpResponseTrailers, HttpScope, ReceiveEvent, Receiver, Scope, SendError, SendEvent, Sender,
    State, WebSocketAccept,
};

use super::MOST_STEPS;
use super::failure::{HalvesFailure, Step, Watch, breach};
use super::random::SeededRandom;
use super::sent::{ExpectedResponse, SentToClient};
use super::waits::{Polled, Waiting};
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
    receiving: Waiting,
    sending: Waiting,
    closing: Waiting,
    handles: [Option<Pin<Box<Closed>>>; 2],
    handles_wait: [Waiting; 2],
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

/// The length of a part for a client that does not read.
const PART: usize = 64 << 10;

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
            receiving: Waiting::default(),
            sending: Waiting::default(),
            closing: Waiting::default(),
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
    fn run(&mut self) -> Step {
        for _ in 0..self.random.below(MOST_STEPS) {
            let step = self.step();
            // Lint names the more special requirement.
            self.watch.check()?;
            step?;
        }
        self.end()
    }

    fn step(&mut self) -> Step {
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

    fn receive(&mut self) -> Step {
        let fresh = self.fresh();
        let Some(receive) = &mut self.receive else {
            return Ok(());
        };
        self.watch.did(told("receive", fresh));
        let event = match self.receiving.poll(fresh, |cx| receive.poll_receive(cx)) {
            Polled::NotWoken(_) => return not_woken("CORE-009", "receive"),
            Polled::Pending => {
                self.watch.result("waits");
                return self.may_wait_for_an_event();
            }
            Polled::Ready(event) => event,
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

    fn may_wait_for_an_event(&self) -> Step {
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
    fn check_reason(&self, reason: DisconnectReason, id: &'static str, from: &str) -> Step {
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

    fn send(&mut self) -> Step {
        let event = self.random_event();
        let (fresh, together) = (self.fresh(), self.fresh());
        let Some(send) = &mut self.send else {
            return Ok(());
        };
        self.watch.did(told(&describe(&event), fresh));
        let judged = self.model.judge(&event);
        let mut waiting = Some(event.clone());
        let result = match self.sending.poll(fresh, |cx| match together {
            true => send.poll_send(cx, &mut waiting),
            false => send.poll_ready(cx),
        }) {
            Polled::NotWoken(_) => return not_woken("CORE-009", "send"),
            Polled::Pending => {
                self.watch.result("waits");
                if waiting.is_none() {
                    return breach("CORE-012", "an event is taken while `send` waits");
                }
                return self.may_wait_for_room();
            }
            Polled::Ready(Ok(())) if !together => {
                self.may_have_room()?;
                let Some(send) = &mut self.send else {
                    return Ok(());
                };
                send.start_send(event.clone())
            }
            Polled::Ready(result) => result,
        };
        self.watch.result(outcome(&result));
        if let Err(error) = &result {
            return self.check_error(error);
        }
        self.may_have_room()?;
        if let Some(effect) = judged.effect {
            self.model.apply(effect);
        }
        self.expected
            .taken(&event, self.is_head, self.model.is_complete());
        self.read_all = false;
        Ok(())
    }

    fn respond_or_send(&mut self) -> Step {
        // Halves that take no complete responses return at once, and wake nobody for that.
        if self.sending.is_waiting() {
            return self.send();
        }
        let start = HttpResponseStart::ok();
        let body = Bytes::from(self.next_text());
        let fresh = self.fresh();
        let Some(send) = &mut self.send else {
            return Ok(());
        };
        let mut response = Some((start.clone(), body.clone()));
        self.watch.did(told("respond", fresh));
        let result = match self
            .sending
            .poll(fresh, |cx| send.poll_respond(cx, &mut response))
        {
            Polled::NotWoken(_) => return not_woken("CORE-009", "respond"),
            Polled::Pending => {
                self.watch.result("waits");
                return self.may_wait_for_room();
            }
            Polled::Ready(Ok(())) if response.is_some() => {
                self.watch.result("in two events");
                return self.send();
            }
            Polled::Ready(result) => result,
        };
        self.watch.result(outcome(&result));
        if let Err(error) = &result {
            return self.check_error(error);
        }
        self.may_have_room()?;
        for event in [SendEvent::from(start), HttpResponseBody::last(body).into()] {
            if let Some(effect) = self.model.judge(&event).effect {
                self.model.apply(effect);
            }
            self.expected
                .taken(&event, self.is_head, self.model.is_complete());
        }
        self.read_all = false;
        Ok(())
    }

    fn may_wait_for_room(&self) -> Step {
        if self.ended {
            return breach("CORE-004", "`send` waits after the app has ended");
        }
        if self.gone.is_some() {
            return breach("CORE-016", "`send` waits for a client that is gone");
        }
        if self.read_all {
            return breach(
                "CORE-011",
                "`send` waits, and the client has read everything",
            );
        }
        Ok(())
    }

    /// The server says that there is room, or takes an event.
    fn may_have_room(&self) -> Step {
        if self.ended {
            return breach("CORE-004", "`send` does not fail after the app has ended");
        }
        match self.gone {
            Some(reason) => breach("CORE-015", format!("`send` does not fail after {reason:?}")),
            None => Ok(()),
        }
    }

    fn check_error(&self, error: &SendError) -> Step {
        if error.is_over() != self.ended {
            return breach("CORE-004", format!("`send` fails with: {error}"));
        }
        if !self.ended && error.disconnect_reason() != self.gone {
            let gone = self.gone;
            return breach(
                "CORE-015",
                format!("{error:?} if the client is gone with {gone:?}"),
            );
        }
        Ok(())
    }

    fn closed(&mut self) -> Step {
        let fresh = self.fresh();
        let Some(send) = &mut self.send else {
            return Ok(());
        };
        self.watch.did(told("closed", fresh));
        match self.closing.poll(fresh, |cx| send.poll_closed(cx)) {
            Polled::NotWoken(_) => not_woken("CORE-009", "closed"),
            Polled::Pending => self.may_wait_for_the_close(),
            Polled::Ready(reason) => self.check_reason(reason, "CORE-017", "closed"),
        }
    }

    fn handle(&mut self) -> Step {
        let (fresh, number) = (self.fresh(), self.random.below(2) as usize);
        if self.handles[number].is_none() {
            let Some(send) = &self.send else {
                return Ok(());
            };
            self.handles[number] = Some(Box::pin(send.closed_handle()));
            self.handles_wait[number] = Waiting::default();
        }
        let Some(handle) = &mut self.handles[number] else {
            return Ok(());
        };
        self.watch.did(told(&format!("handle {number}"), fresh));
        let polled = self.handles_wait[number].poll(fresh, |cx| handle.as_mut().poll(cx));
        if self.random.one_in(6) || !matches!(polled, Polled::Pending) {
            self.handles[number] = None;
        }
        match polled {
            Polled::NotWoken(_) => not_woken("CORE-030", "a handle of the close"),
            Polled::Pending => self.may_wait_for_the_close(),
            Polled::Ready(reason) => self.check_reason(reason, "CORE-017", "closed_handle"),
        }
    }

    fn may_wait_for_the_close(&mut self) -> Step {
        self.watch.result("waits");
        match self.left.is_some() || self.gone.is_some() || self.is_over() {
            true => breach("CORE-017", "`closed` waits after the end of the exchange"),
            false => Ok(()),
        }
    }

    fn body(&mut self) -> Step {
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

    fn leave(&mut self) -> Step {
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

    fn take(&mut self) -> Step {
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

    fn app_waits(&mut self) -> Step {
        if self.ended {
            return Ok(());
        }
        self.watch.did("the app waits");
        self.client.app_waits();
        self.expected.app_waits();
        self.read_all = false;
        Ok(())
    }

    fn drop_a_half(&mut self) -> Step {
        if self.random.one_in(2) {
            self.watch.did("the app drops its receiver");
            self.receive = None;
        } else {
            self.watch.did("the app drops its sender");
            self.send = None;
        }
        Ok(())
    }

    fn end(&mut self) -> Step {
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

    fn next_text(&mut self) -> String {
        self.parts += 1;
        match self.random.below(4) {
            0 => String::new(),
            _ => format!("{};", self.parts),
        }
    }

    fn random_event(&mut self) -> SendEvent {
        match self.random.below(16) {
            0..=3 => self.random_start().into(),
            4..=7 => HttpResponseBody::more(self.next_text()).into(),
            8 | 9 => HttpResponseBody::last(self.next_text()).into(),
            10 => HttpResponseTrailers::new(headers("x-sum", "1")).into(),
            11 => HttpResponseTrailers::more(headers("x-part", "1")).into(),
            12 => {
                let link = format!("</{}.css>", self.parts);
                let link = HeaderValue::try_from(link).expect("a valid link");
                HttpResponseEarlyHint::new([link]).into()
            }
            13 => {
                let path = self.random.pick(&["/a.css", "/b.js", "/c.png", "*"]);
                HttpResponsePush::new(path.parse().expect("a valid path")).into()
            }
            14 => HttpResponseDebug::new(State::new()).into(),
            _ => WebSocketAccept::new().into(),
        }
    }

    fn random_start(&mut self) -> HttpResponseStart {
        let status = self.random.pick(&[200, 200, 200, 404, 204, 304, 799, 103]);
        let mut start = HttpResponseStart::new(status.try_into().expect("a valid status"));
        if self.random.one_in(4) {
            let length = self.random.pick(&["0", "4", "7", "+4"]);
            start = start.header("content-length", length);
        }
        start.trailers = self.random.one_in(4);
        start
    }
}

pub(crate) fn not_woken<T>(id: &'static str, what: &str) -> Step<T> {
    breach(id, format!("the task that waits in `{what}` is not woken"))
}

pub(crate) fn told(what: &str, fresh: bool) -> String {
    match fresh {
        true => format!("{what}, in another task"),
        false => what.to_owned(),
    }
}

pub(crate) fn outcome(result: &Result<(), SendError>) -> String {
    match result {
        Ok(()) => "taken".into(),
        Err(error) => error.to_string(),
    }
}

fn describe(event: &SendEvent) -> String {
    let name = event.name();
    match event {
        SendEvent::HttpResponseStart(start) => format!("{name} {}", start.status.as_u16()),
        SendEvent::HttpResponseBody(part) => {
            let more = if part.more_body { "more" } else { "last" };
            format!("{name} {:?} {more}", part.body)
        }
        _ => name.into(),
    }
}

fn headers(name: &'static str, value: &'static str) -> HeaderMap {
    let (name, value) = (
        HeaderName::from_static(name),
        HeaderValue::from_static(value),
    );
    HeaderMap::from_iter([(name, value)])
}

/// While the client reads nothing, `send` must wait at some bound. (CORE-011, CORE-016)
impl HttpRun {
    fn run_without_a_reader(&mut self) -> Step {
        self.watch
            .did("the app sends parts of 64 KiB, and the client reads nothing");
        self.send_until_it_waits(Some(HttpResponseStart::ok().into()))?;
        self.watch.did("the client reads everything");
        while !self.client.take().is_empty() {}
        self.read_all = true;
        self.watch.did("the app sends until it waits again");
        self.send_until_it_waits(None)?;
        self.watch.did("the client leaves");
        self.client.leave(DisconnectReason::Lost);
        match self.send_a_part(None) {
            Polled::Ready(Err(error)) if error.is_disconnected() => Ok(()),
            Polled::NotWoken(_) => not_woken("CORE-016", "send"),
            Polled::Pending => breach("CORE-016", "`send` waits for a client that is gone"),
            Polled::Ready(_) => breach("CORE-015", "`send` does not fail as disconnected"),
        }
    }

    fn send_until_it_waits(&mut self, mut first: Option<SendEvent>) -> Step {
        /// More than any server keeps for one client.
        const MOST: usize = 64 << 20;
        let mut bytes = 0;
        loop {
            match self.send_a_part(first.take()) {
                Polled::Pending if self.read_all => {
                    return breach(
                        "CORE-011",
                        "`send` waits, and the client has read everything",
                    );
                }
                Polled::Pending => return Ok(()),
                Polled::Ready(Ok(())) => {}
                Polled::Ready(Err(error)) => return breach("HTTP-021", error.to_string()),
                Polled::NotWoken(_) => return not_woken("CORE-009", "send"),
            }
            self.read_all = false;
            bytes += PART;
            if bytes > MOST {
                return breach(
                    "CORE-011",
                    format!("`send` takes {bytes} bytes and does not wait"),
                );
            }
        }
    }

    /// Sends an event, or a part of the body if there is none.
    fn send_a_part(&mut self, event: Option<SendEvent>) -> Polled<Result<(), SendError>> {
        let part = || HttpResponseBody::more(Bytes::from(vec![b'a'; PART])).into();
        let mut event = Some(event.unwrap_or_else(part));
        match &mut self.send {
            Some(send) => self
                .sending
                .poll(false, |cx| send.poll_send(cx, &mut event)),
            None => Polled::Pending,
        }
    }
}
