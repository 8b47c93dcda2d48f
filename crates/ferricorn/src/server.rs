//! What all connections of a server share.

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use asgi::{DynApp, State};
use tokio::sync::{Notify, watch};

use crate::{Config, Statistics};

/// How far a server's life has come. Only ever goes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// The app prepares; nobody is let in.
    Starting,
    /// Connections are accepted.
    Serving,
    /// No connection is accepted; what runs may finish.
    Draining,
    /// What runs is cut off.
    Cut,
    /// As `Cut`, and the app's shutdown is skipped.
    Aborted,
    /// All is over.
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

/// The one place where the phase of a server is kept.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    changes: watch::Sender<Phase>,
    /// A copy for those who ask with every request: reading the channel takes its lock, which all
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

    /// Goes on to `phase`, unless that is where the server is or has been.
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

    /// Waits until `phase`, or a later one, has come.
    pub(crate) fn until(
        &self,
        phase: Phase,
    ) -> impl Future<Output = Phase> + Send + Sync + 'static + use<> {
        let mut life = self.changes.subscribe();
        async move {
            match life.wait_for(|now| *now >= phase).await {
                Ok(now) => *now,
                // The sender is gone, and with it the server.
                Err(_) => Phase::Ended,
            }
        }
    }
}

/// Tells the task of a connection of the drain and of the cut, each once.
///
/// A task asks whenever it is polled, which costs no more than a look as long as there is nothing new.
pub(crate) struct Phases {
    life: Arc<Lifecycle>,
    next: Pin<Box<dyn Future<Output = Phase> + Send>>,
    /// What `next` waits for.
    awaited: Phase,
    /// The phase in which `next` was last polled, and has this task's waker since.
    polled_in: Option<Phase>,
}

impl Phases {
    fn new(life: &Arc<Lifecycle>) -> Self {
        Self {
            life: Arc::clone(life),
            next: Box::pin(life.until(Phase::Draining)),
            awaited: Phase::Draining,
            polled_in: None,
        }
    }

    /// Waits for the next of them; not to be asked again behind the cut. Always to be polled by the
    /// same task.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Phase> {
        let now = self.life.phase();
        if self.polled_in == Some(now) {
            return Poll::Pending;
        }
        let Poll::Ready(phase) = self.next.as_mut().poll(cx) else {
            // The phase is told a moment before those who wait for it are woken. In between, the future
            // has yet to see it, and has to be polled again when it is woken.
            self.polled_in = Some(now).filter(|now| *now < self.awaited);
            return Poll::Pending;
        };
        if phase < Phase::Cut {
            self.awaited = Phase::Cut;
            self.next = Box::pin(self.life.until(Phase::Cut));
        }
        Poll::Ready(phase)
    }
}

/// How many numbers of exchanges a connection of HTTP/1 puts by.
const IDS_AT_ONCE: u64 = 64;

/// What all connections of a server share.
#[derive(Debug)]
pub(crate) struct Server {
    app: DynApp,
    config: Config,
    life: Arc<Lifecycle>,
    state: State,
    counts: Arc<Counts>,
    next_id: AtomicU64,
}

impl Server {
    pub(crate) fn new(
        app: DynApp,
        config: Config,
        state: State,
        life: Arc<Lifecycle>,
        counts: Arc<Counts>,
    ) -> Self {
        Self {
            app,
            config,
            life,
            state,
            counts,
            next_id: AtomicU64::new(1),
        }
    }

    pub(crate) fn app(&self) -> &DynApp {
        &self.app
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// What the app made at start-up.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// A number for the next exchange, by which the log names it.
    pub(crate) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// As [`next_id`](Self::next_id), out of what a connection has put by: one request of many asks
    /// what all threads share. A connection begins with `0..0`, and takes one number before it puts
    /// any by: those of a log whose clients connect for each request leave no gaps.
    pub(crate) fn next_id_of(&self, reserve: &mut Range<u64>) -> u64 {
        if reserve.is_empty() {
            let count = if reserve.end == 0 { 1 } else { IDS_AT_ONCE };
            let first = self.next_id.fetch_add(count, Ordering::Relaxed);
            *reserve = first..first + count;
        }
        let id = reserve.start;
        reserve.start += 1;
        id
    }

    pub(crate) fn phase(&self) -> Phase {
        self.life.phase()
    }

    /// Waits until `phase`, or a later one, has come.
    pub(crate) fn until(
        &self,
        phase: Phase,
    ) -> impl Future<Output = Phase> + Send + Sync + 'static + use<> {
        self.life.until(phase)
    }

    /// What the task of a connection learns the phases by.
    pub(crate) fn phases(&self) -> Phases {
        Phases::new(&self.life)
    }

    pub(crate) fn count_connection(&self) -> Counted {
        self.counts.count(Count::Connections)
    }

    pub(crate) fn count_detached(&self) -> Counted {
        self.counts.count(Count::Detached)
    }

    /// Leave for one more app to run, unless too many do.
    pub(crate) fn admit(&self) -> Option<Permit<'_>> {
        let before = self.counts.exchanges.fetch_add(1, Ordering::Relaxed);
        let permit = Permit(self);
        (before < self.config.max_exchanges).then_some(permit)
    }

    /// [`admit`](Self::admit) for an app that is called later.
    pub(crate) fn admit_later(self: &Arc<Self>) -> Option<WaitingPermit> {
        self.admit()?.keep();
        Some(WaitingPermit(Some(Arc::clone(self))))
    }

    /// An app for which there was leave has ended.
    pub(crate) fn give_back(&self) {
        self.counts.exchanges.fetch_sub(1, Ordering::Release);
    }
}

/// Leave for an app to run; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Permit<'a>(&'a Server);

impl Permit<'_> {
    /// Keeps it: whoever does is to [give it back](Server::give_back).
    ///
    /// The permit of each app would else need a counted reference of its own.
    pub(crate) fn keep(self) {
        std::mem::forget(self);
    }
}

/// A permit that waits until its app is called.
#[derive(Debug)]
pub(crate) struct WaitingPermit(Option<Arc<Server>>);

impl WaitingPermit {
    /// The server's, for its app.
    pub(crate) fn take(mut self, server: &Server) -> Permit<'_> {
        self.0 = None;
        Permit(server)
    }
}

impl Drop for WaitingPermit {
    fn drop(&mut self) {
        if let Some(server) = &self.0 {
            server.give_back();
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

/// How many of everything there are.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    connections: AtomicUsize,
    exchanges: AtomicUsize,
    detached: AtomicUsize,
    /// Told whenever there is one connection or one detached app less.
    fewer: Notify,
}

#[derive(Debug, Clone, Copy)]
enum Count {
    Connections,
    Detached,
}

impl Counts {
    pub(crate) fn statistics(&self) -> Statistics {
        Statistics {
            connections: self.connections.load(Ordering::Relaxed),
            exchanges: self.exchanges.load(Ordering::Relaxed),
            detached: self.detached.load(Ordering::Relaxed),
        }
    }

    /// Waits until no connection is open and no detached app runs.
    pub(crate) async fn until_idle(&self) {
        loop {
            let fewer = self.fewer.notified();
            let now = self.statistics();
            if now.connections == 0 && now.detached == 0 {
                return;
            }
            fewer.await;
        }
    }

    fn count(self: &Arc<Self>, what: Count) -> Counted {
        self.counter(what).fetch_add(1, Ordering::Relaxed);
        Counted {
            counts: Arc::clone(self),
            what,
        }
    }

    fn counter(&self, what: Count) -> &AtomicUsize {
        match what {
            Count::Connections => &self.connections,
            Count::Detached => &self.detached,
        }
    }
}

/// One that is counted, for as long as this lives, and whose end is told.
#[derive(Debug)]
pub(crate) struct Counted {
    counts: Arc<Counts>,
    what: Count,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.counts
            .counter(self.what)
            .fetch_sub(1, Ordering::Release);
        self.counts.fewer.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::{Lifecycle, Phase, Phases};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Context, Poll, Wake, Waker};

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[test]
    fn each_phase_is_told_once() {
        let life = Arc::new(Lifecycle::new());
        let mut phases = Phases::new(&life);
        let woken = Arc::<Woken>::default();
        let waker = Waker::from(Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        life.advance(Phase::Serving);
        assert_eq!(phases.poll_next(&mut cx), Poll::Pending);
        for phase in [Phase::Draining, Phase::Cut] {
            woken.0.store(false, Ordering::SeqCst);
            life.advance(phase);
            assert!(woken.0.load(Ordering::SeqCst), "{phase:?}");
            assert_eq!(phases.poll_next(&mut cx), Poll::Ready(phase));
            if phase == Phase::Draining {
                assert_eq!(phases.poll_next(&mut cx), Poll::Pending);
                assert_eq!(phases.poll_next(&mut cx), Poll::Pending);
            }
        }
    }

    /// One of 5,000 connections was polled in that moment, took note of the phase, found nothing new when
    /// it was woken, and went on until it was cut off.
    #[test]
    fn a_task_that_is_polled_before_those_who_wait_are_woken_is_told_all_the_same() {
        let life = Arc::new(Lifecycle::new());
        let mut phases = Phases::new(&life);
        let mut cx = Context::from_waker(Waker::noop());
        life.advance(Phase::Serving);
        for phase in [Phase::Draining, Phase::Cut] {
            assert_eq!(phases.poll_next(&mut cx), Poll::Pending);
            // As far as `advance` is in that moment.
            life.now.store(phase as u8, Ordering::Release);
            assert_eq!(phases.poll_next(&mut cx), Poll::Pending);
            life.advance(phase);
            assert_eq!(phases.poll_next(&mut cx), Poll::Ready(phase));
        }
    }
}
