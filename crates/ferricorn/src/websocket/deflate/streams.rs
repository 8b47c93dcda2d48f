//! The zlib streams of a thread, which its sockets use in turn.

use std::cell::RefCell;

use flate2::Decompress;

use super::compressors::Compressors;

/// How large a buffer may be that stays with the thread.
const KEPT: usize = 64 * 1024;

thread_local! {
    static STREAMS: RefCell<Streams> = RefCell::new(Streams {
        compressors: Compressors::default(),
        inflater: Decompress::new(false),
        buffer: Vec::new(),
    });
}

/// What the sockets of a thread share.
pub(super) struct Streams {
    pub(super) compressors: Compressors,
    /// For the largest window, and so for whatever was compressed for any.
    pub(super) inflater: Decompress,
    /// What comes out of a stream, until it is known how much that is. Empty at first.
    pub(super) buffer: Vec<u8>,
}

/// Uses this thread's streams.
pub(super) fn with<R>(f: impl FnOnce(&mut Streams) -> R) -> R {
    STREAMS.with_borrow_mut(|streams| {
        streams.buffer.clear();
        let result = f(streams);
        if streams.buffer.capacity() > KEPT {
            streams.buffer = Vec::new();
        }
        result
    })
}
