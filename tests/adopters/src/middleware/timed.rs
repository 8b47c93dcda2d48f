//! Measures requests.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use asgi::{App, AppError, Receiver, Scope, SendEvent, Sender};

/// What happened to one request, and when.
#[derive(Debug, Default, Clone)]
pub(super) struct Times {
    pub(super) status: Option<u16>,
    pub(super) bytes: usize,
    /// When the server took the head.
    pub(super) head: Option<Duration>,
    /// When the server took the last part.
    pub(super) last: Option<Duration>,
    /// When the app returned. `None` if the server dropped it.
    pub(super) end: Option<Duration>,
}

/// Gives the times of each request to `report`.
pub(super) struct Timed<A, F> {
    pub(super) inner: A,
    pub(super) report: F,
}

/// Reports when it is dropped, so it sees every end of the app.
struct Report<'a, F: Fn(Times)> {
    report: &'a F,
    times: Arc<Mutex<Times>>,
    end: Option<Duration>,
}

impl<F: Fn(Times)> Drop for Report<'_, F> {
    fn drop(&mut self) {
        let times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let times = times.clone();
        (self.report)(Times {
            end: self.end,
            ..times
        });
    }
}

enum Seen {
    Head(u16),
    Part { length: usize, is_last: bool },
    Other,
}

fn look(event: &SendEvent) -> Seen {
    match event {
        SendEvent::HttpResponseStart(start) => Seen::Head(start.status.as_u16()),
        SendEvent::HttpResponseBody(part) => Seen::Part {
            length: part.body.len(),
            is_last: !part.more_body,
        },
        _ => Seen::Other,
    }
}

impl<A: App, F: Fn(Times) + Send + Sync + 'static> App for Timed<A, F> {
    async fn call(&self, scope: Scope, receive: Receiver, send: Sender) -> Result<(), AppError> {
        let Scope::Http(_) = &scope else {
            return self.inner.call(scope, receive, send).await;
        };
        let begin = Instant::now();
        let times = Arc::new(Mutex::new(Times::default()));
        let mut report = Report {
            report: &self.report,
            times: Arc::clone(&times),
            end: None,
        };
        // An event that the server refused counts for nothing.
        let send = send.observe(look, move |seen| {
            let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
            match seen {
                Seen::Head(status) => {
                    times.status = Some(status);
                    times.head = Some(begin.elapsed());
                }
                Seen::Part { length, is_last } => {
                    times.bytes += length;
                    if is_last {
                        times.last = Some(begin.elapsed());
                    }
                }
                Seen::Other => {}
            }
        });
        let result = self.inner.call(scope, receive, send).await;
        report.end = Some(begin.elapsed());
        result
    }
}
