//! One running request and its response, event by event.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use asgi::{
    DisconnectReason, DynApp, Extension, HttpRequest, HttpResponseEarlyHint, HttpResponsePush,
    HttpScope,
};
use asgi_rules::exchange::HttpExchange;
use asgi_rules::{AppEnd, Ending, HttpRules, WireEvent};
use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, Method, StatusCode};

use crate::lifespan::LifespanTask;
use crate::response::{Broken, Pushed, Response, ResponseRecord};
use crate::wake::AppTask;

/// An event of a response, as the client sees it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A 103 response with links.
    EarlyHint(HttpResponseEarlyHint),
    /// A promised request. [`Response::pushes`] returns its response.
    Push(HttpResponsePush),
    /// The head of the response.
    Head(StatusCode, HeaderMap),
    /// A part of the body. It is never empty.
    Data(Bytes),
    /// The trailers after the body.
    Trailers(HeaderMap),
    /// The response is complete. No event follows.
    Complete,
    /// The app did not finish the response, or aborted it. No event follows.
    Aborted,
}

/// One running request, event by event. [`Request::start`](crate::Request::start) returns it.
///
/// The app runs only while the test awaits one of the `async` methods. There is room for one event
/// between the app and the test: the app's next `send` waits until the test has taken it. If you
/// drop the exchange, the app is dropped too.
pub struct Exchange {
    http: HttpExchange,
    app: Option<AppTask>,
    lifespan: Option<Arc<LifespanTask>>,
    events: VecDeque<Event>,
    record: ResponseRecord,
    body: RequestBodyState,
    /// The test has taken the last event.
    done: bool,
    /// The app and the scope from which pushed requests are made, if the client accepts pushes.
    push_template: Option<(DynApp, HttpScope)>,
    pushes: Vec<(HttpResponsePush, Self)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum RequestBodyState {
    Open,
    Complete,
}

impl Exchange {
    pub(crate) fn new(
        app: DynApp,
        scope: HttpScope,
        first: Option<HttpRequest>,
        lifespan: Option<Arc<LifespanTask>>,
    ) -> Self {
        let http = HttpExchange::new(HttpRules::new(&scope.method, scope.extensions.clone()));
        let body = match &first {
            Some(part) if !part.more_body => RequestBodyState::Complete,
            _ => RequestBodyState::Open,
        };
        if let Some(part) = first {
            http.push_body(part);
        }
        let (receive, send) = http.halves();
        let push_template = scope
            .extensions
            .has(Extension::Push)
            .then(|| (app.clone(), scope.clone()));
        let future = app.start(scope.into(), receive, send);
        Self {
            http,
            app: Some(AppTask::new(future)),
            lifespan,
            events: VecDeque::new(),
            record: ResponseRecord::default(),
            body,
            done: false,
            push_template,
            pushes: Vec::new(),
        }
    }

    /// Sends a part of the request body that is not the last one.
    ///
    /// This does not wait. The app gets the part when it calls `receive`.
    ///
    /// # Panics
    ///
    /// Panics if the body is complete: the request was made without
    /// [`open_body`](crate::Request::open_body), or its last part was sent.
    #[track_caller]
    pub fn send_body(&mut self, part: impl Into<Bytes>) {
        self.send_part(HttpRequest::more(part));
    }

    /// Sends the last part of the request body. It may be empty.
    ///
    /// # Panics
    ///
    /// Panics under the same conditions as [`send_body`](Self::send_body).
    #[track_caller]
    pub fn end_body(&mut self, part: impl Into<Bytes>) {
        self.send_part(HttpRequest::last(part));
    }

    /// Ends the request body with trailers.
    ///
    /// # Panics
    ///
    /// Panics under the same conditions as [`send_body`](Self::send_body).
    #[track_caller]
    pub fn end_body_with_trailers(&mut self, trailers: HeaderMap) {
        let mut part = HttpRequest::last(Bytes::new());
        part.trailers = Some(Box::new(trailers));
        self.send_part(part);
    }

    #[track_caller]
    fn send_part(&mut self, part: HttpRequest) {
        assert!(
            self.body == RequestBodyState::Open,
            "the body of this request is already complete"
        );
        if !part.more_body {
            self.body = RequestBodyState::Complete;
        }
        self.http.push_body(part);
    }

    /// Makes the client leave.
    ///
    /// After [`DisconnectReason::Closed`], the client still reads. The app learns that and can
    /// finish its response. After any other reason, each `send` of the app fails.
    pub fn disconnect(&mut self, reason: DisconnectReason) {
        self.http.disconnected(reason);
    }

    /// Waits for the next event. Returns `None` after the last one.
    ///
    /// The last event comes when the response is complete or aborted, or when the client has left.
    /// The app may still run after that; [`finish`](Self::finish) waits for it.
    ///
    /// This method is cancel-safe.
    pub async fn next_event(&mut self) -> Option<Event> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Waits for the head of the response, and takes the events before it.
    ///
    /// # Panics
    ///
    /// Panics if the exchange ends without a head.
    #[track_caller]
    pub fn head(&mut self) -> impl Future<Output = (StatusCode, HeaderMap)> + Send + '_ {
        let caller = std::panic::Location::caller();
        async move {
            loop {
                match self.next_event().await {
                    Some(Event::Head(status, headers)) => return (status, headers),
                    Some(Event::EarlyHint(_) | Event::Push(_)) => {}
                    other => panic!("expected the head of a response at {caller}, got {other:?}"),
                }
            }
        }
    }

    /// Waits for the next part of the body, and takes the events before it. Returns `None` after
    /// the last part.
    ///
    /// # Panics
    ///
    /// Panics if the app does not finish the response.
    #[track_caller]
    pub fn data(&mut self) -> impl Future<Output = Option<Bytes>> + Send + '_ {
        let caller = std::panic::Location::caller();
        async move {
            loop {
                match self.next_event().await {
                    Some(Event::Data(data)) => return Some(data),
                    Some(Event::Aborted) => {
                        panic!("expected data at {caller}, but the app did not finish its response")
                    }
                    Some(Event::Complete) | None => return None,
                    Some(_) => {}
                }
            }
        }
    }

    /// Waits until the app has ended, and returns the whole response, including the events that the
    /// test has already taken.
    ///
    /// # Errors
    ///
    /// Returns an error if the response is incomplete: the app did not finish it, or the client
    /// left.
    pub async fn finish(mut self) -> Result<Response, Broken> {
        poll_fn(|cx| self.poll_run(cx)).await;
        self.take_result()
    }

    fn take_result(mut self) -> Result<Response, Broken> {
        let pushes = std::mem::take(&mut self.pushes);
        let mut record = std::mem::take(&mut self.record);
        record.pushes = pushes
            .into_iter()
            .map(|(promise, exchange)| Pushed::new(promise, exchange.take_result()))
            .collect();
        record.into_response()
    }

    /// Runs this exchange and its pushes until every app has ended.
    fn poll_run(&mut self, cx: &mut Context<'_>) -> Poll<()> {
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

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
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
            lifespan.poll_in_background(cx);
        }
        let Some(app) = &mut self.app else {
            return Poll::Ready(());
        };
        let Poll::Ready(result) = app.poll(cx) else {
            self.http.app_is_waiting();
            return Poll::Pending;
        };
        self.app = None;
        let verdict = self.http.ended(&result);
        self.record.app_error = result.err();
        self.record.fault = verdict.fault;
        // The events that the app sent before its end come first.
        while let Some(event) = self.http.take_output() {
            self.record_event(event);
        }
        match verdict.ending {
            Ending::ServerError => {
                let status = verdict.answer;
                let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                self.push_head(status, &HeaderMap::new());
                self.events.push_back(Event::Complete);
                self.record.head = Some((status, HeaderMap::new()));
                self.record.complete = true;
            }
            Ending::WithoutTrailers => {
                self.events.push_back(Event::Complete);
                self.record.complete = true;
            }
            Ending::Abort => self.events.push_back(Event::Aborted),
            // `Complete` and `Gone`: `poll_event` sets `done` once the test has taken the earlier
            // events.
            _ => {}
        }
        Poll::Ready(())
    }

    /// Adds an event to the record, and queues it for the test.
    fn record_event(&mut self, event: WireEvent) {
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
        self.record.add(event);
    }

    fn push_head(&mut self, status: StatusCode, headers: &HeaderMap) {
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
            let request = HttpRequest::last(Bytes::new());
            let exchange = Self::new(app.clone(), pushed, Some(request), None);
            self.pushes.push((push.clone(), exchange));
        }
        self.events.push_back(Event::Push(push.clone()));
    }
}

impl Drop for Exchange {
    /// Ends the app, so that `send` fails with `is_over` in other tasks.
    fn drop(&mut self) {
        if self.app.take().is_some() {
            self.http.ended(AppEnd::Cancelled);
        }
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("received", &self.record)
            .finish_non_exhaustive()
    }
}
