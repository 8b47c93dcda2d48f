//! Wakes tasks at moments of real time, whatever the clock of the runtime does.
//!
//! One thread serves the whole process. It starts with the first alarm and sleeps until the next one
//! is due. A paused clock of tokio does not change it.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, Once};
use std::task::{Context, Waker};
use std::time::Instant;

use crate::wake::lock;

static ALARMS: Alarms = Alarms {
    queue: Mutex::new(AlarmQueue {
        wakers: BTreeMap::new(),
        next_number: 0,
    }),
    changed: Condvar::new(),
    thread: Once::new(),
};

struct Alarms {
    queue: Mutex<AlarmQueue>,
    /// The first alarm of the queue has changed.
    changed: Condvar,
    thread: Once,
}

struct AlarmQueue {
    wakers: BTreeMap<AlarmKey, Waker>,
    next_number: u64,
}

/// When an alarm is due, and a number that makes it unique.
type AlarmKey = (Instant, u64);

/// Wakes one task. The alarm is off when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Alarm(Option<AlarmKey>);

impl Alarm {
    /// Wakes the task of `cx` at this moment. An earlier setting is forgotten.
    pub(crate) fn set(&mut self, at: Instant, cx: &Context<'_>) {
        let mut queue = lock(&ALARMS.queue);
        if let Some(key) = self.0.take() {
            queue.wakers.remove(&key);
        }
        let key = (at, queue.next_number);
        queue.next_number += 1;
        queue.wakers.insert(key, cx.waker().clone());
        self.0 = Some(key);
        if queue.wakers.first_key_value().map(|(first, _)| *first) == Some(key) {
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
            lock(&ALARMS.queue).wakers.remove(&key);
        }
    }
}

/// The thread: calls each waker when it is due.
fn run() {
    let mut queue = lock(&ALARMS.queue);
    loop {
        let now = Instant::now();
        let Some((&key, _)) = queue.wakers.first_key_value() else {
            queue = ALARMS
                .changed
                .wait(queue)
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            continue;
        };
        if key.0 > now {
            let wait = ALARMS.changed.wait_timeout(queue, key.0 - now);
            queue = wait.unwrap_or_else(std::sync::PoisonError::into_inner).0;
            continue;
        }
        let waker = queue.wakers.remove(&key);
        // A waker may run code of the test, which may set another alarm.
        drop(queue);
        if let Some(waker) = waker {
            waker.wake();
        }
        queue = lock(&ALARMS.queue);
    }
}
