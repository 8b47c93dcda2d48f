//! Passes wakers across the boundary, in both directions.
//!
//! A waker is borrowed for one call: it is a struct on the stack and needs no allocation. Only if
//! the other side clones it, to keep it, an `Arc` is allocated.
//!
//! A waker can also come back to the side that made it. For example, the host polls an app, and
//! the app polls the host's half with the same waker. Both directions detect this and unpack the
//! original waker, so a clone costs no more than without a boundary.

use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::task::{RawWaker, RawWakerVTable, Waker};

use crate::abi;

/// One of our wakers that the other side borrows for one call.
#[repr(C)]
struct BorrowedWaker {
    head: abi::Waker,
    waker: *const Waker,
}

/// One of our wakers that the other side owns, in an `Arc`.
#[repr(C)]
struct OwnedWaker {
    head: abi::Waker,
    waker: Waker,
}

// SAFETY: `head` points to a static, which any thread may read; a `Waker` is `Send` and `Sync`.
unsafe impl Send for OwnedWaker {}
// SAFETY: as for `Send`.
unsafe impl Sync for OwnedWaker {}

/// Calls `f` with `waker` as a waker of the ABI. The pointer is valid only during `f`.
pub(crate) fn with_abi_waker<R>(waker: &Waker, f: impl FnOnce(*const abi::Waker) -> R) -> R {
    if std::ptr::eq(waker.vtable(), &FOREIGN_VTABLE) {
        // The other side made it, so the other side gets its own waker back.
        return f(waker.data().cast());
    }
    let borrowed = BorrowedWaker {
        head: abi::Waker {
            vtable: &BORROWED_VTABLE,
        },
        waker,
    };
    f((&raw const borrowed).cast())
}

/// Calls `f` with a waker of the ABI, which the other side lends for this call, as a Rust waker.
///
/// # Safety
///
/// `waker` must be valid, and its vtable must keep the rules of the ABI, until `f` returns.
pub(crate) unsafe fn with_rust_waker<R>(
    waker: *const abi::Waker,
    f: impl FnOnce(&Waker) -> R,
) -> R {
    // SAFETY: the caller promises that `waker` is valid. If its vtable is one of this copy of this
    // crate, the waker is the head of the struct that goes with the vtable. A `BorrowedWaker` lives
    // until its `with_abi_waker` returns. That call is still running: the other side must use the
    // waker only during the call that it got it with, and this call is inside that one.
    unsafe {
        let vtable = (*waker).vtable;
        if std::ptr::eq(vtable, &BORROWED_VTABLE) {
            return f(&*(*waker.cast::<BorrowedWaker>()).waker);
        }
        if std::ptr::eq(vtable, &OWNED_VTABLE) {
            return f(&(*waker.cast::<OwnedWaker>()).waker);
        }
        // `ManuallyDrop`, because it is only borrowed.
        let raw = RawWaker::new(waker.cast(), &FOREIGN_VTABLE);
        f(&ManuallyDrop::new(Waker::from_raw(raw)))
    }
}

/// The functions of a Rust waker that wraps a waker of the other side.
// SAFETY (of all four): `data` is a waker of the other side. It is either borrowed while
// `with_rust_waker` runs, or owned, because its `clone` made it. `std::task::Waker` calls `wake` or
// `drop` only on owned ones, and only once.
static FOREIGN_VTABLE: RawWakerVTable = RawWakerVTable::new(
    |data| {
        let waker: *const abi::Waker = data.cast();
        // SAFETY: see above.
        let owned = unsafe { ((*(*waker).vtable).clone)(waker) };
        RawWaker::new(owned.cast(), &FOREIGN_VTABLE)
    },
    |data| {
        let waker: *const abi::Waker = data.cast();
        // SAFETY: see above.
        unsafe { ((*(*waker).vtable).wake)(waker) }
    },
    |data| {
        let waker: *const abi::Waker = data.cast();
        // SAFETY: see above.
        unsafe { ((*(*waker).vtable).wake_by_ref)(waker) }
    },
    |data| {
        let waker: *const abi::Waker = data.cast();
        // SAFETY: see above.
        unsafe { ((*(*waker).vtable).drop)(waker) }
    },
);

static BORROWED_VTABLE: abi::WakerVtable = abi::WakerVtable {
    clone: borrowed_clone,
    wake: borrowed_wake,
    wake_by_ref: borrowed_wake,
    drop: borrowed_drop,
};

static OWNED_VTABLE: abi::WakerVtable = abi::WakerVtable {
    clone: owned_clone,
    wake: owned_wake,
    wake_by_ref: owned_wake_by_ref,
    drop: owned_drop,
};

unsafe extern "C" fn borrowed_clone(waker: *const abi::Waker) -> *const abi::Waker {
    // SAFETY: only `with_abi_waker` installs this vtable, so this is the head of a `BorrowedWaker`.
    // Its waker lives until `with_abi_waker` returns; the other side must not use it after that.
    let waker = unsafe { (*(*waker.cast::<BorrowedWaker>()).waker).clone() };
    let owned = OwnedWaker {
        head: abi::Waker {
            vtable: &OWNED_VTABLE,
        },
        waker,
    };
    Arc::into_raw(Arc::new(owned)).cast()
}

unsafe extern "C" fn borrowed_wake(waker: *const abi::Waker) {
    // SAFETY: as in `borrowed_clone`.
    unsafe { (*(*waker.cast::<BorrowedWaker>()).waker).wake_by_ref() }
}

/// Does nothing: the other side does not own the waker.
unsafe extern "C" fn borrowed_drop(_: *const abi::Waker) {}

// SAFETY (of all four): only `borrowed_clone` installs this vtable, so this is the head of an
// `OwnedWaker` from `Arc::into_raw`. The other side owns one reference count for each clone.
unsafe extern "C" fn owned_clone(waker: *const abi::Waker) -> *const abi::Waker {
    // SAFETY: see above.
    unsafe { Arc::increment_strong_count(waker.cast::<OwnedWaker>()) };
    waker
}

unsafe extern "C" fn owned_wake(waker: *const abi::Waker) {
    // SAFETY: see above; this takes the reference count back.
    let owned = unsafe { Arc::from_raw(waker.cast::<OwnedWaker>()) };
    owned.waker.wake_by_ref();
}

unsafe extern "C" fn owned_wake_by_ref(waker: *const abi::Waker) {
    // SAFETY: see above.
    unsafe { (*waker.cast::<OwnedWaker>()).waker.wake_by_ref() }
}

unsafe extern "C" fn owned_drop(waker: *const abi::Waker) {
    // SAFETY: see above; this takes the reference count back.
    drop(unsafe { Arc::from_raw(waker.cast::<OwnedWaker>()) });
}
