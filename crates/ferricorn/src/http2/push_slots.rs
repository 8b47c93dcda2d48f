//! Counts the pushes of a connection that are under way.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts the pushes of a connection that are under way, and compares them with the client's limit.
///
/// h2 parks a pushed response until it next writes, and for longer if the client's limit is reached. If
/// the client resets a stream that is parked, h2 ends the whole connection. So:
///
/// - A push counts until its last frame has left: its stream [finishes](PushSlot), and after that a
///   flush begins and ends ([`flushed`](Self::flushed)).
/// - The stream's task begins and ends its response only [between](Self::between_turns) two turns of
///   h2's. After a response has begun, h2 writes before it reads.
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
    /// Sets the client's current limit (SETTINGS_MAX_CONCURRENT_STREAMS).
    pub(crate) fn allow(&self, most: usize) {
        self.most.store(most as u64, Ordering::Relaxed);
    }

    /// Keeps h2 from reading and writing while a response begins or ends. The caller sets the value to
    /// `true` if it begins one.
    pub(crate) fn between_turns(&self) -> MutexGuard<'_, bool> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps responses from beginning or ending for a turn of h2's. `None` before the first promise.
    ///
    /// A promise that is made during the turn does no harm: the client can't reset a stream before it
    /// knows it.
    pub(crate) fn turn(&self) -> Option<MutexGuard<'_, bool>> {
        (self.promised.load(Ordering::Acquire) > 0).then(|| self.between_turns())
    }

    /// Whether h2 has the head of a response that it has not written.
    pub(crate) fn is_parked(&self) -> bool {
        self.turn().is_some_and(|parked| *parked)
    }

    /// Whether the client takes pushes at all.
    pub(crate) fn any(&self) -> bool {
        self.most.load(Ordering::Relaxed) > 0
    }

    /// How many pushes have finished. To be read before a flush.
    pub(crate) fn finished(&self) -> u64 {
        self.finished.load(Ordering::Acquire)
    }

    /// A flush is over: the pushes that had `finished` before it have left.
    pub(crate) fn flushed(&self, finished: u64) {
        self.flushed.store(finished, Ordering::Release);
    }

    /// Takes a place, if one is free.
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
