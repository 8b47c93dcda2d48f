//! One request that runs, event by event.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use asgi::{
    DisconnectReason, DynApp, Extension, HttpRequest, HttpResponseEarlyHint, HttpResponsePush,
    HttpScope, Receiver, Sender,
};
use asgi_rules::{AppEnd, Ending, WireEvent};
use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, Method, StatusCode};

use crate::http::Http;
use crate::lifespan::Lifespan;
use crate::response::{Broken, Pushed, Record, Response};
use crate::wake::Running;

/// What a client sees of a response, piece by piece.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A 103 with links.
    EarlyHint(HttpResponseEarlyHint),
    /// A promised request. Its response is in [`Response::pushes`].
    Push(HttpResponsePush),
    /// The head of the response.
    Head(StatusCode, HeaderMap),
    /// A part of the body; never empty.
    Data(Bytes),
    /// The fields behind the body.
    Trailers(HeaderMap),
    /// The response is complete; no event follows.
    Complete,
    /// The response was broken off; no event follows.
    Aborted,
}

/// One request that runs, event by event: made by [`Request::start`](crate::Request::start).
///
/// The app runs while one of the `async` methods is awaited, and only then. There is room for one
/// event between the app and the test: until the test takes it, the app's next `send` waits.
/// Dropping the exchange drops the app.
pub struct Exchange {
    http: Arc<Http>,
    app: Option<Running>,
    lifespan: Option<Arc<Lifespan>>,
    events: VecDeque<Event>,
    record: Record,
    body: RequestBody,
    /// No event follows.
    over: bool,
    /// What a pushed request is made of.
    template: Option<(DynApp, HttpScope)>,
    pushes: Vec<(HttpResponsePush, Self)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum RequestBody {
    Open,
    Complete,
}

impl Exchange {
    pub(crate) fn new(
        app: DynApp,
        scope: HttpScope,
        first: Option<HttpRequest>,
        lifespan: Option<Arc<Lifespan>>,
    ) -> Self {
        let http = Http::new(&scope);
        let body = match &first {
            Some(part) if !part.more_body => RequestBody::Complete,
            _ => RequestBody::Open,
        };
        if let Some(part) = first {
            http.send_request(part);
        }
        let (receive, send) = http.halves();
        let template = scope
            .extensions
            .has(Extension::Push)
            .then(|| (app.clone(), scope.clone()));
        let future = app.start(scope.into(), Receiver::new(receive), Sender::new(send));
        Self {
            http,
            app: Some(Running::new(future)),
            lifespan,
            events: VecDeque::new(),
            record: Record::default(),
            body,
            over: false,
            template,
            pushes: Vec::new(),
        }
    }

    /// Sends a part of the request's body, which others follow.
    ///
    /// It does not wait: the app takes it when it receives.
    ///
    /// # Panics
    ///
    /// If the body is complete: the request was not made with
    /// [`open_body`](crate::Request::open_body), or its end was sent.
    #[track_caller]
    pub fn send_body(&mut self, part: impl Into<Bytes>) {
        self.send_part(HttpRequest::more(part));
    }

    /// Sends the last part of the request's body, which may be empty.
    ///
    /// # Panics
    ///
    /// As [`send_body`](Self::send_body).
    #[track_caller]
    pub fn end_body(&mut self, part: impl Into<Bytes>) {
        self.send_part(HttpRequest::last(part));
    }

    /// Ends the request's body with trailers.
    ///
    /// # Panics
    ///
    /// As [`send_body`](Self::send_body).
    #[track_caller]
    pub fn end_body_with_trailers(&mut self, trailers: HeaderMap) {
        let mut part = HttpRequest::last(Bytes::new());
        part.trailers = Some(Box::new(trailers));
        self.send_part(part);
    }

    #[track_caller]
    fn send_part(&mut self, part: HttpRequest) {
        assert!(
            self.body == RequestBody::Open,
            "the body of this request is complete already"
        );
        if !part.more_body {
            self.body = RequestBody::Complete;
        }
        self.http.send_request(part);
    }

    /// The client leaves.
    ///
    /// After [`DisconnectReason::Closed`] it still reads: the app is told and may finish its
    /// response. After any other reason the app's sends fail.
    pub fn disconnect(&mut self, reason: DisconnectReason) {
        self.http.disconnect(reason);
    }

    /// The next event, `None` after the last: the response is complete or broken off, or the client
    /// left and nothing more can come.
    ///
    /// The app may run on after that; [`finish`](Self::finish) waits for it. Cancel-safe.
    pub async fn next_event(&mut self) -> Option<Event> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// The head of the response. Takes the events before it.
    ///
    /// # Panics
    ///
    /// If the exchange ended without one.
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

    /// The next part of the body, `None` after the last. Takes the events before it.
    ///
    /// # Panics
    ///
    /// If the response was broken off.
    #[track_caller]
    pub fn data(&mut self) -> impl Future<Output = Option<Bytes>> + Send + '_ {
        let caller = std::panic::Location::caller();
        async move {
            loop {
                match self.next_event().await {
                    Some(Event::Data(data)) => return Some(data),
                    Some(Event::Aborted) => {
                        panic!("expected data at {caller}, the response was broken off")
                    }
                    Some(Event::Complete) | None => return None,
                    Some(_) => {}
                }
            }
        }
    }

    /// Waits until the app has ended, and gives everything that came, the events taken before
    /// included.
    ///
    /// # Errors
    ///
    /// The response is not whole: the app broke it off, or the client left before it was complete.
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

    /// Runs the exchange and all that it pushed until every app has ended.
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
                self.over |= matches!(event, Event::Complete | Event::Aborted);
                return Poll::Ready(Some(event));
            }
            if self.over {
                return Poll::Ready(None);
            }
            if let Poll::Ready(event) = self.http.poll_wire(cx) {
                self.translate(event);
                continue;
            }
            let app_ended = self.poll_app(cx).is_ready();
            for (_, pushed) in &mut self.pushes {
                // Whether it is done is asked in the end, by `poll_run`.
                let _ = pushed.poll_run(cx);
            }
            if let Poll::Ready(event) = self.http.poll_wire(cx) {
                self.translate(event);
            } else if app_ended {
                self.over |= self.events.is_empty();
            } else {
                return Poll::Pending;
            }
        }
    }

    /// Polls the app, and the lifespan beside it, as a server would.
    fn poll_app(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(lifespan) = &self.lifespan {
            lifespan.poll_beside(cx);
        }
        let Some(app) = &mut self.app else {
            return Poll::Ready(());
        };
        let Poll::Ready(result) = app.poll(cx) else {
            self.http.app_waits();
            return Poll::Pending;
        };
        self.app = None;
        let verdict = self.http.ended(AppEnd::from(&result));
        self.record.debug = self.http.take_debug();
        self.record.app_error = result.err();
        self.record.fault = verdict.fault;
        // What the app sent before its end comes first.
        while let Poll::Ready(event) = self.http.poll_wire(cx) {
            self.translate(event);
        }
        match verdict.ending {
            Ending::ServerError => {
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                self.push_head(status, &HeaderMap::new());
                self.events.push_back(Event::Complete);
                self.record.head = Some((status, HeaderMap::new()));
                self.record.complete = true;
            }
            Ending::Abort => self.events.push_back(Event::Aborted),
            // `over` is set by `poll_event`, once what came before is taken.
            Ending::Complete | Ending::Gone => {}
        }
        Poll::Ready(())
    }

    /// Puts down what came on the wire, and says it to the test.
    fn translate(&mut self, event: WireEvent) {
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
            // `Nothing` and `Debug` never come this far.
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
        if let Some((app, scope)) = &self.template {
            let mut pushed = HttpScope::new(Method::GET, push.path.clone());
            if !scope.root_path.is_empty() {
                pushed = pushed.mounted_at(scope.root_path.clone());
            }
            pushed.version = scope.version;
            pushed.scheme = scope.scheme.clone();
            pushed.headers = push.headers.clone();
            // RFC 9113 §8.4: the promised request has an authority, and it is this server's.
            if let Some(host) = scope.headers.get(HOST) {
                pushed.headers.insert(HOST, host.clone());
            }
            pushed.client = scope.client.clone();
            pushed.server = scope.server.clone();
            pushed.state = scope.state.clone();
            // RFC 9113 §8.4: "PUSH_PROMISE frames MUST NOT be sent on" a stream that was promised.
            pushed.extensions = scope.extensions.clone().without(Extension::Push);
            let request = HttpRequest::last(Bytes::new());
            let exchange = Self::new(app.clone(), pushed, Some(request), None);
            self.pushes.push((push.clone(), exchange));
        }
        self.events.push_back(Event::Push(push.clone()));
    }
}

impl Drop for Exchange {
    /// Whatever a half in another task does from now on is told that it is over.
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
