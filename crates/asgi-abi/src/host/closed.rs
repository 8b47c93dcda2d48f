//! The host functions that wait for the close of an exchange.

use std::pin::Pin;
use std::task::{Context, Poll};

use asgi::{Closed, DisconnectReason};

use super::halves::{HostSend, half};
use crate::abi;
use crate::panic::catch;
use crate::{inline_storage, waker};

pub(super) unsafe extern "C" fn send_poll_closed(
    send: *mut abi::Send,
    waker: *const abi::Waker,
    disconnect: *mut abi::Disconnect,
) -> u32 {
    // SAFETY: the library keeps the rules for handles; its waker is valid during this call.
    let polled = catch(|| unsafe {
        waker::with_rust_waker(waker, |waker| {
            half(send).send.poll_closed(&mut Context::from_waker(waker))
        })
    });
    // SAFETY: the library passes a valid output parameter.
    unsafe { write_closed(polled, disconnect) }
}

pub(super) unsafe extern "C" fn send_closed_handle(
    send: *const abi::Send,
    closed: *mut abi::Closed,
) -> u32 {
    // SAFETY: the library keeps the rules for handles, so a `HostSend` is there and nothing changes it
    // during this call.
    let made = catch(|| unsafe {
        inline_storage::get_shared::<HostSend, _>(&raw const (*send).store)
            .send
            .closed_handle()
    });
    match made {
        Ok(handle) => {
            let store = inline_storage::put::<Closed, _>(handle);
            // SAFETY: the library passes a valid output parameter.
            unsafe { closed.write(abi::Closed { store }) };
            abi::READY
        }
        Err(_) => abi::PANICKED,
    }
}

pub(super) unsafe extern "C" fn closed_poll(
    closed: *mut abi::Closed,
    waker: *const abi::Waker,
    disconnect: *mut abi::Disconnect,
) -> u32 {
    // SAFETY: the library keeps the rules for handles, and passes one that `send_closed_handle` has
    // made. Its waker is valid during this call.
    let polled = catch(|| unsafe {
        waker::with_rust_waker(waker, |waker| {
            let handle: &mut Closed = inline_storage::get(&raw mut (*closed).store);
            Pin::new(handle).poll(&mut Context::from_waker(waker))
        })
    });
    // SAFETY: the library passes a valid output parameter.
    unsafe { write_closed(polled, disconnect) }
}

pub(super) unsafe extern "C" fn closed_drop(closed: *mut abi::Closed) {
    // SAFETY: the library passes a handle that `send_closed_handle` has made, and drops it only
    // once.
    let handle: Closed = unsafe { inline_storage::take(&raw mut (*closed).store) };
    // The panic hook has reported a panic.
    let _ = catch(|| drop(handle));
}

/// Returns the code of a poll for the end of an exchange, and writes the reason.
///
/// # Safety
///
/// `disconnect` must be valid for a write.
unsafe fn write_closed<E>(
    polled: Result<Poll<DisconnectReason>, E>,
    disconnect: *mut abi::Disconnect,
) -> u32 {
    match polled {
        Ok(Poll::Pending) => abi::PENDING,
        Ok(Poll::Ready(reason)) => {
            // SAFETY: the caller promises that `disconnect` is valid for a write.
            unsafe { disconnect.write(reason.into()) };
            abi::READY
        }
        Err(_) => abi::PANICKED,
    }
}
