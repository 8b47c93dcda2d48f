//! Wakers that check how the other side uses them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::layout::{Waker, WakerVtable};
use crate::report;

/// What the wakers of one half have in common.
#[derive(Default)]
pub(crate) struct WakerCounts {
    /// Clones that the other side has made and not given back.
    pub(crate) kept: AtomicI64,
    /// How often the other side has woken.
    pub(crate) wakes: AtomicU32,
}

/// A waker of this side, or of the side that this one stands for. It stays in memory for a while after its end, so that a
/// use after that is seen.
#[repr(C)]
struct CheckedWaker {
    head: Waker,
    inner: *const Waker,
    is_owned: bool,
    is_over: AtomicBool,
    counts: Arc<WakerCounts>,
}

// SAFETY: `inner` is a waker of the ABI, which any thread may use, and the rest is shared data.
unsafe impl Send for CheckedWaker {}
// SAFETY: as above.
unsafe impl Sync for CheckedWaker {}

static VTABLE: WakerVtable = WakerVtable {
    clone,
    wake,
    wake_by_ref,
    drop: drop_waker,
};

/// Wakers that are over. The oldest ones are freed.
static OVER: Mutex<VecDeque<Box<CheckedWaker>>> = Mutex::new(VecDeque::new());

/// How many of them stay.
const MOST: usize = 10_000;

fn checked(inner: *const Waker, is_owned: bool, counts: &Arc<WakerCounts>) -> *mut CheckedWaker {
    Box::into_raw(Box::new(CheckedWaker {
        head: Waker { vtable: &VTABLE },
        inner,
        is_owned,
        is_over: AtomicBool::new(false),
        counts: Arc::clone(counts),
    }))
}

/// Keeps a waker that is over.
///
/// # Safety
///
/// [`checked`] must have made it, and it must not be in the list.
unsafe fn retire(waker: *mut CheckedWaker) {
    // SAFETY: the caller promises it.
    let waker = unsafe { Box::from_raw(waker) };
    let mut over = OVER.lock().unwrap_or_else(PoisonError::into_inner);
    over.push_back(waker);
    if over.len() > MOST {
        over.pop_front();
    }
}

/// Lends a waker to the other side for one call.
pub(crate) fn lend<R>(
    inner: *const Waker,
    counts: &Arc<WakerCounts>,
    call: impl FnOnce(*const Waker) -> R,
) -> R {
    let waker = checked(inner, false, counts);
    let result = call(waker.cast_const().cast());
    // SAFETY: `checked` has made it above, and only here it ends.
    unsafe {
        (*waker).is_over.store(true, Ordering::SeqCst);
        retire(waker);
    }
    result
}

/// Returns the waker if the other side may use it now.
///
/// # Safety
///
/// [`checked`] must have made it.
unsafe fn usable<'a>(waker: *const Waker, what: &str) -> Option<&'a CheckedWaker> {
    // SAFETY: the head is the first member of a `CheckedWaker`, which stays in memory after its end.
    let waker = unsafe { &*waker.cast::<CheckedWaker>() };
    let is_over = waker.is_over.load(Ordering::SeqCst);
    report::check("ABI-020", !is_over, || {
        let which = if waker.is_owned {
            "a clone that was woken or dropped before"
        } else {
            "a waker after the call that it was an argument of"
        };
        format!("the other side {what} {which}")
    });
    (!is_over).then_some(waker)
}

unsafe extern "C" fn clone(waker: *const Waker) -> *const Waker {
    // SAFETY: the other side passes a waker of this vtable. The inner one is valid for as long.
    unsafe {
        let Some(waker) = usable(waker, "clones") else {
            return waker;
        };
        let inner = ((*(*waker.inner).vtable).clone)(waker.inner);
        waker.counts.kept.fetch_add(1, Ordering::SeqCst);
        checked(inner, true, &waker.counts).cast_const().cast()
    }
}

unsafe extern "C" fn wake_by_ref(waker: *const Waker) {
    // SAFETY: as in `clone`.
    unsafe {
        if let Some(waker) = usable(waker, "wakes") {
            waker.counts.wakes.fetch_add(1, Ordering::SeqCst);
            ((*(*waker.inner).vtable).wake_by_ref)(waker.inner);
        }
    }
}

unsafe extern "C" fn wake(waker: *const Waker) {
    // SAFETY: as in `clone`.
    unsafe { end(waker, true) }
}

unsafe extern "C" fn drop_waker(waker: *const Waker) {
    // SAFETY: as in `clone`.
    unsafe { end(waker, false) }
}

/// Ends a clone.
///
/// # Safety
///
/// [`checked`] must have made it.
unsafe fn end(waker: *const Waker, wakes: bool) {
    let what = if wakes { "wakes" } else { "drops" };
    // SAFETY: the caller promises it. Only the first end of a clone gets past the check.
    unsafe {
        let Some(one) = usable(waker, what) else {
            return;
        };
        if !one.is_owned {
            return report::broken(
                "ABI-020",
                format!("the other side {what} a waker that it was lent"),
            );
        }
        one.is_over.store(true, Ordering::SeqCst);
        one.counts.kept.fetch_sub(1, Ordering::SeqCst);
        let vtable = (*one.inner).vtable;
        if wakes {
            one.counts.wakes.fetch_add(1, Ordering::SeqCst);
            ((*vtable).wake)(one.inner);
        } else {
            ((*vtable).drop)(one.inner);
        }
        retire(waker.cast_mut().cast());
    }
}

/// A waker that does nothing.
pub(crate) struct Noop(pub(crate) Waker);

// SAFETY: it points to a static.
unsafe impl Sync for Noop {}

pub(crate) static NOOP: Noop = Noop(Waker {
    vtable: &NOOP_VTABLE,
});

static NOOP_VTABLE: WakerVtable = WakerVtable {
    clone: noop_clone,
    wake: noop,
    wake_by_ref: noop,
    drop: noop,
};

unsafe extern "C" fn noop_clone(waker: *const Waker) -> *const Waker {
    waker
}

unsafe extern "C" fn noop(_: *const Waker) {}
