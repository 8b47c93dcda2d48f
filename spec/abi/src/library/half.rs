//! The functions of this host, which the library calls.

use std::mem::size_of;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::exchange::ExchangeShared;
use crate::host::{get, put, take};
use crate::layout::*;
use crate::report;

pub(super) const HOST: Host = Host {
    magic: MAGIC,
    major: MAJOR,
    minor: MINOR,
    size: size_of::<Host>() as u32,
    receive_poll,
    receive_drop,
    send_poll_ready,
    send_start,
    send_respond,
    send_poll_closed,
    send_closed_handle,
    send_drop,
    closed_poll,
    closed_drop,
    log_enabled,
    log,
};

/// A clone of a waker of the library, which this host owns.
pub(super) struct LibraryWaker(*const Waker);

// SAFETY: any thread may use and drop wakers.
unsafe impl std::marker::Send for LibraryWaker {}

impl LibraryWaker {
    /// # Safety
    ///
    /// The waker must be valid.
    unsafe fn new(waker: *const Waker) -> Self {
        // SAFETY: the caller promises it.
        Self(unsafe { ((*(*waker).vtable).clone)(waker) })
    }

    pub(super) fn wake_by_ref(&self) {
        // SAFETY: this host owns the clone.
        unsafe { ((*(*self.0).vtable).wake_by_ref)(self.0) }
    }
}

impl Drop for LibraryWaker {
    fn drop(&mut self) {
        // SAFETY: this host owns the clone, and this is its last use.
        unsafe { ((*(*self.0).vtable).drop)(self.0) }
    }
}

/// The halves of an exchange.
pub(super) fn halves(shared: &Arc<ExchangeShared>) -> (Receive, Send) {
    (put(Arc::clone(shared)), put(Arc::clone(shared)))
}

// SAFETY (of all functions below): the library passes handles that `put` has made and that it has not given
// back, wakers that are valid during the call, and valid output parameters.

unsafe extern "C" fn receive_poll(
    receive: *mut Receive,
    waker: *const Waker,
    event: *mut ReceiveEvent,
) -> u32 {
    // SAFETY: see above.
    unsafe {
        let shared: &mut Arc<ExchangeShared> = get(receive);
        match shared.next_event() {
            Some(next) => {
                event.write(next);
                READY
            }
            None => {
                *shared
                    .receives
                    .lock()
                    .unwrap_or_else(|lock| lock.into_inner()) = Some(LibraryWaker::new(waker));
                PENDING
            }
        }
    }
}

unsafe extern "C" fn receive_drop(receive: *mut Receive) {
    // SAFETY: see above.
    let shared: Box<Arc<ExchangeShared>> = unsafe { take(receive) };
    shared.receives_dropped.fetch_add(1, Ordering::SeqCst);
}

unsafe extern "C" fn send_poll_ready(
    send: *mut Send,
    waker: *const Waker,
    error: *mut SendError,
) -> u32 {
    // SAFETY: see above.
    unsafe {
        let shared: &mut Arc<ExchangeShared> = get(send);
        if shared.is_gone.load(Ordering::SeqCst) {
            error.write(gone());
            return FAILED;
        }
        if shared.waits_for_room.swap(false, Ordering::SeqCst) {
            let later = LibraryWaker::new(waker);
            std::thread::spawn(move || {
                std::thread::sleep(std::time::Duration::from_millis(20));
                later.wake_by_ref();
            });
            return PENDING;
        }
        shared.has_room.store(true, Ordering::SeqCst);
        READY
    }
}

unsafe extern "C" fn send_start(
    send: *mut Send,
    event: *mut SendEvent,
    error: *mut SendError,
) -> u32 {
    // SAFETY: see above. The body belongs to this host now.
    unsafe {
        let shared: &mut Arc<ExchangeShared> = get(send);
        let has_room = shared.has_room.swap(false, Ordering::SeqCst);
        report::check("ABI-025", has_room, || {
            "an event without a READY of send_poll_ready".into()
        });
        (*event).body.give_back();
        if !has_room {
            error.write(misuse());
            return FAILED;
        }
        shared.sent((*event).kind, (*event).flags);
        READY
    }
}

unsafe extern "C" fn send_respond(
    _: *mut Send,
    _: *const Waker,
    _: *mut SendEvent,
    _: *mut SendError,
) -> u32 {
    DECLINED
}

unsafe extern "C" fn send_poll_closed(
    send: *mut Send,
    waker: *const Waker,
    disconnect: *mut Disconnect,
) -> u32 {
    // SAFETY: see above.
    unsafe {
        let shared: &mut Arc<ExchangeShared> = get(send);
        poll_closed(shared, waker, disconnect)
    }
}

/// # Safety
///
/// The waker must be valid, and the output parameter valid for a write.
unsafe fn poll_closed(
    shared: &ExchangeShared,
    waker: *const Waker,
    disconnect: *mut Disconnect,
) -> u32 {
    // SAFETY: the caller promises it.
    unsafe {
        let Some(reason) = shared.left() else {
            let mut waiting = shared
                .closes
                .lock()
                .unwrap_or_else(|lock| lock.into_inner());
            waiting.push(LibraryWaker::new(waker));
            return PENDING;
        };
        disconnect.write(reason);
        READY
    }
}

unsafe extern "C" fn send_closed_handle(send: *const Send, closed: *mut Closed) -> u32 {
    // SAFETY: see above.
    unsafe {
        let shared: &mut Arc<ExchangeShared> = get(send.cast_mut());
        shared.handles.fetch_add(1, Ordering::SeqCst);
        closed.write(put(Arc::clone(shared)));
    }
    READY
}

unsafe extern "C" fn send_drop(send: *mut Send) {
    // SAFETY: see above.
    let shared: Box<Arc<ExchangeShared>> = unsafe { take(send) };
    shared.sends_dropped.fetch_add(1, Ordering::SeqCst);
}

unsafe extern "C" fn closed_poll(
    closed: *mut Closed,
    waker: *const Waker,
    disconnect: *mut Disconnect,
) -> u32 {
    // SAFETY: see above.
    unsafe {
        let shared: &mut Arc<ExchangeShared> = get(closed);
        poll_closed(shared, waker, disconnect)
    }
}

unsafe extern "C" fn closed_drop(closed: *mut Closed) {
    // SAFETY: see above.
    let shared: Box<Arc<ExchangeShared>> = unsafe { take(closed) };
    shared.handles.fetch_sub(1, Ordering::SeqCst);
}

unsafe extern "C" fn log_enabled(_: u32, _: Str) -> u32 {
    0
}

unsafe extern "C" fn log(_: *const LogLine) {}

fn gone() -> SendError {
    SendError {
        kind: SEND_ERROR_DISCONNECTED,
        disconnect: Disconnect {
            reason: DISCONNECT_LOST,
            reserved: 0,
            code: 0,
        },
        ..misuse()
    }
}

fn misuse() -> SendError {
    SendError {
        kind: SEND_ERROR_MISUSE,
        reserved: 0,
        disconnect: Disconnect {
            reason: 0,
            reserved: 0,
            code: 0,
        },
        text: Buffer::EMPTY,
        expected: Buffer::EMPTY,
    }
}
