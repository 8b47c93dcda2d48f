//! Each message arrives as it was sent.

use std::thread;

use super::peer::Peer;
use super::reference::Reference;
use super::{Deflater, Direction, InflateError, Inflater, Random, both, directions};

const LIMIT: usize = 1 << 20;

const TAKEOVER: Direction = Direction {
    window_bits: 12,
    context_takeover: true,
};

const NO_TAKEOVER: Direction = Direction {
    window_bits: 12,
    context_takeover: false,
};

/// How a message was sent.
#[derive(Debug, PartialEq, Eq)]
enum Form {
    Uncompressed,
    Compressed,
}

/// The server side of a socket, with two clients that must both understand it.
struct Sending {
    deflater: Deflater,
    peer: Peer,
    reference: Reference,
    sent: Vec<Vec<u8>>,
}

impl Sending {
    fn new(direction: Direction) -> Self {
        Self {
            deflater: Deflater::new(both(direction)),
            peer: Peer::of(direction),
            reference: Reference::new(direction),
            sent: Vec::new(),
        }
    }

    #[track_caller]
    fn send(&mut self, message: Vec<u8>) -> Form {
        let Some(payload) = self.deflater.deflate(&message) else {
            return Form::Uncompressed;
        };
        assert!(self.peer.inflate(&payload) == message, "zlib inflates");
        assert!(
            self.reference.inflate(&payload) == message,
            "the reference inflates"
        );
        self.sent.push(message);
        Form::Compressed
    }
}

#[test]
fn a_client_that_keeps_one_stream_inflates_what_is_sent() {
    let mut random = Random(0x5eed);
    for direction in directions() {
        let mut sending = Sending::new(direction);
        for _ in 0..24 {
            let message = random.message(&sending.sent);
            let _ = sending.send(message);
        }
        assert!(sending.sent.len() > 6, "{direction:?} compresses");
    }
}

#[test]
fn sockets_that_share_a_thread_do_not_mix() {
    let mut random = Random(0xf00d);
    let mut sockets: Vec<_> = directions().map(Sending::new).collect();
    for _ in 0..600 {
        let index = random.below(sockets.len());
        // Several messages in a row on one socket: its compressor continues.
        for _ in 0..1 + random.below(3) {
            let length = 30 + random.below(700);
            let message = match random.below(5) {
                0 => random.bytes(length),
                _ => random.text(length),
            };
            let _ = sockets[index].send(message);
        }
    }
}

#[test]
fn a_socket_may_move_between_threads() {
    let mut random = Random(0xbee);
    let mut sending = Sending::new(TAKEOVER);
    for _ in 0..50 {
        let messages: Vec<_> = (0..3).map(|_| random.text(200)).collect();
        // The spawned threads are new; this thread has a compressor with an older window.
        thread::scope(|scope| {
            scope.spawn(|| {
                let _ = sending.send(messages[0].clone());
                let _ = sending.send(messages[1].clone());
            });
        });
        let _ = sending.send(messages[2].clone());
    }
    assert_eq!(sending.sent.len(), 150);
}

#[test]
fn a_message_that_was_not_sent_compressed_is_not_referred_to() {
    let mut random = Random(7);
    let mut sending = Sending::new(TAKEOVER);
    let noise = random.bytes(3000);
    assert_eq!(sending.send(random.text(300)), Form::Compressed);
    assert_eq!(sending.send(noise.clone()), Form::Uncompressed);
    // If the noise were in the window, its second half would become a reference that no client could
    // resolve.
    let mut message = noise[1500..].to_vec();
    message.extend(random.text(3000));
    assert_eq!(sending.send(message), Form::Compressed);
}

#[test]
fn a_window_makes_short_messages_shorter() {
    let mut deflater = Deflater::new(both(TAKEOVER));
    let lengths: Vec<_> = (0..4)
        .map(|number| {
            format!("{{\"type\":\"chat\",\"from\":\"anna\",\"text\":\"hello {number}\"}}")
        })
        .map(|message| deflater.deflate(message.as_bytes()).unwrap().len())
        .collect();
    // The first one has nothing to refer to; it is compressed for the later ones.
    assert!((48..=52).contains(&lengths[0]), "{lengths:?}");
    assert!(
        lengths[1..].iter().all(|length| *length < 15),
        "{lengths:?}"
    );
}

#[test]
fn a_window_outlasts_its_compressor() {
    let mut random = Random(43);
    let message = random.text(1000);
    let mut deflater = Deflater::new(both(TAKEOVER));
    deflater.deflate(&message).unwrap();
    for _ in 0..10 {
        Deflater::new(both(TAKEOVER))
            .deflate(&random.text(1000))
            .unwrap();
    }
    let again = deflater.deflate(&message).unwrap();
    assert!(again.len() < 50, "{} bytes", again.len());
}

#[test]
fn without_a_window_only_a_shorter_result_is_sent() {
    let mut random = Random(47);
    // Noise with eight bits a byte in zlib's fixed codes: two or three bytes more.
    let message: Vec<u8> = random.bytes(400).iter().map(|byte| byte % 144).collect();
    assert!(Deflater::new(both(TAKEOVER)).deflate(&message).is_some());
    // Noise in a stored block: six bytes more.
    let message = random.bytes(400);
    assert!(Deflater::new(both(NO_TAKEOVER)).deflate(&message).is_none());
}

#[test]
fn without_a_window_each_message_stands_alone() {
    let mut random = Random(11);
    let message = random.text(500);
    let mut deflater = Deflater::new(both(NO_TAKEOVER));
    let first = deflater.deflate(&message);
    assert!(first.is_some());
    assert_eq!(deflater.deflate(&message), first);
    assert_eq!(deflater.held(), 0);
}

#[test]
fn a_message_that_does_not_shrink_goes_uncompressed() {
    let mut random = Random(13);
    for direction in directions() {
        let mut sending = Sending::new(direction);
        for length in [0, 1, 31, 255, 1000, 40_000] {
            let message = random.bytes(length);
            assert_eq!(sending.send(message), Form::Uncompressed, "{length} bytes");
        }
    }
}

#[test]
fn a_client_that_keeps_one_stream_is_inflated() {
    let mut random = Random(0xcafe);
    for direction in directions() {
        let mut peer = Peer::of(direction);
        let mut inflater = Inflater::new(both(direction));
        let mut sent = Vec::new();
        for _ in 0..24 {
            let message = random.message(&sent);
            let payload = peer.deflate(&message);
            assert!(
                inflater.inflate(&payload, LIMIT).unwrap() == message,
                "{direction:?}"
            );
            sent.push(message);
        }
    }
}

#[test]
fn sockets_that_share_an_inflater_do_not_mix() {
    let mut random = Random(0xd1ce);
    let mut sockets: Vec<_> = directions()
        .map(|direction| (Peer::of(direction), Inflater::new(both(direction))))
        .collect();
    for _ in 0..1000 {
        let index = random.below(sockets.len());
        let (peer, inflater) = &mut sockets[index];
        let length = random.below(2000);
        let message = random.text(length);
        let payload = peer.deflate(&message);
        assert_eq!(inflater.inflate(&payload, LIMIT).unwrap(), message);
    }
}

#[test]
fn windows_hold_nothing_at_first_and_never_more_than_agreed() {
    let mut random = Random(17);
    for direction in directions() {
        let (mut deflater, mut peer) = (Deflater::new(both(direction)), Peer::of(direction));
        let mut inflater = Inflater::new(both(direction));
        assert_eq!((deflater.held(), inflater.held()), (0, 0));
        for _ in 0..30 {
            let length = random.below(5000);
            let message = random.text(length);
            let _ = deflater.deflate(&message);
            inflater.inflate(&peer.deflate(&message), LIMIT).unwrap();
        }
        let window = match direction.context_takeover {
            true => 1 << direction.window_bits,
            false => 0,
        };
        assert_eq!(inflater.held(), window);
        assert_eq!(deflater.held(), window.min(8192));
    }
}

#[test]
fn a_window_never_takes_more_memory_than_it_has_bytes() {
    let mut random = Random(53);
    let (mut deflater, mut peer) = (Deflater::new(both(TAKEOVER)), Peer::of(TAKEOVER));
    let mut inflater = Inflater::new(both(TAKEOVER));
    for length in [300, 4096, 1000, 50_000] {
        let message = random.text(length);
        deflater.deflate(&message).unwrap();
        inflater.inflate(&peer.deflate(&message), LIMIT).unwrap();
        assert!(deflater.held() <= 4096 && inflater.held() <= 4096);
    }
}

#[test]
fn the_examples_of_the_rfc_are_inflated() {
    let mut inflater = Inflater::new(both(TAKEOVER));
    // RFC 7692 §7.2.3.1 to 7.2.3.6.
    let hello: [&[u8]; 5] = [
        &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
        &[0xf2, 0x00, 0x11, 0x00, 0x00],
        &[
            0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00,
        ],
        &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
        &[
            0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
        ],
    ];
    for payload in hello {
        assert_eq!(
            inflater.inflate(payload, LIMIT).unwrap(),
            "Hello",
            "{payload:x?}"
        );
    }
    assert_eq!(inflater.inflate(&[0x00], LIMIT).unwrap(), "");
}

#[test]
fn an_empty_message_may_be_empty_blocks_or_nothing() {
    let mut inflater = Inflater::new(both(TAKEOVER));
    let empty: [&[u8]; 6] = [
        &[],
        &[0x00],
        // The block that the sender cuts off is final itself.
        &[0x01],
        &[0x02, 0x00],
        &[0x03, 0x00],
        &[0x00, 0x00, 0x00, 0xff, 0xff, 0x00],
    ];
    for payload in empty {
        assert_eq!(
            inflater.inflate(payload, LIMIT),
            Ok("".into()),
            "{payload:x?}"
        );
    }
}

#[test]
fn a_message_continues_after_a_final_block() {
    let mut inflater = Inflater::new(both(TAKEOVER));
    let hello = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    // Four final blocks; then 0x00 0x11 0x00 refers back by five bytes, as in 7.2.3.2; then the end.
    let mut payload = hello.repeat(4);
    payload.extend_from_slice(&[0xf2, 0x00, 0x11, 0x00, 0x00]);
    assert_eq!(
        inflater.inflate(&payload, LIMIT).unwrap(),
        "Hello".repeat(5)
    );
    // The next message refers to this one.
    assert_eq!(inflater.inflate(&payload[28..], LIMIT).unwrap(), "Hello");
}

#[test]
fn a_message_may_end_with_a_final_block_alone() {
    let mut inflater = Inflater::new(both(NO_TAKEOVER));
    let payload = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    assert_eq!(inflater.inflate(&payload, LIMIT).unwrap(), "Hello");
}

#[test]
fn the_limit_is_exact() {
    for length in [1, 5, 4096, 32_768, 32_769, 65_536, 65_537, 300_000] {
        let message = Random(length as u64).text(length);
        let payload = Peer::of(TAKEOVER).deflate(&message);
        let mut inflater = Inflater::new(both(TAKEOVER));
        assert_eq!(inflater.inflate(&payload, length).unwrap(), message);
        let mut inflater = Inflater::new(both(TAKEOVER));
        let result = inflater.inflate(&payload, length - 1);
        assert_eq!(result, Err(InflateError::TooLarge), "{length} bytes");
    }
}

#[test]
fn only_an_empty_message_is_within_a_limit_of_0() {
    let mut inflater = Inflater::new(both(TAKEOVER));
    assert_eq!(inflater.inflate(&[0x00], 0), Ok("".into()));
    let result = inflater.inflate(&[0x00, 0x01, 0x00, 0xfe, 0xff, 0x48, 0x00], 0);
    assert_eq!(result, Err(InflateError::TooLarge));
}

#[test]
fn the_limit_can_be_switched_off() {
    let message = Random(3).text(200_000);
    let payload = Peer::of(TAKEOVER).deflate(&message);
    let mut inflater = Inflater::new(both(TAKEOVER));
    assert_eq!(inflater.inflate(&payload, usize::MAX).unwrap(), message);
}
