//! One HTTP exchange.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use asgi::{
    DisconnectReason, DynApp, HttpDisconnect, HttpRequest, HttpScope, ReceiveEvent, Receiver,
    SendError, SendEvent, Sender,
};

use super::content::RequestContent;
use super::shared::{ExchangeProtocol, SharedExchange, Stage};
use super::{AppOutcome, RunningApp};
use crate::{AppEnd, HttpRules, Verdict, WireEvent};

/// The server's handle of one HTTP exchange. See the [module](crate::exchange) for the loop of a server.
///
/// A clone is cheap and refers to the same exchange.
///
/// ```
/// use asgi::{DynApp, HttpRequest, HttpResponseStart, HttpScope, Receiver, Scope, Sender};
/// use asgi_rules::{Ending, HttpRules, WireEvent, exchange::HttpExchange};
/// use std::task::{Context, Poll, Waker};
///
/// async fn app(_: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), asgi::AppError> {
///     let body = receive.body(1024).await?;
///     Ok(send.respond(HttpResponseStart::ok(), body).await?)
/// }
///
/// let scope = HttpScope::new(http::Method::POST, "/echo".parse()?);
/// let exchange = HttpExchange::new(HttpRules::new(&scope.method, scope.extensions.clone()));
/// let (receive, send) = exchange.halves();
/// let mut future = DynApp::new(app).start(scope.into(), receive, send);
/// let mut cx = Context::from_waker(Waker::noop());
///
/// // The app waits for the body of the request.
/// assert!(future.as_mut().poll(&mut cx).is_pending());
/// exchange.app_is_waiting();
/// assert!(exchange.wants_body());
/// exchange.push_body(HttpRequest::last("ping"));
///
/// let Poll::Ready(result) = future.as_mut().poll(&mut cx) else { panic!() };
/// let verdict = exchange.ended(&result);
/// assert_eq!(verdict.ending, Ending::Complete);
/// let Some(WireEvent::Response(head, body)) = exchange.take_output() else { panic!() };
/// assert_eq!((head.status.as_u16(), &body[..]), (200, &b"ping"[..]));
/// # Ok::<(), http::uri::InvalidUri>(())
/// ```
#[derive(Clone)]
pub struct HttpExchange(Arc<SharedExchange<HttpProtocol>>);

pub(super) struct HttpProtocol {
    pub(super) rules: HttpRules,
    pub(super) content: RequestContent,
    /// The parts of the request body that the app has not received.
    parts: VecDeque<HttpRequest>,
    body: RequestProgress,
    app_ended: bool,
}

/// How much of the request body has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RequestProgress {
    /// More parts can come.
    Open,
    /// The last part has come.
    Complete,
    /// The app has received the last part.
    Received,
    /// The client has closed its side or is gone before the last part.
    Broken,
}

impl HttpExchange {
    /// Creates an exchange with these rules.
    ///
    /// There is room for one event between the app and the server. [`with_room`](Self::with_room)
    /// changes that.
    pub fn new(rules: HttpRules) -> Self {
        Self(Arc::new(SharedExchange::new(HttpProtocol {
            rules,
            content: RequestContent::default(),
            parts: VecDeque::new(),
            body: RequestProgress::Open,
            app_ended: false,
        })))
    }

    /// Sets how many bytes of output may wait for the server before the app waits for room.
    ///
    /// Each output counts the bytes of its body, and one more. The last event that the app sends
    /// may go beyond the bound. (CORE-011)
    #[must_use]
    pub fn with_room(self, bytes: usize) -> Self {
        self.0.set_room(bytes);
        self
    }

    /// Calls an app for a request. The server polls the app that this returns.
    ///
    /// This is [`new`](Self::new) with rules for the method and the extensions of the scope, and
    /// [`halves`](Self::halves). On HTTP/1, it also lets the server push the body as bytes
    /// ([`push_content`](Self::push_content)).
    pub fn start(app: &DynApp, scope: HttpScope) -> (Self, RunningApp) {
        let exchange = Self::new(HttpRules::new(&scope.method, scope.extensions.clone()));
        let content = RequestContent::of(&scope);
        exchange.0.with(|state| state.protocol.content = content);
        let (receive, send) = exchange.halves();
        let running = RunningApp::new(app.start(scope.into(), receive, send));
        (exchange, running)
    }

    /// Polls the app that [`start`](Self::start) has returned: steps 1 and 4 of the loop.
    ///
    /// While the app waits, this sends a head that is held back ([`app_is_waiting`](Self::app_is_waiting)).
    /// Once the app has ended, it records that ([`ended`](Self::ended)).
    pub fn poll_app(
        &self,
        app: &mut RunningApp,
        cx: &mut Context<'_>,
    ) -> Poll<(Verdict, AppOutcome)> {
        match Pin::new(app).poll(cx) {
            Poll::Ready(outcome) => Poll::Ready((self.ended(&outcome), outcome)),
            Poll::Pending => {
                self.app_is_waiting();
                Poll::Pending
            }
        }
    }

    /// Makes the receiver and the sender for the app. Call it once.
    pub fn halves(&self) -> (Receiver, Sender) {
        asgi::halves(Arc::clone(&self.0))
    }

    /// Adds a part of the request body.
    ///
    /// A request without a body has one part, which is empty (HTTP-014). Parts that come after the
    /// last one or after the client has left are dropped.
    pub fn push_body(&self, part: HttpRequest) {
        self.0.with(|state| {
            let http = &mut state.protocol;
            if http.body != RequestProgress::Open {
                return;
            }
            if !part.more_body {
                http.body = RequestProgress::Complete;
            }
            if http.can_receive() {
                http.parts.push_back(part);
            }
            state.input_came();
        });
    }

    pub(super) fn shared(&self) -> &SharedExchange<HttpProtocol> {
        &self.0
    }

    /// Returns whether the app waits for a part of the request body that has not come.
    pub fn wants_body(&self) -> bool {
        self.0.with(|state| state.wants_input())
    }

    /// Waits until [`wants_body`](Self::wants_body). A server can send a 100 then. (HTTP-018)
    ///
    /// This stays `Pending` once the body or the response is complete.
    pub fn poll_wants_body(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_wants_input(cx)
    }

    /// Returns whether the app has received the whole request body.
    ///
    /// Only then a server can keep an HTTP/1 connection without reading the rest. (HTTP-035)
    pub fn is_body_received(&self) -> bool {
        self.0
            .with(|state| state.protocol.body == RequestProgress::Received)
    }

    /// Records that the client has closed its side, although the server may not have read the whole
    /// request body.
    ///
    /// The app's `closed` returns [`DisconnectReason::Closed`] now. The app still receives the rest
    /// of the body: the server goes on to push it, and calls [`disconnected`](Self::disconnected) if
    /// it ends early. (HTTP-041)
    pub fn half_closed(&self) {
        self.0.with(|state| {
            state.protocol.rules.disconnected(DisconnectReason::Closed);
            state.wake_app();
        });
    }

    /// Returns whether the client has left: it has closed its side, or it is gone.
    pub fn has_left(&self) -> bool {
        self.0.with(|state| state.protocol.rules.has_left())
    }

    /// Records that the client has left, or that its body has ended early (HTTP-020). Nothing more
    /// comes from it.
    ///
    /// After [`DisconnectReason::Closed`], the app receives the parts that came before, and its
    /// response still goes out (HTTP-042). After any other reason, it receives only the disconnect.
    /// The first reason stays, but any other reason replaces `Closed`, unless the app has already
    /// learned it (HTTP-046).
    pub fn disconnected(&self, reason: DisconnectReason) {
        self.0.with(|state| {
            let http = &mut state.protocol;
            http.rules.disconnected(reason);
            if http.body == RequestProgress::Open {
                http.body = RequestProgress::Broken;
            }
            if reason != DisconnectReason::Closed {
                http.parts.clear();
            }
            state.wake_app();
        });
    }

    /// Sends a head that is held back, because a poll of the app returned `Pending`. (HTTP-024)
    pub fn app_is_waiting(&self) {
        self.0.app_is_waiting();
    }

    /// Polls for the next thing to send to the client. It is never [`WireEvent::Nothing`].
    ///
    /// Taking it makes room for another event of the app. After the client is gone, the outputs
    /// from before still come, and the server drops them.
    pub fn poll_output(&self, cx: &mut Context<'_>) -> Poll<WireEvent> {
        self.0.poll_output(cx)
    }

    /// Takes the next output, if there is one. Unlike [`poll_output`](Self::poll_output), this does
    /// not wake the caller later.
    pub fn take_output(&self) -> Option<WireEvent> {
        self.0.with(|state| state.take_output())
    }

    /// Returns whether the response is complete. Its outputs may still wait for the server.
    pub fn is_complete(&self) -> bool {
        self.0.with(|state| state.protocol.rules.is_complete())
    }

    /// Records that the app has ended: a reference to its result, or an [`AppEnd`].
    ///
    /// The outputs that the app sent before still come. After them, the server does what the
    /// verdict says.
    pub fn ended(&self, end: impl Into<AppEnd>) -> Verdict {
        let end = end.into();
        self.0.with(|state| {
            state.protocol.app_ended = true;
            state.protocol.parts.clear();
            state.wake_app();
            state.protocol.rules.ended(end)
        })
    }
}

impl fmt::Debug for HttpExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.with(|state| {
            f.debug_struct("HttpExchange")
                .field("rules", &state.protocol.rules)
                .field("body", &state.protocol.body)
                .finish_non_exhaustive()
        })
    }
}

impl HttpProtocol {
    /// Returns whether parts of the body still reach the app.
    fn can_receive(&self) -> bool {
        !self.app_ended && !self.rules.is_complete()
    }
}

impl ExchangeProtocol for HttpProtocol {
    type Output = WireEvent;

    fn ready(&mut self) -> Result<(), SendError> {
        self.rules.report_ready()
    }

    fn send(&mut self, event: SendEvent) -> Result<Option<WireEvent>, SendError> {
        self.rules.send(event).map(some_output)
    }

    fn waiting(&mut self) -> Option<WireEvent> {
        some_output(self.rules.waiting())
    }

    fn receive(&mut self) -> Option<ReceiveEvent> {
        if self.can_receive() {
            if let Some(part) = self.parts.pop_front() {
                if !part.more_body {
                    self.body = RequestProgress::Received;
                }
                return Some(part.into());
            }
            // The close of the client's side does not lose the body before it. (HTTP-041)
            if self.body == RequestProgress::Open {
                return None;
            }
        }
        let reason = self.rules.report_disconnect()?;
        Some(HttpDisconnect::new(reason).into())
    }

    fn closed(&mut self) -> Option<DisconnectReason> {
        self.rules.report_disconnect()
    }

    fn takes_input(&self) -> bool {
        self.body == RequestProgress::Open && self.can_receive()
    }

    fn stage(&self) -> Stage {
        match self.rules.is_complete() {
            false => Stage::Start,
            true => Stage::Complete,
        }
    }

    fn size(output: &WireEvent) -> usize {
        1 + match output {
            WireEvent::Response(_, body)
            | WireEvent::Head(_, body)
            | WireEvent::Data(body)
            | WireEvent::Last(body) => body.len(),
            _ => 0,
        }
    }
}

fn some_output(event: WireEvent) -> Option<WireEvent> {
    match event {
        WireEvent::Nothing => None,
        event => Some(event),
    }
}
