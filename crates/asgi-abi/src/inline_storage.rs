//! Stores a value of one side in the words that the other side owns: the `store` of a handle or a
//! task.

use std::mem::{MaybeUninit, align_of, size_of};

/// The words of a handle or a task. `MaybeUninit` keeps pointers and padding intact in a move.
pub(crate) type Words<const N: usize> = [MaybeUninit<usize>; N];

/// Moves `value` into words. Only [`take`] gets it out again, so only then can it be dropped.
pub(crate) fn put<T, const N: usize>(value: T) -> Words<N> {
    const { assert!(size_of::<T>() <= size_of::<Words<N>>()) };
    const { assert!(align_of::<T>() <= align_of::<usize>()) };
    let mut words = [MaybeUninit::uninit(); N];
    // SAFETY: the two assertions check that the value fits.
    unsafe { words.as_mut_ptr().cast::<T>().write(value) };
    words
}

/// Borrows the value in `words`.
///
/// # Safety
///
/// `words` must hold a `T` that [`put`] stored and [`take`] has not taken. Nothing else may use it
/// during `'a`.
pub(crate) unsafe fn get<'a, T, const N: usize>(words: *mut Words<N>) -> &'a mut T {
    // SAFETY: the caller promises that a `T` is there and that this reference is the only one.
    unsafe { &mut *words.cast::<T>() }
}

/// Borrows the value in `words`, shared.
///
/// # Safety
///
/// `words` must hold a `T` as for [`get`], and nothing may change it during `'a`.
#[cfg(feature = "loader")]
pub(crate) unsafe fn get_shared<'a, T, const N: usize>(words: *const Words<N>) -> &'a T {
    // SAFETY: the caller promises that a `T` is there and that nothing changes it.
    unsafe { &*words.cast::<T>() }
}

/// Moves the value out of `words`. The caller must not use `words` again.
///
/// # Safety
///
/// The same as for [`get`].
pub(crate) unsafe fn take<T, const N: usize>(words: *mut Words<N>) -> T {
    // SAFETY: the caller promises that a `T` is there and does not use the words again.
    unsafe { words.cast::<T>().read() }
}
