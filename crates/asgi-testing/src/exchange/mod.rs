//! One running request and its response, event by event.

mod drive;

use std::collections::VecDeque;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use asgi::{
    DisconnectReason, DynApp, Extension, HttpRequest, HttpResponseEarlyHint, HttpResponsePush,
    HttpScope,
};
use asgi_rules::exchange::HttpExchange;
use asgi_rules::{AppEnd, HttpRules};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::cookies::{CookieJar, CookiePlace};
use crate::describe;
use crate::halves::recorded;
use crate::history::{Actor, History};
use crate::lifespan::LifespanTask;
use crate::record::CallRecord;
use crate::report::Waiter;
use crate::response::{Broken, Response, ResponseRecord};
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

/// What an app waits for. [`Exchange::until_app_waits`] returns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AppWait {
    /// Its `receive` waits for a part of the request body.
    Input,
    /// Its `send` waits until the test has taken what it sent before.
    Room,
    /// Nothing: it has returned.
    Ended,
}

/// One running request, event by event. [`Request::start`](crate::Request::start) returns it.
///
/// The app runs only while the test awaits one of the `async` methods. There is room for one event
/// between the app and the test: the app's next `send` waits until the test has taken it.
/// [`Request::room`](crate::Request::room) makes more room. If you drop the exchange, the app is
/// dropped too.
///
/// # Panics
///
/// Each `async` method panics if the app panics, and if the app does nothing for the
/// [time limit](crate::Client::limit) while the test waits. The text has the history of the
/// exchange and the line of the test.
pub struct Exchange {
    http: HttpExchange,
    app: Option<AppTask>,
    lifespan: Option<Arc<LifespanTask>>,
    events: VecDeque<Event>,
    response: ResponseRecord,
    body: RequestBodyState,
    /// The test has taken the last event.
    done: bool,
    /// The app and the scope from which pushed requests are made, if the client accepts pushes.
    push_template: Option<(DynApp, HttpScope)>,
    pushes: Vec<(HttpResponsePush, Self)>,
    waiter: Waiter,
    /// The app has failed after a complete response.
    silent_fault: Option<String>,
    /// Keeps the cookies of the response.
    cookies: Option<(CookieJar, CookiePlace)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum RequestBodyState {
    Open,
    Complete,
}

/// What is needed to start an exchange.
pub(crate) struct ExchangeStart {
    pub(crate) app: DynApp,
    pub(crate) scope: HttpScope,
    pub(crate) first: Option<HttpRequest>,
    pub(crate) lifespan: Option<Arc<LifespanTask>>,
    /// How many bytes may wait between the app and the test.
    pub(crate) room: usize,
    pub(crate) waiter: Waiter,
    pub(crate) cookies: Option<CookieJar>,
}

impl Exchange {
    pub(crate) fn new(start: ExchangeStart) -> Self {
        let ExchangeStart {
            app,
            scope,
            first,
            lifespan,
            room,
            waiter,
            cookies,
        } = start;
        let cookies = cookies.map(|jar| (jar, CookiePlace::of(&scope)));
        let rules = HttpRules::new(&scope.method, scope.extensions.clone());
        let http = HttpExchange::new(rules).with_room(room);
        let record = &waiter.record;
        let request = format!("{} {} {:?}", scope.method, scope.target, scope.version);
        record.note(Actor::Client, format!("sends {request}"));
        let body = match &first {
            Some(part) if !part.more_body => RequestBodyState::Complete,
            _ => RequestBodyState::Open,
        };
        if let Some(part) = first {
            if part.more_body || !part.body.is_empty() {
                note_part(record, &part);
            }
            http.push_body(part);
        }
        let (receive, send) = recorded(http.halves(), record);
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
            response: ResponseRecord::new(record.history().clone()),
            body,
            done: false,
            push_template,
            pushes: Vec::new(),
            waiter,
            silent_fault: None,
            cookies,
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
            "the body of this request is already complete\n{}",
            self.history()
        );
        if !part.more_body {
            self.body = RequestBodyState::Complete;
        }
        note_part(&self.waiter.record, &part);
        self.http.push_body(part);
    }

    /// Makes the client leave.
    ///
    /// After [`DisconnectReason::Closed`], the client still reads. The app learns that and can
    /// finish its response. After any other reason, each `send` of the app fails.
    ///
    /// The test chooses the moment: after [`start`](crate::Request::start), the app has not run;
    /// after [`head`](Self::head), the client has the head; after [`parts`](Self::parts), it has so
    /// many parts of the body.
    pub fn disconnect(&mut self, reason: DisconnectReason) {
        let record = &self.waiter.record;
        record.note(Actor::Client, format!("leaves: {reason}"));
        record.with(|state| state.client_left = true);
        self.http.disconnected(reason);
    }

    /// Waits for the next event. Returns `None` after the last one.
    ///
    /// The last event comes when the response is complete or aborted, or when the client has left.
    /// The app may still run after that; [`finish`](Self::finish) waits for it.
    ///
    /// This method is cancel-safe.
    #[track_caller]
    pub fn next_event(&mut self) -> impl Future<Output = Option<Event>> + Send + '_ {
        self.waiter.caller = Location::caller();
        self.event("an event of the response")
    }

    async fn event(&mut self, what: &str) -> Option<Event> {
        let waiter = self.waiter.clone();
        waiter.wait(what, |cx| self.poll_event(cx)).await
    }

    /// Waits for the head of the response, and takes the events before it.
    ///
    /// # Panics
    ///
    /// Panics if the exchange ends without a head.
    #[track_caller]
    pub fn head(&mut self) -> impl Future<Output = (StatusCode, HeaderMap)> + Send + '_ {
        self.waiter.caller = Location::caller();
        async move {
            loop {
                match self.event("the head of the response").await {
                    Some(Event::Head(status, headers)) => return (status, headers),
                    Some(Event::EarlyHint(_) | Event::Push(_)) => {}
                    other => self.waiter.fail(format_args!(
                        "expected the head of a response, got {other:?}"
                    )),
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
        self.waiter.caller = Location::caller();
        self.next_data()
    }

    async fn next_data(&mut self) -> Option<Bytes> {
        loop {
            match self.event("a part of the body").await {
                Some(Event::Data(data)) => return Some(data),
                Some(Event::Aborted) => self.waiter.fail(format_args!(
                    "expected data, but the app did not finish its response"
                )),
                Some(Event::Complete) | None => return None,
                Some(_) => {}
            }
        }
    }

    /// Waits for the next `count` parts of the body, and takes the events before them.
    ///
    /// # Panics
    ///
    /// Panics if fewer parts come.
    ///
    /// ```
    /// # use asgi::*;
    /// # async fn app(_: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
    /// #     send.send(HttpResponseStart::ok()).await?;
    /// #     loop { send.send(HttpResponseBody::more("tick")).await?; }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let mut exchange = asgi_testing::Client::new(app).get("/").start();
    /// assert_eq!(exchange.parts(2).await, ["tick", "tick"]);
    /// // The client leaves in the middle of the body, after two parts.
    /// exchange.disconnect(DisconnectReason::Reset(8));
    /// assert_eq!(exchange.finish().await.unwrap_err().body(), "ticktick");
    /// # }
    /// ```
    #[track_caller]
    pub fn parts(&mut self, count: usize) -> impl Future<Output = Vec<Bytes>> + Send + '_ {
        self.waiter.caller = Location::caller();
        async move {
            let mut parts = Vec::new();
            while parts.len() < count {
                match self.next_data().await {
                    Some(part) => parts.push(part),
                    None => self.waiter.fail(format_args!(
                        "expected {count} parts of the body, got {}",
                        parts.len()
                    )),
                }
            }
            parts
        }
    }

    /// Lets the app run until it waits for this client, or has returned. The test takes no event.
    ///
    /// This makes back-pressure visible. While an app waits for something of its own, such as a
    /// timer, this method waits too.
    ///
    /// ```
    /// # use asgi::*;
    /// use asgi_testing::AppWait;
    ///
    /// # async fn app(_: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
    /// #     let body = receive.body(100).await?;
    /// #     send.send(HttpResponseStart::ok()).await?;
    /// #     for _ in 0..2 { send.send(HttpResponseBody::more(body.clone())).await?; }
    /// #     send.send(HttpResponseBody::last("")).await?;
    /// #     Ok(())
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// // The app reads the body, then sends it twice.
    /// let mut exchange = asgi_testing::Client::new(app).post("/").open_body().start();
    /// assert_eq!(exchange.until_app_waits().await, AppWait::Input);
    /// exchange.end_body("x");
    /// assert_eq!(exchange.until_app_waits().await, AppWait::Room);
    /// assert_eq!(exchange.parts(2).await, ["x", "x"]);
    /// assert_eq!(exchange.until_app_waits().await, AppWait::Ended);
    /// # }
    /// ```
    #[track_caller]
    pub fn until_app_waits(&mut self) -> impl Future<Output = AppWait> + Send + '_ {
        self.waiter.caller = Location::caller();
        async move {
            let waiter = self.waiter.clone();
            let what = "the app to wait for its client";
            waiter.wait(what, |cx| self.poll_app_wait(cx)).await
        }
    }

    /// Returns whether the app has received the whole request body, in contrast to an app that
    /// answers after it has read a part of it.
    pub fn is_body_received(&self) -> bool {
        self.http.is_body_received()
    }

    /// Returns what has happened so far.
    pub fn history(&self) -> &History {
        self.waiter.record.history()
    }

    /// Waits until the app has ended, and returns the whole response, including the events that the
    /// test has already taken.
    ///
    /// # Errors
    ///
    /// Returns an error if the response is incomplete: the app did not finish it, or the client
    /// left.
    ///
    /// # Panics
    ///
    /// Panics if the app misbehaves in a way that the response does not show; see
    /// [`Client::allow_faults`](crate::Client::allow_faults).
    #[track_caller]
    pub fn finish(mut self) -> impl Future<Output = Result<Response, Broken>> + Send {
        self.waiter.caller = Location::caller();
        self.run()
    }

    pub(crate) async fn run(mut self) -> Result<Response, Broken> {
        let waiter = self.waiter.clone();
        let what = "the response and the end of the app";
        waiter.wait(what, |cx| self.poll_run(cx)).await;
        self.check_end().await;
        self.take_result()
    }
}

fn note_part(record: &CallRecord, part: &HttpRequest) {
    let text = describe::part(&part.body, part.more_body);
    record.note(Actor::Client, format!("sends a part of the body: {text}"));
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
            .field("received", &self.response)
            .finish_non_exhaustive()
    }
}
