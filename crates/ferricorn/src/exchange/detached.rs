//! Apps that go on after their connection or stream no longer needs them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Instant;

use super::Exchange;
use crate::lifecycle::Phase;

impl Exchange {
    /// The client has all it asked for and, on HTTP/1, has sent its next request.
    pub(crate) fn superseded(self: &Arc<Self>) {
        if self.over.load(Ordering::Acquire) {
            return self.log_access();
        }
        if self.is_response_done() {
            return self.detach(None);
        }
        // The client has all it asked for, but the app has not sent the end: as if the client had left.
        self.client_closed();
        self.detach_left();
    }

    /// Calls [`detach`](Self::detach) when the client has just left: the app's grace begins now.
    pub(crate) fn detach_left(self: &Arc<Self>) {
        let grace = self.server.config().disconnect_grace;
        self.detach(grace.map(|grace| Instant::now() + grace));
    }

    /// Moves an app that still runs to a task of its own, because its driver is done with it. If the
    /// client is gone, the app is cancelled at the end of its `grace`.
    pub(crate) fn detach(self: &Arc<Self>, grace: Option<Instant>) {
        self.log_access();
        if self.is_app_done() {
            return;
        }
        {
            let mut state = self.lock();
            state.wakers.driver = None;
            state.app.runnable = true;
            // No driver takes these any more. A push would keep its place.
            state.response.data = None;
            state.response.interim = None;
            if state.rules.is_complete() {
                state.request.drop_body();
            }
            state.wakers.wake_app();
        }
        let exchange = Arc::clone(self);
        let server = Arc::clone(&self.server);
        let counted = server.count_detached();
        tokio::spawn(async move {
            let _counted = counted;
            let _cancel = CancelOnDrop::new(&exchange);
            let cut = server.until(Phase::Cut);
            let run = std::future::poll_fn(|cx| {
                exchange.begin_turn();
                exchange.poll_app(cx);
                if exchange.is_app_done() {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            });
            let deadline = async {
                match grace {
                    Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = run => {}
                () = deadline => exchange.cancel("its client left and its grace is over"),
                _ = cut => exchange.cancel("the server stops"),
            }
        });
    }
}

/// Cancels the app of an exchange when it is dropped, for example with its task.
///
/// An exchange owns its app, and the app's halves own the exchange. Cancelling breaks that cycle.
pub(crate) struct CancelOnDrop(Option<Arc<Exchange>>);

impl CancelOnDrop {
    pub(crate) fn new(exchange: &Arc<Exchange>) -> Self {
        Self(Some(Arc::clone(exchange)))
    }

    /// Does nothing on drop: another owner cancels the app.
    pub(crate) fn release(&mut self) {
        self.0 = None;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(exchange) = &self.0 {
            exchange.cancel("its task is gone");
        }
    }
}
