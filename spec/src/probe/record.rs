//! What the runs of the probe have seen so far, and waiting for it.

use std::collections::{HashMap, HashSet};
use std::future::poll_fn;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::{fmt, fs, thread};

use asgi::{AppError, Receiver, Sender};
use bytes::Bytes;
use serde_json::{Value, json};

/// All runs of one process.
///
/// Each change wakes everything that waits. That is enough here: a suite runs few cases at once.
#[derive(Default)]
pub(super) struct Runs(Mutex<RunsState>);

#[derive(Default)]
struct RunsState {
    runs: HashMap<String, RunRecord>,
    signals: HashSet<String>,
    /// Whether no run waits for a signal any more.
    released: bool,
    waiting: Vec<Waker>,
    file: Option<(&'static str, PathBuf)>,
}

/// What the calls with one ID have seen.
#[derive(Default)]
struct RunRecord {
    calls: u32,
    scope: Value,
    steps: Vec<Value>,
    end: Option<&'static str>,
    parked: Option<Halves>,
    given_back: bool,
}

/// Both ends of an exchange, for another task to use.
pub(super) type Halves = (Receiver, Sender);

impl Runs {
    /// Records a call of the app.
    pub(super) fn call(self: &Arc<Self>, id: &str, scope: Value) -> Recording {
        self.change(id, |run| {
            run.calls += 1;
            run.scope = scope;
        });
        Recording {
            runs: Arc::clone(self),
            id: id.into(),
            ended: false,
        }
    }

    /// Records the outcome of a step.
    pub(super) fn step(&self, id: &str, step: &str, outcome: &str, detail: Option<String>) {
        let detail = detail.map_or(Value::Null, Value::from);
        self.change(id, |run| run.steps.push(json!([step, outcome, detail])));
    }

    /// Replaces the outcome of the step that was recorded last, or adds the step.
    pub(super) fn progress(&self, id: &str, step: &str, outcome: &str) {
        self.change(id, |run| {
            let value = json!([step, outcome, null]);
            match run.steps.last_mut() {
                Some(last) if last[0] == *step => *last = value,
                _ => run.steps.push(value),
            }
        });
    }

    /// Sets a signal for ever.
    pub(super) fn signal(&self, id: &str, name: &str) {
        let mut state = self.lock();
        state.signals.insert(format!("{id}?{name}"));
        wake(state);
    }

    pub(super) async fn signalled(&self, id: &str, name: &str) {
        let signal = format!("{id}?{name}");
        self.until(|state| (state.released || state.signals.contains(&signal)).then_some(()))
            .await;
    }

    /// Ends all waits for signals, now and later.
    pub(super) fn release(&self) {
        let mut state = self.lock();
        state.released = true;
        wake(state);
    }

    /// Parks both halves of a run for [`take_parked`](Self::take_parked).
    pub(super) fn park(&self, id: &str, halves: Option<Halves>, given_back: bool) {
        self.change(id, |run| {
            run.parked = halves;
            run.given_back = given_back;
        });
    }

    /// Waits until a run has parked its halves, and takes them.
    pub(super) async fn take_parked(&self, id: &str) -> Option<Halves> {
        self.until(|state| Some(Some(state.runs.get_mut(id)?.parked.take()?)))
            .await
    }

    /// Waits until another task has used the halves and given them back.
    pub(super) async fn take_back(&self, id: &str) -> Option<Halves> {
        self.until(|state| {
            let run = state.runs.get_mut(id)?;
            run.given_back.then(|| run.parked.take())
        })
        .await
    }

    /// Waits as `wanted` says, and returns the record of a run as JSON.
    pub(super) async fn report(&self, id: &str, wanted: &str) -> Bytes {
        let steps = wanted.strip_prefix("steps=");
        let steps = steps.and_then(|steps| steps.parse::<usize>().ok());
        self.until(|state| {
            let run = state.runs.get(id);
            let enough = match (wanted, steps) {
                ("ended", _) => run.is_some_and(|run| run.end.is_some()),
                (_, Some(steps)) => run.is_some_and(|run| run.steps.len() >= steps),
                _ => true,
            };
            enough.then(|| render(id, run))
        })
        .await
    }

    /// Writes the record of a run to a file at each change.
    pub(super) fn write_to(&self, id: &'static str, path: PathBuf) {
        self.lock().file = Some((id, path));
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut RunRecord)) {
        let mut state = self.lock();
        let run = state.runs.entry(id.into()).or_default();
        change(run);
        let record = render(id, Some(run));
        if let Some((recorded, path)) = &state.file
            && *recorded == id
        {
            // The process may end at any time, so the file is always a whole one. If it can't be
            // written, the suite sees that it is missing.
            let next = path.with_extension("next");
            let _ = fs::write(&next, record).and_then(|()| fs::rename(&next, path));
        }
        wake(state);
    }

    fn lock(&self) -> MutexGuard<'_, RunsState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn until<T>(&self, mut ready: impl FnMut(&mut RunsState) -> Option<T>) -> T {
        poll_fn(|cx| {
            let mut state = self.lock();
            match ready(&mut state) {
                Some(value) => Poll::Ready(value),
                None => {
                    let known = state
                        .waiting
                        .iter()
                        .any(|waker| waker.will_wake(cx.waker()));
                    if !known {
                        state.waiting.push(cx.waker().clone());
                    }
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl fmt::Debug for Runs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runs").finish_non_exhaustive()
    }
}

/// Wakes everything that waits, without the lock.
fn wake(mut state: MutexGuard<'_, RunsState>) {
    let waiting = std::mem::take(&mut state.waiting);
    drop(state);
    for waker in waiting {
        waker.wake();
    }
}

fn render(id: &str, run: Option<&RunRecord>) -> Bytes {
    let none = RunRecord::default();
    let run = run.unwrap_or(&none);
    let record = json!({
        "probe": 1,
        "id": id,
        "calls": run.calls,
        "scope": run.scope,
        "steps": run.steps,
        "end": run.end,
    });
    record.to_string().into()
}

/// The record of a call that runs. Dropping it records how the call ended.
pub(super) struct Recording {
    runs: Arc<Runs>,
    id: String,
    ended: bool,
}

impl Recording {
    pub(super) fn end(mut self, end: &Result<(), AppError>) {
        self.ended = true;
        let end = if end.is_ok() { "ok" } else { "error" };
        self.runs.change(&self.id, |run| run.end = Some(end));
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if !self.ended {
            let end = if thread::panicking() {
                "panic"
            } else {
                "dropped"
            };
            self.runs.change(&self.id, |run| run.end = Some(end));
        }
    }
}
