//! The half through which an app receives.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};

use crate::{BodyError, ReceiveEvent, SharedHalves};

/// What a server implements so that an app can receive.
///
/// # Contract
///
/// - `poll_receive` **must** take an event out only when it returns `Ready`: a future that is
///   dropped while it waits has lost nothing.
/// - It **must** remember the waker of its last caller; the half may have moved to another task.
/// - After the last event of a protocol (a disconnect, the shutdown) it **must** return that event
///   again, at once, whenever it is asked.
///
/// Spec: core §3.
pub trait ReceiveHalf: Send {
    /// Waits for the next event.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<ReceiveEvent>;
}

/// Yields the events of the other side.
///
/// Spec: core §3.
pub struct Receiver(Inner);

enum Inner {
    Own(Box<dyn ReceiveHalf>),
    Shared(Arc<dyn SharedHalves>),
}

impl Receiver {
    /// Wraps a server's or a middleware's half.
    pub fn new(half: impl ReceiveHalf + 'static) -> Self {
        Self(Inner::Own(Box::new(half)))
    }

    pub(crate) fn shared(halves: Arc<dyn SharedHalves>) -> Self {
        Self(Inner::Shared(halves))
    }

    /// The next event.
    ///
    /// Cancel-safe: a call that is dropped before it is done has taken nothing.
    pub async fn receive(&mut self) -> ReceiveEvent {
        poll_fn(|cx| self.poll_receive(cx)).await
    }

    /// [`receive`](Self::receive) for code that polls.
    pub fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<ReceiveEvent> {
        match &mut self.0 {
            Inner::Own(half) => half.poll_receive(cx),
            Inner::Shared(halves) => halves.poll_receive(cx),
        }
    }

    /// Reads what is left of the request's body, at most `limit` bytes of it.
    ///
    /// A body in one part is not copied. Not cancel-safe: what a dropped call had read is gone.
    ///
    /// # Errors
    ///
    /// The body is larger than `limit`, or the client left before it was complete.
    ///
    /// ```
    /// # use asgi::{AppError, Receiver};
    /// # async fn f(mut receive: Receiver) -> Result<(), AppError> {
    /// let body = receive.body(64 * 1024).await?;
    /// # Ok(()) }
    /// ```
    pub async fn body(&mut self, limit: usize) -> Result<Bytes, BodyError> {
        let mut whole = BytesMut::new();
        loop {
            let part = match self.receive().await {
                ReceiveEvent::HttpRequest(part) => part,
                ReceiveEvent::HttpDisconnect(end) => {
                    return Err(BodyError::disconnected(end.reason));
                }
                // Not of this protocol: there is no body to wait for.
                _ => return Ok(whole.freeze()),
            };
            if part.body.len() > limit - whole.len() {
                return Err(BodyError::too_large(limit));
            }
            if !part.more_body && whole.is_empty() {
                return Ok(part.body);
            }
            whole.extend_from_slice(&part.body);
            if !part.more_body {
                return Ok(whole.freeze());
            }
        }
    }

    /// Passes each event through `f` on its way to the app.
    #[must_use]
    pub fn map(self, f: impl FnMut(ReceiveEvent) -> ReceiveEvent + Send + 'static) -> Self {
        Self::new(Map { receive: self, f })
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

struct Map<F> {
    receive: Receiver,
    f: F,
}

impl<F: FnMut(ReceiveEvent) -> ReceiveEvent + Send> ReceiveHalf for Map<F> {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<ReceiveEvent> {
        let event = ready!(self.receive.poll_receive(cx));
        Poll::Ready((self.f)(event))
    }
}
