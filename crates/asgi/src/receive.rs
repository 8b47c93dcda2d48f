//! `Receiver`, and the trait that a server implements for it.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};

use crate::error::BodyErrorKind;
use crate::halves::HalfBox;
use crate::{BodyError, HttpRequest, ReceiveEvent, SendError, SharedHalves};

/// The server's side of a [`Receiver`].
///
/// A server implements this trait to give events to an app. A middleware can implement it to change
/// them.
///
/// # Contract
///
/// - `poll_receive` **must** remove an event from its queue only if it returns `Ready` with that
///   event. A caller that drops its future while it waits loses no event.
/// - `poll_receive` **must** wake the task that polled last, because the app may have moved the
///   receiver to another task.
/// - The last event of a protocol is a disconnect or the shutdown. After it, `poll_receive`
///   **must** return that event again, at once, on each call.
///
/// Spec: core §3.
pub trait ReceiveHalf: Send {
    /// Polls for the next event.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<ReceiveEvent>;
}

/// Yields the events that the server has for the app.
///
/// Spec: core §3.
pub struct Receiver {
    inner: HalfBox<dyn ReceiveHalf>,
    /// An event that comes before those of `inner`.
    kept: Option<Box<ReceiveEvent>>,
    progress: BodyProgress,
}

/// What the events so far say about the request body.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BodyProgress {
    Unread,
    /// The last part has been returned.
    Read,
    /// There was an event of another protocol.
    NotHttp,
}

impl Receiver {
    /// Creates a receiver from a server's or a middleware's [`ReceiveHalf`].
    pub fn new(half: impl ReceiveHalf + 'static) -> Self {
        Self::from_inner(HalfBox::Own(Box::new(half)))
    }

    pub(crate) fn shared(halves: Arc<dyn SharedHalves>) -> Self {
        Self::from_inner(HalfBox::Shared(halves))
    }

    fn from_inner(inner: HalfBox<dyn ReceiveHalf>) -> Self {
        Self {
            inner,
            kept: None,
            progress: BodyProgress::Unread,
        }
    }

    /// Waits for the next event.
    ///
    /// # Cancel safety
    ///
    /// This method is cancel-safe. If the future is dropped before it resolves, no event is lost.
    pub async fn receive(&mut self) -> ReceiveEvent {
        poll_fn(|cx| self.poll_receive(cx)).await
    }

    /// Polls for the next event, like [`receive`](Self::receive).
    pub fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<ReceiveEvent> {
        let event = match self.kept.take() {
            Some(event) => *event,
            None => ready!(match &mut self.inner {
                HalfBox::Own(half) => half.poll_receive(cx),
                HalfBox::Shared(halves) => halves.poll_receive(cx),
            }),
        };
        match &event {
            ReceiveEvent::HttpRequest(part) if !part.more_body => {
                self.progress = BodyProgress::Read;
            }
            ReceiveEvent::HttpRequest(_) | ReceiveEvent::HttpDisconnect(_) => {}
            _ => self.progress = BodyProgress::NotHttp,
        }
        Poll::Ready(event)
    }

    /// Reads the rest of the request body, up to `limit` bytes.
    ///
    /// A body that comes in one part is not copied.
    ///
    /// # Cancel safety
    ///
    /// This method is not cancel-safe. If the future is dropped, the parts that it has read are
    /// lost.
    ///
    /// # Errors
    ///
    /// Returns an error if
    ///
    /// - the body is larger than `limit` ([`BodyError::is_too_large`]),
    /// - the client leaves before the body is complete ([`BodyError::is_disconnected`]),
    /// - this receiver has already returned the last part ([`BodyError::is_already_read`]); see
    ///   [`with_body`](Self::with_body), or
    /// - the scope is no HTTP request ([`BodyError::is_not_http`]). Then `receive` returns every
    ///   event as if `body` had not been called.
    ///
    /// ```
    /// # use asgi::{AppError, Receiver};
    /// # async fn f(mut receive: Receiver) -> Result<(), AppError> {
    /// let body = receive.body(64 * 1024).await?;
    /// # Ok(()) }
    /// ```
    pub async fn body(&mut self, limit: usize) -> Result<Bytes, BodyError> {
        match self.progress {
            BodyProgress::Unread => {}
            BodyProgress::Read => return Err(BodyError(BodyErrorKind::AlreadyRead)),
            BodyProgress::NotHttp => return Err(BodyError(BodyErrorKind::NotHttp)),
        }
        let mut body = BytesMut::new();
        loop {
            let part = match self.receive().await {
                ReceiveEvent::HttpRequest(part) => part,
                ReceiveEvent::HttpDisconnect(disconnect) => {
                    let error = SendError::disconnected(disconnect.reason);
                    return Err(BodyError(BodyErrorKind::Disconnected(error)));
                }
                other => {
                    self.kept = Some(Box::new(other));
                    return Err(BodyError(BodyErrorKind::NotHttp));
                }
            };
            if part.body.len() > limit - body.len() {
                return Err(BodyError(BodyErrorKind::TooLarge { limit }));
            }
            if !part.more_body && body.is_empty() {
                return Ok(part.body);
            }
            body.extend_from_slice(&part.body);
            if !part.more_body {
                return Ok(body.freeze());
            }
        }
    }

    /// Returns a receiver that gives `body` once more, as one last part, and then goes on as before.
    ///
    /// A middleware that has read the body with [`body`](Self::body) passes it to the app inside
    /// with this method. The body may differ from the one that came. If the scope is no HTTP
    /// request, this changes nothing.
    ///
    /// ```
    /// # use asgi::{App, AppError, Receiver, Scope, Sender};
    /// # async fn f(app: impl App, scope: Scope, mut receive: Receiver, send: Sender) -> Result<(), AppError> {
    /// let body = receive.body(64 * 1024).await?;
    /// // Look at the body here.
    /// app.call(scope, receive.with_body(body), send).await
    /// # }
    /// ```
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        if self.progress != BodyProgress::NotHttp {
            self.kept = Some(Box::new(HttpRequest::last(body).into()));
            self.progress = BodyProgress::Unread;
        }
        self
    }

    /// Returns a receiver that passes each event through `f` before the app gets it.
    #[must_use]
    pub fn map(self, f: impl FnMut(ReceiveEvent) -> ReceiveEvent + Send + 'static) -> Self {
        self.wrap(|receive| MapReceive { receive, f })
    }

    /// Returns a receiver for the half that `wrap` makes around this one.
    ///
    /// Unlike [`new`](Self::new), this keeps what is known about the body: if this receiver has
    /// returned the last part, [`body`](Self::body) of the new one fails with
    /// [`is_already_read`](BodyError::is_already_read) too. (HTTP-078)
    #[must_use]
    pub fn wrap<H: ReceiveHalf + 'static>(self, wrap: impl FnOnce(Self) -> H) -> Self {
        Self {
            progress: self.progress,
            ..Self::new(wrap(self))
        }
    }
}

opaque_debug!(Receiver);

struct MapReceive<F> {
    receive: Receiver,
    f: F,
}

impl<F: FnMut(ReceiveEvent) -> ReceiveEvent + Send> ReceiveHalf for MapReceive<F> {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<ReceiveEvent> {
        let event = ready!(self.receive.poll_receive(cx));
        Poll::Ready((self.f)(event))
    }
}
