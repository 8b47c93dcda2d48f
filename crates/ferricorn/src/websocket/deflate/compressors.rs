//! The compressors of a thread, and which of them still knows what a socket has sent.

use std::thread::{self, ThreadId};

use flate2::{Compress, Compression};

/// How many compressors a thread has at most.
///
/// One would do. But to clear one and to hand it a window takes longer than to compress a short message,
/// and one that has compressed nothing since the same socket's last message goes on as it is.
const MOST: usize = 4;

#[derive(Default)]
pub(super) struct Compressors {
    /// The one that was used last is the last.
    idle: Vec<Compressor>,
    /// How many marks this thread has given out.
    marks: u64,
}

/// A compressor, out of its pool for as long as it is used: none comes back from a panic, or with output
/// left. (zlib-rs 0.6.8 forgets at a reset the bytes that were left, but not the room that they took, and
/// panics when there is none.)
pub(super) struct Compressor {
    pub(super) stream: Compress,
    kind: Kind,
    mark: Option<Mark>,
}

/// What cannot be changed in a compressor that is to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) window_bits: u8,
    /// 1 to 9, of zlib.
    pub(super) level: u32,
}

/// A point in what a socket has sent: behind the last message that it compressed. No two are the same,
/// and so a compressor and a socket with the same mark have the same past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark(ThreadId, u64);

impl Compressors {
    /// A compressor of this kind, and whether it can go on behind the mark.
    pub(super) fn take(&mut self, kind: Kind, mark: Option<Mark>) -> (Compressor, bool) {
        let of_this_kind = |compressor: &Compressor| compressor.kind == kind;
        let marked = |compressor: &Compressor| {
            mark.is_some() && compressor.mark == mark && of_this_kind(compressor)
        };
        // Nobody goes on with one that has no mark.
        let unmarked =
            |compressor: &Compressor| compressor.mark.is_none() && of_this_kind(compressor);
        if let Some(index) = self.idle.iter().position(marked) {
            return (self.idle.remove(index), true);
        }
        let mut index = self.idle.iter().position(unmarked);
        if self.idle.len() == MOST {
            index = index.or_else(|| self.idle.iter().position(of_this_kind));
        }
        let compressor = match index {
            Some(index) => self.idle.remove(index),
            None => {
                if self.idle.len() == MOST {
                    self.idle.remove(0);
                }
                Compressor::new(kind)
            }
        };
        (compressor, false)
    }

    /// Takes a compressor back whose last message is sent; the mark is for who sends it.
    pub(super) fn give_back_marked(&mut self, mut compressor: Compressor) -> Mark {
        self.marks += 1;
        let mark = Mark(thread::current().id(), self.marks);
        compressor.mark = Some(mark);
        self.idle.push(compressor);
        mark
    }

    /// Takes a compressor back that nobody goes on with.
    pub(super) fn give_back(&mut self, mut compressor: Compressor) {
        compressor.mark = None;
        self.idle.push(compressor);
    }
}

impl Compressor {
    fn new(kind: Kind) -> Self {
        let level = Compression::new(kind.level);
        Self {
            stream: Compress::new_with_window_bits(level, false, kind.window_bits),
            kind,
            mark: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Kind = Kind {
        window_bits: 12,
        level: 1,
    };

    #[test]
    fn the_sockets_that_sent_last_go_on() {
        let mut compressors = Compressors::default();
        let mut marks: Vec<_> = (0..MOST).map(|_| send(&mut compressors, None)).collect();
        for mark in &mut marks {
            *mark = send(&mut compressors, *mark);
        }
        // One more takes the place of the first.
        send(&mut compressors, None);
        assert!(compressors.take(KIND, marks[1]).1);
        assert!(!compressors.take(KIND, marks[0]).1);
    }

    #[test]
    fn a_mark_is_good_for_one_message_on_one_thread() {
        let mut compressors = Compressors::default();
        let old = send(&mut compressors, None);
        send(&mut compressors, old);
        assert!(!compressors.take(KIND, old).1);

        let mut compressors = Compressors::default();
        let mark = send(&mut compressors, None);
        let elsewhere = thread::scope(|scope| {
            let thread = scope.spawn(|| send(&mut Compressors::default(), None));
            thread.join().unwrap()
        });
        assert_ne!(mark, elsewhere);
    }

    #[test]
    fn a_compressor_of_another_kind_does_not_go_on() {
        let mut compressors = Compressors::default();
        let mark = send(&mut compressors, None);
        let another = Kind { level: 3, ..KIND };
        let (compressor, goes_on) = compressors.take(another, mark);
        assert_eq!((compressor.kind, goes_on), (another, false));
    }

    #[test]
    fn sockets_that_keep_nothing_need_one_compressor() {
        let mut compressors = Compressors::default();
        for _ in 0..10 {
            let (compressor, goes_on) = compressors.take(KIND, None);
            assert!(!goes_on);
            compressors.give_back(compressor);
        }
        assert_eq!(compressors.idle.len(), 1);
    }

    #[test]
    fn there_are_few_whatever_windows_are_asked_for() {
        let mut compressors = Compressors::default();
        for window_bits in (9..=15).chain(9..=15) {
            let kind = Kind {
                window_bits,
                ..KIND
            };
            let (compressor, _) = compressors.take(kind, None);
            assert_eq!(compressor.kind, kind);
            compressors.give_back_marked(compressor);
            assert!(compressors.idle.len() <= MOST);
        }
    }

    /// Sends a message behind the mark.
    #[track_caller]
    fn send(compressors: &mut Compressors, mark: Option<Mark>) -> Option<Mark> {
        let (compressor, goes_on) = compressors.take(KIND, mark);
        assert_eq!(goes_on, mark.is_some());
        Some(compressors.give_back_marked(compressor))
    }
}
