//! Both halves of an exchange in one shared value.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use crate::{
    Closed, DisconnectReason, HttpResponseStart, ReceiveEvent, Receiver, SendError, SendEvent,
    Sender,
};

/// Both halves of an exchange in one type.
///
/// Implement this trait instead of [`ReceiveHalf`](crate::ReceiveHalf) and
/// [`SendHalf`](crate::SendHalf) if the server keeps the exchange in an `Arc` anyway. [`halves`]
/// then makes a [`Receiver`] and a [`Sender`] without another allocation.
///
/// # Contract
///
/// The contracts of `ReceiveHalf` and `SendHalf` apply to the methods with the same names. Callers
/// **may** use the two halves from two threads at once. They **must not** use one half from two
/// threads at once.
///
/// Spec: core §4.
pub trait SharedHalves: Send + Sync {
    /// See [`ReceiveHalf::poll_receive`](crate::ReceiveHalf::poll_receive).
    fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<ReceiveEvent>;

    /// See [`SendHalf::poll_ready`](crate::SendHalf::poll_ready).
    ///
    /// # Errors
    ///
    /// Returns the errors of [`SendHalf::poll_ready`](crate::SendHalf::poll_ready).
    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>>;

    /// See [`SendHalf::start_send`](crate::SendHalf::start_send).
    ///
    /// # Errors
    ///
    /// Returns the errors of [`SendHalf::start_send`](crate::SendHalf::start_send).
    fn start_send(&self, event: SendEvent) -> Result<(), SendError>;

    /// See [`SendHalf::poll_closed`](crate::SendHalf::poll_closed).
    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<DisconnectReason>;

    /// See [`SendHalf::closed_handle`](crate::SendHalf::closed_handle).
    fn closed_handle(self: Arc<Self>) -> Closed;

    /// See [`SendHalf::poll_send`](crate::SendHalf::poll_send).
    ///
    /// # Errors
    ///
    /// Returns the errors of [`SendHalf::poll_send`](crate::SendHalf::poll_send).
    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        event: &mut Option<SendEvent>,
    ) -> Poll<Result<(), SendError>> {
        ready!(self.poll_ready(cx))?;
        Poll::Ready(event.take().map_or(Ok(()), |event| self.start_send(event)))
    }

    /// Takes a complete response from `response`: its start, and its body as the last part.
    ///
    /// Override this method if doing both at once is cheaper. The result **must** be that of two
    /// events. The default takes nothing, and the caller then sends two events.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`poll_send`](Self::poll_send) for the two events.
    fn poll_respond(
        &self,
        _cx: &mut Context<'_>,
        _response: &mut Option<(HttpResponseStart, Bytes)>,
    ) -> Poll<Result<(), SendError>> {
        Poll::Ready(Ok(()))
    }
}

/// The half inside a receiver or a sender.
pub(crate) enum HalfBox<H: ?Sized> {
    Own(Box<H>),
    Shared(Arc<dyn SharedHalves>),
}

/// Makes the receiver and the sender for one call of an app from a shared value.
///
/// Spec: core §3.
pub fn halves(shared: Arc<impl SharedHalves + 'static>) -> (Receiver, Sender) {
    let receive = Receiver::shared(Arc::clone(&shared) as Arc<dyn SharedHalves>);
    (receive, Sender::shared(shared))
}
