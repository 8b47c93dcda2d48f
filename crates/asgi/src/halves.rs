//! Both halves of an exchange in one value.

use std::sync::Arc;
use std::task::{Context, Poll};

use crate::{DisconnectReason, ReceiveEvent, Receiver, SendError, SendEvent, Sender};

/// Both halves in one, for a server that shares its exchange with the app anyway.
///
/// [`halves`] makes them of it without another allocation.
///
/// # Contract
///
/// Those of [`ReceiveHalf`](crate::ReceiveHalf) and [`SendHalf`](crate::SendHalf), each of whose
/// methods has its like here. They **may** be called from two threads at once, but never the same
/// one of the two halves'.
///
/// Spec: core §4.
pub trait SharedHalves: Send + Sync {
    /// [`ReceiveHalf::poll_receive`](crate::ReceiveHalf::poll_receive)
    fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<ReceiveEvent>;

    /// [`SendHalf::poll_ready`](crate::SendHalf::poll_ready)
    ///
    /// # Errors
    ///
    /// As there.
    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>>;

    /// [`SendHalf::start_send`](crate::SendHalf::start_send)
    ///
    /// # Errors
    ///
    /// As there.
    fn start_send(&self, event: SendEvent) -> Result<(), SendError>;

    /// [`SendHalf::poll_closed`](crate::SendHalf::poll_closed)
    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<DisconnectReason>;

    /// [`SendHalf::poll_send`](crate::SendHalf::poll_send)
    ///
    /// # Errors
    ///
    /// As there.
    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        event: &mut Option<SendEvent>,
    ) -> Poll<Result<(), SendError>>;
}

/// The halves for one app, of a value that is both.
///
/// Spec: core §3.
pub fn halves(shared: Arc<impl SharedHalves + 'static>) -> (Receiver, Sender) {
    let receive = Receiver::shared(Arc::clone(&shared) as Arc<dyn SharedHalves>);
    (receive, Sender::shared(shared))
}
