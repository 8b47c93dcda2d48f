//! The app of a WebSocket while it runs. Both halves of the client drive it.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use asgi::{AppError, DisconnectReason, Message, WebSocketScope};
use asgi_rules::exchange::WebSocketExchange;
use asgi_rules::{
    AppEnd, Fault, WebSocketEnding, WebSocketRules, WebSocketVerdict, WebSocketWireEvent,
};
use http::{HeaderMap, StatusCode};

use crate::Client;
use crate::describe;
use crate::halves::recorded;
use crate::history::Actor;
use crate::lifespan::LifespanTask;
use crate::record::CallRecord;
use crate::report::{Seen, Waiter};
use crate::response::ResponseRecord;
use crate::wake::{AppReturn, AppTask, lock};

/// A running app and the exchange with it.
pub(super) struct RunningSocket {
    pub(super) exchange: WebSocketExchange,
    app: Mutex<Option<AppTask>>,
    end: Mutex<SocketResult>,
    lifespan: Option<Arc<LifespanTask>>,
    record: CallRecord,
}

/// How the app has ended.
#[derive(Default)]
struct SocketResult {
    error: Option<AppError>,
    verdict: Option<WebSocketVerdict>,
    /// The code with which the client has closed.
    clients_close: Option<u16>,
}

impl RunningSocket {
    pub(super) fn start(client: Client, scope: WebSocketScope, record: CallRecord) -> Arc<Self> {
        let rules = WebSocketRules::new(scope.subprotocols.clone(), scope.extensions.clone());
        let exchange = WebSocketExchange::new(rules);
        record.note(
            Actor::Client,
            format!("asks for a WebSocket at {}", scope.target),
        );
        let (receive, send) = recorded(exchange.halves(), &record);
        let future = client.app.start(scope.into(), receive, send);
        Arc::new(Self {
            exchange,
            app: Mutex::new(Some(AppTask::new(future))),
            end: Mutex::default(),
            lifespan: client.lifespan,
            record,
        })
    }

    /// Waits for the next event of the app. Returns `None` after the app has ended.
    pub(super) async fn event(&self, waiter: &Waiter, what: &str) -> Option<WebSocketWireEvent> {
        waiter.wait(what, |cx| self.poll_wire(waiter, cx)).await
    }

    fn poll_wire(&self, waiter: &Waiter, cx: &mut Context<'_>) -> Poll<Option<WebSocketWireEvent>> {
        if let Poll::Ready(event) = self.exchange.poll_output(cx) {
            return self.received(event);
        }
        let ended = self.poll_app(waiter, cx).is_ready();
        match self.exchange.poll_output(cx) {
            Poll::Ready(event) => self.received(event),
            Poll::Pending if ended => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }

    fn received(&self, event: WebSocketWireEvent) -> Poll<Option<WebSocketWireEvent>> {
        let text = format!("receives {}", describe::socket_output(&event));
        self.record.with(|state| state.room_waits = false);
        self.record.note(Actor::Client, text);
        Poll::Ready(Some(event))
    }

    /// Polls the app and the lifespan, as a server does.
    pub(super) fn poll_app(&self, waiter: &Waiter, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(lifespan) = &self.lifespan {
            lifespan.poll_in_background(waiter.caller, cx);
        }
        let mut app = lock(&self.app);
        let Some(task) = &mut *app else {
            return Poll::Ready(());
        };
        let Poll::Ready(end) = task.poll(waiter, cx) else {
            self.exchange.app_is_waiting();
            return Poll::Pending;
        };
        *app = None;
        drop(app);
        match end {
            AppReturn::Returned(result) => {
                waiter.note_return(&result);
                let mut end = lock(&self.end);
                end.verdict = Some(self.exchange.ended(&result));
                end.error = result.err();
            }
            AppReturn::Panicked(text) => {
                lock(&self.end).verdict = Some(self.exchange.ended(AppEnd::Panicked));
                waiter.note_panic(&text);
            }
        }
        Poll::Ready(())
    }

    pub(super) fn push_message(&self, message: Message) {
        let text = format!("sends {}", describe::message(&message));
        self.record.note(Actor::Client, text);
        self.exchange.push_message(message);
    }

    /// Sends the client's close frame.
    pub(super) fn close(&self, code: u16, reason: &str) {
        let text = format!("sends a close: {}", describe::closing(code, reason));
        self.note_leave(text);
        lock(&self.end).clients_close.get_or_insert(code);
        self.exchange.closed(code, reason);
    }

    /// Breaks the connection.
    pub(super) fn lose(&self) {
        self.note_leave(String::from("loses the connection"));
        self.exchange.disconnected(DisconnectReason::Lost);
    }

    fn note_leave(&self, text: String) {
        self.record.note(Actor::Client, text);
        self.record.with(|state| state.client_left = true);
    }

    /// Returns the code of the close frame that a server sends for an app that has ended, or 1006
    /// if it sends none.
    ///
    /// RFC 6455 §5.5.1: an endpoint "typically echos the status code it received".
    pub(super) fn code_of_ended_app(&self) -> u16 {
        let end = lock(&self.end);
        match end.verdict.map(|verdict| verdict.ending) {
            Some(WebSocketEnding::Close(code)) => code,
            Some(WebSocketEnding::Gone) => end.clients_close.unwrap_or(1006),
            _ => 1006,
        }
    }

    /// Takes the error of the app, unless it only says that the client is gone.
    pub(super) fn take_error(&self) -> Result<(), AppError> {
        match lock(&self.end).error.take() {
            Some(error) if !error.is_disconnected() => Err(error),
            _ => Ok(()),
        }
    }

    /// Adds to a denial what a server does for an app that has ended.
    pub(super) fn end_of_denial(&self, denial: &mut ResponseRecord) -> Seen {
        let mut end = lock(&self.end);
        let mut seen = Seen::Failure;
        if let Some(verdict) = end.verdict {
            if verdict.ending == WebSocketEnding::ServerError {
                let status = match verdict.fault {
                    Some(Fault::Unsupported) => StatusCode::FORBIDDEN,
                    _ => StatusCode::INTERNAL_SERVER_ERROR,
                };
                denial.head = Some((status, HeaderMap::new()));
                denial.complete = true;
            } else if denial.complete && verdict.fault.is_none() {
                seen = Seen::Success;
            }
            denial.fault = verdict.fault;
        }
        denial.app_error = end.error.take();
        seen
    }
}

impl Drop for RunningSocket {
    /// Ends the app, so that `send` fails with `is_over` in other tasks.
    fn drop(&mut self) {
        if lock(&self.app).take().is_some() {
            self.exchange.ended(AppEnd::Cancelled);
        }
    }
}

impl fmt::Debug for RunningSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningSocket").finish_non_exhaustive()
    }
}
