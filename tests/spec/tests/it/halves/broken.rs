//! Proof that the level can fail: halves that each break one thing, and the requirement that is named.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use asgi::{
    AppError, Closed, DisconnectReason, HttpRequest, HttpResponseBody, HttpResponseStart,
    HttpScope, Message, ReceiveEvent, Receiver, SendError, SendEvent, Sender, SharedHalves,
    WebSocketScope,
};
use asgi_spec::halves::{
    HalvesSuite, HttpClientSide, SentToClient, SentToSocket, WebSocketClientSide,
};
use http::StatusCode;

use super::rules::{OfRules, SocketOfRules};

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// `receive` wakes the task that polled first.
    KeepsTheFirstWaker,
    /// A method wakes no task.
    ReceiveNeverWakes,
    SendNeverWakes,
    ClosedNeverWakes,
    /// All handles of the close have one waker.
    HandlesShareAWaker,
    /// The room never ends.
    NeverWaits,
    /// The room never comes back.
    WaitsForEver,
    /// `send` waits for a client that is gone.
    WaitsForTheGone,
    /// The app does not learn that its client is gone.
    ForgetsTheGone,
    /// Each `receive` after the first disconnect says something else.
    ChangesTheReason,
    /// After the app has ended, `send` works.
    IsNeverOver,
    /// A wrong event starts a response.
    MisuseChangesTheResponse,
    /// A wrong event is taken.
    MisuseIsTaken,
    MisuseIsRefused,
    RefusalIsMisuse,
    /// `poll_send` takes the event and waits.
    TakesAndWaits,
    /// Two parts of a response change places.
    SwapsParts,
    /// A part of the request gets lost.
    LosesInput,
    /// Each part of the request says that it is the last.
    EndsTheBodyEarly,
    /// A part of the response does not reach the client.
    LosesOutput,
    /// The head does not wait for a part of the body.
    SendsTheHeadAtOnce,
    /// The head waits although the app waits.
    HoldsTheHead,
    /// A response that the app has not finished looks complete.
    CompletesEverything,
    /// `closed` never resolves.
    NeverCloses,
    /// After the last event, `receive` waits.
    WaitsAfterTheEnd,
}

use Fault::*;

const HTTP: &[(Fault, &str)] = &[
    (KeepsTheFirstWaker, "CORE-009"),
    (ReceiveNeverWakes, "CORE-009"),
    (SendNeverWakes, "CORE-009"),
    (ClosedNeverWakes, "CORE-009"),
    (HandlesShareAWaker, "CORE-030"),
    (NeverWaits, "CORE-011"),
    (WaitsForEver, "CORE-011"),
    (WaitsForTheGone, "CORE-016"),
    (ForgetsTheGone, "CORE-015"),
    (ChangesTheReason, "HTTP-046"),
    (IsNeverOver, "CORE-004"),
    (MisuseChangesTheResponse, "HTTP-062"),
    (MisuseIsTaken, "HTTP-021"),
    (MisuseIsRefused, "CORE-027"),
    (RefusalIsMisuse, "CORE-027"),
    (TakesAndWaits, "CORE-012"),
    (SwapsParts, "CORE-010"),
    (LosesInput, "HTTP-015"),
    (EndsTheBodyEarly, "HTTP-016"),
    (LosesOutput, "HTTP-025"),
    (SendsTheHeadAtOnce, "HTTP-023"),
    (HoldsTheHead, "HTTP-024"),
    (CompletesEverything, "HTTP-039"),
    (NeverCloses, "CORE-017"),
    (WaitsAfterTheEnd, "CORE-008"),
];

const SOCKETS: &[(Fault, &str)] = &[
    (KeepsTheFirstWaker, "CORE-009"),
    (SendNeverWakes, "CORE-009"),
    (HandlesShareAWaker, "CORE-030"),
    (ForgetsTheGone, "CORE-015"),
    (IsNeverOver, "CORE-004"),
    (MisuseIsTaken, "CORE-014"),
    (LosesInput, "WS-015"),
    (LosesOutput, "CORE-010"),
    (ChangesTheReason, "WS-020"),
    (WaitsAfterTheEnd, "CORE-008"),
];

/// The halves, with a fault.
struct BrokenHalves {
    fault: Fault,
    receive: Mutex<Receiver>,
    send: Mutex<Sender>,
    first: Mutex<Option<Waker>>,
    held: Mutex<Option<SendEvent>>,
    disconnected: AtomicBool,
}

fn broken(fault: Fault, receive: Receiver, send: Sender) -> (Receiver, Sender) {
    asgi::halves(Arc::new(BrokenHalves {
        fault,
        receive: Mutex::new(receive),
        send: Mutex::new(send),
        first: Mutex::default(),
        held: Mutex::default(),
        disconnected: AtomicBool::new(false),
    }))
}

fn no_waker() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

impl SharedHalves for BrokenHalves {
    fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<ReceiveEvent> {
        let mut receive = self.receive.lock().unwrap();
        if self.fault == WaitsAfterTheEnd && self.disconnected.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        let event = match self.fault {
            ReceiveNeverWakes => receive.poll_receive(&mut no_waker()),
            KeepsTheFirstWaker => {
                let mut first = self.first.lock().unwrap();
                let waker = first.get_or_insert_with(|| cx.waker().clone());
                receive.poll_receive(&mut Context::from_waker(waker))
            }
            _ => receive.poll_receive(cx),
        };
        event.map(|mut event| {
            match &mut event {
                ReceiveEvent::HttpRequest(part) if self.fault == EndsTheBodyEarly => {
                    part.more_body = false;
                }
                ReceiveEvent::HttpDisconnect(end) => {
                    let again = self.disconnected.swap(true, Ordering::Relaxed);
                    if again && self.fault == ChangesTheReason {
                        end.reason = DisconnectReason::Reset(7);
                    }
                }
                ReceiveEvent::WebSocketDisconnect(end) => {
                    self.disconnected.store(true, Ordering::Relaxed);
                    if self.fault == ChangesTheReason {
                        end.code = 1011;
                    }
                }
                _ => {}
            }
            event
        })
    }

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let mut send = self.send.lock().unwrap();
        let ready = match self.fault {
            SendNeverWakes => send.poll_ready(&mut no_waker()),
            _ => send.poll_ready(cx),
        };
        match (self.fault, ready) {
            (IsNeverOver, Poll::Ready(Err(error))) if error.is_over() => Poll::Ready(Ok(())),
            (WaitsForTheGone, Poll::Ready(Err(error))) if error.is_disconnected() => Poll::Pending,
            (WaitsForEver, _) => Poll::Pending,
            (_, ready) => ready,
        }
    }

    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        event: &mut Option<SendEvent>,
    ) -> Poll<Result<(), SendError>> {
        match self.poll_ready(cx) {
            Poll::Pending => {
                if self.fault == TakesAndWaits {
                    *event = None;
                }
                Poll::Pending
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => {
                let event = event.take();
                Poll::Ready(event.map_or(Ok(()), |event| self.start_send(event)))
            }
        }
    }

    fn start_send(&self, event: SendEvent) -> Result<(), SendError> {
        let mut send = self.send.lock().unwrap();
        let starts = matches!(event, SendEvent::HttpResponseStart(_));
        if self.fault == SwapsParts {
            let mut held = self.held.lock().unwrap();
            if let SendEvent::HttpResponseBody(part) = &event
                && part.more_body
                && part.body.len() > 1
                && held.is_none()
            {
                // Only an event that would be taken.
                *held = Some(event.clone());
                send.start_send(HttpResponseBody::more("").into())?;
                return Ok(());
            }
            send.start_send(event)?;
            if let Some(event) = held.take()
                && send.poll_ready(&mut no_waker()).is_ready()
            {
                let _ = send.start_send(event);
            }
            return Ok(());
        }
        let result = send.start_send(event);
        match (self.fault, result) {
            (IsNeverOver, Err(error)) if error.is_over() => Ok(()),
            (MisuseIsTaken, Err(error)) if error.is_misuse() => Ok(()),
            (MisuseIsRefused, Err(error)) if error.is_misuse() => Err(SendError::refused("no")),
            (RefusalIsMisuse, Err(error)) if error.is_refused() => {
                Err(SendError::misuse("that", "this"))
            }
            (MisuseChangesTheResponse, Err(error)) if error.is_misuse() => {
                let _ = send.start_send(HttpResponseStart::new(StatusCode::BAD_GATEWAY).into());
                Err(error)
            }
            (SendsTheHeadAtOnce, Ok(())) if starts => {
                let _ = send.poll_ready(&mut no_waker());
                let _ = send.start_send(HttpResponseBody::more("").into());
                Ok(())
            }
            (_, result) => result,
        }
    }

    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<DisconnectReason> {
        let mut send = self.send.lock().unwrap();
        match self.fault {
            NeverCloses => Poll::Pending,
            ClosedNeverWakes => send.poll_closed(&mut no_waker()),
            _ => send.poll_closed(cx),
        }
    }

    fn closed_handle(self: Arc<Self>) -> Closed {
        if self.fault == HandlesShareAWaker {
            return Closed::new(std::future::poll_fn(move |cx| self.poll_closed(cx)));
        }
        let handle = self.send.lock().unwrap().closed_handle();
        // The handle keeps the halves, as a handle of a server does.
        Closed::new(async move {
            let _halves = self;
            pin!(handle).await
        })
    }
}

/// The client's side, with a fault.
struct BrokenClient<C> {
    fault: Fault,
    client: C,
    count: u32,
    ended: bool,
    /// The client has got the end of the response.
    complete: bool,
}

impl HttpClientSide for BrokenClient<OfRules> {
    fn body(&mut self, part: HttpRequest) {
        self.count += 1;
        if !(self.fault == LosesInput && self.count == 2 && part.more_body) {
            self.client.body(part);
        }
    }

    fn leave(&mut self, reason: DisconnectReason) {
        if self.fault != ForgetsTheGone {
            self.client.leave(reason);
        }
    }

    fn take(&mut self) -> Vec<SentToClient> {
        let mut sent = self.client.take();
        if self.fault == LosesOutput {
            let is_data = |sent: &SentToClient| matches!(sent, SentToClient::Data(_));
            let with_data = sent.iter().any(is_data);
            sent.retain(|one| !is_data(one));
            if with_data && sent.is_empty() {
                return self.take();
            }
        }
        self.complete |= sent.contains(&SentToClient::Complete);
        let is_short = self.ended && !self.complete;
        if self.fault == CompletesEverything && sent.is_empty() && is_short {
            self.complete = true;
            return vec![SentToClient::Complete];
        }
        sent
    }

    fn app_waits(&mut self) {
        if self.fault != HoldsTheHead {
            self.client.app_waits();
        }
    }

    fn app_ended(&mut self, result: &Result<(), AppError>) {
        self.ended = true;
        self.client.app_ended(result);
    }
}

impl WebSocketClientSide for BrokenClient<SocketOfRules> {
    fn message(&mut self, message: Message) {
        self.count += 1;
        if !(self.fault == LosesInput && self.count == 1) {
            self.client.message(message);
        }
    }

    fn close(&mut self, code: u16, reason: &str) {
        self.client.close(code, reason);
    }

    fn leave(&mut self, reason: DisconnectReason) {
        if self.fault != ForgetsTheGone {
            self.client.leave(reason);
        }
    }

    fn take(&mut self) -> Vec<SentToSocket> {
        let sent = self.client.take();
        match sent.first() {
            Some(SentToSocket::Message(_)) if self.fault == LosesOutput => self.take(),
            _ => sent,
        }
    }

    fn app_waits(&mut self) {
        self.client.app_waits();
    }

    fn app_ended(&mut self, result: &Result<(), AppError>) {
        self.client.app_ended(result);
    }
}

fn http(fault: Fault) -> HalvesSuite {
    HalvesSuite::http(move |scope: HttpScope| {
        let room = if fault == NeverWaits { usize::MAX } else { 1 };
        let (receive, send, client) = OfRules::make_with(scope, room);
        let (receive, send) = broken(fault, receive, send);
        (receive, send, BrokenClient::new(fault, client))
    })
}

fn socket(fault: Fault) -> HalvesSuite {
    HalvesSuite::websocket(move |scope: WebSocketScope| {
        let (receive, send, client) = SocketOfRules::make(scope);
        let (receive, send) = broken(fault, receive, send);
        (receive, send, BrokenClient::new(fault, client))
    })
}

impl<C> BrokenClient<C> {
    fn new(fault: Fault, client: C) -> Self {
        Self {
            fault,
            client,
            count: 0,
            ended: false,
            complete: false,
        }
    }
}

/// Each fault shows within a few sequences.
const ENOUGH: u64 = 300;

#[track_caller]
fn expect_found(rows: &[(Fault, &str)], halves: fn(Fault) -> HalvesSuite) {
    let mut missed = Vec::new();
    for (fault, id) in rows {
        let failures = halves(*fault).sequences(ENOUGH).run();
        if !failures.iter().any(|failure| failure.id == *id) {
            let found: Vec<&str> = failures.iter().map(|failure| failure.id).collect();
            missed.push(format!(
                "{fault:?} breaks {id}, and the level finds {found:?}"
            ));
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn each_fault_of_the_halves_of_a_request_is_found_with_its_requirement() {
    expect_found(HTTP, http);
}

#[test]
fn each_fault_of_the_halves_of_a_web_socket_is_found_with_its_requirement() {
    expect_found(SOCKETS, socket);
}

#[test]
fn a_failure_says_its_seed_and_the_seed_repeats_it() {
    let failures = http(SwapsParts).sequences(ENOUGH).run();
    let first = failures.iter().find(|one| one.id == "CORE-010").unwrap();
    assert!(
        first
            .to_string()
            .contains(&format!("seed {}: ", first.seed))
    );
    let again = http(SwapsParts).only_seed(first.seed).run();
    assert_eq!(again.first(), Some(first));
}
