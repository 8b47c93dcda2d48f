//! Lets a middleware handle the events of its inner app in an async loop.

mod send;
mod shared;
mod slot;
mod wakers;

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use asgi::{AppError, Closed, DisconnectReason, SendError, SendEvent, Sender};

use self::send::PipeSend;
use self::shared::{PipeShared, lock};
use self::slot::PipeAnswer;
use self::wakers::{PipeWaiter, PipeWakers};

/// Puts a loop between an inner app and its [`Sender`].
///
/// Returns a sender for the inner app, and a [`Pipe`] that runs the inner app. `pump` is the loop
/// of the middleware. It takes each event of the inner app from [`PipeEvents`], and sends as many
/// events as it likes, when it likes.
///
/// The inner app and the server do not notice a loop that passes each event on without a wait of
/// its own:
///
/// - `send` of the inner app resolves when the loop has answered, with that answer. So misuse stays
///   an error of the event that broke a rule.
/// - `send` waits while the server has no room.
/// - `closed` and `closed_handle` of the inner app are those of the server.
/// - A `send` that was dropped before it resolved has sent nothing, unless the loop has taken the
///   event and then waits for something else than room.
/// - The head is held back as without a pipe (HTTP-024): the loop runs inside `send`, so the app's
///   poll does not return `Pending` because of the pipe. A body in one part still gets its
///   `content-length`.
///
/// # The end of the loop
///
/// - If the loop returns an error, the exchange ends with that error, and the inner app is dropped.
/// - If the loop returns `Ok` early, each later `send` of the inner app fails. The inner app still
///   runs to its end.
/// - After the inner app has returned `Ok`, [`PipeEvents::next`] returns `None`, and the exchange
///   continues until the loop ends. If the inner app fails, the loop is dropped.
///
/// See the [module](super) for examples.
pub fn pipe<F, Fut>(send: Sender, pump: F) -> (Sender, Pipe)
where
    F: FnOnce(PipeEvents) -> Fut,
    Fut: Future<Output = Result<(), AppError>> + Send + 'static,
{
    let wakers = Arc::new(PipeWakers::default());
    let shared = Arc::new(PipeShared {
        waker: Waker::from(Arc::clone(&wakers)),
        wakers,
        outer: Mutex::new(send),
        slot: Mutex::default(),
        pump: Mutex::default(),
    });
    let future = pump(PipeEvents(Arc::clone(&shared)));
    lock(&shared.pump).future = Some(Box::pin(future));
    let inner = Sender::new(PipeSend(Arc::clone(&shared)));
    (inner, Pipe(shared))
}

/// Runs an inner app together with the loop of a middleware. [`pipe`] returns it.
#[must_use = "the loop and the inner app run in `drive`"]
pub struct Pipe(Arc<PipeShared>);

impl Pipe {
    /// Runs the inner app and the loop until both have ended.
    ///
    /// `app` is the call of the inner app with the sender that [`pipe`] returned.
    ///
    /// # Errors
    ///
    /// Returns the error of the loop or of the inner app. If the inner app has returned `Ok` and the
    /// server has refused one of its events since then, this returns that error.
    pub async fn drive(
        self,
        app: impl Future<Output = Result<(), AppError>>,
    ) -> Result<(), AppError> {
        let shared = &*self.0;
        let mut app = pin!(app);
        poll_fn(|cx| shared.poll_app(cx, app.as_mut())).await?;
        shared.end_app();
        poll_fn(|cx| {
            shared.wakers.register(PipeWaiter::Drive, cx.waker());
            shared.poll_pump();
            if lock(&shared.pump).future.is_some() {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
        .await;
        if let Some(error) = lock(&shared.pump).error.take() {
            return Err(error);
        }
        let late = lock(&shared.slot).take_late_error();
        late.map_or(Ok(()), |error| Err(error.into()))
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.0.end_app();
        // The loop owns a reference to the shared value, so it must go for the value to be freed.
        let pump = lock(&self.0.pump).future.take();
        drop(pump);
    }
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipe").finish_non_exhaustive()
    }
}

/// The events of an inner app, and the sender to the server, for the loop of a middleware.
///
/// [`pipe`] makes it.
pub struct PipeEvents(Arc<PipeShared>);

impl PipeEvents {
    /// Waits for the next event of the inner app. Returns `None` once the inner app has ended or
    /// has dropped its sender.
    ///
    /// This method is cancel-safe.
    pub async fn next(&mut self) -> Option<(SendEvent, Reply)> {
        let shared = &self.0;
        let wanted = WantedEvent(shared);
        let event = poll_fn(|cx| {
            shared.register(PipeWaiter::Next, cx.waker());
            let mut slot = lock(&shared.slot);
            if let Some(event) = slot.event.take() {
                return Poll::Ready(Some((event, slot.number)));
            }
            if slot.sender_dropped || slot.failure.is_some() {
                return Poll::Ready(None);
            }
            let was_busy = !slot.wanted;
            slot.wanted = true;
            drop(slot);
            if was_busy {
                shared.wake_sender();
            }
            Poll::Pending
        })
        .await;
        drop(wanted);
        let (event, number) = event?;
        let shared = Arc::clone(shared);
        Some((event, Reply { shared, number }))
    }

    /// Sends an event to the server. This waits until there is room for it.
    ///
    /// This method is cancel-safe.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Sender::send`].
    pub async fn send(&mut self, event: impl Into<SendEvent>) -> Result<(), SendError> {
        let mut event = Some(event.into());
        poll_fn(|cx| {
            self.0.register(PipeWaiter::PumpSend, cx.waker());
            let mut outer = lock(&self.0.outer);
            outer.poll_send(&mut self.0.context(), &mut event)
        })
        .await
    }

    /// Sends an event of the inner app to the server, and answers the inner app with the result.
    ///
    /// Returns whether the server took the event.
    pub async fn forward(&mut self, event: SendEvent, reply: Reply) -> bool {
        let result = self.send(event).await;
        let taken = result.is_ok();
        reply.answer(result);
        taken
    }

    /// Returns a future that waits as [`closed`](Self::closed) does and does not borrow this value.
    pub fn closed_handle(&self) -> Closed {
        lock(&self.0.outer).closed_handle()
    }

    /// Waits until the exchange is complete or the client has left.
    ///
    /// This method is cancel-safe.
    pub async fn closed(&mut self) -> DisconnectReason {
        poll_fn(|cx| {
            self.0.register(PipeWaiter::PumpClosed, cx.waker());
            lock(&self.0.outer).poll_closed(&mut self.0.context())
        })
        .await
    }
}

impl fmt::Debug for PipeEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipeEvents").finish_non_exhaustive()
    }
}

/// Marks that the loop waits for an event, until it is dropped.
struct WantedEvent<'a>(&'a PipeShared);

impl Drop for WantedEvent<'_> {
    fn drop(&mut self) {
        lock(&self.0.slot).wanted = false;
    }
}

/// The answer that an inner app waits for in its `send`.
///
/// If it is dropped, the inner app sees that the event was taken.
#[must_use = "the inner app waits for the answer"]
pub struct Reply {
    shared: Arc<PipeShared>,
    number: u64,
}

impl Reply {
    /// Says how the event went.
    pub fn answer(self, result: Result<(), SendError>) {
        self.shared.answer(self.number, PipeAnswer::Given(result));
        // The drop then finds that the event has its answer.
    }

    /// Says that the event was taken. A middleware that drops an event says this too.
    pub fn taken(self) {
        self.answer(Ok(()));
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.shared.answer(self.number, PipeAnswer::Dropped);
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").finish_non_exhaustive()
    }
}
