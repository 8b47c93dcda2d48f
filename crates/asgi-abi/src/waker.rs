//! Wakers, in both directions.
//!
//! A waker is lent to the other side for one call: a struct on the stack, no allocation. Only a
//! side that wants to keep it clones it, and that costs an `Arc`. A waker that comes home, as when
//! an app that the host polls polls the host's half in turn, is unpacked: it is the very waker that
//! was lent, and cloning it costs what it costs without a boundary.

use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::task::{RawWaker, RawWakerVTable, Waker};

use crate::abi;

/// A waker that is lent for a call.
#[repr(C)]
struct Lent {
    head: abi::Waker,
    waker: *const Waker,
}

/// A waker that the other side keeps, behind an `Arc`.
#[repr(C)]
struct Kept {
    head: abi::Waker,
    waker: Waker,
}

// SAFETY: `head` is a pointer to a static; a `Waker` may be sent and shared.
unsafe impl Send for Kept {}
// SAFETY: as above.
unsafe impl Sync for Kept {}

/// Lends `waker` to the other side for as long as `call` runs.
pub(crate) fn lend<R>(waker: &Waker, call: impl FnOnce(*const abi::Waker) -> R) -> R {
    if std::ptr::eq(waker.vtable(), &FOREIGN) {
        // It is theirs: they get their own back.
        return call(waker.data().cast());
    }
    let lent = Lent {
        head: abi::Waker { vtable: &LENT },
        waker,
    };
    call((&raw const lent).cast())
}

/// Uses a waker that the other side lent.
///
/// # Safety
///
/// `waker` must be valid, with a vtable that keeps its contract, until `call` returns.
pub(crate) unsafe fn borrow<R>(waker: *const abi::Waker, call: impl FnOnce(&Waker) -> R) -> R {
    // SAFETY: the caller's promise. A vtable of this copy of this crate tells which of our own
    // structs the waker is the head of; each `Lent` outlives the call that it was lent for, and
    // that call is still running since the other side passed it on within its own.
    unsafe {
        let vtable = (*waker).vtable;
        if std::ptr::eq(vtable, &LENT) {
            return call(&*(*waker.cast::<Lent>()).waker);
        }
        if std::ptr::eq(vtable, &KEPT) {
            return call(&(*waker.cast::<Kept>()).waker);
        }
        // Not dropped: it is lent.
        let foreign = ManuallyDrop::new(Waker::from_raw(RawWaker::new(waker.cast(), &FOREIGN)));
        call(&foreign)
    }
}

/// A waker of the other side, as one of ours.
// SAFETY (of all four): the data is a waker of the other side: lent, for as long as `borrow` runs,
// or kept, made by its `clone`; `std::task::Waker` calls `wake` and `drop` on kept ones alone, once.
static FOREIGN: RawWakerVTable = RawWakerVTable::new(
    |data| {
        let waker: *const abi::Waker = data.cast();
        // SAFETY: see above.
        let kept = unsafe { ((*(*waker).vtable).clone)(waker) };
        RawWaker::new(kept.cast(), &FOREIGN)
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

static LENT: abi::WakerVtable = abi::WakerVtable {
    clone: lent_clone,
    wake: lent_wake,
    wake_by_ref: lent_wake,
    drop: lent_drop,
};

static KEPT: abi::WakerVtable = abi::WakerVtable {
    clone: kept_clone,
    wake: kept_wake,
    wake_by_ref: kept_wake_by_ref,
    drop: kept_drop,
};

unsafe extern "C" fn lent_clone(waker: *const abi::Waker) -> *const abi::Waker {
    // SAFETY: only `lend` installs this vtable, so this is the head of a `Lent`, whose waker lives
    // until `lend` returns; the other side must not use it afterwards.
    let waker = unsafe { (*(*waker.cast::<Lent>()).waker).clone() };
    let kept = Kept {
        head: abi::Waker { vtable: &KEPT },
        waker,
    };
    Arc::into_raw(Arc::new(kept)).cast()
}

unsafe extern "C" fn lent_wake(waker: *const abi::Waker) {
    // SAFETY: as in `lent_clone`.
    unsafe { (*(*waker.cast::<Lent>()).waker).wake_by_ref() }
}

/// What is only lent cannot be given back.
unsafe extern "C" fn lent_drop(_: *const abi::Waker) {}

// SAFETY (of all four): only `lent_clone` installs this vtable, so this is the head of a `Kept`
// from `Arc::into_raw`, and the other side holds one count of it for each clone.
unsafe extern "C" fn kept_clone(waker: *const abi::Waker) -> *const abi::Waker {
    // SAFETY: see above.
    unsafe { Arc::increment_strong_count(waker.cast::<Kept>()) };
    waker
}

unsafe extern "C" fn kept_wake(waker: *const abi::Waker) {
    // SAFETY: see above; the count is given back.
    let kept = unsafe { Arc::from_raw(waker.cast::<Kept>()) };
    kept.waker.wake_by_ref();
}

unsafe extern "C" fn kept_wake_by_ref(waker: *const abi::Waker) {
    // SAFETY: see above.
    unsafe { (*waker.cast::<Kept>()).waker.wake_by_ref() }
}

unsafe extern "C" fn kept_drop(waker: *const abi::Waker) {
    // SAFETY: see above; the count is given back.
    drop(unsafe { Arc::from_raw(waker.cast::<Kept>()) });
}
