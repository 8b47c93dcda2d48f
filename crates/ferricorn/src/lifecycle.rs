//! How far a running server has come, and who waits for the next phase.
//!
//! [`Handle`](crate::Handle) and `serve` move a [`Lifecycle`] on. Each connection's task follows it
//! with a [`PhaseWatch`].

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use tokio::sync::watch;
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
}

impl Lifecycle {
    pub(crate) fn new() -> Self {
        Self {
            changes: watch::Sender::new(Phase::Starting),
            now: AtomicU8::new(Phase::Starting as u8),
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
    next: Pin<Box<dyn Future<Output = Phase> + Send>>,
    /// The phase that `next` waits for.
    awaited: Phase,
    /// The phase during the last poll of `next`. That poll left this task's waker there.
    polled_in: Option<Phase>,
}

impl PhaseWatch {
    pub(crate) fn new(lifecycle: &Arc<Lifecycle>) -> Self {
        Self {
            lifecycle: Arc::clone(lifecycle),
            next: Self::until(lifecycle, Phase::Draining),
            awaited: Phase::Draining,
            polled_in: None,
        }
    }

    /// Without tokio's budget: a future that found none left would not have left its waker.
    fn until(lifecycle: &Lifecycle, phase: Phase) -> Pin<Box<dyn Future<Output = Phase> + Send>> {
        Box::pin(unconstrained(lifecycle.until(phase)))
    }

    /// Waits for the next phase. Must not be polled again after the cut, and only ever by one task.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Phase> {
        let now = self.lifecycle.phase();
        if self.polled_in == Some(now) {
            return Poll::Pending;
        }
        let Poll::Ready(phase) = self.next.as_mut().poll(cx) else {
            // `advance` stores the phase a moment before it wakes the waiting tasks. In between, the
            // future has not seen the phase yet: the wake-up must poll it again.
            self.polled_in = Some(now).filter(|now| *now < self.awaited);
            return Poll::Pending;
        };
        if phase < Phase::Cut {
            self.awaited = Phase::Cut;
            self.next = Self::until(&self.lifecycle, Phase::Cut);
        }
        Poll::Ready(phase)
    }
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

    /// One of 5,000 connections was polled in that moment. It noted the phase, saw nothing new when it
    /// was woken, and went on until it was cut off.
    #[test]
    fn a_poll_between_the_store_and_the_wake_up_misses_nothing() {
        let lifecycle = Arc::new(Lifecycle::new());
        let mut watch = PhaseWatch::new(&lifecycle);
        let mut cx = Context::from_waker(Waker::noop());
        lifecycle.advance(Phase::Serving);
        for phase in [Phase::Draining, Phase::Cut] {
            assert_eq!(watch.poll_next(&mut cx), Poll::Pending);
            // This is how far `advance` has come in that moment.
            lifecycle.now.store(phase as u8, Ordering::Release);
            assert_eq!(watch.poll_next(&mut cx), Poll::Pending);
            lifecycle.advance(phase);
            assert_eq!(watch.poll_next(&mut cx), Poll::Ready(phase));
        }
    }
}
