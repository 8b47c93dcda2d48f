//! How far a running server has come, and who waits for the next phase.
//!
//! [`Handle`](crate::Handle) and `serve` move a [`Lifecycle`] on. Each connection's task follows it
//! with a [`PhaseWatch`].

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use tokio::sync::{Notify, watch};
use tokio::task::coop::unconstrained;

/// How far the server has come. It only ever goes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// The app starts up; no connection is accepted yet.
    Starting,
    /// Connections are accepted.
    Serving,
    /// No connection is accepted; running exchanges may finish.
    Draining,
    /// Running exchanges are cut off.
    Cut,
    /// Like `Cut`, and the app's shutdown is skipped.
    Aborted,
    /// The server has stopped.
    Ended,
}

impl Phase {
    const ALL: [Self; 6] = [
        Self::Starting,
        Self::Serving,
        Self::Draining,
        Self::Cut,
        Self::Aborted,
        Self::Ended,
    ];
}

/// The one place that holds the phase of a server.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    changes: watch::Sender<Phase>,
    /// A copy of the phase. Every request reads it, and the channel would take a lock that all
    /// threads share.
    now: AtomicU8,
    /// Notified when the drain has begun.
    drains: Notify,
    /// Notified when the server has cut off what still ran.
    cuts: Notify,
}

impl Lifecycle {
    pub(crate) fn new() -> Self {
        Self {
            changes: watch::Sender::new(Phase::Starting),
            now: AtomicU8::new(Phase::Starting as u8),
            drains: Notify::new(),
            cuts: Notify::new(),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        let now = self.now.load(Ordering::Acquire);
        Phase::ALL[usize::from(now)]
    }

    /// Moves on to `phase`. Does nothing if the server has already come as far.
    pub(crate) fn advance(&self, phase: Phase) {
        self.changes.send_if_modified(|now| {
            let later = *now < phase;
            if later {
                *now = phase;
                self.now.store(phase as u8, Ordering::Release);
            }
            later
        });
        if phase >= Phase::Draining {
            self.drains.notify_waiters();
        }
        if phase >= Phase::Cut {
            self.cuts.notify_waiters();
        }
    }

    /// Waits until the server has come to `phase`, or further.
    pub(crate) fn until(
        &self,
        phase: Phase,
    ) -> impl Future<Output = Phase> + Send + Sync + 'static + use<> {
        let mut changes = self.changes.subscribe();
        async move {
            match changes.wait_for(|now| *now >= phase).await {
                Ok(now) => *now,
                // The sender is gone, and so is the server.
                Err(_) => Phase::Ended,
            }
        }
    }
}

/// Reports the drain and the cut to a connection's task, each once.
///
/// The task polls it on every wake-up. Without news, that is one atomic load.
pub(crate) struct PhaseWatch {
    lifecycle: Arc<Lifecycle>,
    /// The phase to report next: the drain or the cut.
    awaited: Phase,
    /// Wakes the task in that phase. Only that phase completes it: once the task's waker is there, it
    /// stays there, and the future need not be polled again.
    wakes: Pin<Box<dyn Future<Output = ()> + Send>>,
    has_waker: bool,
}

impl PhaseWatch {
    pub(crate) fn new(lifecycle: &Arc<Lifecycle>) -> Self {
        let awaited = Phase::Draining;
        Self {
            lifecycle: Arc::clone(lifecycle),
            awaited,
            wakes: wakes_in(lifecycle, awaited),
            has_waker: false,
        }
    }

    /// Waits for the next phase. Must not be polled again after the cut, and only ever by one task.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Phase> {
        let mut now = self.lifecycle.phase();
        if now < self.awaited {
            if self.has_waker || self.wakes.as_mut().poll(cx).is_pending() {
                self.has_waker = true;
                return Poll::Pending;
            }
            now = self.lifecycle.phase();
        }
        if now < Phase::Cut {
            self.awaited = Phase::Cut;
            self.wakes = wakes_in(&self.lifecycle, self.awaited);
            self.has_waker = false;
        }
        Poll::Ready(now)
    }
}

/// Waits for the drain or for the cut.
///
/// Without tokio's budget: a task that has used it up would get `Pending`, and its waker would not stay.
fn wakes_in(
    lifecycle: &Arc<Lifecycle>,
    awaited: Phase,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    let lifecycle = Arc::clone(lifecycle);
    Box::pin(unconstrained(async move {
        let notify = match awaited {
            Phase::Cut => &lifecycle.cuts,
            _ => &lifecycle.drains,
        };
        // It comes before the look at the phase, and so it misses nothing.
        let notified = notify.notified();
        if lifecycle.phase() < awaited {
            notified.await;
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::{Lifecycle, Phase, PhaseWatch};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Context, Poll, Wake, Waker};
    use tokio::task::coop::{consume_budget, has_budget_remaining};

    /// A task that has used up its budget of tokio gets `Pending` from each resource of tokio, also from
    /// one that it polls for the first time. The watch took that for a poll that had left its waker, and
    /// never heard of the cut.
    #[test]
    fn a_poll_of_a_task_without_budget_leaves_its_waker() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let lifecycle = Arc::new(Lifecycle::new());
            let mut watch = PhaseWatch::new(&lifecycle);
            let woken = Arc::<Woken>::default();
            let waker = Waker::from(Arc::clone(&woken));
            let mut cx = Context::from_waker(&waker);
            while has_budget_remaining() {
                consume_budget().await;
            }
            assert_eq!(watch.poll_next(&mut cx), Poll::Pending);
            // From here on, the task has a new budget.
            tokio::task::yield_now().await;
            assert_eq!(watch.poll_next(&mut cx), Poll::Pending);
            woken.0.store(false, Ordering::SeqCst);
            lifecycle.advance(Phase::Draining);
            assert!(woken.0.load(Ordering::SeqCst));
        });
    }

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[test]
    fn each_phase_is_reported_once() {
        let lifecycle = Arc::new(Lifecycle::new());
        let mut watch = PhaseWatch::new(&lifecycle);
        let woken = Arc::<Woken>::default();
        let waker = Waker::from(Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        lifecycle.advance(Phase::Serving);
        assert_eq!(watch.poll_next(&mut cx), Poll::Pending);
        for phase in [Phase::Draining, Phase::Cut] {
            woken.0.store(false, Ordering::SeqCst);
            lifecycle.advance(phase);
            assert!(woken.0.load(Ordering::SeqCst), "{phase:?}");
            assert_eq!(watch.poll_next(&mut cx), Poll::Ready(phase));
            if phase == Phase::Draining {
                assert_eq!(watch.poll_next(&mut cx), Poll::Pending);
                assert_eq!(watch.poll_next(&mut cx), Poll::Pending);
            }
        }
    }

    /// `advance` stores the phase a moment before it wakes the waiting tasks. Once, a task that was polled
    /// in between went on until the cut. Later, such a task waited for the cut already, and the wake-up for
    /// the drain used up its waker: one server in 15 did not cut off a connection.
    #[test]
    fn a_poll_between_the_store_and_the_wake_up_misses_nothing() {
        let lifecycle = Arc::new(Lifecycle::new());
        let mut watch = PhaseWatch::new(&lifecycle);
        let woken = Arc::<Woken>::default();
        let waker = Waker::from(Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        lifecycle.advance(Phase::Serving);
        assert_eq!(watch.poll_next(&mut cx), Poll::Pending);
        // This is how far `advance` has come in that moment.
        lifecycle
            .now
            .store(Phase::Draining as u8, Ordering::Release);
        assert_eq!(watch.poll_next(&mut cx), Poll::Ready(Phase::Draining));
        assert_eq!(watch.poll_next(&mut cx), Poll::Pending);
        lifecycle.advance(Phase::Draining);
        assert_eq!(watch.poll_next(&mut cx), Poll::Pending);
        woken.0.store(false, Ordering::SeqCst);
        lifecycle.advance(Phase::Cut);
        assert!(woken.0.load(Ordering::SeqCst));
        assert_eq!(watch.poll_next(&mut cx), Poll::Ready(Phase::Cut));
    }
}
