//! The zlib streams of a thread, which its sockets use one after the other.

use std::cell::RefCell;

use flate2::Decompress;

use super::compressors::Compressors;

/// The thread frees its buffer after a message if the buffer is larger than this.
const KEPT: usize = 64 * 1024;

thread_local! {
    static STREAMS: RefCell<ThreadStreams> = RefCell::new(ThreadStreams {
        compressors: Compressors::default(),
        inflater: Decompress::new(false),
        buffer: Vec::new(),
    });
}

/// The streams and the buffer that the sockets of a thread share.
pub(super) struct ThreadStreams {
    pub(super) compressors: Compressors,
    /// Has the largest window, so it inflates data that was compressed for any window.
    pub(super) inflater: Decompress,
    /// The output of a stream, until its length is known. Empty at the start of each use.
    pub(super) buffer: Vec<u8>,
}

/// Calls `f` with the streams of this thread.
pub(super) fn with<R>(f: impl FnOnce(&mut ThreadStreams) -> R) -> R {
    STREAMS.with_borrow_mut(|streams| {
        streams.buffer.clear();
        let result = f(streams);
        if streams.buffer.capacity() > KEPT {
            streams.buffer = Vec::new();
        }
        result
    })
}
