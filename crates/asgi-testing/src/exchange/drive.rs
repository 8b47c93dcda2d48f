//! Runs the app of an exchange, and collects what the client receives.

use std::task::{Context, Poll};

use asgi::{Extension, HttpRequest, HttpResponsePush, HttpScope};
use asgi_rules::{AppEnd, Ending, Verdict, WireEvent};
use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, Method, StatusCode};

use super::{AppWait, Event, Exchange, ExchangeStart};
use crate::describe;
use crate::history::Actor;
use crate::record::CallRecord;
use crate::report::{Seen, Waiter};
use crate::response::{Broken, Pushed, Response, ResponseRecord};
use crate::wake::AppReturn;

impl Exchange {
    /// Runs this exchange and its pushes until every app has ended.
    pub(super) fn poll_run(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Poll::Ready(Some(_)) = self.poll_event(cx) {}
        let app_ended = self.poll_app(cx).is_ready();
        let mut pending = !app_ended;
        for (_, pushed) in &mut self.pushes {
            pending |= pushed.poll_run(cx).is_pending();
        }
        if pending {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }

    /// Waits until the app waits for its client, without taking an event.
    pub(super) fn poll_app_wait(&mut self, cx: &mut Context<'_>) -> Poll<AppWait> {
        self.waiter.record.register(cx);
        if self.poll_app(cx).is_ready() {
            return Poll::Ready(AppWait::Ended);
        }
        let (waits_for_room, waits_for_input) = self
            .waiter
            .record
            .with(|state| (state.room_waits, state.receive_waits));
        if waits_for_room {
            return Poll::Ready(AppWait::Room);
        }
        if waits_for_input && self.http.wants_body() {
            return Poll::Ready(AppWait::Input);
        }
        Poll::Pending
    }

    pub(super) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                self.done |= matches!(event, Event::Complete | Event::Aborted);
                return Poll::Ready(Some(event));
            }
            if self.done {
                return Poll::Ready(None);
            }
            if let Poll::Ready(event) = self.http.poll_output(cx) {
                self.record_event(event);
                continue;
            }
            let app_ended = self.poll_app(cx).is_ready();
            for (_, pushed) in &mut self.pushes {
                // `poll_run` checks at the end whether it has finished.
                let _ = pushed.poll_run(cx);
            }
            if let Poll::Ready(event) = self.http.poll_output(cx) {
                self.record_event(event);
            } else if app_ended {
                self.done |= self.events.is_empty();
            } else {
                return Poll::Pending;
            }
        }
    }

    /// Polls the app and the lifespan, as a server does.
    fn poll_app(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(lifespan) = &self.lifespan {
            lifespan.poll_in_background(self.waiter.caller, cx);
        }
        let Some(app) = &mut self.app else {
            return Poll::Ready(());
        };
        let Poll::Ready(end) = app.poll(&self.waiter, cx) else {
            self.http.app_is_waiting();
            return Poll::Pending;
        };
        self.app = None;
        let verdict = match end {
            AppReturn::Returned(result) => {
                self.waiter.note_return(&result);
                let verdict = self.http.ended(&result);
                self.response.app_error = result.err();
                verdict
            }
            AppReturn::Panicked(text) => {
                let verdict = self.http.ended(AppEnd::Panicked);
                self.waiter.note_panic(&text);
                verdict
            }
        };
        self.end(verdict);
        Poll::Ready(())
    }

    /// Does for the client what the verdict says.
    fn end(&mut self, verdict: Verdict) {
        self.response.fault = verdict.fault;
        // The events that the app sent before its end come first.
        while let Some(event) = self.http.take_output() {
            self.record_event(event);
        }
        let record = &self.waiter.record;
        match verdict.ending {
            Ending::ServerError => {
                let status = verdict.answer;
                let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let text = format!("receives {} from the server", status.as_str());
                record.note(Actor::Client, text);
                self.push_head(status, &HeaderMap::new());
                self.events.push_back(Event::Complete);
                self.response.head = Some((status, HeaderMap::new()));
                self.response.complete = true;
            }
            Ending::WithoutTrailers => {
                record.note(Actor::Client, "receives the end without trailers");
                self.events.push_back(Event::Complete);
                self.response.complete = true;
            }
            Ending::Abort => {
                record.note(Actor::Client, "sees that the response breaks off");
                self.events.push_back(Event::Aborted);
            }
            Ending::Complete => {
                self.silent_fault = verdict.fault.map(|fault| {
                    let error = self.response.app_error.as_ref();
                    let cause = error.map(|error| format!(": {}", error.chain()));
                    format!("{fault} after its response{}", cause.unwrap_or_default())
                });
            }
            // `Gone`: `poll_event` sets `done` once the test has taken the earlier events.
            _ => {}
        }
    }

    /// Adds an event to the record, and queues it for the test.
    fn record_event(&mut self, event: WireEvent) {
        let record = &self.waiter.record;
        record.with(|state| state.room_waits = false);
        record.note(
            Actor::Client,
            format!("receives {}", describe::output(&event)),
        );
        match &event {
            WireEvent::EarlyHint(hint) => self.events.push_back(Event::EarlyHint(hint.clone())),
            WireEvent::Push(push) => self.start_push(push),
            WireEvent::Response(head, body) => {
                self.push_head(head.status, &head.headers);
                self.push_data(body);
                self.events.push_back(Event::Complete);
            }
            WireEvent::Head(head, body) => {
                self.push_head(head.status, &head.headers);
                self.push_data(body);
            }
            WireEvent::Data(body) => self.push_data(body),
            WireEvent::Last(body) => {
                self.push_data(body);
                self.events.push_back(Event::Complete);
            }
            WireEvent::Trailers(trailers) => {
                self.events.push_back(Event::Trailers(trailers.clone()));
                self.events.push_back(Event::Complete);
            }
            // The test does not see `Debug` as an event. The record keeps it.
            _ => {}
        }
        self.response.add(event);
    }

    fn push_head(&mut self, status: StatusCode, headers: &HeaderMap) {
        if let Some((jar, place)) = &self.cookies {
            jar.store_all(headers, place);
        }
        self.events.push_back(Event::Head(status, headers.clone()));
    }

    fn push_data(&mut self, data: &Bytes) {
        if !data.is_empty() {
            self.events.push_back(Event::Data(data.clone()));
        }
    }

    fn start_push(&mut self, push: &HttpResponsePush) {
        if let Some((app, scope)) = &self.push_template {
            let mut pushed = HttpScope::new(Method::GET, push.path.clone());
            pushed.root_path = scope.root_path.clone();
            pushed.version = scope.version;
            pushed.scheme = scope.scheme.clone();
            pushed.headers = push.headers.clone();
            // RFC 9113 §8.4: the promised request needs an authority, and it must be this server's.
            if let Some(host) = scope.headers.get(HOST) {
                pushed.headers.insert(HOST, host.clone());
            }
            pushed.client = scope.client.clone();
            pushed.server = scope.server.clone();
            pushed.state = scope.state.clone();
            // RFC 9113 §6.6: "PUSH_PROMISE frames MUST only be sent on a peer-initiated stream".
            pushed.extensions = scope.extensions.clone().without(Extension::Push);
            let title = format!("the pushed GET {}", push.path);
            let record = CallRecord::new(title, Some(&self.waiter.record));
            let exchange = Self::new(ExchangeStart {
                app: app.clone(),
                scope: pushed,
                first: Some(HttpRequest::last(Bytes::new())),
                lifespan: None,
                room: 1,
                waiter: Waiter {
                    record,
                    ..self.waiter.clone()
                },
                cookies: self.cookies.as_ref().map(|(jar, _)| jar.clone()),
            });
            self.pushes.push((push.clone(), exchange));
        }
        self.events.push_back(Event::Push(push.clone()));
    }

    /// Panics if one of the apps misbehaved in a way that its response does not show.
    pub(super) async fn check_end(&mut self) {
        let seen = self.seen();
        self.waiter.check_end(seen).await;
        for (_, pushed) in &mut self.pushes {
            // A pushed response has no pushes of its own.
            let seen = pushed.seen();
            pushed.waiter.check_end(seen).await;
        }
    }

    fn seen(&mut self) -> Seen {
        match self.silent_fault.take() {
            Some(fault) => Seen::NothingOf(fault),
            None if self.response.complete && self.response.fault.is_none() => Seen::Success,
            None => Seen::Failure,
        }
    }

    pub(super) fn take_result(mut self) -> Result<Response, Broken> {
        let pushes = std::mem::take(&mut self.pushes);
        let history = self.history().clone();
        let mut record = std::mem::replace(&mut self.response, ResponseRecord::new(history));
        record.pushes = pushes
            .into_iter()
            .map(|(promise, exchange)| Pushed::new(promise, exchange.take_result()))
            .collect();
        record.into_response()
    }
}
