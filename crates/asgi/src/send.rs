//! `Sender`, and the trait that a server implements for it.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use crate::halves::HalfBox;
use crate::{
    DisconnectReason, HttpResponseBody, HttpResponseStart, SendError, SendEvent, SharedHalves,
};

/// The server's side of a [`Sender`]: a sink for [`SendEvent`]s.
///
/// A server implements this trait to take events from an app. A middleware can implement it to
/// change them.
///
/// # Contract
///
/// - `poll_ready` applies back-pressure. It **must** return `Pending` while there is no room
///   because earlier events still wait. It **must** return an error once the client is gone, and
///   **must not** stay `Pending` then.
/// - A caller **must** call `start_send` only after `poll_ready` has returned `Ready(Ok(()))`. Each
///   of these results allows one call.
/// - `start_send` takes the whole event or returns an error. If it returns an error, it **must
///   not** change anything.
/// - `poll_closed` **must not** read a part of the request body to learn whether the client has
///   left.
/// - Each poll method **must** wake the task that polled it last, independently of the others. One
///   task may send while another waits for the close.
///
/// Spec: core §4.
pub trait SendHalf: Send {
    /// Polls for room for one event.
    ///
    /// # Errors
    ///
    /// Returns an error if the client is gone or if the app has returned.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>>;

    /// Takes one event.
    ///
    /// # Errors
    ///
    /// Returns an error if the event breaks the rules, if the connection does not support it, if
    /// the client is gone, or if the app has returned.
    fn start_send(&mut self, event: SendEvent) -> Result<(), SendError>;

    /// Polls whether the exchange is complete or the client has left.
    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<DisconnectReason>;

    /// Returns a future that waits as [`poll_closed`](Self::poll_closed) does, for any task.
    ///
    /// A server **must** keep a waker for each of these futures that waits, and forget the waker
    /// when the future is dropped. A middleware returns the handle of the sender inside.
    fn closed_handle(&self) -> Closed;

    /// Calls [`poll_ready`](Self::poll_ready), then [`start_send`](Self::start_send) with the event
    /// that it takes from `event`.
    ///
    /// Override this method if doing both at once is cheaper.
    ///
    /// # Errors
    ///
    /// Returns the errors of these two methods.
    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        event: &mut Option<SendEvent>,
    ) -> Poll<Result<(), SendError>> {
        ready!(self.poll_ready(cx))?;
        Poll::Ready(event.take().map_or(Ok(()), |event| self.start_send(event)))
    }
}

/// Calls a method of the half inside a sender.
macro_rules! on_half {
    ($sender:ident, $half:ident => $call:expr) => {
        match &mut $sender.0 {
            HalfBox::Own($half) => $call,
            HalfBox::Shared($half) => $call,
        }
    };
}

/// Takes the events that the app sends.
///
/// Spec: core §4.
pub struct Sender(HalfBox<dyn SendHalf>);

impl Sender {
    /// Creates a sender from a server's or a middleware's [`SendHalf`].
    pub fn new(half: impl SendHalf + 'static) -> Self {
        Self(HalfBox::Own(Box::new(half)))
    }

    pub(crate) fn shared(halves: Arc<dyn SharedHalves>) -> Self {
        Self(HalfBox::Shared(halves))
    }

    /// Sends one event. This waits until there is room for it.
    ///
    /// # Cancel safety
    ///
    /// This method is cancel-safe. If the future is dropped before it resolves, it has sent
    /// nothing.
    ///
    /// # Errors
    ///
    /// Returns an error if
    ///
    /// - the client is gone ([`SendError::is_disconnected`]),
    /// - the event breaks the rules of the exchange ([`SendError::is_misuse`]),
    /// - this connection does not support the event ([`SendError::is_refused`]), or
    /// - the app has returned ([`SendError::is_over`]).
    ///
    /// An app can pass every one of these errors on with `?`. A server knows that an app did
    /// nothing wrong if it ended because its client left.
    pub async fn send(&mut self, event: impl Into<SendEvent>) -> Result<(), SendError> {
        let mut event = Some(event.into());
        poll_fn(|cx| self.poll_send(cx, &mut event)).await
    }

    /// Sends a complete response: `start`, then `body` in one part.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`send`](Self::send).
    ///
    /// ```
    /// # use asgi::{AppError, HttpResponseStart, Sender};
    /// # async fn f(mut send: Sender) -> Result<(), AppError> {
    /// send.respond(HttpResponseStart::ok().content_type("text/plain"), "Hello\n").await?;
    /// # Ok(()) }
    /// ```
    pub async fn respond(
        &mut self,
        start: HttpResponseStart,
        body: impl Into<Bytes>,
    ) -> Result<(), SendError> {
        let mut response = Some((start, body.into()));
        poll_fn(|cx| self.poll_respond(cx, &mut response)).await?;
        let Some((start, body)) = response else {
            return Ok(());
        };
        self.send(start).await?;
        self.send(HttpResponseBody::last(body)).await
    }

    /// Makes the server send the response head now.
    ///
    /// A server holds the head back until the app sends the first part of the body or waits for
    /// something. This method sends an empty part, which ends that wait. Before the start, after the
    /// last part and in other protocols, there is nothing to flush, and this does nothing.
    ///
    /// # Errors
    ///
    /// Returns an error if the client is gone, if the app has returned, or if a middleware makes a
    /// part of the empty one that breaks the rules.
    pub async fn flush(&mut self) -> Result<(), SendError> {
        let result = self.send(HttpResponseBody::more(Bytes::new())).await;
        match result.as_ref().map_err(SendError::as_misuse) {
            // A part is not expected now, so there is nothing to flush. Any other misuse is about
            // what a middleware has made of the empty part.
            Err(Some(("http.response.body", _))) => Ok(()),
            _ => result,
        }
    }

    /// Waits until the exchange is complete or the client has left.
    ///
    /// If the reason is [`DisconnectReason::Closed`], an HTTP client has only closed its own side:
    /// it may still read, and `send` still works. [`DisconnectReason::is_gone`] tells the
    /// difference. This method reads nothing of the request body. To wait in another task than the
    /// one that sends, use [`closed_handle`](Self::closed_handle).
    ///
    /// # Cancel safety
    ///
    /// This method is cancel-safe.
    ///
    /// ```
    /// # use asgi::Sender;
    /// # async fn tick() {}
    /// # async fn f(send: &mut Sender) {
    /// // In a `select!` of the app's runtime, next to work that only this client needs.
    /// let reason = send.closed().await;
    /// # }
    /// ```
    pub async fn closed(&mut self) -> DisconnectReason {
        poll_fn(|cx| self.poll_closed(cx)).await
    }

    /// Returns a future that waits as [`closed`](Self::closed) does and does not borrow the sender.
    ///
    /// One task can send while others wait for the close. Each call returns another handle, and any
    /// number of them can wait at once.
    ///
    /// ```
    /// # use asgi::{HttpResponseBody, SendError, Sender};
    /// # async fn f(mut send: Sender, spawn: impl Fn(std::pin::Pin<Box<dyn Future<Output = ()> + Send>>)) -> Result<(), SendError> {
    /// let closed = send.closed_handle();
    /// spawn(Box::pin(async move {
    ///     let reason = closed.await;
    ///     println!("stop the query: {reason}");
    /// }));
    /// send.send(HttpResponseBody::more("row\n")).await?;
    /// # Ok(()) }
    /// ```
    pub fn closed_handle(&self) -> Closed {
        match &self.0 {
            HalfBox::Own(half) => half.closed_handle(),
            HalfBox::Shared(halves) => Arc::clone(halves).closed_handle(),
        }
    }

    /// Calls [`SendHalf::poll_ready`] of the inner half.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`SendHalf::poll_ready`].
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        on_half!(self, half => half.poll_ready(cx))
    }

    /// Calls [`SendHalf::start_send`] of the inner half.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`SendHalf::start_send`].
    pub fn start_send(&mut self, event: SendEvent) -> Result<(), SendError> {
        event.check()?;
        on_half!(self, half => half.start_send(event))
    }

    /// Calls [`SendHalf::poll_closed`] of the inner half.
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<DisconnectReason> {
        on_half!(self, half => half.poll_closed(cx))
    }

    /// Calls [`SendHalf::poll_send`] of the inner half.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`SendHalf::poll_send`].
    pub fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        event: &mut Option<SendEvent>,
    ) -> Poll<Result<(), SendError>> {
        if let Some(Err(error)) = event.as_ref().map(SendEvent::check) {
            // The errors of `poll_ready` come first. (CORE-027)
            ready!(self.poll_ready(cx))?;
            return Poll::Ready(Err(error));
        }
        on_half!(self, half => half.poll_send(cx, event))
    }

    /// Calls [`SharedHalves::poll_respond`] of the inner half. If the half takes no complete
    /// responses, `response` is left as it is.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`SharedHalves::poll_respond`].
    pub fn poll_respond(
        &mut self,
        cx: &mut Context<'_>,
        response: &mut Option<(HttpResponseStart, Bytes)>,
    ) -> Poll<Result<(), SendError>> {
        match (&self.0, &*response) {
            (HalfBox::Shared(half), Some((start, _))) if start.invalid.0.is_none() => {
                half.poll_respond(cx, response)
            }
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Returns a sender that passes each event through `f` before the server gets it.
    ///
    /// `f` also gets events that the server then refuses, and the empty parts of
    /// [`flush`](Self::flush). If `f` counts or remembers events, use [`observe`](Self::observe).
    #[must_use]
    pub fn map(self, mut f: impl FnMut(SendEvent) -> SendEvent + Send + 'static) -> Self {
        self.with(move |event, send| send.start_send(f(event)))
    }

    /// Returns a sender that calls `taken` for each event that the server takes.
    ///
    /// `look` makes a value of each event, and `taken` gets that value once the server has taken
    /// the event. If the server refuses the event, the value is dropped.
    ///
    /// ```
    /// # use asgi::{SendEvent, Sender};
    /// # fn f(send: Sender) -> Sender {
    /// let mut bytes_sent = 0;
    /// let send = send.observe(
    ///     |event| match event {
    ///         SendEvent::HttpResponseBody(part) => part.body.len(),
    ///         _ => 0,
    ///     },
    ///     move |length| bytes_sent += length,
    /// );
    /// # send }
    /// ```
    #[must_use]
    pub fn observe<T>(
        self,
        mut look: impl FnMut(&SendEvent) -> T + Send + 'static,
        mut taken: impl FnMut(T) + Send + 'static,
    ) -> Self {
        self.with(move |event, send| {
            let value = look(&event);
            send.start_send(event)?;
            taken(value);
            Ok(())
        })
    }

    fn with<F>(self, start: F) -> Self
    where
        F: FnMut(SendEvent, &mut Self) -> Result<(), SendError> + Send + 'static,
    {
        Self::new(WithStart { send: self, start })
    }
}

/// A future that waits until an exchange is complete or its client has left.
/// [`Sender::closed_handle`] returns it.
///
/// It yields the same reason as [`Sender::closed`]. It is `'static`, so that it can move to another
/// task. Do not poll it again after it has resolved.
///
/// Spec: core §4.
#[must_use = "futures do nothing unless they are polled"]
pub struct Closed(Pin<Box<dyn Future<Output = DisconnectReason> + Send>>);

impl Closed {
    /// Creates a handle from a server's future.
    pub fn new(future: impl Future<Output = DisconnectReason> + Send + 'static) -> Self {
        Self(Box::pin(future))
    }
}

impl Future for Closed {
    type Output = DisconnectReason;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<DisconnectReason> {
        self.0.as_mut().poll(cx)
    }
}

opaque_debug!(Closed);

opaque_debug!(Sender);

/// A sender inside, and a function that passes each event on to it.
struct WithStart<F> {
    send: Sender,
    start: F,
}

impl<F> SendHalf for WithStart<F>
where
    F: FnMut(SendEvent, &mut Sender) -> Result<(), SendError> + Send,
{
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.send.poll_ready(cx)
    }

    fn start_send(&mut self, event: SendEvent) -> Result<(), SendError> {
        (self.start)(event, &mut self.send)
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<DisconnectReason> {
        self.send.poll_closed(cx)
    }

    fn closed_handle(&self) -> Closed {
        self.send.closed_handle()
    }
}
