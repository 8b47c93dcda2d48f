//! Apps that go on behind their connection.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Instant;

use super::Exchange;
use crate::server::Phase;

impl Exchange {
    /// The client has all it wanted and, on HTTP/1, has gone on to its next request.
    pub(crate) fn superseded(self: &Arc<Self>) {
        if self.over.load(Ordering::Acquire) {
            return self.log_access();
        }
        if self.is_response_done() {
            return self.detach(None);
        }
        // It has what it wanted, the app has not said all: as if the client had left.
        self.client_closed();
        self.detach_left();
    }

    /// [`detach`](Self::detach) where the client has just left: the app has its grace from now on.
    pub(crate) fn detach_left(self: &Arc<Self>) {
        let grace = self.server.config().disconnect_grace;
        self.detach(grace.map(|grace| Instant::now() + grace));
    }

    /// The connection is done with this exchange: an app that still runs goes on in a task of its
    /// own, for as long as `grace` if its client is gone.
    pub(crate) fn detach(self: &Arc<Self>, grace: Option<Instant>) {
        self.log_access();
        if self.is_app_done() {
            return;
        }
        {
            let mut state = self.lock();
            state.driver = None;
            state.runnable = true;
            // Nobody takes what is still there; a push would keep its place.
            state.response.data = None;
            state.response.interim = None;
            if state.rules.is_complete() {
                // hyper waits for as long as somebody could ask for the rest of it.
                state.request_body = None;
            }
            state.wake_all();
        }
        let exchange = Arc::clone(self);
        let server = Arc::clone(&self.server);
        let counted = server.count_detached();
        tokio::spawn(async move {
            let _counted = counted;
            let _circle = CancelOnDrop::new(&exchange);
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

/// Breaks the circle of an exchange, its app and the app's halves whatever becomes of the task.
pub(crate) struct CancelOnDrop(Option<Arc<Exchange>>);

impl CancelOnDrop {
    pub(crate) fn new(exchange: &Arc<Exchange>) -> Self {
        Self(Some(Arc::clone(exchange)))
    }

    /// Somebody else does it from now on.
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
