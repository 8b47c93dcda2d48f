use super::*;

const KIND: CompressorKind = CompressorKind {
    window_bits: 12,
    level: 1,
};

#[test]
fn the_sockets_that_sent_last_continue() {
    let mut compressors = Compressors::default();
    let mut marks: Vec<_> = (0..MOST).map(|_| send(&mut compressors, None)).collect();
    for mark in &mut marks {
        *mark = send(&mut compressors, *mark);
    }
    // One more socket replaces the first.
    send(&mut compressors, None);
    assert!(compressors.take(KIND, marks[1]).1);
    assert!(!compressors.take(KIND, marks[0]).1);
}

#[test]
fn a_mark_is_valid_for_one_message_on_one_thread() {
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
fn a_compressor_of_another_kind_does_not_continue() {
    let mut compressors = Compressors::default();
    let mark = send(&mut compressors, None);
    let another = CompressorKind { level: 3, ..KIND };
    let (compressor, continues) = compressors.take(another, mark);
    assert_eq!((compressor.kind, continues), (another, false));
}

#[test]
fn sockets_without_history_share_one_compressor() {
    let mut compressors = Compressors::default();
    for _ in 0..10 {
        let (compressor, continues) = compressors.take(KIND, None);
        assert!(!continues);
        compressors.give_back(compressor);
    }
    assert_eq!(compressors.idle.len(), 1);
}

#[test]
fn a_thread_keeps_few_compressors_for_many_window_sizes() {
    let mut compressors = Compressors::default();
    for window_bits in (9..=15).chain(9..=15) {
        let kind = CompressorKind {
            window_bits,
            ..KIND
        };
        let (compressor, _) = compressors.take(kind, None);
        assert_eq!(compressor.kind, kind);
        compressors.give_back_marked(compressor);
        assert!(compressors.idle.len() <= MOST);
    }
}

/// Sends a message after the mark.
#[track_caller]
fn send(compressors: &mut Compressors, mark: Option<Mark>) -> Option<Mark> {
    let (compressor, continues) = compressors.take(KIND, mark);
    assert_eq!(continues, mark.is_some());
    Some(compressors.give_back_marked(compressor))
}
