//! Plays steps.

use std::fs::File;
use std::future::poll_fn;
use std::io::{Seek, SeekFrom};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use asgi::{
    AppError, BodyError, Closed, HttpResponseBody, HttpResponseStart, ReceiveEvent, Receiver,
    SendError, Sender, State, WebSocketSend,
};
use bytes::Bytes;

use super::event::{StateText, event, zero_copy};
use super::json;
use super::record::{Halves, Runs};
use super::script::{Script, Step};

/// The size of each part of a flood.
static PART: [u8; 64 * 1024] = [b'x'; 64 * 1024];

/// Plays the steps of one run.
pub(super) struct Player {
    runs: Arc<Runs>,
    id: String,
    halves: Option<Halves>,
    /// What the steps `zerocopy` send from.
    file: Option<Arc<File>>,
    /// That of the scope.
    pub(super) state: State,
}

impl Player {
    pub(super) fn new(runs: Arc<Runs>, id: &str, halves: Option<Halves>) -> Self {
        Self {
            runs,
            id: id.into(),
            halves,
            file: None,
            state: State::new(),
        }
    }

    /// Plays all steps, until one of them ends the app.
    pub(super) async fn play(&mut self, steps: &str) -> Result<(), AppError> {
        for step in Script::parse(steps).0 {
            match step.name.as_str() {
                "return" => return Ok(()),
                "error" => return Err(step.text().into()),
                "abort" => return Err(AppError::aborted()),
                "unsupported" => return Err(AppError::unsupported_kind("any")),
                "panic" => panic!("{}", step.text()),
                "wait" => self.runs.signalled(&self.id, &step.text()).await,
                "yield" => yield_times(step.number()).await,
                "busy" => busy(Duration::from_millis(step.number() as u64)).await,
                "state" => {
                    self.state.insert(StateText(step.text()));
                    self.runs.step(&self.id, &step.text, "set", None);
                }
                "open" => {
                    self.file = File::open(step.text()).ok().map(Arc::new);
                    let outcome = if self.file.is_some() { "ok" } else { "no file" };
                    self.runs.step(&self.id, &step.text, outcome, None);
                }
                "close-file" => self.file = None,
                "position" => self.position(&step),
                "keep" => self.runs.park(&self.id, self.halves.take(), false),
                "lend" => {
                    self.runs.park(&self.id, self.halves.take(), false);
                    self.halves = self.runs.take_back(&self.id).await;
                }
                _ => match &mut self.halves {
                    Some((_, send)) if step.name == "zerocopy" => {
                        let event = self.file.clone().map(|file| zero_copy(file, &step));
                        let (outcome, detail) = match event {
                            Some(event) => sent(&send.send(event).await),
                            None => ("no file", None),
                        };
                        self.runs.step(&self.id, &step.text, outcome, detail);
                    }
                    Some(halves) => step_with(&self.runs, &self.id, halves, &step).await,
                    None => self.runs.step(&self.id, &step.text, "parked", None),
                },
            }
        }
        Ok(())
    }

    /// Sets the position of the open file if the step has a number, and records the position.
    fn position(&self, step: &Step) {
        let position = self.file.as_deref().map(|mut file| {
            if !step.argument.is_empty() {
                file.seek(SeekFrom::Start(step.number() as u64))?;
            }
            file.stream_position()
        });
        let outcome = match position {
            Some(Ok(position)) => position.to_string(),
            _ => "no file".into(),
        };
        self.runs.step(&self.id, &step.text, &outcome, None);
    }

    /// Gives the halves back to the run that has parked them.
    pub(super) fn give_back(self) {
        self.runs.park(&self.id, self.halves, true);
    }
}

/// Plays a step that needs the halves, and records it.
async fn step_with(runs: &Runs, id: &str, halves: &mut Halves, step: &Step) {
    let (receive, send) = halves;
    let record = |outcome: &str, detail| runs.step(id, &step.text, outcome, detail);
    match step.name.as_str() {
        "receive" => record(&json::event(&receive.receive().await), None),
        "receive-now" => {
            let received = poll_once(receive.receive()).await;
            let outcome = received.map_or_else(|| "pending".into(), |event| json::event(&event));
            record(&outcome, None);
        }
        "body" => loop {
            let event = receive.receive().await;
            record(&json::event(&event), None);
            if !matches!(&event, ReceiveEvent::HttpRequest(part) if part.more_body) {
                break;
            }
        },
        "drain" => drain(runs, id, receive, step).await,
        "read" => match receive.body(usize::MAX).await {
            Ok(body) => record(&format!("body of {} bytes", body.len()), None),
            Err(error) => record(body_error(&error), None),
        },
        "closed" => record(&format!("{:?}", send.closed().await), None),
        "closed-handles" => {
            let handles = (0..step.number()).map(|_| send.closed_handle());
            closed_handles(handles.collect()).await;
            record("all", None);
        }
        "flush" => record_sent(record, send.flush().await),
        "flood" | "text-flood" => flood(runs, id, send, step).await,
        "respond" => {
            let start = HttpResponseStart::ok();
            record_sent(record, send.respond(start, step.argument.clone()).await);
        }
        "reply" => {
            let report = runs.report(id, "").await;
            let start = HttpResponseStart::ok().content_type("application/json");
            record_sent(record, send.respond(start, report).await);
        }
        "last-report" => {
            let report = runs.report(&step.text(), "").await;
            record_sent(record, send.send(HttpResponseBody::last(report)).await);
        }
        _ => match event(step) {
            Some(event) => record_sent(record, send.send(event).await),
            None => record("unknown step", None),
        },
    }
}

fn record_sent(record: impl FnOnce(&str, Option<String>), result: Result<(), SendError>) {
    let (outcome, detail) = sent(&result);
    record(outcome, detail);
}

fn sent(result: &Result<(), SendError>) -> (&'static str, Option<String>) {
    let Err(error) = result else {
        return ("ok", None);
    };
    let detail = match error.disconnect_reason() {
        Some(reason) => format!("{reason:?}"),
        None => error.to_string(),
    };
    let outcome = match error {
        error if error.is_misuse() => "misuse",
        error if error.is_refused() => "refused",
        error if error.is_disconnected() => "gone",
        _ => "over",
    };
    (outcome, Some(detail))
}

fn body_error(error: &BodyError) -> &'static str {
    match error {
        error if error.is_already_read() => "already read",
        error if error.is_not_http() => "not http",
        error if error.is_disconnected() => "disconnected",
        _ => "too large",
    }
}

/// Receives the whole body and records its length as it grows.
async fn drain(runs: &Runs, id: &str, receive: &mut Receiver, step: &Step) {
    let mut total = 0;
    loop {
        let event = receive.receive().await;
        let ReceiveEvent::HttpRequest(part) = &event else {
            return runs.step(id, &step.text, &json::event(&event), None);
        };
        total += part.body.len();
        runs.progress(id, &step.text, &format!("{total} bytes"));
        if !part.more_body {
            return;
        }
    }
}

/// Sends many parts. The record shows how many were taken, so that a suite can see that the server
/// makes the app wait.
async fn flood(runs: &Runs, id: &str, send: &mut Sender, step: &Step) {
    for count in 1..=step.number() {
        let result = if step.name == "flood" {
            send.send(HttpResponseBody::more(Bytes::from_static(&PART)))
                .await
        } else {
            send.send(WebSocketSend::text("x".repeat(PART.len()))).await
        };
        if result.is_err() {
            let (outcome, detail) = sent(&result);
            return runs.step(id, &step.text, outcome, detail);
        }
        runs.progress(id, &step.text, &format!("{count} parts"));
    }
}

/// Polls a future once and drops it.
async fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

async fn yield_times(mut times: usize) {
    poll_fn(|cx| {
        if times == 0 {
            return Poll::Ready(());
        }
        times -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Lets the server poll the app again and again for some time.
async fn busy(time: Duration) {
    let began = Instant::now();
    while began.elapsed() < time {
        yield_times(1).await;
    }
}

/// Wakes the app's task and remembers that.
struct Flag {
    woken: AtomicBool,
    task: Arc<Mutex<Waker>>,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        let task = self
            .task
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        task.wake();
    }
}

/// Waits for all handles. It polls a handle again only if the server has woken that handle.
async fn closed_handles(handles: Vec<Closed>) {
    let task = Arc::new(Mutex::new(Waker::noop().clone()));
    let flag = |woken| {
        Arc::new(Flag {
            woken: AtomicBool::new(woken),
            task: Arc::clone(&task),
        })
    };
    let handles = handles.into_iter();
    let mut waiting: Vec<(Closed, Arc<Flag>)> =
        handles.map(|handle| (handle, flag(true))).collect();
    poll_fn(|cx| {
        // The app may move to another task, so only the newest waker counts.
        *task.lock().unwrap_or_else(PoisonError::into_inner) = cx.waker().clone();
        waiting.retain_mut(|(handle, seen)| {
            if !seen.woken.load(Ordering::Acquire) {
                return true;
            }
            *seen = flag(false);
            let waker = Waker::from(Arc::clone(seen));
            pin!(handle)
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        });
        if waiting.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}
