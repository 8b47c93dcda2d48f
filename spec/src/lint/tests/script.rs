//! A call in steps: what the app does, and how the server answers.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use asgi::http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use asgi::{
    AppError, Closed, DisconnectReason, DynApp, Extension, HttpDisconnect, HttpRequest,
    HttpResponseBody, HttpResponseStart, HttpResponseTrailers, HttpScope, LifespanScope,
    ReceiveEvent, ReceiveHalf, Receiver, Scope, SendError, SendEvent, SendHalf, Sender,
    WebSocketClose, WebSocketDisconnect, WebSocketHttpResponseBody, WebSocketHttpResponseStart,
    WebSocketScope,
};

use crate::{Lint, Side, Violation};

/// One thing that the app does, with the server's answer.
pub(super) enum Step {
    Send(SendEvent, Result<(), SendError>),
    /// `send` waits for room.
    SendWaits(SendEvent),
    /// The sender asks for room.
    Ready(Poll<Result<(), SendError>>),
    Receive(Poll<ReceiveEvent>),
    Closed(Poll<DisconnectReason>),
}

/// A call with its result.
pub(super) struct Script {
    pub(super) scope: Scope,
    pub(super) steps: Vec<Step>,
    /// `None` if the app goes on.
    pub(super) end: Option<fn() -> Result<(), AppError>>,
}

/// The server: it gives the answer of the current step.
#[derive(Clone, Default)]
struct Scripted(Arc<Mutex<Option<Step>>>);

impl ReceiveHalf for Scripted {
    fn poll_receive(&mut self, _: &mut Context<'_>) -> Poll<ReceiveEvent> {
        match self.0.lock().unwrap().take() {
            Some(Step::Receive(event)) => event,
            _ => panic!("the step does not receive"),
        }
    }
}

impl SendHalf for Scripted {
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        match self.0.lock().unwrap().take() {
            Some(Step::Ready(ready)) => ready,
            Some(Step::SendWaits(_)) => Poll::Pending,
            _ => panic!("the step does not ask for room"),
        }
    }

    fn start_send(&mut self, _: SendEvent) -> Result<(), SendError> {
        match self.0.lock().unwrap().take() {
            Some(Step::Send(_, answer)) => answer,
            _ => panic!("the step does not send"),
        }
    }

    fn poll_closed(&mut self, _: &mut Context<'_>) -> Poll<DisconnectReason> {
        match self.0.lock().unwrap().take() {
            Some(Step::Closed(closed)) => closed,
            _ => panic!("the step does not wait for the close"),
        }
    }

    fn closed_handle(&self) -> Closed {
        Closed::new(std::future::pending())
    }
}

/// Plays the steps as the app.
fn play(steps: Vec<Step>, server: &Scripted, receive: &mut Receiver, send: &mut Sender) {
    enum Kind {
        Send(SendEvent),
        SendWaits(SendEvent),
        Ready,
        Receive,
        Closed,
    }

    let mut cx = Context::from_waker(Waker::noop());
    for step in steps {
        let kind = match &step {
            Step::Send(event, _) => Kind::Send(event.clone()),
            Step::SendWaits(event) => Kind::SendWaits(event.clone()),
            Step::Ready(_) => Kind::Ready,
            Step::Receive(_) => Kind::Receive,
            Step::Closed(_) => Kind::Closed,
        };
        *server.0.lock().unwrap() = Some(step);
        match kind {
            Kind::Send(event) => drop(send.start_send(event)),
            Kind::SendWaits(event) => drop(send.poll_send(&mut cx, &mut Some(event))),
            Kind::Ready => drop(send.poll_ready(&mut cx)),
            Kind::Receive => drop(receive.poll_receive(&mut cx)),
            Kind::Closed => _ = send.poll_closed(&mut cx),
        }
    }
}

/// The violations of several calls of one app, one after the other.
pub(super) fn run_all(scripts: Vec<Script>) -> Vec<(Side, &'static str)> {
    let found: Arc<Mutex<Vec<Violation>>> = Arc::default();
    let told = Arc::clone(&found);
    let scripts = Arc::new(Mutex::new(scripts));
    let scopes: Vec<Scope> = scripts
        .lock()
        .unwrap()
        .iter()
        .map(|one| one.scope.clone())
        .collect();
    let server = Scripted::default();
    let (answers, left) = (server.clone(), Arc::clone(&scripts));
    let app = move |_: Scope, mut receive: Receiver, mut send: Sender| {
        let script = left.lock().unwrap().remove(0);
        let answers = answers.clone();
        async move {
            play(script.steps, &answers, &mut receive, &mut send);
            match script.end {
                Some(end) => end(),
                None => std::future::pending().await,
            }
        }
    };
    let app = DynApp::new(Lint::new(app).report(move |one| told.lock().unwrap().push(one)));
    // The calls before the last one go on, as a lifespan does.
    let mut running = Vec::new();
    for scope in scopes {
        let (receive, send) = (Receiver::new(server.clone()), Sender::new(server.clone()));
        let mut call = app.start(scope, receive, send);
        let _ = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        running.push(call);
    }
    let found = found.lock().unwrap();
    // Each can be shown to a person.
    found
        .iter()
        .for_each(|one| assert!(!one.to_string().is_empty()));
    found.iter().map(|one| (one.side, one.id)).collect()
}

/// The violations of one call.
pub(super) fn run(script: Script) -> Vec<(Side, &'static str)> {
    run_all(vec![script])
}

impl Script {
    pub(super) fn new(scope: impl Into<Scope>, steps: impl Into<Vec<Step>>) -> Self {
        Self {
            scope: scope.into(),
            steps: steps.into(),
            // A failed app has no fault in an answer that is not complete.
            end: Some(|| Err("the script is over".into())),
        }
    }

    /// The app goes on after the steps.
    pub(super) fn waiting(scope: impl Into<Scope>, steps: impl Into<Vec<Step>>) -> Self {
        Self {
            end: None,
            ..Self::new(scope, steps)
        }
    }

    pub(super) fn returns(mut self) -> Self {
        self.end = Some(|| Ok(()));
        self
    }
}

pub(super) fn http() -> HttpScope {
    let mut scope = HttpScope::new(Method::GET, "/".parse().unwrap());
    scope.headers = headers(&[("host", "localhost")]);
    scope
}

pub(super) fn offering(extensions: &[Extension]) -> HttpScope {
    let mut scope = http();
    scope.version = Version::HTTP_2;
    scope.headers.insert("te", "trailers".parse().unwrap());
    for extension in extensions {
        scope.extensions = scope.extensions.with(*extension);
    }
    scope
}

pub(super) fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
    let pairs = list.iter().map(|(name, value)| {
        let name = HeaderName::from_static(name);
        (name, HeaderValue::from_static(value))
    });
    pairs.collect()
}

pub(super) fn socket() -> WebSocketScope {
    let mut scope = WebSocketScope::new("/chat".parse().unwrap());
    scope.subprotocols = vec!["chat".into()];
    scope.extensions = scope.extensions.with(Extension::WebSocketHttpResponse);
    scope
}

pub(super) fn lifespan() -> LifespanScope {
    LifespanScope::new()
}

/// The server takes the event.
pub(super) fn taken(event: impl Into<SendEvent>) -> Step {
    Step::Send(event.into(), Ok(()))
}

pub(super) fn misuse(event: impl Into<SendEvent>) -> Step {
    Step::Send(event.into(), Err(SendError::misuse("this", "that")))
}

pub(super) fn refused(event: impl Into<SendEvent>) -> Step {
    Step::Send(event.into(), Err(SendError::refused("no")))
}

pub(super) fn gone(event: impl Into<SendEvent>, reason: DisconnectReason) -> Step {
    Step::Send(event.into(), Err(SendError::disconnected(reason)))
}

pub(super) fn receive(event: impl Into<ReceiveEvent>) -> Step {
    Step::Receive(Poll::Ready(event.into()))
}

pub(super) fn closed(reason: DisconnectReason) -> Step {
    Step::Closed(Poll::Ready(reason))
}

pub(super) fn start() -> HttpResponseStart {
    HttpResponseStart::ok()
}

pub(super) fn status(status: u16) -> HttpResponseStart {
    HttpResponseStart::new(status.try_into().unwrap())
}

pub(super) fn more(text: &'static str) -> HttpResponseBody {
    HttpResponseBody::more(text)
}

pub(super) fn last(text: &'static str) -> HttpResponseBody {
    HttpResponseBody::last(text)
}

pub(super) fn trailers() -> HttpResponseTrailers {
    HttpResponseTrailers::new(HeaderMap::new())
}

pub(super) fn part(text: &'static str, more: bool) -> HttpRequest {
    HttpRequest::new(text, more)
}

pub(super) fn left(reason: DisconnectReason) -> HttpDisconnect {
    HttpDisconnect::new(reason)
}

pub(super) fn close(code: u16) -> WebSocketClose {
    WebSocketClose::new(code)
}

pub(super) fn disconnect(code: u16) -> WebSocketDisconnect {
    WebSocketDisconnect::new(code, "")
}

pub(super) fn deny(status: u16) -> WebSocketHttpResponseStart {
    WebSocketHttpResponseStart::new(status.try_into().unwrap())
}

pub(super) fn deny_last(text: &'static str) -> WebSocketHttpResponseBody {
    WebSocketHttpResponseBody::last(text)
}
