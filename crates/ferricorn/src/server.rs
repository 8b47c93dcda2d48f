//! The values that all connections of a server share: the app, the settings, the phase, the counts.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use asgi::{DynApp, State};

use crate::config::Config;
use crate::counts::{Counted, Counts};
use crate::hints::Hints;
use crate::lifecycle::{Lifecycle, Phase, PhaseWatch};

/// How many exchange numbers an HTTP/1 connection reserves at once.
const IDS_AT_ONCE: u64 = 64;

/// The values that all connections of a server share.
#[derive(Debug)]
pub(crate) struct Server {
    app: DynApp,
    config: Config,
    lifecycle: Arc<Lifecycle>,
    state: State,
    counts: Arc<Counts>,
    next_id: AtomicU64,
    hints: Hints,
}

impl Server {
    pub(crate) fn new(
        app: DynApp,
        config: Config,
        state: State,
        lifecycle: Arc<Lifecycle>,
        counts: Arc<Counts>,
    ) -> Self {
        Self {
            app,
            config,
            lifecycle,
            state,
            counts,
            next_id: AtomicU64::new(1),
            hints: Hints::default(),
        }
    }

    pub(crate) fn app(&self) -> &DynApp {
        &self.app
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// The state that the app's startup made.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// The advice for the operator that was given.
    pub(crate) fn hints(&self) -> &Hints {
        &self.hints
    }

    /// A number for the next exchange. The log names the exchange by it.
    pub(crate) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Like [`next_id`](Self::next_id), but takes the number from those that a connection reserved:
    /// few requests touch the counter that all threads share.
    ///
    /// A connection begins with the reserve `0..0`. Its first request reserves one number only, so
    /// that clients which connect for each request leave no gaps in the log.
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

    pub(crate) fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    pub(crate) fn phase(&self) -> Phase {
        self.lifecycle.phase()
    }

    /// Waits until the server has come to `phase`, or further.
    pub(crate) fn until(
        &self,
        phase: Phase,
    ) -> impl Future<Output = Phase> + Send + Sync + 'static + use<> {
        self.lifecycle.until(phase)
    }

    /// Reports the drain and the cut to the task of a connection.
    pub(crate) fn watch_phases(&self) -> PhaseWatch {
        PhaseWatch::new(&self.lifecycle)
    }

    pub(crate) fn count_connection(&self) -> Counted {
        self.counts.count_connection()
    }

    pub(crate) fn count_detached(&self) -> Counted {
        self.counts.count_detached()
    }

    /// A permit for one more app to run, unless too many run.
    pub(crate) fn admit(&self) -> Option<Permit<'_>> {
        let before = self.counts.begin_exchange();
        let permit = Permit(self);
        (before < self.config.max_exchanges).then_some(permit)
    }

    /// [`admit`](Self::admit) for an app that is called later.
    pub(crate) fn admit_later(self: &Arc<Self>) -> Option<WaitingPermit> {
        self.admit()?.keep();
        Some(WaitingPermit(Some(Arc::clone(self))))
    }

    /// Gives back the permit of an app that has ended.
    pub(crate) fn give_back(&self) {
        self.counts.end_exchange();
    }
}

/// The permit of one app to run. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Permit<'a>(&'a Server);

impl Permit<'_> {
    /// Keeps the permit. The caller must [give it back](Server::give_back).
    ///
    /// Otherwise the permit of each app would need a reference count of its own.
    pub(crate) fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

/// A permit that waits until its app is called.
#[derive(Debug)]
pub(crate) struct WaitingPermit(Option<Arc<Server>>);

impl WaitingPermit {
    /// The permit for its app, which is now called.
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
