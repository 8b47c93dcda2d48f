//! Payloads that a client must not send.

use super::peer::Peer;
use super::{Direction, InflateError, Inflater, Random, both, directions};

const LIMIT: usize = 1 << 16;

const TAKEOVER: Direction = Direction {
    window_bits: 15,
    context_takeover: true,
};

#[track_caller]
fn refused(payload: &[u8]) {
    let mut inflater = Inflater::new(both(TAKEOVER));
    let result = inflater.inflate(payload, LIMIT);
    assert_eq!(result, Err(InflateError::Malformed), "{payload:x?}");
    // The thread's inflater still works.
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let mut another = Inflater::new(both(TAKEOVER));
    assert_eq!(another.inflate(&hello, LIMIT).unwrap(), "Hello");
}

#[test]
fn bytes_that_are_not_deflate_data_are_refused() {
    // A block of the reserved type.
    refused(&[0x06]);
    // A stored block whose length and its complement differ.
    refused(&[0x00, 0x05, 0x00, 0xfa, 0xfe, 1, 2, 3, 4, 5, 0x00]);
    // A zlib header.
    refused(&[0x78, 0x9c, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
    refused(&[0xff; 20]);
    refused(b"Hello");
}

#[test]
fn a_message_that_is_cut_off_is_refused() {
    let message = Random(5).text(3000);
    let payload = Peer::of(TAKEOVER).deflate(&message);
    for length in 1..payload.len() {
        let mut inflater = Inflater::new(both(TAKEOVER));
        let result = inflater.inflate(&payload[..length], LIMIT);
        assert_eq!(
            result,
            Err(InflateError::Malformed),
            "{length} of {} bytes",
            payload.len()
        );
    }
    // A stored block that announces more bytes than come.
    refused(&[0x00, 0x06, 0x00, 0xf9, 0xff, 0x48]);
    refused(&[0x00, 0x05, 0x00]);
}

#[test]
fn a_message_whose_end_was_not_cut_off_is_refused() {
    refused(&[
        0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00, 0x00, 0xff, 0xff,
    ]);
}

#[test]
fn no_socket_reads_the_messages_of_another() {
    let secret = Random(23).text(40_000);
    let payload = Peer::of(TAKEOVER).deflate(&secret);
    let mut inflater = Inflater::new(both(TAKEOVER));
    assert_eq!(inflater.inflate(&payload, LIMIT).unwrap(), secret);
    // Three bytes and more, from five bytes before the start.
    refused(&[0xf2, 0x00, 0x11, 0x00, 0x00]);
    refused(&[0x02, 0x13, 0x00, 0x00]);
    // The same on a socket without context takeover.
    let mut inflater = Inflater::new(both(Direction {
        window_bits: 15,
        context_takeover: false,
    }));
    assert_eq!(inflater.inflate(&payload, LIMIT).unwrap(), secret);
    let result = inflater.inflate(&[0xf2, 0x00, 0x11, 0x00, 0x00], LIMIT);
    assert_eq!(result, Err(InflateError::Malformed));
}

#[test]
fn a_window_is_as_large_as_agreed() {
    let direction = Direction {
        window_bits: 9,
        context_takeover: true,
    };
    let message = Random(29).bytes(512);
    // The client uses 15 bits instead of the agreed 9.
    let mut peer = Peer::of(TAKEOVER);
    let mut inflater = Inflater::new(both(direction));
    for _ in 0..2 {
        let payload = peer.deflate(&message);
        assert_eq!(inflater.inflate(&payload, LIMIT).unwrap(), message);
    }
    let more = peer.deflate(b"more");
    assert_eq!(inflater.inflate(&more, LIMIT).unwrap(), "more");
    let payload = peer.deflate(&message);
    assert_eq!(
        inflater.inflate(&payload, LIMIT),
        Err(InflateError::Malformed)
    );
}

#[test]
fn a_bomb_is_stopped_at_the_limit() {
    let bomb = Peer::of(TAKEOVER).deflate(&vec![0; 4 << 20]);
    assert!(bomb.len() < 10_000);
    let mut inflater = Inflater::new(both(TAKEOVER));
    assert_eq!(inflater.inflate(&bomb, LIMIT), Err(InflateError::TooLarge));
}

#[test]
fn endless_streams_are_refused() {
    // Each is an empty block with BFINAL; the message ends correctly.
    let mut payload = [0x03, 0x00].repeat(100_000);
    payload.push(0);
    refused(&payload);
    // A few are allowed.
    let mut inflater = Inflater::new(both(TAKEOVER));
    let mut payload = [0x03, 0x00].repeat(7);
    payload.push(0);
    assert_eq!(inflater.inflate(&payload, LIMIT), Ok("".into()));
}

#[test]
fn noise_neither_panics_nor_passes_the_limit() {
    let mut random = Random(0xabad1dea);
    for direction in directions() {
        let mut inflater = Inflater::new(both(direction));
        for _ in 0..2000 {
            let length = random.below(200);
            let limit = random.below(2000);
            let noise = random.bytes(length);
            if let Ok(message) = inflater.inflate(&noise, limit) {
                assert!(message.len() <= limit);
            }
        }
    }
}

#[test]
fn a_message_with_wrong_bits_neither_panics_nor_passes_the_limit() {
    let mut random = Random(0x0ddba11);
    let mut sent = Vec::new();
    for round in 0..2000 {
        let mut peer = Peer::of(TAKEOVER);
        let mut inflater = Inflater::new(both(TAKEOVER));
        let length = random.below(1500);
        let message = random.text(length);
        sent = if round % 10 == 0 {
            peer.deflate(&message)
        } else {
            sent
        };
        let mut payload = sent.clone();
        for _ in 0..1 + random.below(4) {
            let index = random.below(payload.len().max(1));
            if let Some(byte) = payload.get_mut(index) {
                *byte ^= 1 << random.below(8);
            }
        }
        let limit = random.below(3000);
        if let Ok(message) = inflater.inflate(&payload, limit) {
            assert!(message.len() <= limit);
        }
    }
}
