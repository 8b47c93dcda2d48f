//! Lets any number of tasks wait for the end of one exchange. (CORE-030)

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use asgi::{Closed, DisconnectReason};

/// The wakers of all handles that wait for the end of one exchange.
///
/// A server keeps one of these beside the rules. It does not allocate before the first handle waits.
#[derive(Debug, Default)]
pub struct ClosedWakers(Vec<WakerEntry>);

#[derive(Debug, Default)]
enum WakerEntry {
    #[default]
    Free,
    /// A handle owns this entry. The waker is taken when it is woken.
    Used(Option<Waker>),
}

impl WakerEntry {
    fn into_waker(self) -> Option<Waker> {
        match self {
            Self::Used(waker) => waker,
            Self::Free => None,
        }
    }
}

/// The place of one handle in [`ClosedWakers`].
#[derive(Debug, Default)]
pub struct ClosedWaiter(Option<usize>);

impl ClosedWakers {
    /// Whether no handle has waited yet.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Stores the waker of a handle that waits. Returns the waker that it replaces.
    ///
    /// Drop that waker after you have released your lock: it may run code of the app.
    #[must_use = "a waker must be dropped after the lock is released"]
    pub fn register(&mut self, waiter: &mut ClosedWaiter, cx: &Context<'_>) -> Option<Waker> {
        let index = *waiter.0.get_or_insert_with(|| {
            let free = |entry: &WakerEntry| matches!(entry, WakerEntry::Free);
            self.0.iter().position(free).unwrap_or_else(|| {
                self.0.push(WakerEntry::Free);
                self.0.len() - 1
            })
        });
        match &mut self.0[index] {
            WakerEntry::Used(Some(waker)) if waker.will_wake(cx.waker()) => None,
            entry => mem::replace(entry, WakerEntry::Used(Some(cx.waker().clone()))).into_waker(),
        }
    }

    /// Forgets a handle that was dropped. Returns its waker, if it still waits.
    ///
    /// Drop that waker after you have released your lock: it may run code of the app.
    #[must_use = "a waker must be dropped after the lock is released"]
    pub fn remove(&mut self, waiter: &mut ClosedWaiter) -> Option<Waker> {
        let index = waiter.0.take()?;
        mem::take(&mut self.0[index]).into_waker()
    }

    /// Takes the wakers of all handles that wait. Call them after you have released your lock.
    #[must_use = "the wakers must be woken"]
    #[inline]
    pub fn take(&mut self) -> Vec<Waker> {
        let entries = self.0.iter_mut();
        let wakers = entries.filter_map(|entry| match entry {
            WakerEntry::Used(waker) => waker.take(),
            WakerEntry::Free => None,
        });
        wakers.collect()
    }
}

/// An exchange whose end any number of handles can wait for.
pub trait ClosedSource: Send + Sync + 'static {
    /// Polls whether the exchange is over, as `poll_closed` does, for one handle.
    fn poll_waiter(
        &self,
        waiter: &mut ClosedWaiter,
        cx: &mut Context<'_>,
    ) -> Poll<DisconnectReason>;

    /// Forgets a handle that was dropped, with [`ClosedWakers::remove`].
    fn remove_waiter(&self, waiter: &mut ClosedWaiter);
}

/// Makes a handle for [`SendHalf::closed_handle`](asgi::SendHalf::closed_handle).
pub fn closed_handle(source: Arc<impl ClosedSource>) -> Closed {
    Closed::new(ClosedFuture {
        source,
        waiter: ClosedWaiter::default(),
    })
}

struct ClosedFuture<S: ClosedSource> {
    source: Arc<S>,
    waiter: ClosedWaiter,
}

impl<S: ClosedSource> Future for ClosedFuture<S> {
    type Output = DisconnectReason;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<DisconnectReason> {
        let Self { source, waiter } = &mut *self;
        source.poll_waiter(waiter, cx)
    }
}

impl<S: ClosedSource> Drop for ClosedFuture<S> {
    fn drop(&mut self) {
        self.source.remove_waiter(&mut self.waiter);
    }
}

impl<S: ClosedSource> fmt::Debug for ClosedFuture<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClosedFuture").finish_non_exhaustive()
    }
}
