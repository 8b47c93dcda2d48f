//! Which pushes an app may send, and how many of them are under way on a connection.

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use asgi::{HttpResponsePush, SendError};
use http::uri::PathAndQuery;

use crate::server::WaitingPermit;

/// Decides about the pushes of a connection.
pub(crate) trait PushGate: Send + Sync {
    /// What a push is admitted with, of a response that had these before, or why it is not.
    fn admit(
        &self,
        push: &HttpResponsePush,
        before: &HashSet<PathAndQuery>,
    ) -> Result<Admission, &'static str>;
}

/// What a push needs. Decided while its app can still be told.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) slot: PushSlot,
    /// For the app that is called for it.
    pub(crate) permit: WaitingPermit,
}

/// What an app that may push has pushed with its response.
pub(super) struct Pushes {
    gate: Arc<dyn PushGate>,
    /// `None` until there is one: most responses have none.
    made: Option<HashSet<PathAndQuery>>,
}

impl Pushes {
    pub(super) fn new(gate: Arc<dyn PushGate>) -> Self {
        Self { gate, made: None }
    }

    pub(super) fn admit(&mut self, push: &HttpResponsePush) -> Result<Admission, SendError> {
        let made = self.made.get_or_insert_default();
        let admission = self.gate.admit(push, made).map_err(SendError::refused)?;
        made.insert(push.path.clone());
        Ok(admission)
    }
}

impl fmt::Debug for Pushes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pushes")
            .field("made", &self.made)
            .finish_non_exhaustive()
    }
}

/// How many pushes of a connection are under way, against what its client allows.
///
/// h2 parks a pushed response until it next writes, or beyond the client's limit for longer, and ends
/// the whole connection if the client resets a stream that is parked. So:
///
/// - A push counts until its last frame has left: first its stream is [`finished`](PushSlot), then a
///   flush is over that began after that ([`flushed`](Self::flushed)).
/// - The stream's task begins and ends its response only [between](Self::between_turns) two turns of
///   h2's, and behind one that begins h2 writes before it reads.
#[derive(Debug, Default)]
pub(crate) struct PushSlots {
    most: AtomicU64,
    promised: AtomicU64,
    finished: AtomicU64,
    flushed: AtomicU64,
    /// Whether h2 has the head of a response that it has not written; locked for a turn of h2's.
    parked: Mutex<bool>,
}

impl PushSlots {
    /// What the client allows now (SETTINGS_MAX_CONCURRENT_STREAMS).
    pub(crate) fn allow(&self, most: usize) {
        self.most.store(most as u64, Ordering::Relaxed);
    }

    /// Keeps h2 from reading and writing while a response begins or ends, for which the caller sets
    /// what is inside if it begins one.
    pub(crate) fn between_turns(&self) -> MutexGuard<'_, bool> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps responses from beginning or ending for a turn of h2's. `None` before the first promise.
    ///
    /// One that is made during the turn is no matter: no client can reset what it was not promised.
    pub(crate) fn turn(&self) -> Option<MutexGuard<'_, bool>> {
        (self.promised.load(Ordering::Acquire) > 0).then(|| self.between_turns())
    }

    /// Whether h2 has the head of a response that it has not written.
    pub(crate) fn is_parked(&self) -> bool {
        self.turn().is_some_and(|parked| *parked)
    }

    /// Whether the client takes any at all.
    pub(crate) fn any(&self) -> bool {
        self.most.load(Ordering::Relaxed) > 0
    }

    /// How many have finished; before a flush.
    pub(crate) fn finished(&self) -> u64 {
        self.finished.load(Ordering::Acquire)
    }

    /// What had `finished` before the flush that is over has left.
    pub(crate) fn flushed(&self, finished: u64) {
        self.flushed.store(finished, Ordering::Release);
    }

    /// Takes a place, if there is one.
    pub(crate) fn take(self: &Arc<Self>) -> Option<PushSlot> {
        let most = self.most.load(Ordering::Relaxed);
        let flushed = self.flushed.load(Ordering::Acquire);
        self.promised
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |promised| {
                (promised - flushed < most).then_some(promised + 1)
            })
            .is_ok()
            .then(|| PushSlot(Arc::clone(self)))
    }
}

/// A place among the pushes under way.
#[derive(Debug)]
pub(crate) struct PushSlot(Arc<PushSlots>);

impl PushSlot {
    /// Whether the client still allows as many pushes as are under way.
    pub(crate) fn fits(&self) -> bool {
        let flushed = self.0.flushed.load(Ordering::Acquire);
        let promised = self.0.promised.load(Ordering::Acquire);
        promised - flushed <= self.0.most.load(Ordering::Relaxed)
    }
}

impl Drop for PushSlot {
    fn drop(&mut self) {
        self.0.finished.fetch_add(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::PushSlots;

    #[test]
    fn a_place_is_free_again_when_the_last_frame_has_left() {
        let slots = Arc::new(PushSlots::default());
        assert!(!slots.any() && slots.take().is_none());
        slots.allow(2);
        let one = slots.take().unwrap();
        let two = slots.take().unwrap();
        assert!(slots.take().is_none());
        let before = slots.finished();
        drop((one, two));
        slots.flushed(before);
        assert!(slots.take().is_none(), "the flush began before the end");
        slots.flushed(slots.finished());
        let three = slots.take().unwrap();
        slots.allow(1);
        assert!(slots.take().is_none() && three.fits());
        slots.allow(0);
        assert!(!three.fits());
        slots.allow(1);
        drop(three);
        slots.flushed(slots.finished());
        assert!(slots.take().is_some());
    }
}
