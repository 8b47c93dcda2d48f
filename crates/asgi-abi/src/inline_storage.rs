//! Values of one side in the words that the other side keeps for it.

use std::mem::{MaybeUninit, align_of, size_of};

/// The words of a handle or a task. `MaybeUninit`, so that pointers and padding survive a move.
pub(crate) type Words<const N: usize> = [MaybeUninit<usize>; N];

/// Moves `value` into words; [`take`] is the only way to drop it.
pub(crate) fn put<T, const N: usize>(value: T) -> Words<N> {
    const { assert!(size_of::<T>() <= size_of::<Words<N>>()) };
    const { assert!(align_of::<T>() <= align_of::<usize>()) };
    let mut words = [MaybeUninit::uninit(); N];
    // SAFETY: the two assertions say that it fits.
    unsafe { words.as_mut_ptr().cast::<T>().write(value) };
    words
}

/// The value in `words`, where it is.
///
/// # Safety
///
/// `words` must point to a `T` that came out of [`put`], was not taken, and is used by nobody else
/// during `'a`.
pub(crate) unsafe fn get<'a, T, const N: usize>(words: *mut Words<N>) -> &'a mut T {
    // SAFETY: the caller's promise.
    unsafe { &mut *words.cast::<T>() }
}

/// Moves the value out of `words`, which must not be used again.
///
/// # Safety
///
/// As [`get`].
pub(crate) unsafe fn take<T, const N: usize>(words: *mut Words<N>) -> T {
    // SAFETY: the caller's promise.
    unsafe { words.cast::<T>().read() }
}
