//! Lets a middleware handle the events of its inner app in an async loop.

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use asgi::{AppError, AppFuture, DisconnectReason, SendError, SendEvent, SendHalf, Sender};

use super::wakers::{PipeWaiter, PipeWakers};

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
/// - `closed` of the inner app is `closed` of the server.
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

/// What the inner app's sender, the loop and [`Pipe::drive`] share.
///
/// Lock order: `pump`, then `outer` or `slot`. `outer` and `slot` are never locked together.
struct PipeShared {
    wakers: Arc<PipeWakers>,
    /// Wakes all of `wakers`. It does not refer to this value, because the server keeps it.
    waker: Waker,
    /// The server's sender. It is always polled with `waker`, because it wakes only the task that
    /// polled last.
    outer: Mutex<Sender>,
    slot: Mutex<PipeSlot>,
    pump: Mutex<PipePump>,
}

#[derive(Default)]
struct PipePump {
    /// `None` once it has ended or was dropped.
    future: Option<AppFuture<'static>>,
    error: Option<AppError>,
}

/// The event on its way from the inner app to the loop, and the answer on its way back.
#[derive(Default)]
struct PipeSlot {
    /// The loop waits for an event.
    wanted: bool,
    /// `poll_ready` of the inner app has promised room for one event.
    room_promised: bool,
    event: Option<SendEvent>,
    /// The number of the last event. A reply to an older one answers nothing.
    number: u64,
    /// The last event has no answer yet.
    unanswered: bool,
    answer: Option<PipeAnswer>,
    /// The error of an event whose `send` did not wait for the answer.
    late_error: Option<SendError>,
    sender_dropped: bool,
    failure: Option<PipeFailure>,
    /// The loop has woken the inner app's sender since `drive` has polled the app.
    sender_woken: bool,
}

/// The answer of the loop to one event.
enum PipeAnswer {
    Given(Result<(), SendError>),
    /// The loop has dropped its reply.
    Dropped,
}

impl PipeAnswer {
    fn into_error(self) -> Option<SendError> {
        match self {
            Self::Given(result) => result.err(),
            Self::Dropped => None,
        }
    }
}

/// Why the inner app can send nothing more.
enum PipeFailure {
    /// The inner app has ended.
    AppEnded,
    /// The loop has returned `Ok`.
    PumpEnded,
    /// The loop has failed, with this error for the inner app.
    PumpFailed(SendError),
}

impl PipeFailure {
    fn error(&self) -> SendError {
        match self {
            Self::AppEnded | Self::PumpEnded => SendError::over(),
            Self::PumpFailed(error) => error.clone(),
        }
    }
}

impl PipeSlot {
    fn take_late_error(&mut self) -> Option<SendError> {
        let error = self.answer.take().and_then(PipeAnswer::into_error);
        self.late_error.take().or(error)
    }

    fn app_has_ended(&self) -> bool {
        matches!(self.failure, Some(PipeFailure::AppEnded))
    }

    fn offer(&mut self, event: SendEvent) {
        self.room_promised = false;
        self.event = Some(event);
        self.number += 1;
        self.unanswered = true;
    }

    /// Returns the answer to the last event, or the reason why there will be none.
    fn take_answer(&mut self) -> Option<Result<(), SendError>> {
        match (self.answer.take(), &self.failure) {
            (Some(PipeAnswer::Given(result)), _) => Some(result),
            // The loop failed while it handled the event.
            (Some(PipeAnswer::Dropped), Some(PipeFailure::PumpFailed(error))) => {
                Some(Err(error.clone()))
            }
            (Some(PipeAnswer::Dropped), _) => Some(Ok(())),
            (None, _) if !self.unanswered => Some(Ok(())),
            (None, Some(failure)) if self.event.is_some() => {
                let error = failure.error();
                self.event = None;
                self.unanswered = false;
                Some(Err(error))
            }
            (None, _) => None,
        }
    }
}

impl PipeShared {
    /// Returns the context in which the server's sender and the loop are polled.
    fn context(&self) -> Context<'_> {
        Context::from_waker(&self.waker)
    }

    /// Registers a waiter of the loop, unless `waker` is the one that the loop is polled with.
    fn register(&self, waiter: PipeWaiter, waker: &Waker) {
        if !waker.will_wake(&self.waker) {
            self.wakers.register(waiter, waker);
        }
    }

    fn poll_app(
        &self,
        cx: &mut Context<'_>,
        mut app: Pin<&mut impl Future<Output = Result<(), AppError>>>,
    ) -> Poll<Result<(), AppError>> {
        self.wakers.register(PipeWaiter::Drive, cx.waker());
        loop {
            let result = app.as_mut().poll(cx);
            lock(&self.slot).sender_woken = false;
            if result.is_pending() {
                self.poll_pump();
            }
            // If both have failed, the loop was first: the app saw its end.
            if let Some(error) = lock(&self.pump).error.take() {
                return Poll::Ready(Err(error));
            }
            // If the loop has woken the app, the app can continue. It must do so before this returns
            // `Pending`, or the server sends a head that it holds back.
            if result.is_ready() || !lock(&self.slot).sender_woken {
                return result;
            }
        }
    }

    /// Polls the loop, unless it has ended.
    fn poll_pump(&self) {
        let (ended, failure) = {
            let mut pump = lock(&self.pump);
            let Some(future) = &mut pump.future else {
                return;
            };
            let Poll::Ready(result) = future.as_mut().poll(&mut self.context()) else {
                return;
            };
            pump.error = result.err();
            let failure = match &pump.error {
                None => PipeFailure::PumpEnded,
                Some(error) => {
                    let error = error.as_error().downcast_ref::<SendError>();
                    PipeFailure::PumpFailed(error.cloned().unwrap_or_else(SendError::over))
                }
            };
            (pump.future.take(), failure)
        };
        drop(ended);
        {
            let mut slot = lock(&self.slot);
            slot.failure.get_or_insert(failure);
            slot.sender_woken = true;
        }
        self.wakers.wake_all();
    }

    fn wake_sender(&self) {
        if self.wakers.wake_one(PipeWaiter::Ready) {
            lock(&self.slot).sender_woken = true;
        }
    }

    fn end_app(&self) {
        lock(&self.slot)
            .failure
            .get_or_insert(PipeFailure::AppEnded);
        self.wakers.wake_one(PipeWaiter::Ready);
        self.wakers.wake_one(PipeWaiter::Closed);
    }

    fn answer(&self, number: u64, answer: PipeAnswer) {
        {
            let mut slot = lock(&self.slot);
            if slot.number == number {
                if !slot.unanswered {
                    return;
                }
                slot.unanswered = false;
                slot.answer = Some(answer);
            } else if let Some(error) = answer.into_error() {
                slot.late_error.get_or_insert(error);
            }
        }
        self.wake_sender();
    }

    /// Polls whether the loop waits for an event and the server has room for it.
    fn poll_ready(&self, cx: &Context<'_>) -> Poll<Result<(), SendError>> {
        // Mostly the first try succeeds, and then no waker is needed.
        if let Poll::Ready(result) = self.try_ready() {
            return Poll::Ready(result);
        }
        self.wakers.register(PipeWaiter::Ready, cx.waker());
        self.try_ready()
    }

    fn try_ready(&self) -> Poll<Result<(), SendError>> {
        if !lock(&self.slot).wanted {
            self.poll_pump();
        }
        if lock(&self.slot).app_has_ended() {
            return Poll::Ready(Err(SendError::over()));
        }
        let room = lock(&self.outer).poll_ready(&mut self.context())?;
        {
            let mut slot = lock(&self.slot);
            if let Some(failure) = &slot.failure {
                return Poll::Ready(Err(failure.error()));
            }
            if let Some(error) = slot.take_late_error() {
                return Poll::Ready(Err(error));
            }
            slot.room_promised |= slot.wanted && slot.event.is_none() && room.is_ready();
            if slot.room_promised {
                return Poll::Ready(Ok(()));
            }
            if room.is_pending() {
                return Poll::Pending;
            }
        }
        // The loop is busy, and the server has room. The wait must still end once the client is
        // gone.
        let _ = lock(&self.outer).poll_closed(&mut self.context());
        Poll::Pending
    }

    /// Gives an event to the loop and lets it run.
    fn offer(&self, event: SendEvent) {
        lock(&self.slot).offer(event);
        self.wakers.wake_one(PipeWaiter::Next);
        self.poll_pump();
    }

    /// Polls for the answer to the event that was offered.
    fn poll_answer(&self, cx: &Context<'_>) -> Poll<Result<(), SendError>> {
        if let Some(answer) = lock(&self.slot).take_answer() {
            return Poll::Ready(answer);
        }
        self.wakers.register(PipeWaiter::Ready, cx.waker());
        self.poll_pump();
        if let Some(answer) = lock(&self.slot).take_answer() {
            return Poll::Ready(answer);
        }
        let mut outer = lock(&self.outer);
        // The error says that the client is gone. The loop may still wait for something else.
        let _ = outer.poll_ready(&mut self.context())?;
        let _ = outer.poll_closed(&mut self.context());
        Poll::Pending
    }
}

/// The inner app's side of a pipe.
struct PipeSend(Arc<PipeShared>);

impl SendHalf for PipeSend {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.0.poll_ready(cx)
    }

    fn start_send(&mut self, event: SendEvent) -> Result<(), SendError> {
        let shared = &self.0;
        {
            let slot = lock(&shared.slot);
            if slot.app_has_ended() {
                return Err(SendError::over());
            }
            if !slot.room_promised {
                let got = format!("{} without room for it", event.name());
                return Err(SendError::misuse(got, "start_send only after poll_ready"));
            }
        }
        shared.offer(event);
        // If the loop waits, its answer comes too late for this event: the next one gets it.
        let answer = lock(&shared.slot).take_answer();
        answer.unwrap_or(Ok(()))
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<DisconnectReason> {
        let shared = &self.0;
        shared.wakers.register(PipeWaiter::Closed, cx.waker());
        if lock(&shared.slot).app_has_ended() {
            return Poll::Ready(DisconnectReason::Complete);
        }
        lock(&shared.outer).poll_closed(&mut shared.context())
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        event: &mut Option<SendEvent>,
    ) -> Poll<Result<(), SendError>> {
        if event.is_some() {
            ready!(self.0.poll_ready(cx))?;
            if let Some(event) = event.take() {
                self.0.offer(event);
            }
        }
        self.0.poll_answer(cx)
    }
}

impl Drop for PipeSend {
    fn drop(&mut self) {
        lock(&self.0.slot).sender_dropped = true;
        self.0.wakers.wake_one(PipeWaiter::Next);
        self.0.wakers.wake_one(PipeWaiter::Drive);
    }
}

/// Locks a mutex and ignores poisoning: a loop that has panicked panics again when it is polled.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
