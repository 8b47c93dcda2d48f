//! A layer between the server and the probe that breaks one sentence.

use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use asgi::{
    App, AppError, DynApp, HttpResponseBody, HttpResponseStart, LifespanStartupComplete, Receiver,
    Scope, SendEvent, Sender, WebSocketAccept, WebSocketClose, WebSocketHttpResponseBody, halves,
};
use asgi_spec::probe::Probe;

use super::exchange::{Exchange, Process};
use super::send::OneStep;
use super::{receive, scope, send};

/// A layer that breaks one requirement.
#[derive(Clone)]
pub(super) struct Broken {
    pub(super) app: DynApp,
    pub(super) id: &'static str,
    pub(super) process: Arc<Process>,
}

impl App for Broken {
    async fn call(
        &self,
        mut scope: Scope,
        receive: Receiver,
        mut send: Sender,
    ) -> Result<(), AppError> {
        // The suite's own requests must work.
        let path = scope.path().unwrap_or_default().into_owned();
        if ["/report", "/use", "/signal", "/release"]
            .iter()
            .any(|own| path.starts_with(own))
        {
            return self.app.call(scope, receive, send).await;
        }
        let kind = Kind::of(&scope);
        if kind == Kind::Http {
            self.process.requests.fetch_add(1, Ordering::SeqCst);
            let lifespan = self.process.lifespan_waker.lock().unwrap().take();
            if let Some(lifespan) = lifespan {
                lifespan.wake();
            }
        }
        scope::break_scope(self.id, &mut scope, &self.process);
        if let Some(status) = self.own_answer(&scope) {
            return respond(&mut send, status, String::new()).await;
        }
        if self.id == "LIFE-003" && kind == Kind::Lifespan {
            send.send(LifespanStartupComplete::new()).await?;
        }
        let repeats = match kind {
            // The first request reaches the app twice.
            Kind::Http => {
                self.id == "CORE-001" && self.process.requests.load(Ordering::SeqCst) == 1
            }
            Kind::Lifespan => self.id == "LIFE-001",
            Kind::WebSocket => false,
        };
        if repeats {
            let (receive, send) = (receive::never(), send::nowhere());
            // It may not end, so it is only polled once.
            let again = self.app.start(scope.clone(), receive, send);
            tokio::select! { biased; _ = again => {} () = std::future::ready(()) => {} }
        }
        if self.id == "CORE-023" {
            self.keep_state(&scope).await;
        }
        let exchange = Exchange::new(self.id, &scope, send, &self.process);
        let mut receive = receive::break_receive(&exchange, receive);
        let mut send = send::break_send(&exchange);
        if self.id == "HTTP-085" {
            (receive, send) = halves(Arc::new(OneStep {
                receive: Mutex::new(receive),
                send: Mutex::new(send),
            }));
        }
        let ending = Ending {
            broken: self,
            kind,
            exchange: exchange.clone(),
        };
        let result = self.run(&exchange, scope, receive, send).await;
        ending.log(&result);
        ending.change(result).await
    }
}

/// The protocol of an exchange.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Http,
    WebSocket,
    Lifespan,
}

impl Kind {
    fn of(scope: &Scope) -> Self {
        match scope {
            Scope::Http(_) => Self::Http,
            Scope::WebSocket(_) => Self::WebSocket,
            _ => Self::Lifespan,
        }
    }
}

impl Broken {
    /// The status of an answer that the app has no part in.
    fn own_answer(&self, scope: &Scope) -> Option<u16> {
        let Scope::Http(http) = scope else {
            return None;
        };
        let length = http.headers.get("content-length");
        let length: Option<u64> = length.and_then(|text| text.to_str().ok()?.parse().ok());
        match self.id {
            "HTTP-068" if length > Some(10_000_000) && length < Some(100_000_000) => Some(413),
            "LIFE-011" if self.process.lifespan_ended.load(Ordering::SeqCst) => Some(500),
            _ => None,
        }
    }

    /// Keeps the value that the probe's step `state` puts into this scope, for all later ones.
    async fn keep_state(&self, scope: &Scope) {
        let Scope::Http(http) = scope else {
            return;
        };
        let query = http.target.query().unwrap_or_default();
        let Some(value) = query
            .split('&')
            .find_map(|step| step.strip_prefix("state="))
        else {
            return;
        };
        // Only the probe can make such a value: its lifespan does.
        let probe = Probe::new().lifespan(&format!("startup-complete={value}"));
        let state = Arc::new(Mutex::new(None));
        let kept = Arc::clone(&state);
        let send = send::nowhere().map(move |event| {
            if let SendEvent::LifespanStartupComplete(complete) = &event {
                *kept.lock().unwrap() = Some(complete.state.clone());
            }
            event
        });
        let lifespan = Scope::Lifespan(asgi::LifespanScope::new());
        if probe.call(lifespan, receive::never(), send).await.is_ok() {
            let state = state.lock().unwrap().take();
            *self.process.state.lock().unwrap() = state;
        }
    }

    /// Calls the app, and may stop it.
    async fn run(
        &self,
        exchange: &Exchange,
        scope: Scope,
        receive: Receiver,
        send: Sender,
    ) -> Result<(), AppError> {
        let kind = Kind::of(&scope);
        if self.id == "HTTP-084" && kind == Kind::Http {
            // A task of its own, which runs on when the server drops this one.
            let app = self.app.clone();
            let running = tokio::spawn(async move { app.call(scope, receive, send).await });
            return running.await.unwrap_or_else(|_| Err("it panicked".into()));
        }
        let mut app = pin!(self.app.call(scope, receive, send));
        match (self.id, kind) {
            ("CORE-019", Kind::Http) => tokio::select! {
                biased;
                () = self.process.end_one.notified() => Err("another exchange has panicked".into()),
                result = &mut app => result,
            },
            ("LIFE-002", Kind::Lifespan) => tokio::select! {
                biased;
                result = &mut app => result,
                () = self.process.started.notified() => Ok(()),
            },
            ("LIFE-007", Kind::Lifespan) => {
                tokio::select! {
                    result = &mut app => return result,
                    () = tokio::time::sleep(Duration::from_millis(800)) => {}
                }
                // It answers for an app that takes too long.
                exchange.send(LifespanStartupComplete::new());
                app.await
            }
            ("HTTP-047", Kind::Http) => {
                let Some(closed) = exchange.with(|send| send.closed_handle()) else {
                    return app.await;
                };
                let gone = async {
                    if !closed.await.is_gone() {
                        std::future::pending::<()>().await;
                    }
                };
                tokio::select! {
                    result = &mut app => result,
                    () = gone => Err("the client is gone".into()),
                }
            }
            ("WS-005", Kind::WebSocket) => {
                tokio::select! {
                    biased;
                    result = &mut app => return result,
                    () = std::future::ready(()) => {}
                }
                // The app waits, and the server does not.
                exchange.send(WebSocketAccept::new());
                app.await
            }
            _ => app.await,
        }
    }
}

/// The end of an exchange. Dropping it sees a panic.
struct Ending<'a> {
    broken: &'a Broken,
    kind: Kind,
    exchange: Exchange,
}

impl Ending<'_> {
    /// Logs what the server must not log, or not again.
    fn log(&self, result: &Result<(), AppError>) {
        let Err(error) = result else {
            return;
        };
        match self.broken.id {
            "CORE-018" => tracing::error!("the app failed: {error}"),
            "CORE-029" if error.is_aborted() => tracing::error!("the app has aborted"),
            "CORE-031" if error.is_unsupported() => tracing::error!("the app failed: {error}"),
            "HTTP-037" if self.exchange.is_closed() => tracing::error!("the app failed: {error}"),
            "LIFE-008" if self.exchange.has_sent("lifespan.startup.failed") => {
                let mut kept = self.broken.process.startup_error.lock().unwrap();
                *kept = Some(error.to_string());
            }
            _ => {}
        }
    }

    /// Ends in another way than the app.
    async fn change(self, result: Result<(), AppError>) -> Result<(), AppError> {
        let sent = |name| self.exchange.has_sent(name);
        let id = self.broken.id;
        let is_socket = self.kind == Kind::WebSocket;
        let is_lifespan = self.kind == Kind::Lifespan;
        let answered = sent("lifespan.shutdown.complete") || sent("lifespan.shutdown.failed");
        let shut_down = self.exchange.has_received("lifespan.shutdown") && !answered;
        let without = !sent("lifespan.startup.complete") && !sent("lifespan.startup.failed");
        let Err(error) = result else {
            return match id {
                "WS-023" if is_socket => self.last(WebSocketClose::new(1001)).await,
                "HTTP-079"
                    if self.exchange.seen.lock().unwrap().promised_trailers
                        && !sent("http.response.trailers") =>
                {
                    Err("the trailers are missing".into())
                }
                "LIFE-009" if is_lifespan && without => Err("no lifespan".into()),
                "LIFE-015" if is_lifespan && shut_down => Err("no answer".into()),
                _ => Ok(()),
            };
        };
        match id {
            "CORE-020" if error.is_unsupported() => self.answer(200, String::new()).await,
            "CORE-021" => self.answer(500, error.to_string()).await,
            "CORE-028" if error.is_aborted() => Err("no abort".into()),
            "DENY-004" if sent("websocket.http.response.start") => {
                self.last(WebSocketHttpResponseBody::last("")).await
            }
            "HTTP-038" if self.kind == Kind::Http => self.answer(200, String::new()).await,
            "HTTP-039" if !error.is_aborted() && sent("http.response.body") => {
                self.last(HttpResponseBody::last("")).await
            }
            "LIFE-009" if is_lifespan && without => Err("no lifespan".into()),
            "LIFE-010" if is_lifespan && without => Ok(()),
            "LIFE-016" if is_lifespan => Ok(()),
            "WS-011" if is_socket => self.last(WebSocketClose::new(1000)).await,
            "WS-024" | "WS-043" if is_socket => Ok(()),
            _ => Err(error),
        }
    }

    async fn last(&self, event: impl Into<SendEvent>) -> Result<(), AppError> {
        match self.exchange.take() {
            Some(mut send) => Ok(send.send(event).await?),
            None => Ok(()),
        }
    }

    async fn answer(&self, status: u16, text: String) -> Result<(), AppError> {
        match self.exchange.take() {
            Some(mut send) => respond(&mut send, status, text).await,
            None => Ok(()),
        }
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let process = &self.broken.process;
        let first = thread::panicking() && !process.has_panicked.swap(true, Ordering::SeqCst);
        if first && self.broken.id == "CORE-019" {
            process.end_one.notify_one();
        }
        if self.exchange.has_sent("lifespan.startup.complete") {
            process.lifespan_ended.store(true, Ordering::SeqCst);
        }
    }
}

async fn respond(send: &mut Sender, status: u16, text: String) -> Result<(), AppError> {
    let start = HttpResponseStart::new(status.try_into()?);
    Ok(send.respond(start, text).await?)
}
