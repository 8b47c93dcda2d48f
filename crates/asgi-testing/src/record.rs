//! The record of one call of the app: its history, what it waits for, and the halves that it still has.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Instant;

use crate::history::{Actor, History};
use crate::wake::{WakerSet, lock};

/// The record of one call of the app. A clone refers to the same record.
#[derive(Clone)]
pub(crate) struct CallRecord(Arc<CallRecordInner>);

struct CallRecordInner {
    history: History,
    state: Mutex<RecordState>,
    /// Wakes the test if the state changes.
    changed: WakerSet,
    /// When something happened last in this exchange or in the one that it belongs to.
    progress: Arc<Mutex<Instant>>,
}

/// What is known about the app's halves.
#[derive(Default)]
pub(crate) struct RecordState {
    pub(crate) receivers: usize,
    pub(crate) senders: usize,
    pub(crate) closed_handles: usize,
    /// The last `receive` has not returned.
    pub(crate) receive_waits: bool,
    /// The last `send` has not returned, because there is no room.
    pub(crate) room_waits: bool,
    /// The app or one of its tasks waits for the close.
    pub(crate) closed_waits: bool,
    pub(crate) app_ended: bool,
    pub(crate) client_left: bool,
    /// Events that broke the rules, or that came after the end of the app.
    pub(crate) misuse: Vec<String>,
}

impl CallRecord {
    /// Creates the record of an exchange. A push counts as a part of the exchange that promised it.
    pub(crate) fn new(title: String, parent: Option<&Self>) -> Self {
        let progress = match parent {
            Some(parent) => Arc::clone(&parent.0.progress),
            None => Arc::new(Mutex::new(Instant::now())),
        };
        Self(Arc::new(CallRecordInner {
            history: History::new(title),
            state: Mutex::default(),
            changed: WakerSet::default(),
            progress,
        }))
    }

    pub(crate) fn history(&self) -> &History {
        &self.0.history
    }

    /// Adds a line to the history.
    pub(crate) fn note(&self, who: Actor, text: impl Into<String>) {
        self.0.history.add(who, text.into());
        *lock(&self.0.progress) = Instant::now();
    }

    /// Returns when something happened last.
    pub(crate) fn progress(&self) -> Instant {
        *lock(&self.0.progress)
    }

    /// Reads or changes the state.
    pub(crate) fn with<T>(&self, access: impl FnOnce(&mut RecordState) -> T) -> T {
        access(&mut lock(&self.0.state))
    }

    /// Changes the state, then wakes the test.
    pub(crate) fn change(&self, change: impl FnOnce(&mut RecordState)) {
        self.with(change);
        self.0.changed.wake();
    }

    /// Lets the next [`change`](Self::change) wake the task of `cx`.
    pub(crate) fn register(&self, cx: &Context<'_>) {
        self.0.changed.register(cx);
    }

    /// Waits until the app has no half any more.
    pub(crate) fn poll_halves_dropped(&self, cx: &Context<'_>) -> Poll<()> {
        self.register(cx);
        match self.with(|state| state.has_halves()) {
            true => Poll::Pending,
            false => Poll::Ready(()),
        }
    }
}

impl RecordState {
    fn has_halves(&self) -> bool {
        self.receivers + self.senders + self.closed_handles > 0
    }

    /// The halves that something still holds, in words.
    pub(crate) fn held_halves(&self) -> Option<String> {
        let counts = [
            (self.receivers, "`Receiver`"),
            (self.senders, "`Sender`"),
            (self.closed_handles, "`Closed` handle"),
        ];
        let held = counts.iter().filter(|(count, _)| *count > 0);
        let held: Vec<&str> = held.map(|(_, name)| *name).collect();
        (!held.is_empty()).then(|| held.join(" and its "))
    }

    /// What the app waits for, in words.
    pub(crate) fn waits(&self) -> String {
        let mut waits = Vec::new();
        if self.receive_waits {
            waits.push("waits in `receive`");
        }
        if self.room_waits {
            waits.push("waits in `send` until the client reads what was sent before");
        }
        if self.closed_waits {
            waits.push("waits in `closed`");
        }
        if waits.is_empty() {
            waits.push(match self.app_ended {
                true => "has returned",
                false => "waits for something of its own",
            });
        }
        waits.join(", and ")
    }
}
