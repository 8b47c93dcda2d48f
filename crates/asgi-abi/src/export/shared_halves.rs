//! Both halves of a call in one allocation, and complete responses in one call of the host.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::task::{Context, Poll};

use asgi::{
    Closed, DisconnectReason, HttpResponseStart, ReceiveEvent, ReceiveHalf, Receiver, SendError,
    SendEvent, SendHalf, Sender, SharedHalves,
};
use bytes::Bytes;

use super::halves::{LibraryReceive, LibrarySend, error_from_abi, flag, host_panicked};
use super::task::set_half_pending;
use crate::{abi, headers, waker};

/// Makes the app's halves of the library's.
pub(super) fn halves(receive: LibraryReceive, send: LibrarySend) -> (Receiver, Sender) {
    asgi::halves(Arc::new(LibraryHalves {
        receive: UnsafeCell::new(receive),
        send: UnsafeCell::new(send),
    }))
}

/// The two halves of a call. Only [`halves`] makes them, so one `Receiver` and one `Sender` own them.
struct LibraryHalves {
    receive: UnsafeCell<LibraryReceive>,
    send: UnsafeCell<LibrarySend>,
}

// SAFETY: a `Receiver` and a `Sender` are the only owners. A `Receiver` uses nothing but `receive`, and
// needs `&mut self` for it. A `Sender` uses nothing but `send`, and needs `&mut self` for all methods but
// `closed_handle`, which only reads; while it is borrowed for that, there is no `&mut`.
unsafe impl Sync for LibraryHalves {}

impl LibraryHalves {
    #[expect(
        clippy::mut_from_ref,
        reason = "the halves have one user each: see `Sync`"
    )]
    fn send(&self) -> &mut LibrarySend {
        // SAFETY: see `Sync`: the only `Sender` is borrowed mutably.
        unsafe { &mut *self.send.get() }
    }
}

impl SharedHalves for LibraryHalves {
    fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<ReceiveEvent> {
        // SAFETY: see `Sync`: the only `Receiver` is borrowed mutably.
        unsafe { &mut *self.receive.get() }.poll_receive(cx)
    }

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.send().poll_ready(cx)
    }

    fn start_send(&self, event: SendEvent) -> Result<(), SendError> {
        self.send().start_send(event)
    }

    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<DisconnectReason> {
        self.send().poll_closed(cx)
    }

    fn closed_handle(self: Arc<Self>) -> Closed {
        // SAFETY: see `Sync`: the only `Sender` is borrowed, so nothing changes the half now.
        unsafe { &*self.send.get() }.closed_handle()
    }

    fn poll_respond(
        &self,
        cx: &mut Context<'_>,
        response: &mut Option<(HttpResponseStart, Bytes)>,
    ) -> Poll<Result<(), SendError>> {
        self.send().poll_respond(cx, response)
    }
}

impl LibrarySend {
    /// Passes a complete response to the host. If the host does not take it, it stays in `response`.
    fn poll_respond(
        &mut self,
        cx: &mut Context<'_>,
        response: &mut Option<(HttpResponseStart, Bytes)>,
    ) -> Poll<Result<(), SendError>> {
        if self.budget.must_yield(cx) {
            return Poll::Pending;
        }
        let Some((start, body)) = response.take() else {
            return Poll::Ready(Ok(()));
        };
        let mut error = MaybeUninit::uninit();
        let (code, body) = headers::with_abi_headers(&start.headers, |headers| {
            let mut event = abi::SendEvent {
                status: start.status.as_u16().into(),
                flags: flag(start.trailers, abi::FLAG_TRAILERS),
                headers: headers.as_ptr(),
                n_headers: headers.len(),
                body: body.into(),
                ..abi::SendEvent::new(abi::SEND_HTTP_RESPONSE_START)
            };
            let host = self.application.host;
            // SAFETY: we own the handle, and `start` keeps the headers until this function returns.
            // The waker is valid during the call, and the host may write to the local variables.
            let code = waker::with_abi_waker(cx.waker(), |waker| unsafe {
                let (handle, event) = (&raw mut self.handle, &raw mut event);
                (host.send_respond)(handle, waker, event, error.as_mut_ptr())
            });
            (code, event.body)
        });
        match code {
            abi::PENDING => {
                *response = Some((start, body.into()));
                set_half_pending();
                Poll::Pending
            }
            abi::DECLINED => {
                *response = Some((start, body.into()));
                Poll::Ready(Ok(()))
            }
            abi::READY => {
                self.budget.count_ready();
                headers::recycle(start.headers);
                Poll::Ready(Ok(()))
            }
            // SAFETY: the host returned FAILED, so it has written the error.
            abi::FAILED => Poll::Ready(Err(error_from_abi(unsafe { error.assume_init() }))),
            _ => host_panicked(),
        }
    }
}
