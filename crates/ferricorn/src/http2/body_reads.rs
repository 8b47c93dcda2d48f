//! Remembers when bytes of unfinished request bodies came.
//!
//! The body time-out counts from a body's last byte. h2 hands over whole DATA frames only, so the
//! [frame check](super::frame_check) notes the bytes here, and the driver asks once a tick.

use std::collections::HashMap;
use std::time::Instant;

/// The streams that got bytes of their bodies, and when.
#[derive(Debug, Default)]
pub(super) struct BodyReads {
    /// The newest one. A lone upload only ever touches this.
    newest: Option<(u32, Instant)>,
    others: HashMap<u32, Instant>,
}

impl BodyReads {
    pub(super) fn note(&mut self, stream: u32, now: Instant) {
        let before = self.newest.replace((stream, now));
        if let Some((other, at)) = before
            && other != stream
        {
            self.others.insert(other, at);
        }
    }

    /// Takes everything that was noted since the last call.
    pub(super) fn take(&mut self) -> HashMap<u32, Instant> {
        let mut reads = std::mem::take(&mut self.others);
        reads.extend(self.newest.take());
        reads
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::BodyReads;

    #[test]
    fn each_stream_has_the_time_of_its_last_byte() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut reads = BodyReads::default();
        for (stream, seconds) in [(1, 0), (1, 1), (3, 2), (1, 3), (3, 4), (5, 5)] {
            reads.note(stream, at(seconds));
        }
        let taken = reads.take();
        assert_eq!(taken.len(), 3);
        assert_eq!((taken[&1], taken[&3], taken[&5]), (at(3), at(4), at(5)));
        assert!(reads.take().is_empty());
    }
}
