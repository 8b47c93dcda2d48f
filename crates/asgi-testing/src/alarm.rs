//! Does something at a moment of real time, whatever the clock of the runtime does.
//!
//! One thread serves the whole process. It starts with the first alarm and sleeps until the next one
//! is due. A paused clock of tokio does not change it.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, Once, PoisonError};
use std::task::{Context, Waker};
use std::time::Instant;

use crate::wake::lock;

static ALARMS: Alarms = Alarms {
    queue: Mutex::new(AlarmQueue {
        actions: BTreeMap::new(),
        next_number: 0,
        wakes_at: None,
    }),
    changed: Condvar::new(),
    thread: Once::new(),
};

struct Alarms {
    queue: Mutex<AlarmQueue>,
    /// An alarm is due before the thread would look at the queue.
    changed: Condvar,
    thread: Once,
}

struct AlarmQueue {
    actions: BTreeMap<AlarmKey, AlarmAction>,
    next_number: u64,
    /// When the thread looks at the queue by itself. `None` if it waits for a change, or has not
    /// started.
    wakes_at: Option<Instant>,
}

/// What an alarm does when it is due.
enum AlarmAction {
    Wake(Waker),
    Call(Box<dyn FnOnce() + Send>),
}

/// When an alarm is due, and a number that makes it unique.
type AlarmKey = (Instant, u64);

/// One alarm. It is off when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Alarm(Option<AlarmKey>);

impl Alarm {
    /// Wakes the task of `cx` at this moment. An earlier setting is forgotten.
    pub(crate) fn wake_at(&mut self, at: Instant, cx: &Context<'_>) {
        self.set(at, AlarmAction::Wake(cx.waker().clone()));
    }

    /// Calls this on the thread of the alarms, if the alarm is still on at this moment.
    pub(crate) fn call_at(&mut self, at: Instant, call: impl FnOnce() + Send + 'static) {
        self.set(at, AlarmAction::Call(Box::new(call)));
    }

    fn set(&mut self, at: Instant, action: AlarmAction) {
        let mut queue = lock(&ALARMS.queue);
        if let Some(key) = self.0.take() {
            queue.actions.remove(&key);
        }
        let key = (at, queue.next_number);
        queue.next_number += 1;
        queue.actions.insert(key, action);
        self.0 = Some(key);
        // Most alarms are later than the one for which the thread waits, and cost it nothing.
        if queue.wakes_at.is_none_or(|wakes_at| at < wakes_at) {
            ALARMS.changed.notify_one();
        }
        drop(queue);
        ALARMS.thread.call_once(|| {
            let thread = std::thread::Builder::new().name(String::from("asgi-testing"));
            // Without a thread, a stuck app hangs its test, as it would without this crate's limit.
            let _ = thread.spawn(run);
        });
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(key) = self.0.take() {
            lock(&ALARMS.queue).actions.remove(&key);
        }
    }
}

/// The thread: does each action when it is due.
fn run() {
    let mut queue = lock(&ALARMS.queue);
    loop {
        let now = Instant::now();
        let Some((&key, _)) = queue.actions.first_key_value() else {
            queue.wakes_at = None;
            let woken = ALARMS.changed.wait(queue);
            queue = woken.unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        if key.0 > now {
            queue.wakes_at = Some(key.0);
            let woken = ALARMS.changed.wait_timeout(queue, key.0 - now);
            queue = woken.unwrap_or_else(PoisonError::into_inner).0;
            continue;
        }
        let action = queue.actions.remove(&key);
        // An action may run code of the test, which may set another alarm.
        drop(queue);
        match action {
            Some(AlarmAction::Wake(waker)) => waker.wake(),
            Some(AlarmAction::Call(call)) => call(),
            None => {}
        }
        queue = lock(&ALARMS.queue);
    }
}
