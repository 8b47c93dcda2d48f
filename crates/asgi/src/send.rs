//! The half through which an app sends.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use crate::{
    DisconnectReason, HttpResponseBody, HttpResponseStart, SendError, SendEvent, SharedHalves,
};

/// What a server implements so that an app can send: a sink of [`SendEvent`]s.
///
/// # Contract
///
/// - `poll_ready` is the back-pressure: it **must** be pending while an earlier event waits for
///   room. It **must not** be pending for ever once the client is gone: it says so.
/// - `start_send` **must** be called only after `poll_ready` was ready and takes one event, whole.
///   It **must not** change anything when it refuses one.
/// - `poll_closed` **must not** take a part of the request's body to find out.
/// - Each of them **must** remember the waker of its last caller, apart from the others': one task
///   may send while another waits for the close.
///
/// Spec: core §4.
pub trait SendHalf: Send {
    /// Waits for room for one event.
    ///
    /// # Errors
    ///
    /// The client is gone, or the app has returned.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>>;

    /// Takes one event.
    ///
    /// # Errors
    ///
    /// The event breaks the rules, the connection cannot do it, the client is gone, or the app has
    /// returned.
    fn start_send(&mut self, event: SendEvent) -> Result<(), SendError>;

    /// Waits until nobody will see another event.
    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<DisconnectReason>;

    /// [`poll_ready`](Self::poll_ready), and then [`start_send`](Self::start_send) with what is in
    /// `event`: for a half that does both at once for less.
    ///
    /// # Errors
    ///
    /// As these two.
    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        event: &mut Option<SendEvent>,
    ) -> Poll<Result<(), SendError>> {
        ready!(self.poll_ready(cx))?;
        Poll::Ready(event.take().map_or(Ok(()), |event| self.start_send(event)))
    }
}

/// Takes the events of the app.
///
/// Spec: core §4.
pub struct Sender(Inner);

enum Inner {
    Own(Box<dyn SendHalf>),
    Shared(Arc<dyn SharedHalves>),
}

impl Sender {
    /// Wraps a server's or a middleware's half.
    pub fn new(half: impl SendHalf + 'static) -> Self {
        Self(Inner::Own(Box::new(half)))
    }

    pub(crate) fn shared(halves: Arc<dyn SharedHalves>) -> Self {
        Self(Inner::Shared(halves))
    }

    /// Sends one event, as soon as there is room for it.
    ///
    /// Cancel-safe: a call that is dropped before it is done has sent nothing.
    ///
    /// # Errors
    ///
    /// The client is gone ([`SendError::is_disconnected`]), the event breaks the rules of the
    /// exchange ([`SendError::is_misuse`]), or this connection cannot do it
    /// ([`SendError::is_refused`]). With `?` each of them is right: a server knows that an app
    /// which ended because its client left did nothing wrong.
    pub async fn send(&mut self, event: impl Into<SendEvent>) -> Result<(), SendError> {
        let mut event = Some(event.into());
        poll_fn(|cx| self.poll_send(cx, &mut event)).await
    }

    /// Sends a whole response: its start, and the body in one part.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
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

    /// Sends on its way what the server holds back: the head of a response.
    ///
    /// A server waits with the head for the first part of the body, or until the app waits for
    /// something. Who wants it to go now sends an empty part, and that is what this does.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn flush(&mut self) -> Result<(), SendError> {
        self.send(HttpResponseBody::more(Bytes::new())).await
    }

    /// Waits until nobody will see another event: the client left, or the response is complete.
    ///
    /// It reads nothing of the request's body. Cancel-safe.
    ///
    /// ```
    /// # use asgi::Sender;
    /// # async fn tick() {}
    /// # async fn f(send: &mut Sender) {
    /// // In a select! of the app's runtime, beside the work that would be in vain.
    /// let reason = send.closed().await;
    /// # }
    /// ```
    pub async fn closed(&mut self) -> DisconnectReason {
        poll_fn(|cx| self.poll_closed(cx)).await
    }

    /// [`SendHalf::poll_ready`] of the half inside.
    ///
    /// # Errors
    ///
    /// As [`SendHalf::poll_ready`].
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        match &mut self.0 {
            Inner::Own(half) => half.poll_ready(cx),
            Inner::Shared(halves) => halves.poll_ready(cx),
        }
    }

    /// [`SendHalf::start_send`] of the half inside.
    ///
    /// # Errors
    ///
    /// As [`SendHalf::start_send`].
    pub fn start_send(&mut self, event: SendEvent) -> Result<(), SendError> {
        match &mut self.0 {
            Inner::Own(half) => half.start_send(event),
            Inner::Shared(halves) => halves.start_send(event),
        }
    }

    /// [`SendHalf::poll_closed`] of the half inside.
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<DisconnectReason> {
        match &mut self.0 {
            Inner::Own(half) => half.poll_closed(cx),
            Inner::Shared(halves) => halves.poll_closed(cx),
        }
    }

    /// [`SendHalf::poll_send`] of the half inside.
    ///
    /// # Errors
    ///
    /// As [`SendHalf::poll_send`].
    pub fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        event: &mut Option<SendEvent>,
    ) -> Poll<Result<(), SendError>> {
        match &mut self.0 {
            Inner::Own(half) => half.poll_send(cx, event),
            Inner::Shared(halves) => halves.poll_send(cx, event),
        }
    }

    /// Passes each event through `f` on its way to the server.
    #[must_use]
    pub fn map(self, f: impl FnMut(SendEvent) -> SendEvent + Send + 'static) -> Self {
        Self::new(Map { send: self, f })
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

struct Map<F> {
    send: Sender,
    f: F,
}

impl<F: FnMut(SendEvent) -> SendEvent + Send> SendHalf for Map<F> {
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
