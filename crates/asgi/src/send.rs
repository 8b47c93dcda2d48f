//! `Sender`, and the trait that a server implements for it.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

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

/// Takes the events that the app sends.
///
/// Spec: core §4.
pub struct Sender(SenderInner);

enum SenderInner {
    Own(Box<dyn SendHalf>),
    Shared(Arc<dyn SharedHalves>),
}

impl Sender {
    /// Creates a sender from a server's or a middleware's [`SendHalf`].
    pub fn new(half: impl SendHalf + 'static) -> Self {
        Self(SenderInner::Own(Box::new(half)))
    }

    pub(crate) fn shared(halves: Arc<dyn SharedHalves>) -> Self {
        Self(SenderInner::Shared(halves))
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
        self.send(start).await?;
        self.send(HttpResponseBody::last(body)).await
    }

    /// Makes the server send the response head now.
    ///
    /// A server holds the head back until the app sends the first part of the body or waits for
    /// something. This method sends an empty part, which ends that wait.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`send`](Self::send).
    pub async fn flush(&mut self) -> Result<(), SendError> {
        self.send(HttpResponseBody::more(Bytes::new())).await
    }

    /// Waits until the exchange is complete or the client has left.
    ///
    /// This reads nothing of the request body.
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

    /// Calls [`SendHalf::poll_ready`] of the inner half.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`SendHalf::poll_ready`].
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        match &mut self.0 {
            SenderInner::Own(half) => half.poll_ready(cx),
            SenderInner::Shared(halves) => halves.poll_ready(cx),
        }
    }

    /// Calls [`SendHalf::start_send`] of the inner half.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`SendHalf::start_send`].
    pub fn start_send(&mut self, event: SendEvent) -> Result<(), SendError> {
        match &mut self.0 {
            SenderInner::Own(half) => half.start_send(event),
            SenderInner::Shared(halves) => halves.start_send(event),
        }
    }

    /// Calls [`SendHalf::poll_closed`] of the inner half.
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<DisconnectReason> {
        match &mut self.0 {
            SenderInner::Own(half) => half.poll_closed(cx),
            SenderInner::Shared(halves) => halves.poll_closed(cx),
        }
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
        match &mut self.0 {
            SenderInner::Own(half) => half.poll_send(cx, event),
            SenderInner::Shared(halves) => halves.poll_send(cx, event),
        }
    }

    /// Returns a sender that passes each event through `f` before the server gets it.
    #[must_use]
    pub fn map(self, f: impl FnMut(SendEvent) -> SendEvent + Send + 'static) -> Self {
        Self::new(MapSend { send: self, f })
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

struct MapSend<F> {
    send: Sender,
    f: F,
}

impl<F: FnMut(SendEvent) -> SendEvent + Send> SendHalf for MapSend<F> {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.send.poll_ready(cx)
    }

    fn start_send(&mut self, event: SendEvent) -> Result<(), SendError> {
        let event = (self.f)(event);
        self.send.start_send(event)
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<DisconnectReason> {
        self.send.poll_closed(cx)
    }
}
