//! [`Bytes`] across the boundary, without a copy of what is longer than a few hundred bytes.

use std::mem::{align_of, size_of};

use bytes::Bytes;

use crate::abi::{Buffer, slice};

impl Buffer {
    /// Nothing.
    pub const EMPTY: Self = Self {
        ptr: std::ptr::null(),
        len: 0,
        drop: None,
        store: [0; 4],
    };

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: who made the buffer keeps `ptr` and `len` valid until `drop` was called, and
        // that takes the buffer away from us.
        unsafe { slice(self.ptr, self.len) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(drop) = self.drop.take() {
            // SAFETY: the buffer is ours, and `take` sees to it that this happens once.
            unsafe { drop(self) }
        }
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

// `store` must have room for a `Bytes`, or crossing would cost an allocation.
const _: () = assert!(size_of::<Bytes>() <= size_of::<[usize; 4]>());
const _: () = assert!(align_of::<Bytes>() <= align_of::<usize>());

impl From<Bytes> for Buffer {
    /// Moves the `Bytes` into the store.
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() {
            return Self::EMPTY;
        }
        let mut buffer = Self {
            ptr: bytes.as_ptr(),
            len: bytes.len(),
            drop: Some(drop_bytes),
            store: [0; 4],
        };
        // SAFETY: the two assertions above say that it fits; `drop_bytes` is the only one to take
        // it out again. `Bytes` keeps nothing inside itself that `ptr` could point to, so the
        // buffer may move.
        unsafe { buffer.store.as_mut_ptr().cast::<Bytes>().write(bytes) };
        buffer
    }
}

unsafe extern "C" fn drop_bytes(buffer: *mut Buffer) {
    // SAFETY: only `From<Bytes>` installs this function, so the store holds a `Bytes`; the holder
    // of the buffer calls it once.
    unsafe { drop((*buffer).store.as_ptr().cast::<Bytes>().read()) }
}

/// What is no longer is copied: that costs less than to come back for the owner's `drop`.
const COPIED: usize = 512;

impl From<Buffer> for Bytes {
    /// One small allocation; more than a few bytes stay where they are.
    fn from(buffer: Buffer) -> Self {
        match buffer.len {
            0 => Self::new(),
            1..=COPIED => Self::copy_from_slice(buffer.as_slice()),
            _ => Self::from_owner(buffer),
        }
    }
}
