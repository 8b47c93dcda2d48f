//! Runs the app for one request of a host.

use std::error::Error;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use asgi::{DisconnectReason, DynApp, HttpRequest, HttpScope};
use asgi_rules::exchange::{AppOutcome, HttpExchange, RunningApp};
use asgi_rules::{AppEnd, Fault, Verdict};
use bytes::Buf;
use http_body::Body;
use tokio::sync::oneshot;

use super::response::StartedExchange;

/// How many bytes of a response may wait for the host before the app waits.
const ROOM: usize = 64 * 1024;

/// Starts the app in a task of its own.
pub(super) fn start<B>(app: &DynApp, scope: HttpScope, body: B, grace: Duration) -> StartedExchange
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let what = format!("{} {}", scope.method, scope.target);
    let version = scope.version;
    let (exchange, app) = HttpExchange::start(app, scope);
    let exchange = exchange.with_room(ROOM);
    let (ended, verdict) = oneshot::channel();
    let (host_waits, host_is_done) = oneshot::channel();
    let started = StartedExchange::new(exchange.clone(), verdict, host_waits, version);
    tokio::spawn(async move {
        let running = run(&exchange, app, body);
        let left = async {
            // An error says that the host has dropped the sender, which is what it does.
            let _ = host_is_done.await;
            if !exchange.is_complete() {
                exchange.disconnected(DisconnectReason::Lost);
            }
            tokio::time::sleep(grace).await;
        };
        let verdict = tokio::select! {
            biased;
            (verdict, outcome) = running => {
                log(&what, verdict.fault, &outcome);
                verdict
            }
            () = left => exchange.ended(AppEnd::Cancelled),
        };
        // It fails if the host has dropped the response.
        let _ = ended.send(verdict);
    });
    started
}

/// Logs the fault of an app, once. (HTTP-036, CORE-018)
fn log(what: &str, fault: Option<Fault>, outcome: &AppOutcome) {
    match fault {
        None | Some(Fault::Unsupported) => {}
        Some(fault) => tracing::error!("{what}: {}", outcome.describe(fault)),
    }
}

/// Polls the app, and reads the body of the request when the app wants it.
async fn run<B>(exchange: &HttpExchange, mut app: RunningApp, body: B) -> (Verdict, AppOutcome)
where
    B: Body,
{
    let mut body = pin!(body);
    let mut body_ended = false;
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(end) = exchange.poll_app(&mut app, cx) {
                return Poll::Ready(end);
            }
            let wants = !body_ended && exchange.poll_wants_body(cx).is_ready();
            if !wants {
                return Poll::Pending;
            }
            match poll_part(body.as_mut(), cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(part)) => {
                    body_ended = !part.more_body;
                    exchange.push_body(part);
                }
                Poll::Ready(Err(())) => {
                    body_ended = true;
                    // hyper says no more than that the body is incomplete. (HTTP-020)
                    exchange.disconnected(DisconnectReason::Lost);
                }
            }
        }
    })
    .await
}

/// Polls for a part that is not empty, or is the last one.
fn poll_part<B: Body>(
    mut body: Pin<&mut B>,
    cx: &mut Context<'_>,
) -> Poll<Result<HttpRequest, ()>> {
    loop {
        if body.is_end_stream() {
            return Poll::Ready(Ok(HttpRequest::last("")));
        }
        let frame = match std::task::ready!(body.as_mut().poll_frame(cx)) {
            None => return Poll::Ready(Ok(HttpRequest::last(""))),
            Some(Err(_)) => return Poll::Ready(Err(())),
            Some(Ok(frame)) => frame,
        };
        match frame.into_data() {
            Ok(mut data) if data.has_remaining() => {
                let length = data.remaining();
                return Poll::Ready(Ok(HttpRequest::more(data.copy_to_bytes(length))));
            }
            Ok(_) => {}
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    let mut last = HttpRequest::last("");
                    last.trailers = Some(Box::new(trailers));
                    return Poll::Ready(Ok(last));
                }
            }
        }
    }
}
