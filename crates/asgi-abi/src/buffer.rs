//! Moves [`Bytes`] across the boundary. Only short ones are copied.

use std::mem::{align_of, size_of};

use bytes::Bytes;

use crate::abi::{Buffer, slice};

impl Buffer {
    /// No bytes.
    pub const EMPTY: Self = Self {
        ptr: std::ptr::null(),
        len: 0,
        drop: None,
        store: [0; 4],
    };

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: the side that made the buffer keeps `ptr` and `len` valid until its `drop` is
        // called. Only our `Drop` calls it, and `&self` shows that it has not run.
        unsafe { slice(self.ptr, self.len) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(drop) = self.drop.take() {
            // SAFETY: we own the buffer, and `take` makes this the only call.
            unsafe { drop(self) }
        }
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

// A `Bytes` must fit into `store`, so that crossing needs no allocation.
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
        // SAFETY: the two assertions above check that a `Bytes` fits, and only `drop_bytes` takes
        // it out again. A `Bytes` does not store its bytes inside itself, so `ptr` stays valid
        // when the buffer moves.
        unsafe { buffer.store.as_mut_ptr().cast::<Bytes>().write(bytes) };
        buffer
    }
}

unsafe extern "C" fn drop_bytes(buffer: *mut Buffer) {
    // SAFETY: only `From<Bytes>` installs this function, so the store holds a `Bytes`. The owner of
    // the buffer calls this once.
    unsafe { drop((*buffer).store.as_ptr().cast::<Bytes>().read()) }
}

/// Buffers up to this length are copied: that is cheaper than a later call of the owner's `drop`.
const MAX_COPIED_LEN: usize = 512;

impl From<Buffer> for Bytes {
    /// Makes one small allocation. Longer bytes stay where they are.
    fn from(buffer: Buffer) -> Self {
        match buffer.len {
            0 => Self::new(),
            1..=MAX_COPIED_LEN => Self::copy_from_slice(buffer.as_slice()),
            _ => Self::from_owner(buffer),
        }
    }
}
