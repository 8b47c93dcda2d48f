//! Remembers when bytes of unfinished request bodies came, and how many.
//!
//! The body time-out counts from a body's last byte, and the lowest rate counts bytes. h2 hands over whole
//! DATA frames only, so the [frame check](super::frame_check) notes the bytes here, and the driver asks once
//! a tick.

use std::collections::HashMap;
use std::time::Instant;

/// What came of one body since the last tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BodyRead {
    /// When the last of it came.
    pub(crate) at: Instant,
    /// How many bytes came.
    pub(crate) bytes: u64,
}

/// The streams that got bytes of their bodies.
#[derive(Debug, Default)]
pub(super) struct BodyReads {
    /// The newest one. A lone upload only ever touches this.
    newest: Option<(u32, BodyRead)>,
    others: HashMap<u32, BodyRead>,
    /// The stream of an incomplete frame, and how many of its bytes were not counted.
    owed: Option<(u32, u64)>,
}

impl BodyReads {
    /// Notes that bytes came. The length of a frame counts when its header comes.
    pub(super) fn note(&mut self, stream: u32, bytes: u64, now: Instant) {
        match &mut self.newest {
            Some((newest, read)) if *newest == stream => {
                read.at = now;
                read.bytes += bytes;
            }
            newest => {
                let before = self.others.remove(&stream).map_or(0, |read| read.bytes);
                let bytes = before + bytes;
                if let Some((other, read)) = newest.replace((stream, BodyRead { at: now, bytes })) {
                    self.others.insert(other, read);
                }
            }
        }
    }

    /// Takes everything that was noted since the last call. `incomplete` is the stream of a frame whose end
    /// has not come, and how much of it is missing.
    pub(super) fn take(&mut self, incomplete: Option<(u32, u64)>) -> HashMap<u32, BodyRead> {
        let mut reads = std::mem::take(&mut self.others);
        reads.extend(self.newest.take());
        if let Some((stream, bytes)) = self.owed.take()
            && let Some(read) = reads.get_mut(&stream)
        {
            read.bytes += bytes;
        }
        if let Some((stream, missing)) = incomplete
            && let Some(read) = reads.get_mut(&stream)
        {
            read.bytes = read.bytes.saturating_sub(missing);
        }
        self.owed = incomplete;
        reads
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::BodyReads;

    #[test]
    fn each_stream_has_the_time_of_its_last_byte_and_the_sum_of_its_bytes() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut reads = BodyReads::default();
        for (stream, seconds) in [(1, 0), (1, 1), (3, 2), (1, 3), (3, 4), (5, 5)] {
            reads.note(stream, 10, at(seconds));
        }
        let taken = reads.take(None);
        assert_eq!(taken.len(), 3);
        let of = |stream| (taken[&stream].at, taken[&stream].bytes);
        assert_eq!(of(1), (at(3), 30));
        assert_eq!(of(3), (at(4), 20));
        assert_eq!(of(5), (at(5), 10));
        assert!(reads.take(None).is_empty());
    }

    #[test]
    fn the_missing_part_of_a_frame_counts_when_it_comes() {
        let now = Instant::now();
        let mut reads = BodyReads::default();
        reads.note(1, 100, now);
        assert_eq!(reads.take(Some((1, 90)))[&1].bytes, 10);
        reads.note(1, 0, now);
        assert_eq!(reads.take(Some((1, 60)))[&1].bytes, 30);
        reads.note(1, 0, now);
        reads.note(1, 50, now);
        assert_eq!(reads.take(None)[&1].bytes, 110);
    }
}
