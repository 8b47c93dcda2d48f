//! Buffers that count how often they are dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::layout::Buffer;
use crate::report;

/// Bytes that a buffer of this side has, and how often its `drop` was called. The memory stays, so that a
/// second drop is seen and does no harm.
struct CountedBytes {
    bytes: Vec<u8>,
    drops: Arc<AtomicU32>,
}

/// Makes a buffer, and its counter.
pub(crate) fn counted(bytes: impl Into<Vec<u8>>) -> (Buffer, Arc<AtomicU32>) {
    let drops = Arc::new(AtomicU32::new(0));
    let counted: &'static CountedBytes = Box::leak(Box::new(CountedBytes {
        bytes: bytes.into(),
        drops: Arc::clone(&drops),
    }));
    let buffer = Buffer {
        ptr: counted.bytes.as_ptr(),
        len: counted.bytes.len(),
        drop: Some(drop_counted),
        store: [(&raw const *counted).addr(), 0, 0, 0],
    };
    // The address alone would forget where the pointer came from.
    let _ = (&raw const *counted).expose_provenance();
    (buffer, drops)
}

unsafe extern "C" fn drop_counted(buffer: *mut Buffer) {
    // SAFETY: the other side passes a buffer that `counted` has made, in a struct that may have moved.
    let counted: &CountedBytes = unsafe {
        let address = (*buffer).store[0];
        &*std::ptr::with_exposed_provenance::<CountedBytes>(address)
    };
    let before = counted.drops.fetch_add(1, Ordering::SeqCst);
    report::check("ABI-009", before == 0, || {
        String::from("the drop of a buffer was called twice")
    });
}
