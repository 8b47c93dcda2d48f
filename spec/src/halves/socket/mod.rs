//! Random sequences for the halves of a WebSocket.

mod client;
mod events;

use std::collections::VecDeque;
use std::pin::Pin;

use asgi::http::HeaderValue;
use asgi::{
    Closed, DisconnectReason, Extension, Message, ReceiveEvent, Receiver, Scope, SendError,
    SendEvent, Sender, WebSocketDisconnect, WebSocketScope,
};

pub(crate) use self::client::MakeSocket;
pub use self::client::{SentToSocket, WebSocketClientSide};
use self::events::describe;
use super::MOST_STEPS;
use super::failure::{HalvesFailure, RunResult, Watch, breach, not_woken, outcome, told};
use super::random::SeededRandom;
use super::sent::ExpectedResponse;
use super::waits::{PollOutcome, TaskWait};
use crate::lint::{SocketModel, around};

pub(crate) struct SocketRun {
    watch: Watch,
    random: SeededRandom,
    receive: Receiver,
    send: Sender,
    client: Box<dyn WebSocketClientSide>,
    model: SocketModel,
    /// What must reach the client, in this order.
    expected: VecDeque<SentToSocket>,
    denial: ExpectedResponse,
    receiving: TaskWait,
    sending: TaskWait,
    closing: TaskWait,
    handle: Option<Pin<Box<Closed>>>,
    handle_waits: TaskWait,
    /// The messages of the client that the app has not received.
    messages: VecDeque<Message>,
    connected: bool,
    /// How the client has left, and what the app must receive then.
    left: Option<(DisconnectReason, WebSocketDisconnect)>,
    ended: bool,
    /// The client has read everything.
    read_all: bool,
    texts: u32,
}

impl SocketRun {
    /// Runs one sequence. Returns how it failed, if it did.
    pub(crate) fn failure(make: &MakeSocket, seed: u64) -> Option<HalvesFailure> {
        let mut run = Self::new(make, seed);
        let breach = run.run().err()?;
        Some(run.watch.failure(seed, breach))
    }

    fn new(make: &MakeSocket, seed: u64) -> Self {
        let mut random = SeededRandom::new(seed);
        let mut scope = WebSocketScope::new("/halves".parse().expect("a valid path"));
        let offer = HeaderValue::from_static("a, b");
        scope.headers.insert("sec-websocket-protocol", offer);
        scope.subprotocols = vec!["a".into(), "b".into()];
        if !random.one_in(3) {
            let extensions = scope.extensions.clone();
            scope.extensions = extensions.with(Extension::WebSocketHttpResponse);
        }
        let model = SocketModel::new(scope.subprotocols.clone(), scope.extensions.clone());
        let offered: Vec<&str> = scope.extensions.iter().map(Extension::name).collect();
        let begin = format!("a WebSocket offering {offered:?}");
        let (receive, send, client) = make(scope.clone());
        let mut watch = Watch::new(&Scope::from(scope));
        watch.did(begin);
        let (receive, send) = around(&watch.call, receive, send);
        Self {
            watch,
            random,
            receive,
            send,
            client,
            model,
            expected: VecDeque::new(),
            denial: ExpectedResponse::default(),
            receiving: TaskWait::default(),
            sending: TaskWait::default(),
            closing: TaskWait::default(),
            handle: None,
            handle_waits: TaskWait::default(),
            messages: VecDeque::new(),
            connected: false,
            left: None,
            ended: false,
            read_all: true,
            texts: 0,
        }
    }

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
        match self.random.below(20) {
            0..=3 => self.receive(),
            4..=10 => self.send(),
            11 => self.closed(),
            12 => self.handle(),
            13 | 14 => self.message(),
            15 if self.random.one_in(5) => self.leave(),
            16..=18 => self.take(),
            19 => self.app_waits(),
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
        self.watch.did(told("receive", fresh));
        let receive = &mut self.receive;
        let event = match self.receiving.poll(fresh, |cx| receive.poll_receive(cx)) {
            PollOutcome::NotWoken(_) => return not_woken("CORE-009", "receive"),
            PollOutcome::Pending => {
                self.watch.result("waits");
                return self.may_wait_for_an_event();
            }
            PollOutcome::Ready(event) => event,
        };
        match event {
            ReceiveEvent::WebSocketConnect(_) => {
                self.watch.result("connect");
                self.connected = true;
                Ok(())
            }
            ReceiveEvent::WebSocketReceive(event) => {
                self.watch.result(format!("{:?}", event.message));
                if self.messages.pop_front().as_ref() == Some(&event.message) {
                    return Ok(());
                }
                breach("WS-015", "a message is lost or out of order")
            }
            ReceiveEvent::WebSocketDisconnect(event) => {
                self.watch.result(format!("disconnect {}", event.code));
                self.check_disconnect(&event)
            }
            other => breach("WS-004", format!("{} on a WebSocket", other.name())),
        }
    }

    fn may_wait_for_an_event(&self) -> RunResult {
        if !self.connected {
            return breach("WS-004", "`receive` waits for the connect");
        }
        if self.left.is_some() {
            return breach("WS-021", "`receive` waits after the client has left");
        }
        if self.model.is_accepted() && !self.messages.is_empty() && !self.is_over() {
            return breach("WS-013", "`receive` waits, and a message is there");
        }
        Ok(())
    }

    fn check_disconnect(&self, event: &WebSocketDisconnect) -> RunResult {
        if self.model.is_complete() {
            // Lint knows what must come.
            return Ok(());
        }
        let Some((_, expected)) = &self.left else {
            return breach("WS-020", "a disconnect, and the client has not left");
        };
        if expected != event {
            let id = if expected.code == 1006 {
                "WS-021"
            } else {
                "WS-020"
            };
            return breach(id, format!("{event:?} and not {expected:?}"));
        }
        if self.model.is_accepted() && !self.messages.is_empty() && expected.code != 1006 {
            return breach("WS-020", "the disconnect comes before the messages");
        }
        Ok(())
    }

    fn send(&mut self) -> RunResult {
        let event = self.random_event();
        let (fresh, together) = (self.fresh(), self.fresh());
        self.watch.did(told(&describe(&event), fresh));
        let judged = self.model.judge(&event);
        let was_accepted = self.model.is_accepted();
        let mut waiting = Some(event.clone());
        let send = &mut self.send;
        let result = match self.sending.poll(fresh, |cx| match together {
            true => send.poll_send(cx, &mut waiting),
            false => send.poll_ready(cx),
        }) {
            PollOutcome::NotWoken(_) => return not_woken("CORE-009", "send"),
            PollOutcome::Pending => {
                self.watch.result("waits");
                if waiting.is_none() {
                    return breach("CORE-012", "an event is taken while `send` waits");
                }
                return self.may_wait_for_room();
            }
            PollOutcome::Ready(Ok(())) if !together => {
                self.may_have_room()?;
                self.send.start_send(event.clone())
            }
            PollOutcome::Ready(result) => result,
        };
        self.watch.result(outcome(&result));
        if let Err(error) = &result {
            return self.check_error(error);
        }
        self.may_have_room()?;
        if let Some(effect) = judged.effect {
            self.model.apply(effect);
        }
        self.taken(event, was_accepted);
        Ok(())
    }

    /// The server has taken an event.
    fn taken(&mut self, event: SendEvent, was_accepted: bool) {
        self.read_all = false;
        if !was_accepted {
            let complete = self.model.is_complete();
            self.denial.taken(&event, false, complete);
        }
        self.expected.extend(match event {
            SendEvent::WebSocketAccept(accept) => Some(SentToSocket::Accept(accept.subprotocol)),
            SendEvent::WebSocketSend(send) => Some(SentToSocket::Message(send.message)),
            SendEvent::WebSocketClose(close) if was_accepted => {
                Some(SentToSocket::Close(close.code, close.reason))
            }
            _ => None,
        });
    }

    fn may_wait_for_room(&self) -> RunResult {
        if self.ended {
            return breach("CORE-004", "`send` waits after the app has ended");
        }
        if self.left.is_some() {
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

    fn may_have_room(&self) -> RunResult {
        if self.ended {
            return breach("CORE-004", "`send` does not fail after the app has ended");
        }
        if self.left.is_some() {
            return breach("CORE-015", "`send` does not fail after the client has left");
        }
        Ok(())
    }

    fn check_error(&self, error: &SendError) -> RunResult {
        if error.is_over() != self.ended {
            return breach("CORE-004", format!("`send` fails with: {error}"));
        }
        let left = self.left.as_ref().map(|(reason, _)| *reason);
        if !self.ended && error.disconnect_reason() != left {
            return breach(
                "CORE-015",
                format!("{error:?} if the client has left with {left:?}"),
            );
        }
        Ok(())
    }

    fn closed(&mut self) -> RunResult {
        let fresh = self.fresh();
        self.watch.did(told("closed", fresh));
        let send = &mut self.send;
        let polled = self.closing.poll(fresh, |cx| send.poll_closed(cx));
        self.check_closed(polled, "CORE-009")
    }

    fn handle(&mut self) -> RunResult {
        let fresh = self.fresh();
        if self.handle.is_none() {
            self.handle_waits = TaskWait::default();
        }
        let send = &self.send;
        let handle = self
            .handle
            .get_or_insert_with(|| Box::pin(send.closed_handle()));
        self.watch.did(told("a handle of the close", fresh));
        let polled = self.handle_waits.poll(fresh, |cx| handle.as_mut().poll(cx));
        if self.random.one_in(6) || !matches!(polled, PollOutcome::Pending) {
            self.handle = None;
        }
        self.check_closed(polled, "CORE-030")
    }

    fn check_closed(
        &mut self,
        polled: PollOutcome<DisconnectReason>,
        id: &'static str,
    ) -> RunResult {
        let over = self.is_over() || self.left.is_some();
        match polled {
            PollOutcome::NotWoken(_) => not_woken(id, "closed"),
            PollOutcome::Pending if over => {
                breach("CORE-017", "`closed` waits after the end of the exchange")
            }
            PollOutcome::Ready(reason) if !over => breach(
                "CORE-017",
                format!("`closed` returns {reason:?} before the end"),
            ),
            _ => Ok(()),
        }
    }

    fn message(&mut self) -> RunResult {
        if self.left.is_some() || self.ended {
            return Ok(());
        }
        let message = match self.random.one_in(2) {
            true => Message::text(self.next_text()),
            false => Message::binary(self.next_text()),
        };
        self.watch.did(format!("the client sends {message:?}"));
        // WS-014
        if !self.model.is_complete() {
            self.messages.push_back(message.clone());
        }
        self.client.message(message);
        Ok(())
    }

    fn leave(&mut self) -> RunResult {
        if self.left.is_some() || self.is_over() {
            return Ok(());
        }
        // Only a client with an open socket can send a close frame.
        if self.model.is_accepted() && self.random.one_in(2) {
            let code = self.random.pick(&[1000, 1001, 1005, 3000, 4999]);
            let reason = if code == 1005 { "" } else { "bye" };
            self.watch.did(format!("the client closes with {code}"));
            let event = WebSocketDisconnect::new(code, reason);
            self.left = Some((DisconnectReason::Closed, event));
            self.client.close(code, reason);
        } else {
            let reason = self
                .random
                .pick(&[DisconnectReason::Lost, DisconnectReason::TimedOut]);
            self.watch.did(format!("the client leaves: {reason:?}"));
            self.left = Some((reason, WebSocketDisconnect::new(1006, "")));
            self.client.leave(reason);
        }
        Ok(())
    }

    fn take(&mut self) -> RunResult {
        self.watch.did("the client reads");
        let sent = self.client.take();
        if !sent.is_empty() {
            self.watch.result(format!("{sent:?}"));
        }
        if self.left.is_some() {
            return Ok(());
        }
        if sent.is_empty() {
            self.read_all = true;
            return self.all_seen();
        }
        sent.into_iter().try_for_each(|sent| self.sees(sent))
    }

    fn sees(&mut self, sent: SentToSocket) -> RunResult {
        if let SentToSocket::Denial(sent) = sent {
            return self.denial.sees(sent);
        }
        match self.expected.pop_front() {
            Some(expected) if expected == sent => Ok(()),
            expected => breach("CORE-010", format!("{sent:?} and not {expected:?}")),
        }
    }

    fn all_seen(&self) -> RunResult {
        match self.expected.front() {
            Some(expected) => breach("CORE-010", format!("the client does not get {expected:?}")),
            None => self.denial.all_seen(),
        }
    }

    fn app_waits(&mut self) -> RunResult {
        if !self.ended {
            self.watch.did("the app waits");
            self.client.app_waits();
            self.denial.app_waits();
            self.read_all = false;
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
        self.client.app_ended(&result);
        self.denial.ended(false);
        for _ in 0..2 {
            self.send()?;
            self.closed()?;
            self.handle()?;
        }
        if self.left.is_some() {
            return Ok(());
        }
        for _ in 0..10_000 {
            let sent = self.client.take();
            if sent.is_empty() {
                return self.all_seen();
            }
            self.watch.did(format!("the client reads {sent:?}"));
            sent.into_iter().try_for_each(|sent| self.sees(sent))?;
        }
        breach(
            "HTTP-049",
            "the output does not end after the app has ended",
        )
    }
}
