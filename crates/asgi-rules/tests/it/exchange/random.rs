//! Drives `HttpExchange` with random sequences of what the app, the server and the client do.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use asgi::{
    Closed, DisconnectReason, Extension, Extensions, HttpRequest, ReceiveEvent, Receiver, Sender,
};
use asgi_rules::exchange::HttpExchange;
use asgi_rules::{AppEnd, Ending, HttpRules};
use http::Method;

use super::Task;
use crate::http::random::{ClientView, random_event};
use crate::support::{ENDS, Random};

/// One kind of wait, and the task that waits.
#[derive(Default)]
struct Wait {
    task: Arc<Task>,
    waits: bool,
}

impl Wait {
    /// Polls, and checks that a wait that is over has woken its task.
    #[track_caller]
    fn poll<T>(&mut self, seed: u64, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        let woken = self.task.take_wakes() > 0;
        let result = self.task.poll(poll);
        assert!(
            !self.waits || woken || result.is_pending(),
            "seed {seed}: the task was not woken"
        );
        self.waits = result.is_pending();
        result
    }
}

struct Run {
    seed: u64,
    random: Random,
    exchange: HttpExchange,
    receiver: Receiver,
    sender: Sender,
    waits: [Wait; 6],
    /// A second task of the app waits for the close.
    closed: Option<Pin<Box<Closed>>>,
    client: ClientView,
    /// The parts that the server has pushed, and how many of them the app has received.
    pushed: u64,
    received: u64,
    /// The server has pushed the last part.
    body_complete: bool,
    disconnect: Option<DisconnectReason>,
    /// A reason that leaves no client.
    gone: bool,
    left: bool,
    ended: bool,
    /// What may have become an output since the server last had taken every output.
    waiting_events: u64,
}

const RECEIVE: usize = 0;
const READY: usize = 1;
const CLOSED: usize = 2;
const CLOSED_TOO: usize = 3;
const OUTPUT: usize = 4;
const WANTS_BODY: usize = 5;

impl Run {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let method = random.pick(&[Method::GET, Method::HEAD].each_ref());
        let mut extensions = Extensions::new();
        for one in [Extension::Push, Extension::EarlyHint, Extension::Trailers] {
            if !random.one_in(3) {
                extensions = extensions.with(one);
            }
        }
        let exchange = HttpExchange::new(HttpRules::new(method, extensions));
        let (receiver, sender) = exchange.halves();
        Self {
            seed,
            random,
            exchange,
            receiver,
            sender,
            waits: Default::default(),
            closed: None,
            client: ClientView::default(),
            pushed: 0,
            received: 0,
            body_complete: false,
            disconnect: None,
            gone: false,
            left: false,
            ended: false,
            waiting_events: 0,
        }
    }

    fn step(&mut self) {
        match self.random.below(20) {
            0..=3 => self.receive(),
            4..=9 => self.send(),
            10 => self.wait_for_the_close(),
            11 => self.wait_in_another_task(),
            12 | 13 => self.push_body(),
            14 if self.random.one_in(4) => {
                self.exchange.half_closed();
            }
            15 if self.random.one_in(4) => self.client_leaves(),
            16 => {
                self.exchange.app_is_waiting();
                self.waiting_events += 1;
            }
            17 => {
                let wait = &mut self.waits[WANTS_BODY];
                let _ = wait.poll(self.seed, |cx| self.exchange.poll_wants_body(cx));
            }
            _ => self.take_output(),
        }
    }

    fn receive(&mut self) {
        let wait = &mut self.waits[RECEIVE];
        let event = wait.poll(self.seed, |cx| self.receiver.poll_receive(cx));
        let seed = self.seed;
        match event {
            Poll::Pending => assert!(!self.ended && !self.gone, "seed {seed}"),
            Poll::Ready(ReceiveEvent::HttpRequest(part)) => {
                assert_eq!(self.disconnect, None, "seed {seed}: a part after the end");
                let number = self.received.to_string();
                assert_eq!(part.body, number, "seed {seed}: out of order");
                self.received += 1;
                assert!(self.received <= self.pushed, "seed {seed}");
                let last = self.body_complete && self.received == self.pushed;
                assert_eq!(part.more_body, !last, "seed {seed}");
                assert_eq!(self.exchange.is_body_received(), last, "seed {seed}");
            }
            Poll::Ready(ReceiveEvent::HttpDisconnect(event)) => {
                let reason = *self.disconnect.get_or_insert(event.reason);
                assert_eq!(event.reason, reason, "seed {seed}");
                let complete = reason == DisconnectReason::Complete;
                let over = self.ended || self.exchange.is_complete();
                assert!(over || !complete, "seed {seed}");
            }
            other => panic!("seed {seed}: {other:?}"),
        }
    }

    fn send(&mut self) {
        let seed = self.seed;
        let wait = &mut self.waits[READY];
        match wait.poll(seed, |cx| self.sender.poll_ready(cx)) {
            Poll::Pending => {
                assert!(!self.ended && !self.gone, "seed {seed}");
                assert!(
                    self.waiting_events > 0,
                    "seed {seed}: waits without a reason"
                );
            }
            Poll::Ready(Err(error)) => {
                assert!(
                    error.is_over() == self.ended && error.is_disconnected() != self.ended,
                    "seed {seed}: {error}"
                );
            }
            // The app may change its mind: the promise stays.
            Poll::Ready(Ok(())) if self.random.one_in(5) => {}
            Poll::Ready(Ok(())) => {
                let event = random_event(&mut self.random);
                if self.sender.start_send(event).is_ok() {
                    assert!(!self.ended && !self.gone, "seed {seed}");
                    self.waiting_events += 1;
                }
            }
        }
    }

    fn wait_in_another_task(&mut self) {
        let sender = &self.sender;
        let closed = self
            .closed
            .get_or_insert_with(|| Box::pin(sender.closed_handle()));
        let wait = &mut self.waits[CLOSED_TOO];
        let result = wait.poll(self.seed, |cx| closed.as_mut().poll(cx));
        self.check_closed(result);
        if result.is_ready() || self.random.one_in(8) {
            self.closed = None;
            self.waits[CLOSED_TOO] = Wait::default();
        }
    }

    fn wait_for_the_close(&mut self) {
        let sender = &mut self.sender;
        let reason = self.waits[CLOSED].poll(self.seed, |cx| sender.poll_closed(cx));
        self.check_closed(reason);
    }

    fn check_closed(&self, reason: Poll<DisconnectReason>) {
        let over = self.ended || self.exchange.is_complete();
        assert!(
            reason.is_ready() || !over && !self.gone,
            "seed {}",
            self.seed
        );
    }

    fn push_body(&mut self) {
        let more = !self.random.one_in(4);
        let number = self.pushed.to_string();
        self.exchange.push_body(HttpRequest::new(number, more));
        if !self.body_complete && !self.left {
            self.pushed += 1;
            self.body_complete = !more;
        }
    }

    fn client_leaves(&mut self) {
        let reason = self.random.pick(&[
            DisconnectReason::Closed,
            DisconnectReason::Lost,
            DisconnectReason::ProtocolError,
        ]);
        self.gone |= reason != DisconnectReason::Closed && !self.exchange.is_complete();
        self.left = true;
        self.exchange.disconnected(reason);
    }

    fn take_output(&mut self) {
        let wait = &mut self.waits[OUTPUT];
        match wait.poll(self.seed, |cx| self.exchange.poll_output(cx)) {
            Poll::Pending => self.waiting_events = 0,
            Poll::Ready(event) => self.client.sees(&event),
        }
    }

    /// Ends the app and returns what the server does then.
    fn end(mut self) -> Ending {
        let end = self.random.pick(&ENDS);
        let complete = self.exchange.is_complete();
        let verdict = self.exchange.ended(end);
        self.ended = true;
        self.wait_for_the_close();
        self.wait_in_another_task();
        self.receive();
        self.send();
        self.exchange.push_body(HttpRequest::last("too late"));
        self.receive();
        while let Some(event) = self.exchange.take_output() {
            self.client.sees(&event);
        }
        let seed = self.seed;
        assert_eq!(self.client.complete, complete, "seed {seed}");
        let expected = match (complete, self.gone, self.client.framing) {
            (true, ..) => Ending::Complete,
            (false, true, _) => Ending::Gone,
            (false, false, Some(_)) if verdict.ending == Ending::WithoutTrailers => {
                assert_eq!(end, AppEnd::Returned);
                Ending::WithoutTrailers
            }
            (false, false, Some(_)) => Ending::Abort,
            (false, false, None) if matches!(end, AppEnd::Cancelled | AppEnd::Aborted) => {
                Ending::Abort
            }
            (false, false, None) => Ending::ServerError,
        };
        assert_eq!(verdict.ending, expected, "seed {seed}");
        verdict.ending
    }
}

#[test]
fn no_sequence_loses_a_wake_up_a_part_or_an_output() {
    let mut endings = Vec::new();
    for seed in 0..6_000 {
        let mut run = Run::new(seed);
        for _ in 0..run.random.below(60) {
            run.step();
        }
        endings.push(run.end());
    }
    // Each ending must occur often enough, or the test proves nothing.
    for ending in [
        Ending::Complete,
        Ending::Gone,
        Ending::Abort,
        Ending::ServerError,
    ] {
        let times = endings.iter().filter(|other| **other == ending).count();
        assert!(times > 300, "{ending:?} occurred only {times} times");
    }
}
